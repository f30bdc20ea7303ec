#include "net_test.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include "net/conn_internal.h"

static void assert_text(int family, const char *text, const char *expected) {
  struct sockaddr_storage address = {.ss_family = (sa_family_t)family};
  struct sockaddr_in *four = (struct sockaddr_in *)&address;
  struct sockaddr_in6 *six = (struct sockaddr_in6 *)&address;
  void *ip = family == AF_INET ? (void *)&four->sin_addr : (void *)&six->sin6_addr;
  roost_address shown;
  assert_int_equal(inet_pton(family, text, ip), 1);
  four->sin_port = htons(3000); /* in the same place for both */
  roost_socket_address(&shown, (struct sockaddr *)&address);
  assert_string_equal(shown.text, expected);
  assert_int_equal(shown.port, 3000);
}

static void addresses_are_shown_as_inet_ntop_does(void **state) {
  char text[INET_ADDRSTRLEN];
  (void)state;
  for (unsigned i = 0; i < 256; i++) {
    const struct in_addr ip = {htonl(i << 24 | (255 - i) << 16 | (i * 7 % 256) << 8 | i)};
    inet_ntop(AF_INET, &ip, text, sizeof text);
    assert_text(AF_INET, text, text);
  }
  assert_text(AF_INET6, "::1", "::1");
  assert_text(AF_INET6, "2001:db8::7", "2001:db8::7");
  assert_text(AF_INET6, "::ffff:10.0.200.34", "10.0.200.34");
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(addresses_are_shown_as_inet_ntop_does)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
