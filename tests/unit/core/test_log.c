#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include "alloc_probe.h"
#include "core/log.h"
#include "core/slice.h"

#define THREADS    4
#define LINES_EACH 5000

/* A log whose lines are gathered, each ended by a newline. */
typedef struct fixture {
  roost_alloc_probe probe;
  roost_clock clock;
  roost_log *log;
  char text[1200000];
  size_t len;
  size_t lines;
  roost_log_level last_level;
} fixture;

static void on_line(void *ud, roost_log_level level, roost_slice line) {
  fixture *f = ud;
  assert_true(f->len + line.len + 2 < sizeof f->text);
  memcpy(f->text + f->len, line.ptr, line.len);
  f->len += line.len;
  f->text[f->len++] = '\n';
  f->text[f->len] = '\0';
  f->lines++;
  f->last_level = level;
}

static int set_up(void **state) {
  fixture *f = calloc(1, sizeof *f);
  roost_alloc_probe_init(&f->probe);
  f->clock = (roost_clock){.fake = true, .now_us = 7000000, .wall_us = 1767323045678901};
  assert_int_equal(roost_log_new(&f->log, &f->probe.alloc, &f->clock, on_line, f), 0);
  *state = f;
  return 0;
}

static int tear_down(void **state) {
  fixture *f = *state;
  roost_log_free(f->log);
  assert_int_equal(f->probe.bytes, 0);
  free(f);
  return 0;
}

static void assert_drained(fixture *f, const char *expected) {
  f->len = 0;
  f->text[0] = '\0';
  roost_log_drain(f->log);
  assert_string_equal(f->text, expected);
}

#define TS      "ts=2026-01-02T03:04:05.678Z "
#define JSON_TS "{\"ts\":\"2026-01-02T03:04:05.678Z\","

static void writes_logfmt(void **state) {
  fixture *f = *state;
  roost_log_line line;
  roost_log_begin(&line, f->log, ROOST_LOG_ERROR, ROOST_SLICE("handler failed"));
  roost_log_text(&line, "service", ROOST_SLICE("orders"));
  roost_log_integer(&line, "ms", -12);
  roost_log_text(&line, "err", ROOST_SLICE("orders.lua:31: boom"));
  roost_log_end(&line);
  assert_drained(f, TS "level=error msg=\"handler failed\" service=orders ms=-12 "
                       "err=\"orders.lua:31: boom\"\n");
  assert_int_equal(f->last_level, ROOST_LOG_ERROR);
}

static void writes_json(void **state) {
  fixture *f = *state;
  roost_log_line line;
  roost_log_set_format(f->log, ROOST_LOG_JSON);
  roost_log_begin(&line, f->log, ROOST_LOG_WARN, ROOST_SLICE("a \"b\""));
  roost_log_text(&line, "service", ROOST_SLICE("orders"));
  roost_log_integer(&line, "ms", INT64_MIN);
  roost_log_user_literal(&line, ROOST_SLICE("items"), ROOST_SLICE("[1,{\"a\":null}]"));
  roost_log_end(&line);
  assert_drained(f, JSON_TS "\"level\":\"warn\",\"msg\":\"a \\\"b\\\"\",\"service\":\"orders\","
                            "\"ms\":-9223372036854775808,\"items\":[1,{\"a\":null}]}\n");
}

/* One field "k" with value, as both formats show it. */
static void assert_value(fixture *f, roost_slice value, const char *logfmt, const char *json) {
  char expected[512];
  roost_log_line line;
  roost_log_set_format(f->log, ROOST_LOG_LOGFMT);
  roost_log_begin(&line, f->log, ROOST_LOG_INFO, ROOST_SLICE("m"));
  roost_log_text(&line, "k", value);
  roost_log_end(&line);
  snprintf(expected, sizeof expected, TS "level=info msg=\"m\" k=%s\n", logfmt);
  assert_drained(f, expected);
  roost_log_set_format(f->log, ROOST_LOG_JSON);
  roost_log_begin(&line, f->log, ROOST_LOG_INFO, ROOST_SLICE("m"));
  roost_log_text(&line, "k", value);
  roost_log_end(&line);
  snprintf(expected, sizeof expected, JSON_TS "\"level\":\"info\",\"msg\":\"m\",\"k\":%s}\n", json);
  assert_drained(f, expected);
}

static void escapes_values(void **state) {
  fixture *f = *state;
  assert_value(f, ROOST_SLICE(""), "\"\"", "\"\"");
  assert_value(f, ROOST_SLICE("a/b:c{}"), "a/b:c{}", "\"a/b:c{}\"");
  assert_value(f, ROOST_SLICE("a b"), "\"a b\"", "\"a b\"");
  assert_value(f, ROOST_SLICE("a=b"), "\"a=b\"", "\"a=b\"");
  assert_value(f, ROOST_SLICE("a\\b"), "a\\b", "\"a\\\\b\"");
  assert_value(f, ROOST_SLICE("a\\ \"b"), "\"a\\\\ \\\"b\"", "\"a\\\\ \\\"b\"");
  assert_value(f, ROOST_SLICE("a\nb\tc"), "\"a\\nb\\tc\"", "\"a\\nb\\tc\"");
  assert_value(f, ROOST_SLICE("\r\0\x1b\x7f"), "\"\\x0d\\x00\\x1b\\x7f\"",
               "\"\\u000d\\u0000\\u001b\\u007f\"");
  assert_value(f, ROOST_SLICE("\xc2\x9b"), "\"\\x9b\"", "\"\\u009b\""); /* C1: terminals obey */
  assert_value(f, ROOST_SLICE("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"),
               "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"");
}

static void bytes_that_are_not_utf8_stay_harmless(void **state) {
  fixture *f = *state;
  const char *const bad[] = {
      "\xff",         "\xc3", "\xc0\xaf",    "\xed\xa0\x80", "\xf4\x90\x80\x80",
      "\xe0\x80\x80", "\x80", "\xf0\x9f\x98"};
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    char logfmt[64] = "\"";
    char json[64] = "\"";
    for (const char *at = bad[i]; *at != '\0'; at++) {
      snprintf(logfmt + strlen(logfmt), 8, "\\x%02x", (unsigned char)*at);
      strcat(json, "\xef\xbf\xbd");
    }
    strcat(logfmt, "\"");
    strcat(json, "\"");
    assert_value(f, roost_slice_text(bad[i]), logfmt, json);
  }
}

static void user_fields_cannot_pass_for_ours(void **state) {
  fixture *f = *state;
  roost_log_line line;
  roost_log_begin(&line, f->log, ROOST_LOG_INFO, ROOST_SLICE("m"));
  roost_log_user_text(&line, ROOST_SLICE("service"), ROOST_SLICE("x"));
  roost_log_user_text(&line, ROOST_SLICE("a b=\"\n\xff"), ROOST_SLICE("y z"));
  roost_log_user_text(&line, ROOST_SLICE(""), ROOST_SLICE("e"));
  roost_log_user_literal(&line, ROOST_SLICE("n"), ROOST_SLICE("12.5"));
  roost_log_user_literal(&line, ROOST_SLICE("ts"), ROOST_SLICE("{\"a\":1}"));
  roost_log_end(&line);
  assert_drained(f, TS "level=info msg=\"m\" service_=x a_b____=\"y z\" _=e n=12.5 "
                       "ts_=\"{\\\"a\\\":1}\"\n");
}

static void lines_below_the_level_are_not_made(void **state) {
  fixture *f = *state;
  const size_t asked = f->probe.asked;
  assert_false(roost_log_enabled(f->log, ROOST_LOG_DEBUG));
  roost_log_line line;
  roost_log_begin(&line, f->log, ROOST_LOG_DEBUG, ROOST_SLICE("m"));
  roost_log_text(&line, "k", ROOST_SLICE("v"));
  roost_log_integer(&line, "k", 1);
  roost_log_user_text(&line, ROOST_SLICE("k"), ROOST_SLICE("v"));
  roost_log_user_literal(&line, ROOST_SLICE("k"), ROOST_SLICE("1"));
  roost_log_end(&line);
  assert_int_equal(f->probe.asked, asked);
  assert_drained(f, "");
  roost_log_set_level(f->log, ROOST_LOG_DEBUG);
  roost_log_say(f->log, ROOST_LOG_DEBUG, "now");
  assert_drained(f, TS "level=debug msg=\"now\"\n");
  assert_int_equal(roost_log_dropped(f->log), 0);
}

static void a_full_queue_drops_and_says_so(void **state) {
  fixture *f = *state;
  for (int i = 0; i < 4096 + 10; i++)
    roost_log_say(f->log, ROOST_LOG_INFO, "m");
  assert_int_equal(roost_log_dropped(f->log), 10);
  roost_log_drain(f->log);
  assert_int_equal(f->lines, 4096 + 1);
  assert_non_null(strstr(f->text, TS "level=error msg=\"log lines were lost\" lost=10\n"));
  assert_drained(f, ""); /* once */
  roost_log_say(f->log, ROOST_LOG_INFO, "again");
  assert_drained(f, TS "level=info msg=\"again\"\n");
}

static void the_queue_is_bounded_in_bytes_too(void **state) {
  fixture *f = *state;
  static char large[300 * 1024];
  memset(large, 'x', sizeof large);
  const size_t before = f->probe.bytes;
  for (int i = 0; i < 10; i++) {
    roost_log_line line;
    roost_log_begin(&line, f->log, ROOST_LOG_INFO, roost_slice_of(large, sizeof large));
    roost_log_end(&line);
  }
  assert_true(f->probe.bytes - before <= 1024 * 1024);
  assert_true(roost_log_dropped(f->log) >= 7);
}

static void a_line_that_memory_is_short_for_is_lost_as_a_whole(void **state) {
  fixture *f = *state;
  static const char long_value[] =
      "0123456789012345678901234567890123456789012345678901234567890123456789"
      "0123456789012345678901234567890123456789012345678901234567890123456789"
      "0123456789012345678901234567890123456789012345678901234567890123456789";
  size_t lost = 0;
  for (size_t allowed = 0;; allowed++) {
    roost_log_line line;
    f->probe.refuse_after = allowed;
    roost_log_begin(&line, f->log, ROOST_LOG_INFO, ROOST_SLICE("m"));
    roost_log_user_text(&line, roost_slice_text(long_value), roost_slice_text(long_value));
    roost_log_user_text(&line, roost_slice_text(long_value), roost_slice_text(long_value));
    roost_log_end(&line);
    f->probe.refuse_after = ROOST_ALLOC_PROBE_NEVER;
    if (roost_log_dropped(f->log) == lost)
      break;
    lost++;
    assert_int_equal(roost_log_dropped(f->log), lost);
  }
  assert_true(lost >= 3);
  roost_log_drain(f->log);
  assert_int_equal(f->lines, 2); /* the last one, and the one that tells of those lost */
}

static void refusal_makes_no_log(void **state) {
  fixture *f = *state;
  roost_log *log = f->log;
  f->probe.refuse_after = 0;
  assert_int_equal(roost_log_new(&log, &f->probe.alloc, &f->clock, on_line, f), ROOST_ENOMEM);
  assert_null(log);
  roost_log_free(NULL);
}

static void kinds_are_limited_each(void **state) {
  fixture *f = *state;
  for (int i = 0; i < 10; i++)
    assert_true(roost_log_limited(f->log, ROOST_LOG_KIND_FRAME));
  for (int i = 0; i < 5; i++)
    assert_false(roost_log_limited(f->log, ROOST_LOG_KIND_FRAME));
  assert_true(roost_log_limited(f->log, ROOST_LOG_KIND_LIMIT));
  assert_drained(f, "");
  f->clock.now_us += 1000000;
  assert_true(roost_log_limited(f->log, ROOST_LOG_KIND_FRAME));
  assert_drained(f, TS "level=warn msg=\"similar lines were suppressed\" kind=frame "
                       "suppressed=5\n");
  f->clock.now_us += 1000000;
  assert_true(roost_log_limited(f->log, ROOST_LOG_KIND_FRAME));
  assert_drained(f, "");
}

static void freeing_writes_what_is_queued(void **state) {
  fixture *f = *state;
  roost_log *log;
  assert_int_equal(roost_log_new(&log, &f->probe.alloc, &f->clock, on_line, f), 0);
  roost_log_say(log, ROOST_LOG_INFO, "last words");
  roost_log_free(log);
  assert_string_equal(f->text, TS "level=info msg=\"last words\"\n");
}

static void stderr_is_the_default(void **state) {
  fixture *f = *state;
  int ends[2];
  char text[128] = "";
  roost_log *log;
  assert_int_equal(pipe(ends), 0);
  const int saved = dup(2);
  assert_int_equal(roost_log_new(&log, &f->probe.alloc, &f->clock, NULL, NULL), 0);
  roost_log_say(log, ROOST_LOG_INFO, "m");
  dup2(ends[1], 2);
  roost_log_free(log);
  dup2(saved, 2);
  const ssize_t len = read(ends[0], text, sizeof text - 1);
  assert_true(len > 0);
  assert_string_equal(text, TS "level=info msg=\"m\"\n");
  close(saved);
  close(ends[0]);
  close(ends[1]);
}

/* Several threads write while one drains: nothing is lost but what is counted, and each thread's
 * lines come in its order. */
typedef struct shared {
  roost_log *log;
  int next[THREADS]; /* number that may come next, at the least */
  size_t lines;
} shared;

static void on_shared_line(void *ud, roost_log_level level, roost_slice line) {
  shared *s = ud;
  (void)level;
  char text[256];
  int thread = -1;
  int number = -1;
  assert_true(line.len < sizeof text);
  memcpy(text, line.ptr, line.len);
  text[line.len] = '\0';
  const char *fields = strstr(text, " thread=");
  if (fields == NULL)
    return; /* the one that tells of lost lines */
  assert_int_equal(sscanf(fields, " thread=%d number=%d", &thread, &number), 2);
  assert_true(number >= s->next[thread]);
  s->next[thread] = number + 1;
  s->lines++;
}

typedef struct writer {
  shared *shared;
  int thread;
} writer;

static void *write_lines(void *ud) {
  const writer *w = ud;
  for (int i = 0; i < LINES_EACH; i++) {
    roost_log_line line;
    roost_log_begin(&line, w->shared->log, ROOST_LOG_INFO, ROOST_SLICE("m"));
    roost_log_integer(&line, "thread", w->thread);
    roost_log_integer(&line, "number", i);
    roost_log_end(&line);
  }
  return NULL;
}

static void threads_share_it(void **state) {
  (void)state;
  const roost_clock clock = {.fake = false};
  shared s = {0};
  writer writers[THREADS];
  pthread_t threads[THREADS];
  assert_int_equal(roost_log_new(&s.log, roost_alloc_default(), &clock, on_shared_line, &s), 0);
  for (int i = 0; i < THREADS; i++) {
    writers[i] = (writer){&s, i};
    assert_int_equal(pthread_create(&threads[i], NULL, write_lines, &writers[i]), 0);
  }
  while (s.lines + roost_log_dropped(s.log) < THREADS * LINES_EACH) {
    sched_yield();
    roost_log_drain(s.log);
  }
  for (int i = 0; i < THREADS; i++)
    pthread_join(threads[i], NULL);
  assert_int_equal(s.lines + roost_log_dropped(s.log), THREADS * LINES_EACH);
  roost_log_free(s.log);
}

static void count_filled(void *ud) {
  ++*(int *)ud;
}

static void whoever_writes_is_told_once_per_filling(void **state) {
  fixture *f = *state;
  int told = 0;
  roost_log_on_filled(f->log, count_filled, &told);
  assert_int_equal(told, 0);
  roost_log_say(f->log, ROOST_LOG_INFO, "m");
  roost_log_say(f->log, ROOST_LOG_INFO, "m");
  assert_int_equal(told, 1);
  roost_log_drain(f->log);
  roost_log_say(f->log, ROOST_LOG_INFO, "m");
  assert_int_equal(told, 2);
  roost_log_on_filled(f->log, NULL, NULL);
  roost_log_drain(f->log);
  roost_log_say(f->log, ROOST_LOG_INFO, "m");
  assert_int_equal(told, 2);
  roost_log_on_filled(f->log, count_filled, &told); /* there is something already */
  assert_int_equal(told, 3);
  roost_log_on_filled(f->log, NULL, NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(writes_logfmt),
      TEST(writes_json),
      TEST(escapes_values),
      TEST(bytes_that_are_not_utf8_stay_harmless),
      TEST(user_fields_cannot_pass_for_ours),
      TEST(lines_below_the_level_are_not_made),
      TEST(a_full_queue_drops_and_says_so),
      TEST(the_queue_is_bounded_in_bytes_too),
      TEST(a_line_that_memory_is_short_for_is_lost_as_a_whole),
      TEST(refusal_makes_no_log),
      TEST(kinds_are_limited_each),
      TEST(freeing_writes_what_is_queued),
      TEST(stderr_is_the_default),
      TEST(threads_share_it),
      TEST(whoever_writes_is_told_once_per_filling),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
