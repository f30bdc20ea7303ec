#include "wire/frame.h"
#include "wire/utf8.h"
#include "wire_test.h"

#define EMOJI   "\xF0\x9F\x98\x80"
#define FFFD    "\xEF\xBF\xBD"
#define LARGEST 1000
#define MANY    12000
#define LARGE   (300 * 1024)

typedef struct reading {
  fixture *f;
  roost_frame_reader reader;
} reading;

static int start(void **state) {
  reading *r = malloc(sizeof *r);
  void *f;
  assert_non_null(r);
  (void)set_up(&f);
  r->f = f;
  roost_frame_reader_init(&r->reader, &r->f->probe.alloc, LARGEST);
  *state = r;
  return 0;
}

static int end(void **state) {
  reading *r = *state;
  void *f = r->f;
  roost_frame_reader_deinit(&r->reader);
  free(r);
  return tear_down(&f);
}

static void restart(reading *r, size_t max_bytes) {
  roost_frame_reader_deinit(&r->reader);
  roost_frame_reader_init(&r->reader, &r->f->probe.alloc, max_bytes);
}

/* Reads all of input in pieces of chunk bytes; what comes is appended to out, a line per frame,
 * and the last status is returned. */
static int read_chunks(reading *r, roost_slice input, size_t chunk) {
  int status = 0;
  while (input.len > 0 && status >= 0) {
    roost_slice piece = exact_copy((roost_slice){input.ptr, chunk < input.len ? chunk : input.len});
    roost_slice rest = piece;
    roost_slice frame;
    input.ptr += piece.len;
    input.len -= piece.len;
    while ((status = roost_frame_read(&r->reader, &rest, &frame)) == 1) {
      assert_int_equal(roost_buffer_append_slice(&r->f->out, frame), 0);
      assert_int_equal(roost_buffer_append_byte(&r->f->out, '\n'), 0);
    }
    if (status == 0)
      assert_int_equal(rest.len, 0);
    free_copy(piece);
  }
  return status;
}

typedef struct row {
  const char *input;
  const char *frames;
  int status; /* of the last read */
} row;

#define SPACES64 "                                                               "

static const row rows[] = {
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

/* Every row whole, byte by byte, and cut at each place. */
static void reads_every_row_however_it_is_cut(void **state) {
  reading *r = *state;
  for (size_t i = 0; i < ROWS(rows); i++) {
    roost_slice input = roost_slice_text(rows[i].input);
    for (size_t chunk = 1; chunk <= input.len; chunk++) {
      restart(r, LARGEST);
      roost_buffer_clear(&r->f->out);
      int status = read_chunks(r, input, chunk);
      if (status != rows[i].status)
        print_error("row %zu in pieces of %zu\n", i, chunk);
      assert_int_equal(status, rows[i].status);
      assert_text(roost_buffer_slice(&r->f->out), rows[i].frames);
    }
  }
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
    restart(r, 10);
    assert_int_equal(
        read_chunks(r, ROOST_SLICE("10#\"\xE2\x82\xAC\xE2\x82\xAC\xE2\x82\xAC\xE2"), chunk),
        ROOST_EFULL);
    restart(r, 10);
    assert_int_equal(read_chunks(r, ROOST_SLICE("8#\"\xFF\xFF\xFF\xFF\xFF\xFF\""), chunk),
                     ROOST_EFULL);
  }
}

/* The memory that is held follows what arrived, and goes when the frame has gone. */
static void grows_with_what_arrived(void **state) {
  reading *r = *state;
  static char body[LARGE];
  memset(body, 'x', sizeof body);
  restart(r, 1 << 30);
  assert_int_equal(read_chunks(r, ROOST_SLICE("1000000000#"), 99), 0);
  assert_true(roost_frame_reader_memory(&r->reader) <= 64);
  assert_int_equal(read_chunks(r, (roost_slice){body, 1000}, 100), 0);
  assert_true(roost_frame_reader_memory(&r->reader) <= 2048);

  restart(r, 1 << 30);
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

/* Reads a large body into the reader's own place, as the network does. */
static void fill(reading *r, roost_slice body, size_t most, roost_slice *frame) {
  char *place;
  int status = 0;
  while (status == 0) {
    size_t room = roost_frame_room(&r->reader, &place);
    if (room == 0) {
      roost_slice rest = body;
      assert_int_equal(roost_frame_read(&r->reader, &rest, frame), 1);
      assert_int_equal(rest.len, 0);
      return;
    }
    assert_true(room <= body.len);
    size_t n = room < most ? room : most;
    memcpy(place, body.ptr, n);
    body.ptr += n;
    body.len -= n;
    status = roost_frame_filled(&r->reader, n, frame);
  }
  assert_int_equal(status, 1);
  assert_int_equal(body.len, 0);
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
      restart(r, 1 << 24);
      assert_int_equal(roost_frame_read(&r->reader, &input, &frame), 0);
      fill(r, roost_buffer_slice(&body), pieces[p], &frame);
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
  restart(r, 1 << 30);
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
  restart(r, 1 << 24);
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
    restart(r, LARGEST);
    r->f->probe.refuse_after = 0;
    assert_int_equal(read_chunks(r, roost_slice_text(inputs[i]), 99), ROOST_ENOMEM);
    assert_non_null(r->reader.error);
    r->f->probe.refuse_after = ROOST_ALLOC_PROBE_NEVER;
  }
  restart(r, 1 << 24);
  assert_int_equal(read_chunks(r, ROOST_SLICE("100000#"), 99), 0);
  char *place;
  r->f->probe.refuse_after = 0;
  assert_int_equal(roost_frame_room(&r->reader, &place), 0);
  r->f->probe.refuse_after = ROOST_ALLOC_PROBE_NEVER;
  assert_true(roost_frame_room(&r->reader, &place) > 0);
}

static void write_frame(roost_buffer *out, unsigned guess, roost_slice body) {
  roost_frame_mark mark;
  assert_int_equal(roost_frame_begin(out, &mark, guess), 0);
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
  assert_int_equal(roost_frame_begin(out, &mark, 3), 0);
  assert_int_equal(roost_buffer_append(out, "[1", 2), 0);
  roost_frame_undo(out, &mark);
  assert_text(roost_buffer_slice(out), "2#{}");

  /* No room for a second digit: 1 + 1 + 62 fill the smallest buffer there is. */
  roost_buffer_deinit(out);
  assert_int_equal(roost_frame_begin(out, &mark, 1), 0);
  while (out->len < out->cap)
    out->ptr[out->len++] = '1';
  r->f->probe.refuse_after = 0;
  assert_int_equal(roost_frame_end(out, &mark), ROOST_ENOMEM);
  assert_int_equal(out->len, 0);
  roost_buffer_deinit(out);
  assert_int_equal(roost_frame_begin(out, &mark, 1), ROOST_ENOMEM);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(reads_every_row_however_it_is_cut, start, end),
      cmocka_unit_test_setup_teardown(says_what_was_wrong_again_and_again, start, end),
      cmocka_unit_test_setup_teardown(borrows_whole_frames_and_counts_memory, start, end),
      cmocka_unit_test_setup_teardown(a_body_over_the_limit_in_bytes_is_refused, start, end),
      cmocka_unit_test_setup_teardown(grows_with_what_arrived, start, end),
      cmocka_unit_test_setup_teardown(reads_large_bodies_in_place, start, end),
      cmocka_unit_test_setup_teardown(room_grows_with_what_arrived, start, end),
      cmocka_unit_test_setup_teardown(has_no_room_where_there_is_no_large_body, start, end),
      cmocka_unit_test_setup_teardown(reads_a_burst, start, end),
      cmocka_unit_test_setup_teardown(survives_a_refusing_allocator, start, end),
      cmocka_unit_test_setup_teardown(writes_whatever_was_guessed, start, end),
      cmocka_unit_test_setup_teardown(takes_a_frame_back, start, end),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
