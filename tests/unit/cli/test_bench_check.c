#include "alloc_probe.h"
#include "cli/bench_check.h"
#include "core/slice.h"

#define PLACES  4
#define FOREIGN "00000ffffffffffffffff" /* an id of place 0 that it never has */

/* One connection with a few places, and what its frames meant. */
typedef struct check_test {
  roost_alloc_probe probe;
  roost_bench_check check;
  roost_bench_input input;
  roost_bench_place places[PLACES];
  uint64_t number;
  unsigned items;  /* answers that were not the last */
  unsigned done;   /* that were */
  unsigned errors; /* of those */
  unsigned wrong;  /* of those */
  int status;      /* of the last call */
} check_test;

static void begin(check_test *self, roost_bench_rule rule) {
  memset(self, 0, sizeof *self);
  roost_alloc_probe_init(&self->probe);
  roost_bench_check_init(&self->check, &self->probe.alloc, rule);
  roost_bench_input_init(&self->input, &self->probe.alloc);
}

static void end(check_test *self) {
  roost_bench_input_deinit(&self->input);
  roost_bench_check_deinit(&self->check);
  assert_int_equal(self->probe.bytes, 0);
}

static void expect(check_test *self, const char *item) {
  assert_int_equal(roost_bench_check_expect(&self->check, roost_slice_text(item)), 0);
}

static void ask(check_test *self, size_t place) {
  roost_bench_place_begin(&self->places[place], place, self->number++, 0);
}

static void take(check_test *self, roost_slice bytes) {
  roost_bench_answer answer;
  while ((self->status = roost_bench_check_next(&self->check, &self->input, self->places, PLACES,
                                                &bytes, &answer)) == 1) {
    if (answer.place == NULL)
      continue;
    self->items += !answer.last;
    self->done += answer.last;
    self->errors += answer.error;
    self->wrong += answer.last && answer.place->wrong;
    if (answer.last)
      answer.place->busy = false;
  }
}

/* A frame whose body is a format with the id as its only argument; the length in UTF-16 units,
 * which is less than the bytes by as much as is said. */
static roost_slice frame_of(check_test *self, size_t place, const char *format, int less) {
  static char frame[2048];
  char body[1024];
  char id[ROOST_BENCH_ID_DIGITS + 3];
  snprintf(id, sizeof id, "\"%.*s\"", ROOST_BENCH_ID_DIGITS, self->places[place].id);
  const char *at = strchr(format, '@');
  const int body_len =
      snprintf(body, sizeof body, "%.*s%s%s", (int)(at - format), format, id, at + 1);
  const int len = snprintf(frame, sizeof frame, "%d#%s", body_len - less, body);
  return roost_slice_of(frame, (size_t)len);
}

static void answer(check_test *self, size_t place, const char *format) {
  take(self, frame_of(self, place, format, 0));
}

#define SIX "{\"response\":6,\"isDisposed\":true,\"id\":@}"

static void right_replies_are_right(void **state) {
  (void)state;
  check_test self;
  begin(&self, ROOST_BENCH_ITEMS);
  expect(&self, "6");
  for (unsigned i = 0; i < 100; i++) {
    ask(&self, i % PLACES);
    answer(&self, i % PLACES, SIX);
    assert_int_equal(self.done, i + 1);
  }
  assert_int_equal(self.wrong + self.errors + self.items, 0);
  assert_int_equal(self.check.learnt, 1);
  assert_int_equal(self.check.note_count, 0);
  end(&self);
}

static void what_is_learnt_costs_no_memory(void **state) {
  (void)state;
  check_test self;
  begin(&self, ROOST_BENCH_ITEMS);
  expect(&self, "6");
  ask(&self, 0);
  answer(&self, 0, SIX);
  self.probe.refuse_after = 0;
  for (unsigned i = 0; i < 10; i++) {
    ask(&self, i % PLACES);
    answer(&self, i % PLACES, SIX);
  }
  assert_int_equal(self.done, 11);
  assert_int_equal(self.status, 0);
  end(&self);
}

static void members_may_change_places(void **state) {
  (void)state;
  static const char *const replies[] = {
      "{\"response\":{\"a\":1,\"b\":\"x\"},\"isDisposed\":true,\"id\":@}",
      "{\"response\":{\"b\":\"x\",\"a\":1},\"isDisposed\":true,\"id\":@}",
      "{\"id\":@,\"isDisposed\":true,\"response\":{\"b\":\"\\u0078\", \"a\":1.0}}"};
  check_test self;
  begin(&self, ROOST_BENCH_ITEMS);
  expect(&self, "{\"a\":1,\"b\":\"x\"}");
  for (unsigned i = 0; i < 30; i++) {
    ask(&self, 1);
    answer(&self, 1, replies[i % 3]);
    assert_int_equal(self.done, i + 1);
  }
  assert_int_equal(self.wrong, 0);
  assert_int_equal(self.check.learnt, 2); /* not the one whose id is not last */
  end(&self);
}

static void wrong_values_are_found(void **state) {
  (void)state;
  static const char *const replies[] = {SIX,
                                        "{\"response\":7,\"isDisposed\":true,\"id\":@}",
                                        "{\"response\":\"6\",\"isDisposed\":true,\"id\":@}",
                                        "{\"response\":null,\"isDisposed\":true,\"id\":@}",
                                        "{\"isDisposed\":true,\"id\":@}",
                                        "{\"response\":[6],\"isDisposed\":true,\"id\":@}",
                                        SIX};
  check_test self;
  begin(&self, ROOST_BENCH_ITEMS);
  expect(&self, "6");
  for (size_t i = 0; i < sizeof replies / sizeof replies[0]; i++) {
    ask(&self, 2);
    answer(&self, 2, replies[i]);
  }
  assert_int_equal(self.done, 7);
  assert_int_equal(self.wrong, 5);
  assert_string_equal(self.check.notes[0].text, "wrong value: 7; expected 6");
  assert_string_equal(self.check.notes[3].text, "wrong number of values: 0 of 1");
  end(&self);
}

static void ids_are_checked(void **state) {
  (void)state;
  check_test self;
  begin(&self, ROOST_BENCH_ITEMS);
  expect(&self, "6");
  ask(&self, 0);
  ask(&self, 1);
  answer(&self, 0, SIX);
  answer(&self, 0, SIX); /* the same once more */
  take(&self, ROOST_SLICE("32#{\"response\":6,\"isDisposed\":true}"));
  take(&self, ROOST_SLICE("41#{\"response\":6,\"isDisposed\":true,\"id\":\"1\"}"));
  take(&self, ROOST_SLICE("61#{\"response\":6,\"isDisposed\":true,\"id\":\"" FOREIGN "\"}"));
  take(&self, ROOST_SLICE("2#17"));
  assert_int_equal(self.status, 0);
  assert_int_equal(self.done, 1);
  assert_int_equal(self.check.strays, 5);
  answer(&self, 1, SIX);
  assert_int_equal(self.done, 2);
  end(&self);
}

static void errors_are_counted_by_text(void **state) {
  (void)state;
  check_test self;
  begin(&self, ROOST_BENCH_ITEMS);
  expect(&self, "6");
  for (unsigned i = 0; i < 5; i++) {
    ask(&self, 0);
    answer(&self, 0,
           i % 2 == 0 ? "{\"err\":{\"status\":\"error\",\"message\":\"no\"},\"id\":@}"
                      : "{\"id\":@,\"status\":\"error\",\"err\":\"nobody\"}");
  }
  assert_int_equal(self.done, 5);
  assert_int_equal(self.errors, 5);
  assert_int_equal(self.wrong, 0);
  assert_int_equal(self.check.note_count, 2);
  assert_string_equal(self.check.notes[0].text, "error: no");
  assert_int_equal(self.check.notes[0].count, 3);
  assert_string_equal(self.check.notes[1].text, "error: nobody");
  end(&self);
}

static void there_is_room_for_so_many_notes(void **state) {
  (void)state;
  check_test self;
  begin(&self, ROOST_BENCH_ANY);
  for (int i = 0; i < 20; i++)
    roost_bench_check_note(&self.check, "note %d", i);
  roost_bench_check_note(&self.check, "note %d", 3);
  assert_int_equal(self.check.note_count, ROOST_BENCH_NOTES);
  assert_int_equal(self.check.notes[3].count, 2);
  assert_int_equal(self.check.unnoted, 20 - ROOST_BENCH_NOTES);
  end(&self);
}

/* ------------------------------------------------------------------------- streams ----------- */

static void streams_end_with_their_mark(void **state) {
  (void)state;
  check_test self;
  begin(&self, ROOST_BENCH_ITEMS);
  expect(&self, "1");
  expect(&self, NULL); /* undefined */
  expect(&self, "{\"n\":3}");
  for (unsigned i = 0; i < 10; i++) {
    ask(&self, 3);
    answer(&self, 3, "{\"response\":1,\"id\":@}");
    answer(&self, 3, "{\"id\":@}");
    if (i % 2 == 0) { /* the mark may stand alone */
      answer(&self, 3, "{\"response\":{\"n\":3},\"id\":@}");
      answer(&self, 3, "{\"isDisposed\":true,\"id\":@}");
    } else {
      answer(&self, 3, "{\"response\":{\"n\":3},\"isDisposed\":true,\"id\":@}");
    }
    assert_int_equal(self.done, i + 1);
  }
  assert_int_equal(self.wrong, 0);
  assert_int_equal(self.check.note_count, 0);
  end(&self);
}

static void streams_may_be_interleaved(void **state) {
  (void)state;
  check_test self;
  begin(&self, ROOST_BENCH_ITEMS);
  expect(&self, "1");
  expect(&self, "2");
  for (unsigned i = 0; i < 10; i++) {
    ask(&self, 0);
    ask(&self, 1);
    answer(&self, 0, "{\"response\":1,\"id\":@}");
    answer(&self, 1, "{\"response\":1,\"id\":@}");
    answer(&self, 1, "{\"response\":2,\"isDisposed\":true,\"id\":@}");
    answer(&self, 0, "{\"response\":2,\"isDisposed\":true,\"id\":@}");
  }
  assert_int_equal(self.done, 20);
  assert_int_equal(self.wrong, 0);
  end(&self);
}

static void streams_of_another_length_or_order_are_wrong(void **state) {
  (void)state;
  check_test self;
  begin(&self, ROOST_BENCH_ITEMS);
  expect(&self, "1");
  expect(&self, "2");
  ask(&self, 0);
  answer(&self, 0, "{\"response\":1,\"isDisposed\":true,\"id\":@}");
  assert_int_equal(self.wrong, 1);
  ask(&self, 0);
  answer(&self, 0, "{\"response\":2,\"id\":@}");
  answer(&self, 0, "{\"response\":1,\"isDisposed\":true,\"id\":@}");
  assert_int_equal(self.wrong, 2);
  ask(&self, 0);
  answer(&self, 0, "{\"response\":1,\"id\":@}");
  answer(&self, 0, "{\"response\":2,\"id\":@}");
  answer(&self, 0, "{\"response\":3,\"isDisposed\":true,\"id\":@}");
  assert_int_equal(self.wrong, 3);
  assert_string_equal(self.check.notes[0].text, "wrong number of values: 1 of 2");
  assert_string_equal(self.check.notes[1].text, "wrong value 1 of a stream: 2");
  assert_string_equal(self.check.notes[2].text, "wrong number of values: more than 2");
  end(&self);
}

static void the_other_rules(void **state) {
  (void)state;
  check_test self;
  begin(&self, ROOST_BENCH_EQUAL);
  expect(&self, "6");
  ask(&self, 0);
  answer(&self, 0, "{\"response\":6,\"id\":@}");
  answer(&self, 0, SIX);
  assert_int_equal(self.wrong, 0);
  ask(&self, 0);
  answer(&self, 0, "{\"isDisposed\":true,\"id\":@}");
  assert_int_equal(self.wrong, 1);
  end(&self);
  begin(&self, ROOST_BENCH_ANY);
  ask(&self, 0);
  answer(&self, 0, SIX);
  ask(&self, 0);
  answer(&self, 0, "{\"isDisposed\":true,\"id\":@}");
  assert_int_equal(self.done, 2);
  assert_int_equal(self.wrong, 0);
  assert_int_equal(self.check.learnt, 0);
  end(&self);
}

/* ------------------------------------------------------------------------- pieces ------------ */

/* Every cut into two reads, of a reply that is known and of one that differs late. */
static void frames_may_come_in_pieces(void **state) {
  (void)state;
  static const char *const replies[] = {
      "{\"response\":\"\u00e9\U0001F600\",\"isDisposed\":true,\"id\":@}",
      "{\"response\":\"\u00e9\U0001F600\",\"isDisposed\":true,\"id\":@ }"};
  check_test self;
  begin(&self, ROOST_BENCH_ITEMS);
  expect(&self, "\"\u00e9\U0001F600\"");
  ask(&self, 0);
  take(&self, frame_of(&self, 0, replies[0], 3));
  assert_int_equal(self.done, 1);
  for (size_t k = 0; k < 2; k++) {
    size_t len = 2;
    for (size_t cut = 1; cut < len; cut++) {
      const unsigned before = self.done;
      ask(&self, 0);
      const roost_slice frame = frame_of(&self, 0, replies[k], 3);
      len = frame.len;
      take(&self, roost_slice_of(frame.ptr, cut));
      assert_int_equal(self.done, before);
      take(&self, roost_slice_of(frame.ptr + cut, len - cut));
      assert_int_equal(self.done, before + 1);
    }
  }
  assert_int_equal(self.wrong, 0);
  assert_int_equal(self.check.strays, 0);
  end(&self);
}

static void byte_by_byte_and_all_at_once(void **state) {
  (void)state;
  check_test self;
  char all[4096];
  size_t len = 0;
  begin(&self, ROOST_BENCH_ITEMS);
  expect(&self, "6");
  for (size_t i = 0; i < PLACES; i++) {
    ask(&self, i);
    const roost_slice frame = frame_of(&self, i, SIX, 0);
    memcpy(all + len, frame.ptr, frame.len);
    len += frame.len;
  }
  take(&self, roost_slice_of(all, len));
  assert_int_equal(self.done, PLACES);
  for (size_t i = 0; i < PLACES; i++) {
    ask(&self, i);
    const roost_slice frame = frame_of(&self, i, SIX, 0);
    for (size_t k = 0; k < frame.len; k++)
      take(&self, roost_slice_of(frame.ptr + k, 1));
  }
  assert_int_equal(self.done, 2 * PLACES);
  assert_int_equal(self.wrong, 0);
  end(&self);
}

static void what_is_no_wire_is_an_error(void **state) {
  (void)state;
  static const char *const texts[] = {"HTTP/1.1 400 Bad Request#", "5#{abc}", "0#"};
  for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
    check_test self;
    begin(&self, ROOST_BENCH_ITEMS);
    expect(&self, "6");
    ask(&self, 0);
    if (i > 0)
      answer(&self, 0, SIX);
    take(&self, roost_slice_text(texts[i]));
    assert_int_equal(self.status, ROOST_EPROTO);
    assert_non_null(self.input.reader.error);
    end(&self);
  }
}

/* Without memory to learn it goes on reading; without memory to read it says so. */
static void memory_may_run_out(void **state) {
  (void)state;
  bool finished = false;
  for (size_t allowed = 0; !finished; allowed++) {
    check_test self;
    begin(&self, ROOST_BENCH_ITEMS);
    self.probe.refuse_after = allowed;
    finished = roost_bench_check_expect(&self.check, ROOST_SLICE("{\"a\\n\":1}")) == 0;
    if (finished) {
      ask(&self, 0);
      const roost_slice frame =
          frame_of(&self, 0, "{\"response\":{\"a\\n\":1},\"isDisposed\":true,\"id\":@}", 0);
      take(&self, roost_slice_of(frame.ptr, 20));
      take(&self, roost_slice_of(frame.ptr + 20, frame.len - 20));
      finished = self.status == 0;
      assert_true(finished || self.status == ROOST_ENOMEM);
      assert_int_equal(self.done, finished);
      assert_int_equal(self.wrong, 0);
    }
    end(&self);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(right_replies_are_right),
      cmocka_unit_test(what_is_learnt_costs_no_memory),
      cmocka_unit_test(members_may_change_places),
      cmocka_unit_test(wrong_values_are_found),
      cmocka_unit_test(ids_are_checked),
      cmocka_unit_test(errors_are_counted_by_text),
      cmocka_unit_test(there_is_room_for_so_many_notes),
      cmocka_unit_test(streams_end_with_their_mark),
      cmocka_unit_test(streams_may_be_interleaved),
      cmocka_unit_test(streams_of_another_length_or_order_are_wrong),
      cmocka_unit_test(the_other_rules),
      cmocka_unit_test(frames_may_come_in_pieces),
      cmocka_unit_test(byte_by_byte_and_all_at_once),
      cmocka_unit_test(what_is_no_wire_is_an_error),
      cmocka_unit_test(memory_may_run_out),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
