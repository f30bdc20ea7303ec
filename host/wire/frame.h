/*
 * wire/frame.h - Nest's TCP frame: "<decimal length>#<JSON text>", the length in UTF-16 units.
 *
 * Start reading at roost_frame_read. Reading is resumable at any byte, also inside a character.
 * A frame that lies whole in the input is borrowed from it, without a copy; one that comes in
 * pieces is gathered in the reader's own buffer, which grows with what arrived, never by the
 * length that was declared. Bytes that are not UTF-8 count as U+FFFD (wire/utf8.h) and arrive
 * repaired. The length text is read as JavaScript's parseInt(text, 10) would.
 * One thread at a time; no I/O.
 */
#ifndef ROOST_WIRE_FRAME_H
#define ROOST_WIRE_FRAME_H

#include "core/buffer.h"

/* Longest length text, its '#' not counted. */
#define ROOST_FRAME_HEADER_MAX 64

typedef struct roost_frame_reader {
  size_t max_bytes;    /* larger declared lengths and larger bodies are refused */
  roost_buffer held;   /* bytes of the unfinished frame: header text, then body */
  roost_buffer fixed;  /* the last frame, repaired, when it was not UTF-8 */
  uint64_t want_units; /* UTF-16 units still missing from the body */
  uint8_t utf8_state;  /* what is missing of a character split over inputs (wire/utf8_step.h) */
  bool in_body;        /* the header has been read */
  bool broken_utf8;    /* the body needs repair */
  bool delivered;      /* held is the frame last returned: forget it at the next read */
  int failure;         /* the negative return, given again by every later call */
  const char *error;   /* fixed text of what was wrong, after a negative return */
} roost_frame_reader;

void roost_frame_reader_init(roost_frame_reader *reader, const roost_alloc *alloc,
                             size_t max_bytes);
void roost_frame_reader_deinit(roost_frame_reader *reader);

/* Takes bytes from the front of *input until a frame is whole.
 * Returns 1 and the frame's body, borrowed from *input or from the reader until the next call;
 * 0 when all input is used up and more is needed; or an error after which the reader is done:
 * EPROTO (corrupted length), EFULL (over max_bytes, or a header over 64 bytes), ENOMEM. */
int roost_frame_read(roost_frame_reader *reader, roost_slice *input, roost_slice *frame);

/* True while bytes of an unfinished frame are held. */
bool roost_frame_reader_pending(const roost_frame_reader *reader);

/* Bytes of memory the reader holds. */
size_t roost_frame_reader_memory(const roost_frame_reader *reader);

/* Where the next bytes of a large unfinished body can be read to without a copy: returns how many
 * (never more than belong to the frame) and their place, or 0 where there is no large body. */
size_t roost_frame_room(roost_frame_reader *reader, char **place);

/* After n bytes were put into the room: as roost_frame_read. */
int roost_frame_filled(roost_frame_reader *reader, size_t n, roost_slice *frame);

/* Writing in place: begin reserves a header of digits digits (a guess, for instance that of the
 * last frame), the caller appends the body, end writes the header and moves the body where the
 * guess was wrong. end returns the digits used, or ENOMEM with the frame taken back. */
typedef struct roost_frame_mark {
  size_t at;       /* where the header starts */
  unsigned digits; /* digits reserved, 1 to 10 */
} roost_frame_mark;

int roost_frame_begin(roost_buffer *out, roost_frame_mark *mark, unsigned digits);
int roost_frame_end(roost_buffer *out, const roost_frame_mark *mark);

/* Takes back everything since begin. */
void roost_frame_undo(roost_buffer *out, const roost_frame_mark *mark);

#endif
