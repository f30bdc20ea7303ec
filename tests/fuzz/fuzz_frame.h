/* fuzz_frame.h - what the targets of the framings share.
 *
 * Frames come out the same however the bytes arrive: in one piece, in small pieces, or read into
 * the reader's own place. The first two bytes of the input choose the limit and the pieces. */
#ifndef ROOST_TESTS_FUZZ_FRAME_H
#define ROOST_TESTS_FUZZ_FRAME_H

#include "fuzz.h"
#include "wire/frame.h"

typedef struct result {
  roost_buffer frames; /* each after its length, a size_t */
  bool failed;
  bool pending;
} result;

static inline void take_frame(result *r, roost_slice frame, size_t max_bytes) {
  PROMISE(frame.len > 0 && frame.len <= max_bytes);
  PROMISE(roost_utf8_valid_prefix(frame) == frame.len);
  PROMISE(roost_buffer_append(&r->frames, &frame.len, sizeof frame.len) == 0);
  PROMISE(roost_buffer_append_slice(&r->frames, frame) == 0);
}

/* Moves up to n bytes through the reader's own place; returns how many, 0 where it has none. */
static inline size_t read_in_place(result *r, roost_frame_reader *reader, roost_slice bytes,
                                   size_t n) {
  char *place;
  roost_slice frame;
  size_t room = roost_frame_room(reader, &place);
  if (room == 0)
    return 0;
  if (n > room)
    n = room;
  memcpy(place, bytes.ptr, n);
  int status = roost_frame_filled(reader, n, &frame);
  if (status == 1)
    take_frame(r, frame, reader->max_bytes);
  r->failed = status < 0;
  return n;
}

static inline void read_piece(result *r, roost_frame_reader *reader, roost_slice piece) {
  roost_slice frame;
  int status;
  while ((status = roost_frame_read(reader, &piece, &frame)) == 1)
    take_frame(r, frame, reader->max_bytes);
  r->failed = status < 0;
  PROMISE(status < 0 || piece.len == 0);
}

static inline result read_all(roost_framing framing, roost_slice bytes, size_t max_bytes,
                              size_t piece, bool in_place) {
  result r = {.failed = false};
  roost_frame_reader reader;
  roost_buffer_init(&r.frames, roost_alloc_default());
  roost_frame_reader_init(&reader, roost_alloc_default(), framing, max_bytes);
  while (bytes.len > 0 && !r.failed) {
    size_t n = piece < bytes.len ? piece : bytes.len;
    size_t moved = in_place ? read_in_place(&r, &reader, bytes, n) : 0;
    if (moved == 0) {
      read_piece(&r, &reader, (roost_slice){bytes.ptr, n});
      moved = n;
    }
    bytes.ptr += moved;
    bytes.len -= moved;
    PROMISE(roost_frame_reader_memory(&reader) <= 8 * (max_bytes + 65536));
  }
  r.pending = roost_frame_reader_pending(&reader);
  roost_frame_reader_deinit(&reader);
  return r;
}

static inline void check_same(const result *a, const result *b) {
  PROMISE(fuzz_same(&a->frames, &b->frames));
  PROMISE(a->failed == b->failed);
  PROMISE(a->failed || a->pending == b->pending);
}

/* What was read, written and read again, is the same. */
static inline void check_written(roost_framing framing, const result *r) {
  roost_buffer out;
  roost_buffer_init(&out, roost_alloc_default());
  for (size_t at = 0; at < r->frames.len;) {
    size_t len;
    roost_frame_mark mark;
    memcpy(&len, r->frames.ptr + at, sizeof len);
    at += sizeof len;
    PROMISE(roost_frame_begin(&out, &mark, framing, 2) == 0);
    PROMISE(roost_buffer_append(&out, r->frames.ptr + at, len) == 0);
    PROMISE(roost_frame_end(&out, &mark) >= 0);
    at += len;
  }
  result again = read_all(framing, roost_buffer_slice(&out), SIZE_MAX / 2, 5, true);
  PROMISE(!again.failed && !again.pending && fuzz_same(&again.frames, &r->frames));
  roost_buffer_deinit(&again.frames);
  roost_buffer_deinit(&out);
}

static inline void fuzz_framing(roost_framing framing, const uint8_t *data, size_t size) {
  if (size < 2)
    return;
  size_t max_bytes = (size_t)1 << (data[0] % 20);
  size_t piece = 1 + data[1] % 40;
  roost_slice bytes = {(const char *)data + 2, size - 2};
  result whole = read_all(framing, bytes, max_bytes, size, false);
  result pieces = read_all(framing, bytes, max_bytes, piece, false);
  result in_place = read_all(framing, bytes, max_bytes, piece, true);
  check_same(&whole, &pieces);
  check_same(&whole, &in_place);
  check_written(framing, &whole);
  roost_buffer_deinit(&whole.frames);
  roost_buffer_deinit(&pieces.frames);
  roost_buffer_deinit(&in_place.frames);
}

#endif
