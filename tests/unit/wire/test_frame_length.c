#include "frame_test.h"

#define LARGE (300 * 1024)

static int start(void **state) {
  return frame_start(state, ROOST_FRAMING_LENGTH32);
}

typedef struct row {
  const char *input;
  const char *frames;
  int status;
  size_t len; /* of input */
} row;

static const row rows[] = {
    {"\0\0\0\2{}", "{}\n", 0, 6},
    {"\0\0\0\2{}\0\0\0\3[1]", "{}\n[1]\n", 0, 13},
    {"\0\0\0\2{}\0\0\0\0", "{}\n", ROOST_EPROTO, 10},
    {"\0\0\0", "", 0, 3},
    {"\0\0\0\2{", "", 0, 5},
    {"\0\0\3\xE8", "", 0, 4},
    {"\0\0\3\xE9", "", ROOST_EFULL, 4},
    {"\1\0\0\0", "", ROOST_EFULL, 4},
    {"\xFF\xFF\xFF\xFF", "", ROOST_EFULL, 4},
    {"\0\0\0\6\"" EMOJI "\"", "\"" EMOJI "\"\n", 0, 10},
    {"\0\0\0\3\"\xFF\"\0\0\0\2{}", "\"" FFFD "\"\n{}\n", 0, 13},
    {"\0\0\0\4\"\xE2\x82\"", "\"" FFFD "\"\n", 0, 8},
    {"\0\0\0\2\"\xE2\0\0\0\2{}", "\"" FFFD "\n{}\n", 0, 12},
};

static void reads_every_row_however_it_is_cut(void **state) {
  reading *r = *state;
  for (size_t i = 0; i < ROWS(rows); i++)
    frame_check(r, roost_slice_of(rows[i].input, rows[i].len), rows[i].frames, rows[i].status);
}

static void says_what_was_wrong(void **state) {
  reading *r = *state;
  roost_slice frame;
  roost_slice input = {"\0\0\0\0", 4};
  assert_int_equal(roost_frame_read(&r->reader, &input, &frame), ROOST_EPROTO);
  assert_string_equal(r->reader.error, "Could not parse JSON: the packet is empty");
  assert_int_equal(roost_frame_read(&r->reader, &input, &frame), ROOST_EPROTO);
}

static void borrows_whole_frames_and_says_what_is_pending(void **state) {
  reading *r = *state;
  roost_slice frame;
  roost_slice input = {"\0\0\0\2{}\0", 7};
  const char *body = input.ptr + 4;
  assert_int_equal(roost_frame_read(&r->reader, &input, &frame), 1);
  assert_ptr_equal(frame.ptr, body);
  assert_int_equal(r->f->probe.asked, 0);
  assert_false(roost_frame_reader_pending(&r->reader));
  assert_int_equal(roost_frame_read(&r->reader, &input, &frame), 0);
  assert_true(roost_frame_reader_pending(&r->reader));
  input = (roost_slice){"\0\0\1", 3};
  assert_int_equal(roost_frame_read(&r->reader, &input, &frame), 0);
  assert_true(roost_frame_reader_pending(&r->reader));
  input = ROOST_SLICE("7");
  assert_int_equal(roost_frame_read(&r->reader, &input, &frame), 1);
  assert_text(frame, "7");
}

static void a_repaired_body_over_the_limit_is_refused(void **state) {
  reading *r = *state;
  for (size_t chunk = 1; chunk <= 9; chunk += 4) {
    frame_restart(r, 10);
    assert_int_equal(frame_read_chunks(r, (roost_slice){"\0\0\0\5\"\xFF\xFF\xFF\"", 9}, chunk),
                     ROOST_EFULL);
  }
}

/* What is declared takes no memory before it is there. */
static void reads_large_bodies_in_place(void **state) {
  reading *r = *state;
  static const size_t pieces[] = {1, 7, 65536, LARGE};
  static char body[LARGE];
  memset(body, 'x', sizeof body);
  memcpy(body, EMOJI, 4);
  for (size_t i = 0; i < ROWS(pieces); i++) {
    roost_slice header = {"\0\4\xB0\0", 4};
    roost_slice frame;
    frame_restart(r, 1 << 24);
    assert_int_equal(roost_frame_read(&r->reader, &header, &frame), 0);
    assert_true(roost_frame_reader_memory(&r->reader) <= 64);
    frame_fill(r, (roost_slice){body, sizeof body}, pieces[i], &frame);
    assert_slice(frame, body, sizeof body);
  }
}

static void survives_a_refusing_allocator(void **state) {
  reading *r = *state;
  static const roost_slice inputs[] = {{"\0", 1}, {"\0\0\0\2{", 5}, {"\0\0\0\3\"\xFF\"", 7}};
  for (size_t i = 0; i < ROWS(inputs); i++) {
    frame_restart(r, LARGEST);
    r->f->probe.refuse_after = 0;
    assert_int_equal(frame_read_chunks(r, inputs[i], 99), ROOST_ENOMEM);
    assert_non_null(r->reader.error);
    r->f->probe.refuse_after = ROOST_ALLOC_PROBE_NEVER;
  }
}

static void write_frame(roost_buffer *out, roost_slice body) {
  roost_frame_mark mark;
  assert_int_equal(roost_frame_begin(out, &mark, ROOST_FRAMING_LENGTH32, 3), 0);
  assert_int_equal(roost_buffer_append_slice(out, body), 0);
  assert_int_equal(roost_frame_end(out, &mark), 0);
}

static void writes_the_length_in_bytes(void **state) {
  reading *r = *state;
  static char large[70000];
  memset(large, '1', sizeof large);
  write_frame(&r->f->out, ROOST_SLICE("{}"));
  write_frame(&r->f->out, ROOST_SLICE("\"" EMOJI "\n\""));
  assert_slice(roost_buffer_slice(&r->f->out), "\0\0\0\2{}\0\0\0\7\"" EMOJI "\n\"", 17);
  roost_buffer_clear(&r->f->out);
  write_frame(&r->f->out, (roost_slice){large, sizeof large});
  assert_memory_equal(r->f->out.ptr, "\0\1\x11\x70", 4);
}

static void takes_a_frame_back(void **state) {
  reading *r = *state;
  roost_buffer *out = &r->f->out;
  roost_frame_mark mark;
  assert_int_equal(roost_frame_begin(out, &mark, ROOST_FRAMING_LENGTH32, 3), 0);
  assert_int_equal(out->len, 4);
  roost_frame_undo(out, &mark);
  assert_int_equal(out->len, 0);
  roost_buffer_deinit(out);
  r->f->probe.refuse_after = 0;
  assert_int_equal(roost_frame_begin(out, &mark, ROOST_FRAMING_LENGTH32, 3), ROOST_ENOMEM);
  assert_int_equal(out->len, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(reads_every_row_however_it_is_cut, start, frame_end),
      cmocka_unit_test_setup_teardown(says_what_was_wrong, start, frame_end),
      cmocka_unit_test_setup_teardown(borrows_whole_frames_and_says_what_is_pending, start,
                                      frame_end),
      cmocka_unit_test_setup_teardown(a_repaired_body_over_the_limit_is_refused, start, frame_end),
      cmocka_unit_test_setup_teardown(reads_large_bodies_in_place, start, frame_end),
      cmocka_unit_test_setup_teardown(survives_a_refusing_allocator, start, frame_end),
      cmocka_unit_test_setup_teardown(writes_the_length_in_bytes, start, frame_end),
      cmocka_unit_test_setup_teardown(takes_a_frame_back, start, frame_end),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
