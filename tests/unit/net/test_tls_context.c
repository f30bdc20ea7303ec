#include <sys/stat.h>

#include "tls_test.h"

/* What a context says of keys and certificates: files in a folder of the test's own, and texts. */
typedef struct files {
  roost_alloc_probe probe;
  char dir[64];
  tls_identity ca;
  tls_identity server;
  tls_identity other;
  tls_identity locked; /* its key has a passphrase */
  roost_buffer text;
} files;

static void path_of(const files *self, const char *name, char path[128]) {
  snprintf(path, 128, "%s/%s", self->dir, name);
}

static void write_file(const files *self, const char *name, const char *text, mode_t mode) {
  char path[128];
  path_of(self, name, path);
  FILE *file = fopen(path, "wb");
  assert_non_null(file);
  fputs(text, file);
  fclose(file);
  assert_int_equal(chmod(path, mode), 0);
}

static const char *const names[] = {"key.pem",  "cert.pem", "chain.pem", "open.pem", "locked.pem",
                                    "junk.pem", "cut.pem",  "ca.pem",    "large.pem"};

static int begin(void **state) {
  files *self = calloc(1, sizeof *self);
  *state = self;
  roost_alloc_probe_init(&self->probe);
  roost_buffer_init(&self->text, &self->probe.alloc);
  strcpy(self->dir, "/tmp/roost-test-XXXXXX");
  assert_non_null(mkdtemp(self->dir));
  self->ca = tls_identity_make((tls_wanted){.cn = "authority"});
  self->server = tls_identity_make((tls_wanted){.cn = "server", .issuer = &self->ca});
  self->other = tls_identity_make((tls_wanted){.cn = "other", .issuer = &self->ca});
  self->locked = tls_identity_make(
      (tls_wanted){.cn = "locked", .issuer = &self->ca, .passphrase = "open sesame"});
  write_file(self, "key.pem", self->server.key, 0600);
  write_file(self, "cert.pem", self->server.cert, 0644);
  write_file(self, "open.pem", self->server.key, 0640);
  write_file(self, "locked.pem", self->locked.key, 0600);
  write_file(self, "junk.pem", "no PEM at all\n", 0600);
  write_file(self, "ca.pem", self->ca.cert, 0644);
  char both[8192];
  snprintf(both, sizeof both, "%s%s", self->server.cert, self->ca.cert);
  write_file(self, "chain.pem", both, 0644);
  strcpy(both + strlen(both) - 200, "\n-----END CERTIFICATE-----\n");
  write_file(self, "cut.pem", both, 0644);
  return 0;
}

static int end(void **state) {
  files *self = *state;
  char path[128];
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
    path_of(self, names[i], path);
    unlink(path);
  }
  const int left = rmdir(self->dir);
  roost_buffer_deinit(&self->text);
  tls_identity_free(&self->ca);
  tls_identity_free(&self->server);
  tls_identity_free(&self->other);
  tls_identity_free(&self->locked);
  const bool leaked = self->probe.bytes != 0;
  free(self);
  return left != 0 || leaked ? -1 : 0;
}

/* What is said of the configuration, "" where it is fine. */
static const char *say(files *self, bool is_server, roost_tls_config config, int *status) {
  roost_tls_context *context;
  config.dir = self->dir;
  *status = is_server
                ? roost_tls_server_context(&context, &self->probe.alloc, &config, &self->text)
                : roost_tls_client_context(&context, &self->probe.alloc, &config, &self->text);
  assert_true((*status == 0) == (context != NULL));
  roost_tls_context_release(context);
  assert_int_equal(roost_buffer_append_byte(&self->text, '\0'), 0);
  return self->text.ptr;
}

#define assert_fine(self, is_server, ...)                                                          \
  do {                                                                                             \
    int status_;                                                                                   \
    assert_string_equal(say(self, is_server, (roost_tls_config){__VA_ARGS__}, &status_), "");      \
    assert_int_equal(status_, 0);                                                                  \
  } while (0)

#define assert_refused(self, is_server, expected, ...)                                             \
  do {                                                                                             \
    int status_;                                                                                   \
    assert_string_equal(say(self, is_server, (roost_tls_config){__VA_ARGS__}, &status_),           \
                        expected);                                                                 \
    assert_int_equal(status_, ROOST_ECONFIG);                                                      \
  } while (0)

static void files_and_texts_will_do(void **state) {
  files *self = *state;
  const char *const ca[] = {"ca.pem", self->other.cert, NULL};
  assert_fine(self, true, .key = "key.pem", .cert = "cert.pem");
  assert_fine(self, true, .key = self->server.key, .cert = self->server.cert);
  assert_fine(self, true, .key = "key.pem", .cert = "chain.pem", .ca = ca,
              .verify = ROOST_TLS_VERIFY_REQUIRED);
  assert_fine(self, true, .key = "locked.pem", .cert = self->locked.cert,
              .passphrase = "open sesame");
  assert_fine(self, false, .insecure = false);
  assert_fine(self, false, .ca = ca, .key = "key.pem", .cert = "cert.pem");
}

static void what_is_wrong_names_key_and_file(void **state) {
  files *self = *state;
  assert_refused(self, true, "key: is needed beside cert", .cert = "cert.pem");
  assert_refused(self, false, "cert: is needed beside key", .key = "key.pem");
  assert_refused(self, true, "cert: absent.pem: No such file or directory", .key = "key.pem",
                 .cert = "absent.pem");
  assert_refused(self, true, "key: /dev/zero: it is no regular file", .key = "/dev/zero",
                 .cert = "cert.pem");
  assert_refused(self, true, "key: absent.pem: No such file or directory", .key = "absent.pem",
                 .cert = "cert.pem");
  assert_refused(self, true, "cert: /: Is a directory", .key = "key.pem", .cert = "/");
  assert_refused(self, true, "cert: junk.pem: there is no certificate in it", .key = "key.pem",
                 .cert = "junk.pem");
  assert_refused(self, true, "cert: cut.pem: a certificate in it is damaged", .key = "key.pem",
                 .cert = "cut.pem");
  assert_refused(self, true, "key: junk.pem: there is no private key in it", .key = "junk.pem",
                 .cert = "cert.pem");
  assert_refused(self, true,
                 "key: open.pem: others than its owner may read this private key (mode 0640); say "
                 "chmod 600",
                 .key = "open.pem", .cert = "cert.pem");
  assert_refused(self, true, "key: key.pem: does not belong to the certificate in the PEM text",
                 .key = "key.pem", .cert = self->other.cert);
  assert_refused(self, true, "key: locked.pem: is encrypted: passphrase is needed",
                 .key = "locked.pem", .cert = self->locked.cert);
  assert_refused(self, true, "key: locked.pem: wrong passphrase", .key = "locked.pem",
                 .cert = self->locked.cert, .passphrase = "wrong");
  assert_refused(self, true, "verify: says that clients need a certificate, but there is no ca",
                 .key = "key.pem", .cert = "cert.pem", .verify = ROOST_TLS_VERIFY_OPTIONAL);
  assert_refused(self, true, "ciphers: OpenSSL knows none of that name", .key = "key.pem",
                 .cert = "cert.pem", .ciphers = "NONSENSE");
  assert_refused(self, true, "ciphers: OpenSSL knows none of that name", .key = "key.pem",
                 .cert = "cert.pem", .ciphers = "TLS_NONSENSE");
}

static void ca_may_be_one_or_several(void **state) {
  files *self = *state;
  const char *const one[] = {"junk.pem", NULL};
  const char *const two[] = {"ca.pem", "absent.pem", NULL};
  assert_refused(self, false, "ca: junk.pem: there is no certificate in it", .ca = one);
  assert_refused(self, false, "ca[2]: absent.pem: No such file or directory", .ca = two);
}

static void names_of_sni_are_named(void **state) {
  files *self = *state;
  const roost_tls_sni sni = {.name = "a.test", .key = "open.pem", .cert = "cert.pem"};
  assert_refused(self, true,
                 "sni[\"a.test\"].key: open.pem: others than its owner may read this private key "
                 "(mode 0640); say chmod 600",
                 .key = "key.pem", .cert = "cert.pem", .sni = &sni, .sni_count = 1);
}

static void ciphers_of_both_versions_may_stand_together(void **state) {
  files *self = *state;
  assert_fine(self, true, .key = "key.pem", .cert = "cert.pem",
              .ciphers = "TLS_AES_128_GCM_SHA256:ECDHE-ECDSA-AES128-GCM-SHA256");
}

static void dates_are_a_warning(void **state) {
  files *self = *state;
  tls_identity old = tls_identity_make(
      (tls_wanted){.cn = "old", .from_s = -2L * TLS_DAY_S, .to_s = -60, .issuer = &self->ca});
  tls_identity early = tls_identity_make((tls_wanted){
      .cn = "early", .from_s = TLS_DAY_S, .to_s = 2L * TLS_DAY_S, .issuer = &self->ca});
  int status;
  const char *text = say(self, true, (roost_tls_config){.key = old.key, .cert = old.cert}, &status);
  assert_int_equal(status, 0);
  assert_int_equal(strncmp(text, "cert: the PEM text: the certificate has expired on 2", 52), 0);
  text = say(self, true, (roost_tls_config){.key = early.key, .cert = early.cert}, &status);
  assert_int_equal(status, 0);
  assert_int_equal(strncmp(text, "cert: the PEM text: the certificate is not valid before 2", 57),
                   0);
  tls_identity_free(&old);
  tls_identity_free(&early);
}

static void the_first_to_expire_is_told(void **state) {
  files *self = *state;
  tls_identity soon =
      tls_identity_make((tls_wanted){.cn = "soon", .to_s = 3600, .issuer = &self->ca});
  const roost_tls_sni sni = {.name = "a.test", .key = soon.key, .cert = soon.cert};
  const roost_tls_config config = {
      .key = self->server.key, .cert = self->server.cert, .sni = &sni, .sni_count = 1};
  roost_tls_context *context = tls_context_make(&self->probe.alloc, true, &config);
  const int64_t left = roost_tls_context_expires(context) - (int64_t)time(NULL);
  assert_true(left > 3000 && left <= 3600);
  roost_tls_context_release(context);
  const roost_tls_config nothing = {.insecure = true};
  context = tls_context_make(&self->probe.alloc, false, &nothing);
  assert_true(roost_tls_context_expires(context) == INT64_MAX);
  roost_tls_context_release(context);
  tls_identity_free(&soon);
}

static void a_file_may_not_be_endless(void **state) {
  files *self = *state;
  char path[128];
  path_of(self, "large.pem", path);
  write_file(self, "large.pem", "x", 0600);
  assert_int_equal(truncate(path, (1 << 20) + 1), 0);
  assert_refused(self, true, "cert: large.pem: is larger than 1 MiB", .key = "key.pem",
                 .cert = "large.pem");
}

static void out_of_memory_at_any_point(void **state) {
  files *self = *state;
  const char *const ca[] = {"ca.pem", NULL};
  const roost_tls_sni sni = {.name = "a.test", .key = "key.pem", .cert = "cert.pem"};
  const roost_tls_config config = {.dir = self->dir,
                                   .key = "key.pem",
                                   .cert = "chain.pem",
                                   .ca = ca,
                                   .servername = "x",
                                   .ciphers = "ECDHE-ECDSA-AES128-GCM-SHA256",
                                   .sni = &sni,
                                   .sni_count = 1};
  int status = ROOST_ENOMEM;
  for (size_t n = 0; status != 0; n++) {
    roost_tls_context *context;
    assert_true(n < 100);
    self->probe.refuse_after = n;
    status = roost_tls_server_context(&context, &self->probe.alloc, &config, &self->text);
    self->probe.refuse_after = ROOST_ALLOC_PROBE_NEVER;
    assert_true(status == 0 || status == ROOST_ENOMEM);
    roost_tls_context_release(context);
  }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(files_and_texts_will_do),
      TEST(what_is_wrong_names_key_and_file),
      TEST(ca_may_be_one_or_several),
      TEST(names_of_sni_are_named),
      TEST(ciphers_of_both_versions_may_stand_together),
      TEST(dates_are_a_warning),
      TEST(the_first_to_expire_is_told),
      TEST(a_file_may_not_be_endless),
      TEST(out_of_memory_at_any_point),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
