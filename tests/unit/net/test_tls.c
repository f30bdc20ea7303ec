#include "tls_test.h"

/*
 * Two ends with a wire between them that the test turns by hand: what one end writes waits in the
 * wire until wire_turn passes it on, in pieces of any size.
 */
typedef struct wire_end {
  net_record record; /* of the wire's own conn */
  struct wire_end *other;
  size_t passed;    /* bytes on their way to other, in all */
  unsigned flights; /* turns in which there were any, after none */
  bool was_quiet;
  bool fin_passed;
} wire_end;

typedef struct world {
  net_test test;
  tls_world pki;
  net_record server;
  net_record client;
  wire_end near_server;
  wire_end near_client;
  size_t flip_at; /* of what the client sends; SIZE_MAX: none */
} world;

static void init(world *self, roost_tls_verify verify, roost_tls_version version) {
  roost_conn *server;
  roost_conn *client;
  roost_conn *near_server;
  roost_conn *near_client;
  memset(self, 0, sizeof *self);
  self->flip_at = SIZE_MAX;
  net_test_init(&self->test);
  tls_world_init(&self->pki, roost_alloc_default(), verify, version);
  assert_int_equal(roost_conn_pair(&server, &near_server, self->test.loop), 0);
  assert_int_equal(roost_conn_pair(&client, &near_client, self->test.loop), 0);
  net_record_init(&self->server, server);
  net_record_init(&self->client, client);
  net_record_init(&self->near_server.record, near_server);
  net_record_init(&self->near_client.record, near_client);
  self->near_server.other = &self->near_client;
  self->near_client.other = &self->near_server;
  self->near_server.was_quiet = self->near_client.was_quiet = true;
}

static void deinit(world *self) {
  net_test_deinit(&self->test);
  tls_world_deinit(&self->pki);
  net_record_deinit(&self->server);
  net_record_deinit(&self->client);
  net_record_deinit(&self->near_server.record);
  net_record_deinit(&self->near_client.record);
}

/* Passes on what has come in at one end, in pieces of at most chunk bytes, one a turn. */
static void pass_on(world *self, wire_end *from, size_t chunk) {
  roost_buffer *bytes = &from->record.bytes;
  roost_conn *to = from->other->record.conn;
  const size_t n = bytes->len < chunk ? bytes->len : chunk;
  if (n > 0) {
    from->flights += from->was_quiet;
    if (from == &self->near_client && self->flip_at >= from->passed &&
        self->flip_at < from->passed + n)
      bytes->ptr[self->flip_at - from->passed] ^= 1;
    if (to != NULL) {
      assert_int_equal(roost_buffer_append(roost_conn_out(to), bytes->ptr, n), 0);
      roost_conn_dirty(to);
    }
    from->passed += n;
    roost_buffer_consume(bytes, n);
  }
  from->was_quiet = n == 0;
  const bool is_over = from->record.eofs > 0 || from->record.closes > 0;
  if (bytes->len == 0 && is_over && !from->fin_passed && to != NULL) {
    from->fin_passed = true;
    roost_conn_shutdown(to);
  }
}

static void wire_turn(world *self, size_t chunk) {
  net_test_turn(&self->test);
  pass_on(self, &self->near_client, chunk);
  pass_on(self, &self->near_server, chunk);
}

#define WIRE_UNTIL(self, chunk, condition)                                                         \
  do {                                                                                             \
    unsigned turns_ = 0;                                                                           \
    while (!(condition)) {                                                                         \
      assert_true(turns_++ < 200000);                                                              \
      wire_turn(self, chunk);                                                                      \
    }                                                                                              \
  } while (0)

static void start(world *self) {
  tls_world_start(&self->pki, self->server.conn, self->client.conn);
}

static bool are_open(const world *self) {
  return self->server.opened == 1 && self->client.opened == 1;
}

static bool are_closed(const world *self) {
  return self->server.closes == 1 && self->client.closes == 1;
}

/* Other contexts than the usual ones. */
static void use_server(world *self, const roost_tls_config *config) {
  roost_tls_context_release(self->pki.server_context);
  self->pki.server_context = tls_context_make(roost_alloc_default(), true, config);
}

static void use_client(world *self, const roost_tls_config *config) {
  roost_tls_context_release(self->pki.client_context);
  self->pki.client_context = tls_context_make(roost_alloc_default(), false, config);
}

/* --------------------------------------------------------------------- the handshake --------- */

static void the_owner_is_told_nothing_before_the_handshake(void **state) {
  (void)state;
  for (unsigned version = ROOST_TLS_1_2; version <= ROOST_TLS_1_3; version++) {
    world self;
    init(&self, ROOST_TLS_VERIFY_NONE, version);
    start(&self);
    net_write(self.client.conn, "early"); /* waits until it can be encrypted */
    net_write(self.server.conn, "greeting");
    assert_null(roost_conn_tls_info(self.client.conn));
    WIRE_UNTIL(&self, SIZE_MAX, are_open(&self));
    WIRE_UNTIL(&self, SIZE_MAX, self.server.bytes.len > 0 && self.client.bytes.len > 0);
    assert_true(net_record_has(&self.server, "early"));
    assert_true(net_record_has(&self.client, "greeting"));
    deinit(&self);
  }
}

static void pieces_of_any_size_will_do(void **state) {
  static const size_t chunks[] = {1, 2, 3, 7, 64, 1000, 5000};
  (void)state;
  for (size_t i = 0; i < sizeof chunks / sizeof chunks[0]; i++) {
    world self;
    init(&self, ROOST_TLS_VERIFY_REQUIRED, i % 2 == 0 ? ROOST_TLS_1_3 : ROOST_TLS_1_2);
    start(&self);
    WIRE_UNTIL(&self, chunks[i], are_open(&self));
    net_write(self.client.conn, "question");
    net_write_many(self.server.conn, 3000);
    WIRE_UNTIL(&self, chunks[i], self.server.bytes.len == 8 && self.client.bytes.len == 3000);
    assert_true(net_record_has(&self.server, "question"));
    deinit(&self);
  }
}

/* What a network sees of a request: no end waits for an answer to less than it has to say. */
static void a_request_takes_no_more_flights_than_it_must(void **state) {
  (void)state;
  world self;
  init(&self, ROOST_TLS_VERIFY_NONE, ROOST_TLS_1_3);
  start(&self);
  net_write(self.client.conn, "question");
  WIRE_UNTIL(&self, SIZE_MAX, self.server.bytes.len == 8);
  net_write(self.server.conn, "answer");
  WIRE_UNTIL(&self, SIZE_MAX, self.client.bytes.len == 6);
  /* hello, then finished with the question; and hello, then the ticket, then the answer */
  assert_int_equal(self.near_client.flights, 2);
  assert_true(self.near_server.flights <= 3);
  deinit(&self);
}

static void both_ends_know_each_other(void **state) {
  (void)state;
  world self;
  init(&self, ROOST_TLS_VERIFY_REQUIRED, ROOST_TLS_1_3);
  start(&self);
  WIRE_UNTIL(&self, SIZE_MAX, are_open(&self));
  const roost_tls_info *client = roost_conn_tls_info(self.server.conn);
  assert_string_equal(client->subject, "CN=client");
  assert_string_equal(client->common_name, "client");
  assert_string_equal(client->sans[0], "DNS:client.test");
  assert_string_equal(client->sans[1], "URI:spiffe://test/client");
  assert_null(client->sans[2]);
  assert_true(client->verified);
  assert_string_equal(client->version, "TLSv1.3");
  assert_string_equal(client->cipher, "TLS_AES_256_GCM_SHA384");
  assert_ptr_equal(roost_conn_tls_info(self.server.conn), client);
  unsigned char hash[32];
  char shown[3];
  X509_digest(self.pki.client.x509, EVP_sha256(), hash, NULL);
  for (size_t i = 0; i < sizeof hash; i++) {
    snprintf(shown, sizeof shown, "%02x", hash[i]);
    assert_memory_equal(client->fingerprint + 2 * i, shown, 2);
  }
  assert_int_equal(strlen(client->fingerprint), 64);
  const roost_tls_info *server = roost_conn_tls_info(self.client.conn);
  assert_string_equal(server->sans[1], "IP:127.0.0.1");
  assert_true(server->verified);
  roost_tls_info_hold(client); /* it may outlive the connection */
  roost_conn_close(self.server.conn);
  NET_TEST_UNTIL(&self.test, self.server.closes == 1);
  assert_string_equal(client->common_name, "client");
  roost_tls_info_release(client);
  deinit(&self);
}

static void a_client_without_certificate_is_nobody(void **state) {
  (void)state;
  world self;
  init(&self, ROOST_TLS_VERIFY_OPTIONAL, ROOST_TLS_1_2);
  use_client(&self, &(roost_tls_config){.ca = self.pki.trusted});
  start(&self);
  WIRE_UNTIL(&self, SIZE_MAX, are_open(&self));
  const roost_tls_info *client = roost_conn_tls_info(self.server.conn);
  assert_string_equal(client->subject, "");
  assert_string_equal(client->common_name, "");
  assert_string_equal(client->fingerprint, "");
  assert_null(client->sans[0]);
  assert_false(client->verified);
  deinit(&self);
}

static void odd_names_make_nobody_somebody_else(void **state) {
  (void)state;
  world self;
  init(&self, ROOST_TLS_VERIFY_REQUIRED, ROOST_TLS_1_2);
  tls_identity odd =
      tls_identity_make((tls_wanted){.cn = "a,CN=\xc3\xa9\"+", .issuer = &self.pki.ca});
  use_client(&self, &(roost_tls_config){.ca = self.pki.trusted, .key = odd.key, .cert = odd.cert});
  start(&self);
  WIRE_UNTIL(&self, SIZE_MAX, are_open(&self));
  const roost_tls_info *client = roost_conn_tls_info(self.server.conn);
  assert_string_equal(client->subject, "CN=a\\,CN=\xc3\xa9\\\"\\+");
  assert_string_equal(client->common_name, "a,CN=\xc3\xa9\"+");
  deinit(&self);
  tls_identity_free(&odd);
}

/* --------------------------------------------------------------------- who is refused -------- */

typedef struct refusal {
  const char *name; /* the client asks for; NULL: server.test */
  bool other_ca;    /* the client trusts somebody else */
  bool expired;     /* the server's certificate has */
  bool nobody;      /* the client has no certificate, the server wants one */
  bool stranger;    /* the client's certificate is nobody's */
  const char *server_why;
  const char *client_why;
} refusal;

static void try_refusal(const refusal *wanted) {
  world self;
  init(&self,
       wanted->nobody || wanted->stranger ? ROOST_TLS_VERIFY_REQUIRED : ROOST_TLS_VERIFY_NONE,
       ROOST_TLS_1_3);
  tls_identity other = tls_identity_make((tls_wanted){.cn = "other"});
  tls_identity old = tls_identity_make((tls_wanted){.cn = "server",
                                                    .sans = "DNS:server.test",
                                                    .from_s = -2L * TLS_DAY_S,
                                                    .to_s = -TLS_DAY_S,
                                                    .issuer = &self.pki.ca});
  const char *const others[] = {other.cert, NULL};
  const roost_tls_config client = {.ca = wanted->other_ca ? others : self.pki.trusted,
                                   .key = wanted->stranger ? other.key : NULL,
                                   .cert = wanted->stranger ? other.cert : NULL};
  use_client(&self, &client);
  if (wanted->expired) {
    roost_tls_context *context;
    roost_buffer text;
    roost_buffer_init(&text, roost_alloc_default());
    const roost_tls_config server = {.key = old.key, .cert = old.cert};
    assert_int_equal(roost_tls_server_context(&context, roost_alloc_default(), &server, &text), 0);
    assert_non_null(text.ptr);
    assert_non_null(strstr(text.ptr, "has expired on"));
    roost_buffer_deinit(&text);
    roost_tls_context_release(self.pki.server_context);
    self.pki.server_context = context;
  }
  assert_int_equal(roost_conn_start_tls(self.server.conn, self.pki.server_context, NULL, 0), 0);
  assert_int_equal(roost_conn_start_tls(self.client.conn, self.pki.client_context,
                                        wanted->name != NULL ? wanted->name : "server.test", 0),
                   0);
  WIRE_UNTIL(&self, SIZE_MAX, are_closed(&self));
  assert_string_equal(self.client.why, wanted->client_why);
  assert_string_equal(self.server.why, wanted->server_why);
  assert_int_equal(self.server.status, ROOST_ECONNECT);
  assert_int_equal(self.server.opened, 0);
  assert_int_equal(self.server.bytes.len, 0);
  deinit(&self);
  tls_identity_free(&other);
  tls_identity_free(&old);
}

static void refusals_name_their_reason(void **state) {
  static const refusal refusals[] = {
      {.other_ca = true,
       .client_why = "ETLS: the server's certificate: unable to get local issuer certificate",
       .server_why = "ETLS: the peer does not trust our certificate: unknown CA"},
      {.expired = true,
       .client_why = "ETLS: the server's certificate: certificate has expired",
       .server_why = "ETLS: the peer says that our certificate has expired"},
      {.name = "other.test",
       .client_why = "ETLS: the server's certificate is not for other.test",
       .server_why = "ETLS: the peer refuses our certificate"},
      {.name = "10.0.0.1",
       .client_why = "ETLS: the server's certificate is not for this address",
       .server_why = "ETLS: the peer refuses our certificate"},
      {.nobody = true, /* which a client of TLS 1.3 hears after its own handshake is done */
       .client_why = "ETLS: the server requires a certificate, and we have none",
       .server_why = "ETLS: the peer has no certificate, and one is required"},
      {.stranger = true,
       .client_why = "ETLS: the server does not trust our certificate: unknown CA",
       .server_why = "ETLS: the peer's certificate: self-signed certificate"},
  };
  (void)state;
  for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++)
    try_refusal(&refusals[i]);
}

static void an_address_is_a_name_too_and_insecure_needs_none(void **state) {
  (void)state;
  for (int insecure = 0; insecure < 2; insecure++) {
    world self;
    init(&self, ROOST_TLS_VERIFY_NONE, ROOST_TLS_1_3);
    use_client(&self, &(roost_tls_config){.ca = insecure ? NULL : self.pki.trusted,
                                          .insecure = insecure == 1});
    assert_int_equal(roost_conn_start_tls(self.server.conn, self.pki.server_context, NULL, 0), 0);
    assert_int_equal(roost_conn_start_tls(self.client.conn, self.pki.client_context,
                                          insecure ? NULL : "127.0.0.1", 0),
                     0);
    WIRE_UNTIL(&self, SIZE_MAX, are_open(&self));
    assert_int_equal(roost_conn_tls_info(self.client.conn)->verified, !insecure);
    deinit(&self);
  }
}

static void a_configured_name_comes_first(void **state) {
  (void)state;
  world self;
  init(&self, ROOST_TLS_VERIFY_NONE, ROOST_TLS_1_3);
  use_client(&self, &(roost_tls_config){.ca = self.pki.trusted, .servername = "server.test"});
  assert_int_equal(roost_conn_start_tls(self.server.conn, self.pki.server_context, NULL, 0), 0);
  assert_int_equal(roost_conn_start_tls(self.client.conn, self.pki.client_context, "10.1.1.1", 0),
                   0);
  WIRE_UNTIL(&self, SIZE_MAX, are_open(&self));
  deinit(&self);
}

static void versions_must_have_one_in_common(void **state) {
  (void)state;
  world self;
  init(&self, ROOST_TLS_VERIFY_NONE, ROOST_TLS_1_3);
  /* Ciphers of TLS 1.2 alone do not keep a client from 1.3, an old server would; ours is told that
   * there is none. */
  use_server(&self, &(roost_tls_config){.key = self.pki.server.key,
                                        .cert = self.pki.server.cert,
                                        .ciphers = "TLS_AES_128_GCM_SHA256"});
  use_client(&self, &(roost_tls_config){.ca = self.pki.trusted,
                                        .ciphers = "TLS_CHACHA20_POLY1305_SHA256",
                                        .min_version = ROOST_TLS_1_3});
  start(&self);
  WIRE_UNTIL(&self, SIZE_MAX, are_closed(&self));
  assert_string_equal(self.server.why,
                      "ETLS: the peer has no cipher or signature in common with us");
  assert_string_equal(self.client.why,
                      "ETLS: the server refuses the handshake: no cipher in common, or it requires "
                      "a certificate");
  deinit(&self);
}

static void sni_chooses_the_certificate(void **state) {
  static const struct {
    const char *asked;
    const char *got;
  } rows[] = {{"a.test", "CN=exact"},     {"A.TEST", "CN=exact"},
              {"x.wild.test", "CN=wild"}, {"deep.x.wild.test", "CN=server"},
              {"wild.test", "CN=server"}, {"else.test", "CN=server"}};
  (void)state;
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    world self;
    init(&self, ROOST_TLS_VERIFY_NONE, ROOST_TLS_1_3);
    tls_identity exact = tls_identity_make((tls_wanted){.cn = "exact", .issuer = &self.pki.ca});
    tls_identity wild = tls_identity_make((tls_wanted){.cn = "wild", .issuer = &self.pki.ca});
    const roost_tls_sni sni[] = {{.name = "*.wild.test", .key = wild.key, .cert = wild.cert},
                                 {.name = "a.test", .key = exact.key, .cert = exact.cert}};
    use_server(&self, &(roost_tls_config){.key = self.pki.server.key,
                                          .cert = self.pki.server.cert,
                                          .sni = sni,
                                          .sni_count = 2});
    use_client(&self, &(roost_tls_config){.insecure = true, .servername = rows[i].asked});
    start(&self);
    WIRE_UNTIL(&self, SIZE_MAX, are_open(&self));
    assert_string_equal(roost_conn_tls_info(self.client.conn)->subject, rows[i].got);
    deinit(&self);
    tls_identity_free(&exact);
    tls_identity_free(&wild);
  }
}

/* --------------------------------------------------------------------- who is no TLS peer ---- */

/* A server of TLS, and a peer that says anything. */
static void accept_bytes(world *self, const char *bytes, size_t len) {
  assert_int_equal(roost_conn_start_tls(self->server.conn, self->pki.server_context, NULL, 10000),
                   0);
  roost_conn *peer = self->near_server.record.conn;
  assert_int_equal(roost_buffer_append(roost_conn_out(peer), bytes, len), 0);
  roost_conn_dirty(peer);
  net_test_turns(&self->test, 10);
}

static void plain_text_is_recognised(void **state) {
  static const char *const rows[][2] = {
      {"53#{\"pattern\":\"a\",\"data\":1}", "ETLS: the peer does not speak TLS"},
      {"GET / HTTP/1.1\r\n\r\n",
       "ETLS: the peer does not speak TLS: this is a plain HTTP request"}};
  (void)state;
  for (size_t i = 0; i < 2; i++) {
    world self;
    init(&self, ROOST_TLS_VERIFY_NONE, ROOST_TLS_1_3);
    accept_bytes(&self, rows[i][0], strlen(rows[i][0]));
    assert_int_equal(self.near_server.record.eofs, 1); /* it is hung up on ... */
    assert_int_equal(self.server.closes, 0);
    roost_conn_close(self.near_server.record.conn); /* ... and is waited for */
    net_test_turns(&self.test, 5);
    assert_int_equal(self.server.closes, 1);
    assert_int_equal(self.server.status, ROOST_ECONNECT);
    assert_string_equal(self.server.why, rows[i][1]);
    deinit(&self);
  }
}

static void a_peer_that_was_refused_is_not_waited_for_long(void **state) {
  (void)state;
  world self;
  init(&self, ROOST_TLS_VERIFY_NONE, ROOST_TLS_1_3);
  accept_bytes(&self, "plain", 5);
  net_test_advance(&self.test, 999);
  assert_int_equal(self.server.closes, 0);
  net_test_advance(&self.test, 1);
  net_test_turns(&self.test, 5);
  assert_int_equal(self.server.closes, 1);
  assert_string_equal(self.server.why, "ETLS: the peer does not speak TLS");
  deinit(&self);
}

static void a_peer_that_was_refused_may_not_send_for_ever(void **state) {
  (void)state;
  world self;
  init(&self, ROOST_TLS_VERIFY_NONE, ROOST_TLS_1_3);
  accept_bytes(&self, "plain", 5);
  for (unsigned i = 0; i < 1000 && self.server.closes == 0; i++) {
    net_write_many(self.near_server.record.conn, 65536);
    net_test_turn(&self.test);
    assert_true(i < 20);
  }
  deinit(&self);
}

static void who_leaves_without_a_word_is_told_apart(void **state) {
  (void)state;
  world self;
  init(&self, ROOST_TLS_VERIFY_NONE, ROOST_TLS_1_3);
  assert_int_equal(roost_conn_start_tls(self.server.conn, self.pki.server_context, NULL, 0), 0);
  roost_conn_close(self.near_server.record.conn);
  net_test_turns(&self.test, 5);
  assert_int_equal(self.server.status, ROOST_EGONE);
  assert_string_equal(self.server.why, "ETLS: the peer hung up during the handshake");
  deinit(&self);
}

/* A record that announces a hello of 100,000 bytes and more records that go on with it. */
static void a_hello_without_end_is_cut_off(void **state) {
  static const unsigned char head[] = {1, 0x01, 0x86, 0xa0, 3, 3};
  (void)state;
  world self;
  init(&self, ROOST_TLS_VERIFY_NONE, ROOST_TLS_1_3);
  assert_int_equal(roost_conn_start_tls(self.server.conn, self.pki.server_context, NULL, 0), 0);
  roost_conn *peer = self.near_server.record.conn;
  size_t sent = 0;
  for (unsigned i = 0; i < 100 && self.server.closes == 0; i++) {
    char record[5 + 16384] = {22, 3, 1, 0x40, 0};
    if (i == 0)
      memcpy(record + 5, head, sizeof head);
    if (self.near_server.record.closes > 0)
      break;
    roost_buffer_append(roost_conn_out(peer), record, sizeof record);
    roost_conn_dirty(peer);
    sent += sizeof record;
    net_test_turns(&self.test, 3);
  }
  assert_int_equal(self.server.closes, 1);
  assert_int_equal(self.server.status, ROOST_ECONNECT);
  assert_true(sent < 600000);
  deinit(&self);
}

static void the_handshake_has_a_deadline(void **state) {
  (void)state;
  for (int speaks = 0; speaks < 2; speaks++) {
    world self;
    init(&self, ROOST_TLS_VERIFY_NONE, ROOST_TLS_1_3);
    start(&self);
    if (speaks) /* a part of the client's hello arrives, and no more */
      for (int i = 0; i < 5; i++)
        wire_turn(&self, 10);
    net_test_advance(&self.test, 9999);
    assert_int_equal(self.server.closes, 0);
    net_test_advance(&self.test, 1);
    net_test_turns(&self.test, 5);
    assert_true(are_closed(&self));
    assert_int_equal(self.server.status, ROOST_ECONNECT);
    assert_string_equal(self.server.why, "ETLS: the handshake took too long");
    assert_string_equal(self.client.why, "ETLS: the handshake took too long");
    deinit(&self);
  }
}

/* --------------------------------------------------------------------- data ------------------ */

/* More than any buffer holds, both ways at once, while the readers stop again and again. */
static void much_data_arrives_whole_however_slowly_it_is_read(void **state) {
  enum { BYTES = 3000000 };
  (void)state;
  world self;
  init(&self, ROOST_TLS_VERIFY_NONE, ROOST_TLS_1_3);
  start(&self);
  WIRE_UNTIL(&self, SIZE_MAX, are_open(&self));
  roost_conn *const ends[] = {self.server.conn, self.client.conn};
  net_record *const readers[] = {&self.client, &self.server};
  for (int i = 0; i < 2; i++) {
    roost_buffer *out = roost_conn_out(ends[i]);
    assert_int_equal(roost_buffer_reserve(out, BYTES), 0);
    for (size_t at = 0; at < BYTES; at++)
      out->ptr[out->len++] = (char)(at * 7 + at / 251 + (size_t)i);
    roost_conn_dirty(ends[i]);
  }
  unsigned turn = 0;
  for (; self.server.bytes.len < BYTES || self.client.bytes.len < BYTES; turn++) {
    assert_true(turn < 200000);
    for (int i = 0; i < 2; i++)
      if (turn % 7 == (unsigned)i)
        roost_conn_pause(ends[i]);
      else if (turn % 5 == (unsigned)i)
        roost_conn_resume(ends[i]);
    wire_turn(&self, 50000);
    /* beyond the plain text that waits there is little */
    assert_true(roost_loop_buffer_bytes(self.test.loop) < 4 * BYTES);
  }
  for (int i = 0; i < 2; i++)
    for (size_t at = 0; at < BYTES; at++)
      if (readers[i]->bytes.ptr[at] != (char)(at * 7 + at / 251 + (size_t)i))
        fail_msg("byte %zu of %d", at, i);
  deinit(&self);
}

/* Whoever reads into a room of his own gets what fits, and the rest at once afterwards. */
typedef struct roomy {
  net_record record;
  char place[5000];
  size_t size;
  size_t got;
} roomy;

static size_t give_room(void *ud, char **place) {
  roomy *self = ud;
  *place = self->place;
  return self->size;
}

static void take_room(void *ud, size_t n) {
  roomy *self = ud;
  self->got += n;
  assert_true(n <= self->size);
}

static void a_small_room_is_filled_again_and_again(void **state) {
  static const roost_conn_ops ops = {
      .on_bytes = net_record_bytes, .room = give_room, .on_filled = take_room};
  (void)state;
  for (size_t size = 1; size <= 5000; size += 1249) {
    world self;
    roomy reader = {.size = size};
    init(&self, ROOST_TLS_VERIFY_NONE, ROOST_TLS_1_3);
    start(&self);
    WIRE_UNTIL(&self, SIZE_MAX, are_open(&self));
    roost_conn_set_ops(self.server.conn, &ops, &reader);
    net_write_many(self.client.conn, 40000);
    WIRE_UNTIL(&self, SIZE_MAX, reader.got == 40000);
    roost_conn_close(self.server.conn);
    net_test_turns(&self.test, 5);
    deinit(&self);
  }
}

static void a_shutdown_is_told_and_the_other_way_goes_on(void **state) {
  (void)state;
  world self;
  init(&self, ROOST_TLS_VERIFY_NONE, ROOST_TLS_1_3);
  start(&self);
  WIRE_UNTIL(&self, SIZE_MAX, are_open(&self));
  net_write(self.client.conn, "last words");
  roost_conn_shutdown(self.client.conn);
  WIRE_UNTIL(&self, SIZE_MAX, self.server.eofs == 1);
  assert_true(net_record_has(&self.server, "last words"));
  net_write_many(self.server.conn, 300000); /* more than the wire takes at once */
  roost_conn_shutdown(self.server.conn);
  WIRE_UNTIL(&self, 10000, self.client.closes == 1);
  assert_int_equal(self.client.bytes.len, 300000);
  assert_int_equal(self.client.status, 0);
  WIRE_UNTIL(&self, SIZE_MAX, self.server.closes == 1);
  assert_int_equal(self.server.status, 0);
  deinit(&self);
}

/* FIN without TLS's own end, as Node's destroy() sends: what is owed can still be written. */
static void a_bare_fin_ends_reading_only(void **state) {
  (void)state;
  world self;
  init(&self, ROOST_TLS_VERIFY_NONE, ROOST_TLS_1_3);
  start(&self);
  WIRE_UNTIL(&self, SIZE_MAX, are_open(&self));
  net_write(self.client.conn, "half a record");
  while (self.near_client.record.bytes.len == 0)
    net_test_turn(&self.test);
  self.near_client.record.bytes.len /= 2; /* cut */
  wire_turn(&self, SIZE_MAX);
  roost_conn_shutdown(self.near_server.record.conn);
  WIRE_UNTIL(&self, SIZE_MAX, self.server.eofs == 1);
  assert_int_equal(self.server.bytes.len, 0);
  assert_int_equal(self.server.closes, 0);
  net_write(self.server.conn, "still owed");
  WIRE_UNTIL(&self, SIZE_MAX, self.client.bytes.len == 10);
  deinit(&self);
}

static void a_changed_byte_ends_the_connection(void **state) {
  (void)state;
  world self;
  init(&self, ROOST_TLS_VERIFY_NONE, ROOST_TLS_1_3);
  start(&self);
  WIRE_UNTIL(&self, SIZE_MAX, are_open(&self));
  self.flip_at = self.near_client.passed + 20;
  net_write(self.client.conn, "some words that somebody changes");
  WIRE_UNTIL(&self, SIZE_MAX, are_closed(&self));
  assert_int_equal(self.server.status, ROOST_EGONE);
  assert_string_equal(self.server.why, "ETLS: decryption failed or bad record mac");
  assert_string_equal(self.client.why, "ETLS: the server broke off: bad record mac");
  assert_int_equal(self.server.bytes.len, 0);
  deinit(&self);
}

static void reading_once_gives_what_is_there(void **state) {
  (void)state;
  world self;
  init(&self, ROOST_TLS_VERIFY_NONE, ROOST_TLS_1_3);
  start(&self);
  WIRE_UNTIL(&self, SIZE_MAX, are_open(&self));
  roost_conn_pause(self.server.conn);
  for (int i = 0; i < 20; i++)
    wire_turn(&self, SIZE_MAX);
  net_write(self.client.conn, "waiting");
  for (int i = 0; i < 20; i++)
    wire_turn(&self, SIZE_MAX);
  assert_int_equal(self.server.bytes.len, 0);
  roost_conn_read_now(self.server.conn);
  assert_true(net_record_has(&self.server, "waiting"));
  deinit(&self);
}

/* --------------------------------------------------------------------- when TLS begins ------- */

static void tls_may_begin_in_the_middle(void **state) {
  (void)state;
  world self;
  init(&self, ROOST_TLS_VERIFY_NONE, ROOST_TLS_1_3);
  net_write(self.server.conn, "INFO {}\r\n");
  assert_int_equal(roost_conn_start_tls(self.server.conn, self.pki.server_context, NULL, 0),
                   ROOST_ESTATE); /* that would have been encrypted */
  WIRE_UNTIL(&self, SIZE_MAX, self.client.bytes.len == 9);
  assert_null(roost_conn_tls_info(self.client.conn));
  start(&self);
  assert_int_equal(roost_conn_start_tls(self.client.conn, self.pki.client_context, "x", 0),
                   ROOST_ESTATE);
  WIRE_UNTIL(&self, SIZE_MAX, are_open(&self));
  assert_int_equal(roost_conn_start_tls(self.client.conn, self.pki.client_context, "x", 0),
                   ROOST_ESTATE);
  net_write(self.client.conn, "CONNECT {}\r\n");
  WIRE_UNTIL(&self, SIZE_MAX, self.server.bytes.len == 12);
  deinit(&self);
}

static void a_client_must_know_whom_it_wants(void **state) {
  (void)state;
  world self;
  init(&self, ROOST_TLS_VERIFY_NONE, ROOST_TLS_1_3);
  assert_int_equal(roost_conn_start_tls(self.client.conn, self.pki.client_context, NULL, 0),
                   ROOST_EINVAL);
  net_write(self.client.conn, "plain still works");
  WIRE_UNTIL(&self, SIZE_MAX, self.server.bytes.len == 17);
  deinit(&self);
}

static void closing_in_the_middle_of_a_handshake(void **state) {
  (void)state;
  for (unsigned turns = 0; turns < 8; turns++) {
    world self;
    init(&self, ROOST_TLS_VERIFY_NONE, ROOST_TLS_1_3);
    start(&self);
    for (unsigned i = 0; i < turns; i++)
      wire_turn(&self, SIZE_MAX);
    self.client.close_on_eof = true; /* its own part may be done already */
    roost_conn_close(self.server.conn);
    WIRE_UNTIL(&self, SIZE_MAX, are_closed(&self));
    assert_int_equal(self.server.status, 0);
    deinit(&self);
  }
}

/* --------------------------------------------------------------------- memory ---------------- */

static void an_idle_connection_holds_no_buffers(void **state) {
  (void)state;
  world self;
  init(&self, ROOST_TLS_VERIFY_NONE, ROOST_TLS_1_3);
  start(&self);
  WIRE_UNTIL(&self, SIZE_MAX, are_open(&self));
  net_write_many(self.client.conn, 200000);
  WIRE_UNTIL(&self, SIZE_MAX, self.server.bytes.len == 200000);
  net_test_turns(&self.test, 5);
  assert_int_equal(roost_loop_buffer_bytes(self.test.loop), 0);
  deinit(&self);
}

/* Every allocation fails once: the connection ends with a reason, or works. */
static void out_of_memory_at_any_point(void **state) {
  (void)state;
  bool worked = false;
  for (size_t n = 0; !worked; n++) {
    world self;
    init(&self, ROOST_TLS_VERIFY_NONE, ROOST_TLS_1_3);
    assert_true(n < 200);
    const size_t before = self.test.probe.asked;
    self.test.probe.refuse_after = n;
    const int status = roost_conn_start_tls(self.server.conn, self.pki.server_context, NULL, 10000);
    assert_true(status == 0 || status == ROOST_ENOMEM);
    if (status == 0 && roost_conn_start_tls(self.client.conn, self.pki.client_context,
                                            "server.test", 10000) == 0) {
      for (int i = 0; i < 30; i++) {
        net_test_turn(&self.test);
        wire_end *const ends[] = {&self.near_client, &self.near_server};
        for (int j = 0; j < 2; j++) { /* the wire itself may be refused memory, too */
          roost_conn *to = ends[j]->other->record.conn;
          if (to != NULL &&
              roost_buffer_append_slice(roost_conn_out(to),
                                        roost_buffer_slice(&ends[j]->record.bytes)) == 0)
            roost_buffer_clear(&ends[j]->record.bytes);
          if (to != NULL)
            roost_conn_dirty(to);
        }
      }
      worked = are_open(&self) && self.test.probe.asked - before <= n;
    }
    deinit(&self); /* which checks that nothing is left */
  }
}

/* --------------------------------------------------------------------- over TCP -------------- */

typedef struct tcp_world {
  net_test test;
  tls_world pki;
  roost_listener *listener;
  net_record accepted[4];
  size_t accepted_count;
  unsigned refused;
  int status;
  char why[256];
} tcp_world;

static void on_accept(void *ud, roost_conn *conn) {
  tcp_world *self = ud;
  assert_non_null(roost_conn_tls_info(conn));
  net_record_init(&self->accepted[self->accepted_count++], conn);
}

static void on_refused(void *ud, int status, const char *why, const roost_address *address) {
  tcp_world *self = ud;
  self->refused++;
  self->status = status;
  snprintf(self->why, sizeof self->why, "%s", why);
  assert_string_equal(address->text, "127.0.0.1");
}

static void tcp_init(tcp_world *self, size_t max_connections) {
  static const roost_listener_ops ops = {.on_accept = on_accept, .on_refused = on_refused};
  const roost_listener_config config = {
      .host = "127.0.0.1", .backlog = 8, .max_connections = max_connections};
  const char *why;
  memset(self, 0, sizeof *self);
  net_test_init(&self->test);
  tls_world_init(&self->pki, roost_alloc_default(), ROOST_TLS_VERIFY_NONE, ROOST_TLS_1_3);
  assert_int_equal(roost_listener_open(&self->listener, self->test.loop, &config, &ops, self, &why),
                   0);
  roost_listener_set_tls(self->listener, self->pki.server_context, 10000);
  assert_int_equal(roost_listener_start(self->listener), 0);
}

static void tcp_deinit(tcp_world *self) {
  net_test_deinit(&self->test);
  tls_world_deinit(&self->pki);
  for (size_t i = 0; i < self->accepted_count; i++)
    net_record_deinit(&self->accepted[i]);
}

static uint16_t port_of(const tcp_world *self) {
  return roost_listener_address(self->listener)->port;
}

static void dial(tcp_world *self, net_record *record, const char *host) {
  net_record_init(record, NULL);
  assert_int_equal(roost_conn_dial(&record->conn, self->test.loop, host, port_of(self), 0,
                                   &net_record_ops, record),
                   0);
  assert_int_equal(
      roost_conn_start_tls(record->conn, self->pki.client_context, "server.test", 10000), 0);
}

static void a_dialled_connection_opens_with_the_handshake(void **state) {
  (void)state;
  tcp_world self;
  net_record client;
  tcp_init(&self, 0);
  dial(&self, &client, "localhost");
  net_write(client.conn, "early"); /* is kept until TLS is there */
  NET_TEST_UNTIL(&self.test, client.opened == 1 && self.accepted_count == 1);
  assert_non_null(roost_conn_tls_info(client.conn));
  NET_TEST_UNTIL(&self.test, self.accepted[0].bytes.len == 5);
  assert_true(net_record_has(&self.accepted[0], "early"));
  assert_string_equal(roost_conn_remote(self.accepted[0].conn)->text, "127.0.0.1");
  tcp_deinit(&self);
  net_record_deinit(&client);
}

static void who_is_refused_never_reaches_the_owner(void **state) {
  (void)state;
  tcp_world self;
  tcp_init(&self, 0);
  const int plain = net_connect(port_of(&self));
  assert_int_equal(send(plain, "5#\"abc\"", 7, 0), 7);
  shutdown(plain, SHUT_WR);
  NET_TEST_UNTIL(&self.test, self.refused == 1);
  assert_int_equal(self.status, ROOST_ECONNECT);
  assert_string_equal(self.why, "ETLS: the peer does not speak TLS");
  assert_int_equal(self.accepted_count, 0);
  close(plain);
  const int silent = net_connect(port_of(&self));
  close(silent);
  NET_TEST_UNTIL(&self.test, self.refused == 2);
  assert_int_equal(self.status, ROOST_EGONE);
  tcp_deinit(&self);
}

static void handshakes_count_as_connections(void **state) {
  (void)state;
  tcp_world self;
  net_record client;
  tcp_init(&self, 1);
  const int silent = net_connect(port_of(&self));
  net_test_turns(&self.test, 5);
  dial(&self, &client, "127.0.0.1");
  NET_TEST_UNTIL(&self.test, client.closes == 1);
  assert_string_equal(self.why, "max_connections");
  net_test_advance(&self.test, 10000); /* its time is over */
  NET_TEST_UNTIL(&self.test, self.refused == 2);
  assert_string_equal(self.why, "ETLS: the handshake took too long");
  close(silent);
  net_record_deinit(&client);
  dial(&self, &client, "127.0.0.1");
  NET_TEST_UNTIL(&self.test, client.opened == 1 && self.accepted_count == 1);
  tcp_deinit(&self);
  net_record_deinit(&client);
}

static void a_listener_may_close_during_handshakes(void **state) {
  (void)state;
  tcp_world self;
  tcp_init(&self, 0);
  const int silent = net_connect(port_of(&self));
  net_test_turns(&self.test, 5);
  roost_listener_close(self.listener);
  net_test_turns(&self.test, 5);
  char byte;
  assert_int_equal(recv(silent, &byte, 1, 0), 0);
  assert_int_equal(self.refused, 0);
  close(silent);
  tcp_deinit(&self);
}

static void new_connections_see_a_new_context(void **state) {
  (void)state;
  tcp_world self;
  net_record clients[2];
  tcp_init(&self, 0);
  dial(&self, &clients[0], "127.0.0.1");
  NET_TEST_UNTIL(&self.test, clients[0].opened == 1);
  tls_identity fresh = tls_identity_make(
      (tls_wanted){.cn = "fresh", .sans = "DNS:server.test", .issuer = &self.pki.ca});
  const roost_tls_config config = {.key = fresh.key, .cert = fresh.cert};
  roost_tls_context *context = tls_context_make(roost_alloc_default(), true, &config);
  roost_listener_set_tls(self.listener, context, 10000);
  roost_tls_context_release(context);
  dial(&self, &clients[1], "127.0.0.1");
  NET_TEST_UNTIL(&self.test, clients[1].opened == 1);
  assert_string_equal(roost_conn_tls_info(clients[0].conn)->subject, "CN=server");
  assert_string_equal(roost_conn_tls_info(clients[1].conn)->subject, "CN=fresh");
  net_write(clients[0].conn, "the old one works");
  NET_TEST_UNTIL(&self.test, self.accepted[0].bytes.len == 17);
  tcp_deinit(&self);
  tls_identity_free(&fresh);
  net_record_deinit(&clients[0]);
  net_record_deinit(&clients[1]);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_owner_is_told_nothing_before_the_handshake),
      cmocka_unit_test(pieces_of_any_size_will_do),
      cmocka_unit_test(a_request_takes_no_more_flights_than_it_must),
      cmocka_unit_test(both_ends_know_each_other),
      cmocka_unit_test(a_client_without_certificate_is_nobody),
      cmocka_unit_test(odd_names_make_nobody_somebody_else),
      cmocka_unit_test(refusals_name_their_reason),
      cmocka_unit_test(an_address_is_a_name_too_and_insecure_needs_none),
      cmocka_unit_test(a_configured_name_comes_first),
      cmocka_unit_test(versions_must_have_one_in_common),
      cmocka_unit_test(sni_chooses_the_certificate),
      cmocka_unit_test(plain_text_is_recognised),
      cmocka_unit_test(a_peer_that_was_refused_is_not_waited_for_long),
      cmocka_unit_test(a_peer_that_was_refused_may_not_send_for_ever),
      cmocka_unit_test(who_leaves_without_a_word_is_told_apart),
      cmocka_unit_test(a_hello_without_end_is_cut_off),
      cmocka_unit_test(the_handshake_has_a_deadline),
      cmocka_unit_test(much_data_arrives_whole_however_slowly_it_is_read),
      cmocka_unit_test(a_small_room_is_filled_again_and_again),
      cmocka_unit_test(a_shutdown_is_told_and_the_other_way_goes_on),
      cmocka_unit_test(a_bare_fin_ends_reading_only),
      cmocka_unit_test(a_changed_byte_ends_the_connection),
      cmocka_unit_test(reading_once_gives_what_is_there),
      cmocka_unit_test(tls_may_begin_in_the_middle),
      cmocka_unit_test(a_client_must_know_whom_it_wants),
      cmocka_unit_test(closing_in_the_middle_of_a_handshake),
      cmocka_unit_test(an_idle_connection_holds_no_buffers),
      cmocka_unit_test(out_of_memory_at_any_point),
      cmocka_unit_test(a_dialled_connection_opens_with_the_handshake),
      cmocka_unit_test(who_is_refused_never_reaches_the_owner),
      cmocka_unit_test(handshakes_count_as_connections),
      cmocka_unit_test(a_listener_may_close_during_handshakes),
      cmocka_unit_test(new_connections_see_a_new_context),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
