#include "frame_test.h"

static int start(void **state) {
  return frame_start(state, ROOST_FRAMING_NDJSON);
}

static const frame_row rows[] = {
    {"{}\n", "{}\n", 0},
    {"{}\n[1]\n", "{}\n[1]\n", 0},
    {"{}\r\n[1]\r\n", "{}\n[1]\n", 0},
    {"{}\r\r\n", "{}\n", 0},
    {"{\r}\n", "{\r}\n", 0},
    {" {} \n", " {} \n", 0},
    {"\n\r\n \t\r\n{}\n\n", "{}\n", 0},
    {"{}", "", 0},
    {"{}\nx", "{}\n", 0},
    {"\"\xC3\xA9" EMOJI "\"\n", "\"\xC3\xA9" EMOJI "\"\n", 0},
    {"\"\xFF\"\n{}\n", "\"" FFFD "\"\n{}\n", 0},
    {"\"\xE2\x82\"\n", "\"" FFFD "\"\n", 0},
    {"1\xE2\x82\n2\n", "1" FFFD "\n2\n", 0},
};

static void reads_every_row_however_it_is_cut(void **state) {
  reading *r = *state;
  for (size_t i = 0; i < ROWS(rows); i++)
    frame_check(r, roost_slice_text(rows[i].input), rows[i].frames, rows[i].status);
}

static void a_zero_byte_is_like_any_other(void **state) {
  reading *r = *state;
  assert_int_equal(frame_read_chunks(r, (roost_slice){"x\0y\n", 4}, 1), 0);
  assert_slice(roost_buffer_slice(&r->f->out), "x\0y\n", 4);
}

static void borrows_whole_lines_and_says_what_is_pending(void **state) {
  reading *r = *state;
  roost_slice frame;
  roost_slice input = ROOST_SLICE("{}\r\n1");
  const char *line = input.ptr;
  assert_int_equal(roost_frame_read(&r->reader, &input, &frame), 1);
  assert_ptr_equal(frame.ptr, line);
  assert_int_equal(frame.len, 2);
  assert_int_equal(r->f->probe.asked, 0);
  assert_false(roost_frame_reader_pending(&r->reader));
  assert_int_equal(roost_frame_read(&r->reader, &input, &frame), 0);
  assert_true(roost_frame_reader_pending(&r->reader));
  assert_true(roost_frame_reader_memory(&r->reader) > 0);
  input = ROOST_SLICE("2\n");
  assert_int_equal(roost_frame_read(&r->reader, &input, &frame), 1);
  assert_text(frame, "12");
  assert_false(roost_frame_reader_pending(&r->reader));
}

static void blank_lines_leave_nothing_behind(void **state) {
  reading *r = *state;
  assert_int_equal(frame_read_chunks(r, ROOST_SLICE(" \r\n\n  \n"), 1), 0);
  assert_false(roost_frame_reader_pending(&r->reader));
  assert_int_equal(r->f->out.len, 0);
}

/* The limit counts what stands before the newline, also what is not there yet. */
static void a_line_over_the_limit_is_refused(void **state) {
  reading *r = *state;
  for (size_t chunk = 1; chunk <= 12; chunk++) {
    frame_restart(r, 10);
    assert_int_equal(frame_read_chunks(r, ROOST_SLICE("\"12345678\"\n"), chunk), 0);
    frame_restart(r, 10);
    assert_int_equal(frame_read_chunks(r, ROOST_SLICE("\"123456789\"\n"), chunk), ROOST_EFULL);
    frame_restart(r, 10);
    assert_int_equal(frame_read_chunks(r, ROOST_SLICE("           "), chunk), ROOST_EFULL);
    frame_restart(r, 10);
    assert_int_equal(frame_read_chunks(r, ROOST_SLICE("\"\xFF\xFF\xFF\"\n"), chunk), ROOST_EFULL);
  }
  assert_string_equal(r->reader.error,
                      "The packet length exceeds the maximum allowed length (max_buffer_size)");
}

static void has_no_place_of_its_own(void **state) {
  reading *r = *state;
  static char line[40000];
  char *place;
  memset(line, 'x', sizeof line);
  frame_restart(r, 1 << 20);
  assert_int_equal(frame_read_chunks(r, (roost_slice){line, sizeof line}, 1000), 0);
  assert_int_equal(roost_frame_room(&r->reader, &place), 0);
  assert_int_equal(frame_read_chunks(r, ROOST_SLICE("\n"), 1), 0);
  assert_int_equal(r->f->out.len, sizeof line + 1);
  roost_slice nothing = {NULL, 0};
  roost_slice frame;
  assert_int_equal(roost_frame_read(&r->reader, &nothing, &frame), 0);
  assert_int_equal(roost_frame_reader_memory(&r->reader), 0);
}

static void survives_a_refusing_allocator(void **state) {
  reading *r = *state;
  static const char *const inputs[] = {"{", "\"\xFF\"\n"};
  for (size_t i = 0; i < ROWS(inputs); i++) {
    frame_restart(r, LARGEST);
    r->f->probe.refuse_after = 0;
    assert_int_equal(frame_read_chunks(r, roost_slice_text(inputs[i]), 99), ROOST_ENOMEM);
    assert_non_null(r->reader.error);
    r->f->probe.refuse_after = ROOST_ALLOC_PROBE_NEVER;
  }
  frame_restart(r, LARGEST);
  assert_int_equal(frame_read_chunks(r, ROOST_SLICE("{"), 1), 0);
  roost_slice rest = {"                                                                 }\n", 67};
  roost_slice frame;
  r->f->probe.refuse_after = 0;
  assert_int_equal(roost_frame_read(&r->reader, &rest, &frame), ROOST_ENOMEM);
  r->f->probe.refuse_after = ROOST_ALLOC_PROBE_NEVER;
}

static void write_frame(roost_buffer *out, roost_slice body) {
  roost_frame_mark mark;
  assert_int_equal(roost_frame_begin(out, &mark, ROOST_FRAMING_NDJSON, 3), 0);
  assert_int_equal(roost_buffer_append_slice(out, body), 0);
  assert_int_equal(roost_frame_end(out, &mark), 0);
}

static void writes_one_line_whatever_the_text_has(void **state) {
  reading *r = *state;
  write_frame(&r->f->out, ROOST_SLICE("{}"));
  write_frame(&r->f->out, ROOST_SLICE("\n[\n1,\r\n2]\n"));
  assert_text(roost_buffer_slice(&r->f->out), "{}\n [ 1,\r 2] \n");
}

static void takes_a_frame_back(void **state) {
  reading *r = *state;
  roost_buffer *out = &r->f->out;
  roost_frame_mark mark;
  write_frame(out, ROOST_SLICE("{}"));
  assert_int_equal(roost_frame_begin(out, &mark, ROOST_FRAMING_NDJSON, 3), 0);
  assert_int_equal(roost_buffer_append(out, "[1", 2), 0);
  roost_frame_undo(out, &mark);
  assert_text(roost_buffer_slice(out), "{}\n");
  while (out->len < out->cap)
    out->ptr[out->len++] = '1';
  r->f->probe.refuse_after = 0;
  assert_int_equal(roost_frame_end(out, &mark), ROOST_ENOMEM);
  assert_text(roost_buffer_slice(out), "{}\n");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(reads_every_row_however_it_is_cut, start, frame_end),
      cmocka_unit_test_setup_teardown(a_zero_byte_is_like_any_other, start, frame_end),
      cmocka_unit_test_setup_teardown(borrows_whole_lines_and_says_what_is_pending, start,
                                      frame_end),
      cmocka_unit_test_setup_teardown(blank_lines_leave_nothing_behind, start, frame_end),
      cmocka_unit_test_setup_teardown(a_line_over_the_limit_is_refused, start, frame_end),
      cmocka_unit_test_setup_teardown(has_no_place_of_its_own, start, frame_end),
      cmocka_unit_test_setup_teardown(survives_a_refusing_allocator, start, frame_end),
      cmocka_unit_test_setup_teardown(writes_one_line_whatever_the_text_has, start, frame_end),
      cmocka_unit_test_setup_teardown(takes_a_frame_back, start, frame_end),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
