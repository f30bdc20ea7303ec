#include "alloc_probe.h"
#include "core/slice.h"
#include "transport/transport.h"

#define HEX   "00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF"
#define LOWER "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define COLON                                                                                      \
  "00:11:22:33:44:55:66:77:88:99:aa:bb:cc:dd:ee:ff:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:"  \
  "FF"

static const char *const sans[] = {"IP:10.0.0.1", "DNS:api.example.com", "DNS:*.wild.example.com",
                                   "DNS:example.org", NULL};

static roost_tls_info someone(bool verified) {
  return (roost_tls_info){
      .common_name = "billing", .fingerprint = LOWER, .sans = sans, .verified = verified};
}

/* Whether a rule for peer permits this one everything. */
static bool permits(const char *peer, const char *address, const roost_tls_info *tls) {
  roost_allow_rule rule = {.all = true};
  const roost_allow allow = {&rule, 1};
  roost_address remote = {.port = 1};
  const char *why = NULL;
  if (address != NULL)
    snprintf(remote.text, sizeof remote.text, "%s", address);
  if (roost_allow_peer_read(&rule.peer, peer, &why) != 0)
    fail_msg("%s: %s", peer, why);
  return roost_allow_permits(&allow, address != NULL ? &remote : NULL, tls, ROOST_SLICE("route"));
}

static void peers_by_address(void **state) {
  static const struct {
    const char *peer;
    const char *address;
    bool matches;
  } rows[] = {
      {"*", "10.0.0.5", true},
      {"*", "memory", true},
      {"*", NULL, true},
      {"10.0.0.5", "10.0.0.5", true},
      {"10.0.0.5", "10.0.0.6", false},
      {"10.0.0.5", "memory", false},
      {"10.0.0.5", NULL, false},
      {"10.0.0.5", "::ffff:10.0.0.5", true},
      {"::ffff:10.0.0.5", "10.0.0.5", true},
      {"::ffff:10.0.0.0/104", "10.9.9.9", true},
      {"::ffff:10.0.0.0/104", "11.9.9.9", false},
      {"10.0.0.0/8", "10.255.0.1", true},
      {"10.0.0.0/8", "11.0.0.1", false},
      {"10.1.2.3/8", "10.255.0.1", true},
      {"192.168.4.0/22", "192.168.7.255", true},
      {"192.168.4.0/22", "192.168.8.0", false},
      {"192.168.4.0/31", "192.168.4.1", true},
      {"192.168.4.0/31", "192.168.4.2", false},
      {"192.168.4.1/32", "192.168.4.1", true},
      {"0.0.0.0/0", "203.0.113.9", true},
      {"0.0.0.0/0", "2001:db8::1", false},
      {"::/0", "2001:db8::1", true},
      {"::/0", "203.0.113.9", false},
      {"::/0", "memory", false},
      {"::1", "::1", true},
      {"::1", "127.0.0.1", false},
      {"2001:db8::/32", "2001:db8:ffff::9", true},
      {"2001:db8::/32", "2001:db9::9", false},
      {"2001:db8::/127", "2001:db8::1", true},
      {"2001:db8::/127", "2001:db8::2", false},
      {"2001:DB8:0:0::1/128", "2001:db8::1", true},
  };
  (void)state;
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
    if (permits(rows[i].peer, rows[i].address, NULL) != rows[i].matches)
      fail_msg("%s and %s", rows[i].peer, rows[i].address);
}

static void peers_by_certificate(void **state) {
  static const struct {
    const char *peer;
    bool verified;   /* matches one that was */
    bool unverified; /* and one that was not */
  } rows[] = {
      {"CN=billing", true, false},
      {"cn=billing", true, false},
      {"CN=Billing", false, false},
      {"CN=bill", false, false},
      {"CN=*", false, false},
      {"DNS:api.example.com", true, false},
      {"DNS:API.Example.com", true, false},
      {"DNS:example.com", false, false},
      {"DNS:*.example.com", true, false},
      {"DNS:*.com", false, false},
      {"DNS:*.org", true, false},
      {"DNS:10.0.0.1", false, false},
      {"DNS:a.wild.example.com", false, false},
      {"DNS:*.wild.example.com", true, false},
      {"sha256:" HEX, true, true},
      {"SHA256:" COLON, true, true},
      {"sha256:01112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF", false, false},
  };
  (void)state;
  const roost_tls_info verified = someone(true);
  const roost_tls_info unverified = someone(false);
  static const char *const no_names[] = {NULL};
  const roost_tls_info nameless = {
      .common_name = "", .fingerprint = "", .sans = no_names, .verified = true};
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    if (permits(rows[i].peer, "10.0.0.5", &verified) != rows[i].verified)
      fail_msg("%s, verified", rows[i].peer);
    if (permits(rows[i].peer, "10.0.0.5", &unverified) != rows[i].unverified)
      fail_msg("%s, unverified", rows[i].peer);
    assert_false(permits(rows[i].peer, "10.0.0.5", &nameless));
    assert_false(permits(rows[i].peer, "10.0.0.5", NULL));
  }
  assert_true(permits("10.0.0.5", "10.0.0.5", &unverified));
  assert_true(permits("*", "10.0.0.5", &unverified));
}

static void peers_that_are_none(void **state) {
  static const char *const rows[][2] = {
      {"", "expected CN=, DNS:, sha256:, an address, a CIDR or *"},
      {"billing", "expected CN=, DNS:, sha256:, an address, a CIDR or *"},
      {"**", "expected CN=, DNS:, sha256:, an address, a CIDR or *"},
      {"10.0.0", "expected CN=, DNS:, sha256:, an address, a CIDR or *"},
      {"10.0.0.256", "expected CN=, DNS:, sha256:, an address, a CIDR or *"},
      {"010.0.0.1", "expected CN=, DNS:, sha256:, an address, a CIDR or *"},
      {"10.0.0.1 ", "expected CN=, DNS:, sha256:, an address, a CIDR or *"},
      {"fe80::1%eth0", "expected CN=, DNS:, sha256:, an address, a CIDR or *"},
      {"1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb:cccc",
       "expected CN=, DNS:, sha256:, an address, a CIDR or *"},
      {"/8", "expected CN=, DNS:, sha256:, an address, a CIDR or *"},
      {"10.0.0.0/", "expected a number of bits after the /"},
      {"10.0.0.0/-1", "expected a number of bits after the /"},
      {"10.0.0.0/8x", "expected a number of bits after the /"},
      {"10.0.0.0/0008", "expected a number of bits after the /"},
      {"10.0.0.0/8/8", "expected a number of bits after the /"},
      {"10.0.0.0/33", "an IPv4 address has 32 bits"},
      {"::/129", "an IPv6 address has 128 bits"},
      {"CN=", "expected a name after CN="},
      {"DNS:", "expected a name after DNS:"},
      {"DNS:*.", "expected a name after DNS:"},
      {"DNS:*", "* may only be the first label of a name"},
      {"DNS:a.*.b", "* may only be the first label of a name"},
      {"DNS:*.*.b", "* may only be the first label of a name"},
      {"sha256:", "expected the 64 hexadecimal digits of a SHA-256 after sha256:"},
      {"sha256:00", "expected the 64 hexadecimal digits of a SHA-256 after sha256:"},
      {"sha256:" HEX "0", "expected the 64 hexadecimal digits of a SHA-256 after sha256:"},
      {"sha256:" HEX ":", "expected the 64 hexadecimal digits of a SHA-256 after sha256:"},
      {"sha256:g0112233445566778899aabbccddeeff00112233445566778899aabbccddeeff",
       "expected the 64 hexadecimal digits of a SHA-256 after sha256:"},
      {"sha256:0:0112233445566778899aabbccddeeff00112233445566778899aabbccddeeff",
       "expected the 64 hexadecimal digits of a SHA-256 after sha256:"},
  };
  (void)state;
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    roost_allow_peer peer;
    const char *why = NULL;
    if (roost_allow_peer_read(&peer, rows[i][0], &why) != ROOST_EINVAL)
      fail_msg("%s was taken", rows[i][0]);
    assert_string_equal(why, rows[i][1]);
  }
}

/* Whether a rule with this pattern, JSON text, permits the route. */
static bool permits_route(const char *pattern, const char *route) {
  roost_buffer text;
  const char *why = NULL;
  roost_buffer_init(&text, roost_alloc_default());
  const int kind = roost_allow_route_read(&text, roost_slice_text(pattern), &why);
  if (kind < 0)
    fail_msg("%s: %s", pattern, why);
  const roost_allow_route one = {roost_buffer_slice(&text), kind == 1};
  const roost_allow_rule rule = {.routes = &one, .route_count = 1};
  const roost_allow allow = {&rule, 1};
  const bool permitted = roost_allow_permits(&allow, NULL, NULL, roost_slice_text(route));
  roost_buffer_deinit(&text);
  return permitted;
}

static void routes(void **state) {
  (void)state;
  assert_true(permits_route("\"orders.create\"", "orders.create"));
  assert_false(permits_route("\"orders.create\"", "orders"));
  assert_true(permits_route("\"orders.*\"", "orders.create"));
  assert_false(permits_route("\"orders.*\"", "orders"));
  assert_false(permits_route("\"orders.*\"", "orders.create.now"));
  assert_true(permits_route("\"orders.>\"", "orders.create.now"));
  assert_false(permits_route("\"orders.>\"", "orders"));
  assert_false(permits_route("\"orders.>\"", "ordersx.y"));
  assert_true(permits_route("\"*.create\"", "orders.create"));
  assert_true(permits_route("7", "7"));
  assert_true(permits_route("\"7\"", "7"));
  assert_true(permits_route("{\"b\":1,\"a\":\"x\"}", "{\"a\":\"x\",\"b\":1}"));
  assert_false(permits_route("{\"a\":\".*.\"}", "{\"a\":\".b.\"}")); /* only text has wildcards */
  assert_true(permits_route("{\"a\":\".*.\"}", "{\"a\":\".*.\"}"));
  assert_false(permits_route("\">\"", ""));
  assert_false(permits_route("\"a\"", NULL));
  assert_false(permits_route("\"*\"", NULL));
}

static void patterns_that_are_none(void **state) {
  roost_buffer text;
  const char *why;
  (void)state;
  roost_buffer_init(&text, roost_alloc_default());
  assert_int_equal(roost_allow_route_read(&text, ROOST_SLICE("true"), &why), ROOST_EINVAL);
  assert_string_equal(why, "a pattern is text, a number or a table");
  assert_int_equal(roost_allow_route_read(&text, ROOST_SLICE("[1"), &why), ROOST_EINVAL);
  assert_string_equal(why, "not a pattern");
  roost_buffer_deinit(&text);
}

static void the_first_rule_that_fits_is_enough(void **state) {
  const roost_allow_route routes_of_one[] = {{ROOST_SLICE("a"), false}, {ROOST_SLICE("b.*"), true}};
  roost_allow_rule rules[] = {
      {.routes = routes_of_one, .route_count = 2}, {.all = true}, {.all = false}};
  const roost_allow allow = {rules, 3};
  const roost_allow none = {NULL, 0};
  const roost_address billing = {"10.0.0.5", 1};
  const roost_address other = {"10.0.0.6", 1};
  const char *why;
  (void)state;
  assert_int_equal(roost_allow_peer_read(&rules[0].peer, "10.0.0.0/24", &why), 0);
  assert_int_equal(roost_allow_peer_read(&rules[1].peer, "10.0.0.6", &why), 0);
  assert_true(roost_allow_permits(&allow, &billing, NULL, ROOST_SLICE("a")));
  assert_true(roost_allow_permits(&allow, &billing, NULL, ROOST_SLICE("b.c")));
  assert_false(roost_allow_permits(&allow, &billing, NULL, ROOST_SLICE("c")));
  assert_false(roost_allow_permits(&allow, &billing, NULL, (roost_slice){NULL, 0}));
  assert_true(roost_allow_permits(&allow, &other, NULL, ROOST_SLICE("c")));
  assert_true(roost_allow_permits(&allow, &other, NULL, (roost_slice){NULL, 0}));
  assert_false(roost_allow_permits(&none, &billing, NULL, ROOST_SLICE("a")));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(peers_by_address),
      cmocka_unit_test(peers_by_certificate),
      cmocka_unit_test(peers_that_are_none),
      cmocka_unit_test(routes),
      cmocka_unit_test(patterns_that_are_none),
      cmocka_unit_test(the_first_rule_that_fits_is_enough),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
