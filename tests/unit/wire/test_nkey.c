#include "wire/nkey.h"
#include "wire_test.h"

/* Of the bytes 0 to 31, as NATS's own tools print it. */
#define SEED   "SUAAAAICAMCAKBQHBAEQUCYMBUHA6EARCIJRIFIWC4MBSGQ3DQOR4H776Y"
#define TOKEN  "eyJ0eXAi.eyJqdGki.c2ln"
#define DASHES "-----BEGIN NATS USER JWT-----\n"

static void reads_a_seed(void **state) {
  (void)state;
  roost_nkey_seed seed;
  assert_int_equal(roost_nkey_seed_read(&seed, ROOST_SLICE(SEED)), 0);
  assert_int_equal(seed.prefix, 20 << 3); /* U */
  for (unsigned i = 0; i < ROOST_NKEY_BYTES; i++)
    assert_int_equal(seed.bytes[i], i);
  assert_int_equal(
      roost_nkey_seed_read(
          &seed, ROOST_SLICE("SAAP777777777777777777777777777777777777777777777777772HNQ")),
      0);
  assert_int_equal(seed.prefix, 0); /* A */
  assert_int_equal(seed.bytes[31], 255);
}

static void every_letter_of_a_seed_matters(void **state) {
  (void)state;
  roost_nkey_seed seed;
  char text[sizeof SEED - 1];
  for (size_t at = 0; at < sizeof text; at++) {
    for (int byte = 0; byte < 256; byte++) {
      memcpy(text, SEED, sizeof text);
      text[at] = (char)byte;
      assert_int_equal(roost_nkey_seed_read(&seed, (roost_slice){text, sizeof text}),
                       (char)byte == SEED[at] ? 0 : ROOST_EINVAL);
    }
  }
  assert_int_equal(roost_nkey_seed_read(&seed, (roost_slice){SEED, sizeof text - 1}), ROOST_EINVAL);
  assert_int_equal(roost_nkey_seed_read(&seed, ROOST_SLICE(SEED "A")), ROOST_EINVAL);
  assert_int_equal(roost_nkey_seed_read(&seed, (roost_slice){NULL, 0}), ROOST_EINVAL);
  /* A public key is none. */
  assert_int_equal(
      roost_nkey_seed_read(&seed,
                           ROOST_SLICE("UAB2CB576PHBBPQ5ODORRZ2LYCMWPZGWGCN2KDK7DXOIMZASKUY3RLKK")),
      ROOST_EINVAL);
}

static void writes_a_public_key(void **state) {
  (void)state;
  /* Of the seed above, by RFC 8032. */
  static const uint8_t key[ROOST_NKEY_BYTES] = {0x03, 0xa1, 0x07, 0xbf, 0xf3, 0xce, 0x10, 0xbe,
                                                0x1d, 0x70, 0xdd, 0x18, 0xe7, 0x4b, 0xc0, 0x99,
                                                0x67, 0xe4, 0xd6, 0x30, 0x9b, 0xa5, 0x0d, 0x5f,
                                                0x1d, 0xdc, 0x86, 0x64, 0x12, 0x55, 0x31, 0xb8};
  char text[ROOST_NKEY_PUBLIC_TEXT];
  roost_nkey_public(text, 20 << 3, key);
  assert_slice((roost_slice){text, sizeof text},
               "UAB2CB576PHBBPQ5ODORRZ2LYCMWPZGWGCN2KDK7DXOIMZASKUY3RLKK", sizeof text);
}

static void writes_base64_for_urls(void **state) {
  fixture *f = *state;
  static const char *const rows[][2] = {{"", ""},           {"f", "Zg"},
                                        {"fo", "Zm8"},      {"foo", "Zm9v"},
                                        {"foob", "Zm9vYg"}, {"\xfb\xff\xfe", "-__-"}};
  for (size_t i = 0; i < ROWS(rows); i++) {
    roost_buffer_clear(&f->out);
    assert_int_equal(roost_base64url(&f->out, roost_slice_text(rows[i][0])), 0);
    assert_text(roost_buffer_slice(&f->out), rows[i][1]);
  }
  roost_buffer_deinit(&f->out);
  f->probe.refuse_after = 0;
  assert_int_equal(roost_base64url(&f->out, ROOST_SLICE("x")), ROOST_ENOMEM);
}

static void check_creds(const char *text, int status, const char *jwt, const char *seed) {
  roost_nats_creds creds;
  const roost_slice copy = exact_copy(roost_slice_text(text));
  assert_int_equal(roost_nats_creds_read(&creds, copy), status);
  if (jwt != NULL)
    assert_text(creds.jwt, jwt);
  else
    assert_null(creds.jwt.ptr);
  if (seed != NULL)
    assert_text(creds.seed, seed);
  free_copy(copy);
}

static void reads_creds(void **state) {
  (void)state;
  check_creds(DASHES TOKEN "\n------END NATS USER JWT------\n\n*** IMPORTANT ***\n\n"
                           "-----BEGIN USER NKEY SEED-----\n" SEED
                           "\n------END USER NKEY SEED------\n\n***\n",
              0, TOKEN, SEED);
  check_creds(DASHES TOKEN "\r\n\r\n " SEED " \r\n", 0, TOKEN, SEED);
  check_creds(SEED "\n", 0, NULL, SEED);
  check_creds(SEED, 0, NULL, SEED);
  check_creds(DASHES TOKEN "\n", ROOST_EINVAL, TOKEN, NULL);
  check_creds("", ROOST_EINVAL, NULL, NULL);
  check_creds("eyJ.x\ney.a.b.c\n", ROOST_EINVAL, NULL, NULL);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(reads_a_seed),
      cmocka_unit_test(every_letter_of_a_seed_matters),
      cmocka_unit_test(writes_a_public_key),
      cmocka_unit_test_setup_teardown(writes_base64_for_urls, set_up, tear_down),
      cmocka_unit_test(reads_creds),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
