#include "frame_test.h"

#define MANY  12000
#define LARGE (300 * 1024)

static int start(void **state) {
  return frame_start(state, ROOST_FRAMING_NEST);
}

#define SPACES64 "                                                               "

static const frame_row rows[] = {
    {"2#{}", "{}\n", 0},
    {"2#{}3#[1]", "{}\n[1]\n", 0},
    {"\r\n 2#{}", "{}\n", 0},
    {"+2#{}", "{}\n", 0},
    {"0002#{}", "{}\n", 0},
    {"2abc#{}", "{}\n", 0},
    {"2.9#{}", "{}\n", 0},
    {"2 #{}", "{}\n", 0},
    {"2e1#{}", "{}\n", 0},
    {"\xC2\xA0\xEF\xBB\xBF\xE2\x80\x8A\xE3\x80\x80\xE1\x9A\x80\v\f\t2#{}", "{}\n", 0},
    {"\xE2\x80\x8B"
     "2#{}",
     "", ROOST_EPROTO},
    {SPACES64 "2#{}", "{}\n", 0},
    {SPACES64 " 2#{}", "", ROOST_EFULL},
    {"#{}", "", ROOST_EPROTO},
    {"abc#{}", "", ROOST_EPROTO},
    {"Infinity#{}", "", ROOST_EPROTO},
    {"+-2#{}", "", ROOST_EPROTO},
    {"0#{}", "", ROOST_EPROTO},
    {"0x24#{}", "", ROOST_EPROTO},
    {"-2#{}", "", ROOST_EPROTO},
    {"2#{}x#", "{}\n", ROOST_EPROTO},
    {"1000#", "", 0},
    {"1001#", "", ROOST_EFULL},
    {"99999999999999999999#", "", ROOST_EFULL},
    {"18446744073709551618#", "", ROOST_EFULL},
    {"3#\"\xC3\xA9\"", "\"\xC3\xA9\"\n", 0},
    {"3#\"\xE2\x82\xAC\"2#{}", "\"\xE2\x82\xAC\"\n{}\n", 0},
    {"4#\"" EMOJI "\"2#{}", "\"" EMOJI "\"\n{}\n", 0},
    {"3#\"" EMOJI "\"", "\"" EMOJI "\n", 0}, /* the length in code points cuts the text */
    {"2#\"" EMOJI "\"", "", ROOST_EPROTO},
    {"3#\"\xFF\"", "\"" FFFD "\"\n", 0},
    {"3#\"\xE2\x82\"2#{}", "\"" FFFD "\"\n{}\n", 0},
    {"3#\"\xF0\x9F\x98\"", "\"" FFFD "\"\n", 0},
    {"5#\"\xED\xA0\x80\"", "\"" FFFD FFFD FFFD "\"\n", 0},
    {"4#\"\xC0\xAF\"", "\"" FFFD FFFD "\"\n", 0},
    {"2#1\xE2\x82"
     "2#{}",
     "1" FFFD "\n{}\n", 0},
    {"1#\xC3"
     "1#1",
     FFFD "\n1\n", 0},
};

static void reads_every_row_however_it_is_cut(void **state) {
  reading *r = *state;
  for (size_t i = 0; i < ROWS(rows); i++)
    frame_check(r, roost_slice_text(rows[i].input), rows[i].frames, rows[i].status);
}

static void says_what_was_wrong_again_and_again(void **state) {
  reading *r = *state;
  roost_slice frame;
  roost_slice input = ROOST_SLICE("x#{}2#{}");
  assert_int_equal(roost_frame_read(&r->reader, &input, &frame), ROOST_EPROTO);
  assert_string_equal(r->reader.error, "Corrupted length value supplied in a packet");
  assert_int_equal(roost_frame_read(&r->reader, &input, &frame), ROOST_EPROTO);
  char *place;
  assert_int_equal(roost_frame_room(&r->reader, &place), 0);
}

static void borrows_whole_frames_and_counts_memory(void **state) {
  reading *r = *state;
  roost_slice frame;
  roost_slice input = ROOST_SLICE("2#{}1");
  const char *body = input.ptr + 2;
  assert_int_equal(roost_frame_read(&r->reader, &input, &frame), 1);
  assert_ptr_equal(frame.ptr, body);
  assert_int_equal(roost_frame_reader_memory(&r->reader), 0);
  assert_int_equal(r->f->probe.asked, 0);
  assert_false(roost_frame_reader_pending(&r->reader));
  assert_int_equal(roost_frame_read(&r->reader, &input, &frame), 0);
  assert_true(roost_frame_reader_pending(&r->reader));
  assert_true(roost_frame_reader_memory(&r->reader) > 0);
}

static void a_body_over_the_limit_in_bytes_is_refused(void **state) {
  reading *r = *state;
  for (size_t chunk = 1; chunk < 40; chunk += 19) {
    frame_restart(r, 10);
    assert_int_equal(
        frame_read_chunks(r, ROOST_SLICE("10#\"\xE2\x82\xAC\xE2\x82\xAC\xE2\x82\xAC\xE2"), chunk),
        ROOST_EFULL);
    frame_restart(r, 10);
    assert_int_equal(frame_read_chunks(r, ROOST_SLICE("8#\"\xFF\xFF\xFF\xFF\xFF\xFF\""), chunk),
                     ROOST_EFULL);
  }
}

/* The memory that is held follows what arrived, and goes when the frame has gone. */
static void grows_with_what_arrived(void **state) {
  reading *r = *state;
  static char body[LARGE];
  memset(body, 'x', sizeof body);
  frame_restart(r, 1 << 30);
  assert_int_equal(frame_read_chunks(r, ROOST_SLICE("1000000000#"), 99), 0);
  assert_true(roost_frame_reader_memory(&r->reader) <= 64);
  assert_int_equal(frame_read_chunks(r, (roost_slice){body, 1000}, 100), 0);
  assert_true(roost_frame_reader_memory(&r->reader) <= 2048);

  frame_restart(r, 1 << 30);
  roost_slice frame;
  roost_slice header = ROOST_SLICE("307200#");
  roost_slice rest = {body, sizeof body};
  roost_slice nothing = {NULL, 0};
  assert_int_equal(roost_frame_read(&r->reader, &header, &frame), 0);
  rest.len--;
  assert_int_equal(roost_frame_read(&r->reader, &rest, &frame), 0);
  rest = ROOST_SLICE("x");
  assert_int_equal(roost_frame_read(&r->reader, &rest, &frame), 1);
  assert_int_equal(frame.len, LARGE);
  assert_int_equal(roost_frame_read(&r->reader, &nothing, &frame), 0);
  assert_int_equal(roost_frame_reader_memory(&r->reader), 0);
}

static void reads_large_bodies_in_place(void **state) {
  reading *r = *state;
  static const char *const fillings[] = {"x",   "\xC3\xA9", "\xE2\x82\xAC",
                                         EMOJI, "\xFF",     "a\xE2\x82"};
  static const size_t units[] = {1, 1, 1, 2, 1, 2};
  static const size_t pieces[] = {1, 7, 65536, LARGE};
  for (size_t i = 0; i < ROWS(fillings); i++) {
    for (size_t p = i == 0 ? 0 : 1; p < ROWS(pieces); p++) {
      size_t len = strlen(fillings[i]);
      size_t count = LARGE / 4 / len;
      roost_buffer body;
      roost_buffer_init(&body, roost_alloc_default());
      for (size_t n = 0; n < count; n++)
        assert_int_equal(roost_buffer_append(&body, fillings[i], len), 0);
      assert_int_equal(roost_buffer_append_byte(&body, '.'), 0);
      char header[32];
      snprintf(header, sizeof header, "%zu#", count * units[i] + 1);
      roost_slice input = roost_slice_text(header);
      roost_slice frame;
      frame_restart(r, 1 << 24);
      assert_int_equal(roost_frame_read(&r->reader, &input, &frame), 0);
      frame_fill(r, roost_buffer_slice(&body), pieces[p], &frame);
      roost_buffer expected;
      roost_buffer_init(&expected, roost_alloc_default());
      assert_int_equal(roost_utf8_repair(&expected, roost_buffer_slice(&body)), 0);
      assert_slice(frame, expected.ptr, expected.len);
      roost_buffer_deinit(&expected);
      roost_buffer_deinit(&body);
    }
  }
}

static void room_grows_with_what_arrived(void **state) {
  reading *r = *state;
  roost_slice frame;
  roost_slice header = ROOST_SLICE("1000000000#");
  frame_restart(r, 1 << 30);
  assert_int_equal(roost_frame_read(&r->reader, &header, &frame), 0);
  size_t arrived = 0;
  for (int i = 0; i < 6; i++) {
    char *place;
    size_t room = roost_frame_room(&r->reader, &place);
    assert_true(room > 0 && room <= 65536 + arrived);
    assert_true(roost_frame_reader_memory(&r->reader) <= 4 * (65536 + arrived));
    memset(place, 'x', room);
    assert_int_equal(roost_frame_filled(&r->reader, room, &frame), 0);
    arrived += room;
  }
  assert_true(roost_frame_reader_pending(&r->reader));
}

static void has_no_room_where_there_is_no_large_body(void **state) {
  reading *r = *state;
  roost_slice frame;
  char *place;
  frame_restart(r, 1 << 24);
  assert_int_equal(roost_frame_room(&r->reader, &place), 0);
  roost_slice input = ROOST_SLICE("100#");
  assert_int_equal(roost_frame_read(&r->reader, &input, &frame), 0);
  assert_int_equal(roost_frame_room(&r->reader, &place), 0);
}

static void reads_a_burst(void **state) {
  reading *r = *state;
  roost_buffer burst;
  roost_buffer_init(&burst, roost_alloc_default());
  for (int i = 0; i < MANY; i++)
    assert_int_equal(roost_buffer_append(&burst, "9#[1,2,3,4]", 11), 0);
  roost_slice input = roost_buffer_slice(&burst);
  roost_slice frame;
  for (int i = 0; i < MANY; i++) {
    assert_int_equal(roost_frame_read(&r->reader, &input, &frame), 1);
    assert_text(frame, "[1,2,3,4]");
  }
  assert_int_equal(roost_frame_read(&r->reader, &input, &frame), 0);
  assert_int_equal(r->f->probe.asked, 0);
  roost_buffer_deinit(&burst);
}

static void survives_a_refusing_allocator(void **state) {
  reading *r = *state;
  static const char *const inputs[] = {"2", "5#[1]", "3#\"\xFF\""};
  for (size_t i = 0; i < ROWS(inputs); i++) {
    frame_restart(r, LARGEST);
    r->f->probe.refuse_after = 0;
    assert_int_equal(frame_read_chunks(r, roost_slice_text(inputs[i]), 99), ROOST_ENOMEM);
    assert_non_null(r->reader.error);
    r->f->probe.refuse_after = ROOST_ALLOC_PROBE_NEVER;
  }
  frame_restart(r, 1 << 24);
  assert_int_equal(frame_read_chunks(r, ROOST_SLICE("100000#"), 99), 0);
  char *place;
  r->f->probe.refuse_after = 0;
  assert_int_equal(roost_frame_room(&r->reader, &place), 0);
  r->f->probe.refuse_after = ROOST_ALLOC_PROBE_NEVER;
  assert_true(roost_frame_room(&r->reader, &place) > 0);
}

static void write_frame(roost_buffer *out, unsigned guess, roost_slice body) {
  roost_frame_mark mark;
  assert_int_equal(roost_frame_begin(out, &mark, ROOST_FRAMING_NEST, guess), 0);
  assert_int_equal(roost_buffer_append_slice(out, body), 0);
  assert_true(roost_frame_end(out, &mark) >= 1);
}

static void writes_whatever_was_guessed(void **state) {
  reading *r = *state;
  for (unsigned guess = 0; guess < 12; guess++) {
    roost_buffer_clear(&r->f->out);
    write_frame(&r->f->out, guess, ROOST_SLICE("{}"));
    write_frame(&r->f->out, guess, ROOST_SLICE("\"0123456789\xC3\xA9" EMOJI "\""));
    assert_text(roost_buffer_slice(&r->f->out), "2#{}15#\"0123456789\xC3\xA9" EMOJI "\"");
  }
}

static void takes_a_frame_back(void **state) {
  reading *r = *state;
  roost_buffer *out = &r->f->out;
  roost_frame_mark mark;
  write_frame(out, 1, ROOST_SLICE("{}"));
  assert_int_equal(roost_frame_begin(out, &mark, ROOST_FRAMING_NEST, 3), 0);
  assert_int_equal(roost_buffer_append(out, "[1", 2), 0);
  roost_frame_undo(out, &mark);
  assert_text(roost_buffer_slice(out), "2#{}");

  /* No room for a second digit: 1 + 1 + 62 fill the smallest buffer there is. */
  roost_buffer_deinit(out);
  assert_int_equal(roost_frame_begin(out, &mark, ROOST_FRAMING_NEST, 1), 0);
  while (out->len < out->cap)
    out->ptr[out->len++] = '1';
  r->f->probe.refuse_after = 0;
  assert_int_equal(roost_frame_end(out, &mark), ROOST_ENOMEM);
  assert_int_equal(out->len, 0);
  roost_buffer_deinit(out);
  assert_int_equal(roost_frame_begin(out, &mark, ROOST_FRAMING_NEST, 1), ROOST_ENOMEM);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(reads_every_row_however_it_is_cut, start, frame_end),
      cmocka_unit_test_setup_teardown(says_what_was_wrong_again_and_again, start, frame_end),
      cmocka_unit_test_setup_teardown(borrows_whole_frames_and_counts_memory, start, frame_end),
      cmocka_unit_test_setup_teardown(a_body_over_the_limit_in_bytes_is_refused, start, frame_end),
      cmocka_unit_test_setup_teardown(grows_with_what_arrived, start, frame_end),
      cmocka_unit_test_setup_teardown(reads_large_bodies_in_place, start, frame_end),
      cmocka_unit_test_setup_teardown(room_grows_with_what_arrived, start, frame_end),
      cmocka_unit_test_setup_teardown(has_no_room_where_there_is_no_large_body, start, frame_end),
      cmocka_unit_test_setup_teardown(reads_a_burst, start, frame_end),
      cmocka_unit_test_setup_teardown(survives_a_refusing_allocator, start, frame_end),
      cmocka_unit_test_setup_teardown(writes_whatever_was_guessed, start, frame_end),
      cmocka_unit_test_setup_teardown(takes_a_frame_back, start, frame_end),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
