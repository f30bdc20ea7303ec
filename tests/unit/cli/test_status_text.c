#include "alloc_probe.h"

#include "cli/status_text.h"
#include "core/slice.h"

static void expect_text(const char *json, const char *expected) {
  char shown[4096];
  roost_buffer out;
  roost_buffer_init(&out, roost_alloc_default());
  assert_int_equal(roost_status_text(&out, roost_slice_text(json)), 0);
  snprintf(shown, sizeof shown, "%.*s", (int)out.len, out.ptr);
  roost_buffer_deinit(&out);
  assert_string_equal(shown, expected);
}

static void tables_line_up(void **state) {
  (void)state;
  expect_text(
      "{\"version\":\"1.0.0\",\"pid\":12,\"state\":\"running\",\"stuck\":false,"
      "\"uptime_ms\":3723000,\"memory_bytes\":1572864,\"config\":\"config/host.lua\","
      "\"servers\":{\"public\":{\"transport\":\"tcp\",\"address\":\"127.0.0.1:3000\",\"tls\":true,"
      "\"status\":\"connected\",\"connections\":3,\"accepted\":9,\"denied\":0,\"bytes_in\":1024,"
      "\"bytes_out\":1048576}},"
      "\"services\":{\"a\":{\"state\":\"live\",\"generation\":4,\"in_flight\":1,\"requests\":1000,"
      "\"events\":0,\"errors\":1,\"timeouts\":0,\"per_second\":1.5,\"p50_ms\":0.2,\"p99_ms\":31.25,"
      "\"cpu_ms\":40,\"memory_bytes\":217909,\"last_error\":\"a.lua:1: \\u001b[31m\\nboom\","
      "\"refused\":\"no\"},"
      "\"longer\":{\"state\":\"failed\",\"generation\":0,\"last_error\":null}},"
      "\"clients\":{},\"store\":{\"keys\":2,\"bytes\":77,\"limit\":67108864}}",
      "roost 1.0.0  pid 12  running  up 1:02:03  memory 1.5 MB  config/host.lua\n"
      "\n"
      "service  state   gen  in flight  requests  events  errors  timeouts   /s  p50 ms  p99 ms  "
      "cpu ms  memory\n"
      "a        live      4          1      1000       0       1         0  1.5     0.2   31.25  "
      "    40  213 KB\n"
      "longer   failed    0                                                                      "
      "           0 B\n"
      "\n"
      "a reload refused: no\n"
      "a last error: a.lua:1: \\u001b[31m\\nboom\n"
      "\n"
      "server  transport  address         tls   status     connections  accepted  denied      in  "
      "   out\n"
      "public  tcp        127.0.0.1:3000  true  connected            3         9       0  1.0 KB  "
      "1.0 MB\n"
      "\n"
      "store: 2 keys, 77 B of 64.0 MB\n");
}

static void what_is_missing_is_left_out(void **state) {
  (void)state;
  expect_text("{\"version\":\"1\",\"stuck\":true}",
              "roost 1  pid 0    up 0:00:00  memory 0 B  \n"
              "A worker is stuck: what follows is what it said last.\n");
}

/* A letter of two bytes is one column wide. */
static void names_may_have_any_letters(void **state) {
  (void)state;
  expect_text(
      "{\"version\":\"1\",\"clients\":{\"K\xc3\xa4se\":{\"status\":\"x\"},"
      "\"abcdefg\":{\"transport\":\"tcp\"}}}",
      "roost 1  pid 0    up 0:00:00  memory 0 B  \n"
      "\n"
      "client   transport  address  status  pending  requests  errors  timeouts  reconnects  late\n"
      "K\xc3\xa4se                         x                                                       "
      "     "
      "\n"
      "abcdefg  tcp                                                                              "
      "\n");
}

static void what_is_no_status_is_refused(void **state) {
  (void)state;
  static const char *const cases[] = {"", "{", "[]", "1", "{\"versio\":1}", "{\"version\":}"};
  roost_buffer out;
  roost_buffer_init(&out, roost_alloc_default());
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
    assert_int_equal(roost_status_text(&out, roost_slice_text(cases[i])), ROOST_EPROTO);
  roost_buffer_deinit(&out);
}

static void memory_may_be_short(void **state) {
  (void)state;
  int status = ROOST_ENOMEM;
  for (size_t allowed = 0; status == ROOST_ENOMEM; allowed++) {
    roost_alloc_probe probe;
    roost_buffer out;
    roost_alloc_probe_init(&probe);
    probe.refuse_after = allowed;
    roost_buffer_init(&out, &probe.alloc);
    status = roost_status_text(
        &out, ROOST_SLICE("{\"version\":\"1\",\"services\":{\"a\":{\"last_error\":\"x\"}},"
                          "\"store\":{}}"));
    roost_buffer_deinit(&out);
    assert_int_equal(probe.bytes, 0);
    assert_true(allowed < 50);
  }
  assert_int_equal(status, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(tables_line_up),
      cmocka_unit_test(what_is_missing_is_left_out),
      cmocka_unit_test(names_may_have_any_letters),
      cmocka_unit_test(what_is_no_status_is_refused),
      cmocka_unit_test(memory_may_be_short),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
