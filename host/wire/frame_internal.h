/*
 * wire/frame_internal.h - what the three framings share, for the frame files alone. Start at
 * wire/frame.h.
 *
 * frame.c does what is the same for all, and asks one file per framing for the rest: frame_nest.c,
 * frame_line.c, frame_length.c. Ownership and threads: as wire/frame.h says.
 */
#ifndef ROOST_WIRE_FRAME_INTERNAL_H
#define ROOST_WIRE_FRAME_INTERNAL_H

#include "wire/frame.h"

/* Of a length32's header. */
#define ROOST_FRAME_LENGTH_BYTES 4

extern const char roost_frame_error_empty[];
extern const char roost_frame_error_length[];
extern const char roost_frame_error_memory[];

/* Ends the reader for good; returns status. error is a fixed text. */
int roost_frame_fail(roost_frame_reader *reader, int status, const char *error);

/* What is handed out in the place of a body that is not UTF-8. */
int roost_frame_repair(roost_frame_reader *reader, roost_slice bytes, roost_slice *frame);

/* Hands out a whole body that stands in bytes (the input's or the reader's own), repaired where
 * broken_utf8 says so. 1, or as roost_frame_read. */
static inline int roost_frame_deliver(roost_frame_reader *reader, roost_slice bytes,
                                      roost_slice *frame) {
  reader->in_body = false;
  reader->delivered = true;
  *frame = bytes;
  return reader->broken_utf8 ? roost_frame_repair(reader, bytes, frame) : 1;
}

/* As deliver, where nobody has looked yet whether the body is UTF-8. */
int roost_frame_deliver_bytes(roost_frame_reader *reader, roost_slice bytes, roost_slice *frame);

/* Keeps bytes of an unfinished frame. EFULL (over max_bytes), ENOMEM. */
int roost_frame_hold(roost_frame_reader *reader, roost_slice bytes);

/* As roost_frame_read; there is input, and nothing that was delivered is held. */
int roost_frame_nest_read(roost_frame_reader *reader, roost_slice *input, roost_slice *frame);
int roost_frame_line_read(roost_frame_reader *reader, roost_slice *input, roost_slice *frame);
int roost_frame_length_read(roost_frame_reader *reader, roost_slice *input, roost_slice *frame);

/* Bytes that the body at hand still takes at least; it is unfinished. */
uint64_t roost_frame_nest_missing(const roost_frame_reader *reader);

/* As roost_frame_filled; n is not more than is missing. */
int roost_frame_nest_filled(roost_frame_reader *reader, size_t n, roost_slice *frame);
int roost_frame_length_filled(roost_frame_reader *reader, size_t n, roost_slice *frame);

/* As roost_frame_end. */
int roost_frame_line_end(roost_buffer *out, const roost_frame_mark *mark);
int roost_frame_length_end(roost_buffer *out, const roost_frame_mark *mark);

#endif
