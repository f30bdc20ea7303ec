/*
 * vm/jumps.h - counts the words goto and break in Lua source that comes in pieces.
 *
 * Lua's compiler keeps a list of the jumps whose targets it has not met. A label or the end of a
 * loop takes them out one by one, moving all others each time, within one token of the source: half
 * a second for 32,000 jumps, which nothing can interrupt. So whoever compiles what a script has
 * made up limits their number. The counter knows strings and comments, in which these are words as
 * any other. No Lua state.
 */
#ifndef ROOST_VM_JUMPS_H
#define ROOST_VM_JUMPS_H

#include "core/slice.h"

/* With so many, the longest that one token takes is some ten milliseconds. */
#define ROOST_JUMPS_MAX 5000

typedef enum roost_jumps_state {
  ROOST_JUMPS_CODE,
  ROOST_JUMPS_WORD,    /* in a name, a keyword or a number */
  ROOST_JUMPS_DASH,    /* after a - */
  ROOST_JUMPS_COMMENT, /* after --, where a long comment may open */
  ROOST_JUMPS_LINE,    /* in a comment that ends with the line */
  ROOST_JUMPS_OPENING, /* after [ and maybe some = */
  ROOST_JUMPS_LONG,    /* in a long string or comment */
  ROOST_JUMPS_CLOSING, /* in one, after ] and maybe some = */
  ROOST_JUMPS_STRING,  /* between quotes */
  ROOST_JUMPS_ESCAPE,  /* in a string, after a backslash */
  ROOST_JUMPS_BYTECODE /* not source at all */
} roost_jumps_state;

typedef struct roost_jumps {
  size_t count; /* words met so far */
  roost_jumps_state state;
  bool started;    /* a piece that was not empty has come */
  bool in_comment; /* what opens with [ is a comment if it is long, and ends with the line if not */
  char quote;      /* that ends the string */
  unsigned level;  /* of the long bracket: how many = */
  unsigned equals; /* met so far, of one that opens or closes */
  char word[6];    /* how the word begins */
  unsigned letters; /* in the word; more than fit in it count as one more than its size */
} roost_jumps;

static inline void roost_jumps_init(roost_jumps *jumps) {
  *jumps = (roost_jumps){0};
}

/* Goes through the next piece of the source. */
void roost_jumps_scan(roost_jumps *jumps, roost_slice piece);

#endif
