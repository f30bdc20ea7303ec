/*
 * wire/frame.h - packets cut out of a stream of bytes, and put into one, in one of three framings.
 *
 * Framing: how a packet's JSON text is delimited. nest: "<decimal length>#<text>", the length in
 * UTF-16 units and read as JavaScript's parseInt(text, 10) would. ndjson: one text per line, \n or
 * \r\n after it; blank lines are skipped. length32: the length in bytes, 4 bytes with the highest
 * first, then the text.
 * Start reading at roost_frame_read. Reading is resumable at any byte, also inside a character.
 * A frame that lies whole in the input is borrowed from it, without a copy; one that comes in
 * pieces is gathered in the reader's own buffer, which grows with what arrived, never by the
 * length that was declared. Bytes that are not UTF-8 count as U+FFFD (wire/utf8.h) and arrive
 * repaired, unless the reader is raw. One thread at a time; no I/O.
 */
#ifndef ROOST_WIRE_FRAME_H
#define ROOST_WIRE_FRAME_H

#include "core/buffer.h"

/* Nest's longest length text, its '#' not counted. */
#define ROOST_FRAME_HEADER_MAX 64

/* Digits a frame that we write has at most. */
#define ROOST_FRAME_DIGITS_MAX 10

typedef enum roost_framing {
  ROOST_FRAMING_NEST,
  ROOST_FRAMING_NDJSON,
  ROOST_FRAMING_LENGTH32
} roost_framing;

typedef struct roost_frame_reader {
  roost_framing framing;
  bool raw;            /* bodies are handed out as they came, UTF-8 or not; set after init */
  size_t max_bytes;    /* larger declared lengths and larger bodies are refused */
  roost_buffer held;   /* bytes of the unfinished frame: header text, then body */
  roost_buffer fixed;  /* the last frame, repaired, when it was not UTF-8 */
  uint64_t want_units; /* still missing from the body: UTF-16 units, for length32 bytes */
  uint8_t utf8_state;  /* what is missing of a character split over inputs (wire/utf8_step.h) */
  bool in_body;        /* a header has been read */
  bool broken_utf8;    /* the body needs repair */
  bool delivered;      /* held is the frame last returned: forget it at the next read */
  int failure;         /* the negative return, given again by every later call */
  const char *error;   /* fixed text of what was wrong, after a negative return */
} roost_frame_reader;

void roost_frame_reader_init(roost_frame_reader *reader, const roost_alloc *alloc,
                             roost_framing framing, size_t max_bytes);
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

/* Writing in place: begin reserves the header, nest's with digits digits (a guess, for instance
 * that of the last frame), the caller appends the body, end writes the header, or a line's end, and
 * moves the body where the guess was wrong. end returns the digits used (nest's only), or with the
 * frame taken back ENOMEM or EFULL (more than length32 can say). */
typedef struct roost_frame_mark {
  size_t at;             /* where the header starts */
  unsigned head;         /* bytes reserved for it */
  roost_framing framing; /* of this frame */
} roost_frame_mark;

/* Of one framing each, behind begin and end. */
int roost_frame_other_begin(roost_buffer *out, roost_frame_mark *mark);
int roost_frame_nest_end(roost_buffer *out, const roost_frame_mark *mark);
int roost_frame_other_end(roost_buffer *out, const roost_frame_mark *mark);

static inline int roost_frame_begin(roost_buffer *out, roost_frame_mark *mark,
                                    roost_framing framing, unsigned digits) {
  mark->at = out->len;
  mark->framing = framing;
  if (framing != ROOST_FRAMING_NEST)
    return roost_frame_other_begin(out, mark);
  mark->head = 1 + (digits < 1                        ? 1
                    : digits > ROOST_FRAME_DIGITS_MAX ? ROOST_FRAME_DIGITS_MAX
                                                      : digits);
  int status = roost_buffer_reserve(out, mark->head);
  if (status != 0)
    return status;
  out->len += mark->head;
  return 0;
}

static inline int roost_frame_end(roost_buffer *out, const roost_frame_mark *mark) {
  return mark->framing == ROOST_FRAMING_NEST ? roost_frame_nest_end(out, mark)
                                             : roost_frame_other_end(out, mark);
}

/* Takes back everything since begin. */
void roost_frame_undo(roost_buffer *out, const roost_frame_mark *mark);

#endif
