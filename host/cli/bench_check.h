/*
 * cli/bench_check.h - are the replies the ones that should come? For the load generator.
 *
 * Start reading at roost_bench_check_next. Every reply's id and value is checked. That is cheap
 * because a right reply is learnt: its text but for the id. The next one is compared with it byte
 * by byte as it comes in, and only what differs is gathered, read and hashed.
 *
 * Place: one request that may be in flight on a connection; its number stands in the id.
 * Item: one value of an answer; a stream has any number of them.
 *
 * The check owns what it learns; inputs and places are the caller's and go before it. Nothing is
 * allocated for a reply whose text has been learnt. No I/O; one thread.
 */
#ifndef ROOST_CLI_BENCH_CHECK_H
#define ROOST_CLI_BENCH_CHECK_H

#include "core/buffer.h"
#include "wire/frame.h"
#include "wire/message.h"

#define ROOST_BENCH_ID_DIGITS    21 /* as many as Nest's ids have: a place, then a number */
#define ROOST_BENCH_PLACE_DIGITS 5
#define ROOST_BENCH_PLACES_MAX   (1u << (4 * ROOST_BENCH_PLACE_DIGITS))
#define ROOST_BENCH_NOTES        8
#define ROOST_BENCH_ROWS         32

typedef struct roost_bench_place {
  uint64_t due_ns;   /* when the request should have been sent */
  uint32_t position; /* items it has been answered with so far */
  bool busy;         /* a request is in flight */
  bool wrong;        /* an item was wrong */
  char id[ROOST_BENCH_ID_DIGITS];
} roost_bench_place;

/* A reply that was right, as a frame. */
typedef struct roost_bench_text {
  struct roost_bench_text *next; /* in its row */
  uint32_t position;             /* items that had come before it */
  bool has_item;                 /* it carries one */
  bool last;                     /* nothing comes after it */
  size_t len;
  size_t body_at; /* after the header */
  size_t id_at;   /* where the digits stand; they are not compared */
  char bytes[];
} roost_bench_text;

/* What went wrong, and how often. */
typedef struct roost_bench_note {
  uint64_t count;
  char text[200];
} roost_bench_note;

typedef enum roost_bench_rule {
  ROOST_BENCH_ITEMS, /* as many items as expected, equal one by one */
  ROOST_BENCH_EQUAL, /* at least one item, each equal to the expected one */
  ROOST_BENCH_ANY    /* whatever comes is right */
} roost_bench_rule;

typedef struct roost_bench_check {
  const roost_alloc *alloc; /* borrowed */
  roost_bench_rule rule;
  roost_buffer hashes;  /* of the expected items, uint64_t each */
  char shown[80];       /* the expected item, cut; empty where there are several */
  roost_buffer scratch; /* for one reply */
  roost_bench_text *rows[ROOST_BENCH_ROWS]; /* what was learnt, by position modulo rows */
  size_t learnt;                            /* texts */
  size_t learnt_bytes;
  uint64_t strays; /* replies to no request in flight */
  roost_bench_note notes[ROOST_BENCH_NOTES];
  size_t note_count;
  uint64_t unnoted; /* those for which there was no room */
} roost_bench_check;

/* What one connection has received of an unfinished frame. */
typedef struct roost_bench_input {
  roost_frame_reader reader;
  const roost_bench_text *hot; /* what probably comes next, or NULL */
  size_t matched;              /* bytes of it that have come */
  char id[ROOST_BENCH_ID_DIGITS];
} roost_bench_input;

/* What a frame meant. */
typedef struct roost_bench_answer {
  roost_bench_place *place; /* whose request it answers; NULL: nobody's */
  bool last;                /* the answer is complete */
  bool error;               /* it was an error */
} roost_bench_answer;

void roost_bench_check_init(roost_bench_check *check, const roost_alloc *alloc,
                            roost_bench_rule rule);
void roost_bench_check_deinit(roost_bench_check *check);

/* Adds one expected item, JSON text; ptr NULL is one without a value. EPROTO, ENOMEM. */
int roost_bench_check_expect(roost_bench_check *check, roost_slice item);

/* Counts a message; texts that differ in their first 199 bytes are counted apart. */
void roost_bench_check_note(roost_bench_check *check, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

void roost_bench_input_init(roost_bench_input *input, const roost_alloc *alloc);
void roost_bench_input_deinit(roost_bench_input *input);

/* Makes a place busy with a request of this number. */
void roost_bench_place_begin(roost_bench_place *place, size_t index, uint64_t number,
                             uint64_t due_ns);

/* Takes bytes from the front of *bytes until a frame is whole. Returns 1 and what it meant, 0 when
 * all of them are used up, or an error with a text in input->reader.error: EPROTO, EFULL, ENOMEM.
 */
int roost_bench_check_next(roost_bench_check *check, roost_bench_input *input,
                           roost_bench_place *places, size_t place_count, roost_slice *bytes,
                           roost_bench_answer *answer);

#endif
