/* frame_test.h - what the tests of the framings share. */
#ifndef ROOST_TESTS_FRAME_TEST_H
#define ROOST_TESTS_FRAME_TEST_H

#include "wire/frame.h"
#include "wire/utf8.h"
#include "wire_test.h"

#define EMOJI   "\xF0\x9F\x98\x80"
#define FFFD    "\xEF\xBF\xBD"
#define LARGEST 1000

typedef struct reading {
  fixture *f;
  roost_frame_reader reader;
} reading;

static inline int frame_start(void **state, roost_framing framing) {
  reading *r = malloc(sizeof *r);
  void *f;
  assert_non_null(r);
  (void)set_up(&f);
  r->f = f;
  roost_frame_reader_init(&r->reader, &r->f->probe.alloc, framing, LARGEST);
  *state = r;
  return 0;
}

static inline int frame_end(void **state) {
  reading *r = *state;
  void *f = r->f;
  roost_frame_reader_deinit(&r->reader);
  free(r);
  return tear_down(&f);
}

static inline void frame_restart(reading *r, size_t max_bytes) {
  const roost_framing framing = r->reader.framing;
  roost_frame_reader_deinit(&r->reader);
  roost_frame_reader_init(&r->reader, &r->f->probe.alloc, framing, max_bytes);
}

/* Reads all of input in pieces of chunk bytes; what comes is appended to out, a line per frame,
 * and the last status is returned. */
static inline int frame_read_chunks(reading *r, roost_slice input, size_t chunk) {
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

/* Reads input whole, byte by byte, and cut at each place: frames come out, a line each, and status
 * of the last read. */
static inline void frame_check(reading *r, roost_slice input, const char *frames, int status) {
  for (size_t chunk = 1; chunk <= input.len; chunk++) {
    frame_restart(r, LARGEST);
    roost_buffer_clear(&r->f->out);
    const int last = frame_read_chunks(r, input, chunk);
    if (last != status)
      print_error("\"%.*s\" in pieces of %zu\n", (int)input.len, input.ptr, chunk);
    assert_int_equal(last, status);
    assert_text(roost_buffer_slice(&r->f->out), frames);
  }
}

typedef struct frame_row {
  const char *input;
  const char *frames;
  int status;
} frame_row;

/* Reads a large body into the reader's own place, as the network does. */
static inline void frame_fill(reading *r, roost_slice body, size_t most, roost_slice *frame) {
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

#endif
