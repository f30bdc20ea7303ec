/*
 * vm/match.h - Lua's patterns, as its reference manual describes them (6.4.1), in steps that the
 * watchdog counts.
 *
 * Start reading at roost_match_next. A pattern is not compiled: it is walked along with the
 * subject, and a mistake in it is found when the walk gets there, as in Lua's own library. The walk
 * does not recurse; the ways not yet tried lie on a trail of bounded length.
 *
 * Item: what matches one character, such as x, ., %a or [set], and after it maybe a suffix.
 * Suffix: one of * + - ?, how often the item may match.
 * Capture: a part of the subject between the parentheses of the pattern, or a position in it.
 * Choice: a point of the walk that can be gone back to: a suffix, or a parenthesis to be undone.
 * Trail: the choices on the way here.
 * Set memory: what is known of the [set] met last, so that each character is looked up in it once.
 * A change of the locale is not noticed before another set is met.
 */
#ifndef ROOST_VM_MATCH_H
#define ROOST_VM_MATCH_H

#include "core/slice.h"
#include "vm/vm.h"

#define ROOST_MATCH_CAPTURES_MAX 32
#define ROOST_MATCH_TRAIL_MAX    199 /* one more is "pattern too complex", as with Lua's own */

/* Lengths of captures that have none. */
#define ROOST_CAPTURE_OPEN     ((ptrdiff_t)-1)
#define ROOST_CAPTURE_POSITION ((ptrdiff_t)-2)

typedef struct roost_capture {
  const char *start;
  ptrdiff_t len; /* or one of the above */
} roost_capture;

typedef struct roost_choice {
  const char *mark; /* the suffix or parenthesis in the pattern */
  const char *at;   /* where in the subject to go on from */
  union {
    const char *low;  /* of * and +: where the shortest run ends */
    const char *item; /* of -: what may match once more */
    int capture;      /* of ): which one it closed */
  };
} roost_choice;

typedef struct roost_match_set {
  const char *start;   /* in the pattern; NULL: nothing is known */
  const char *end;     /* behind its ] */
  const char *members; /* behind the [ or [^ */
  bool negated;        /* it begins with [^ */
  unsigned tries;      /* how often its members are still looked through, without memory */
  uint64_t known[4];   /* a bit for each character that was looked up */
  uint64_t matches[4]; /* and whether the set matches it */
} roost_match_set;

typedef struct roost_match {
  roost_vm *vm;
  struct lua_State *lua; /* who is told of mistakes in the pattern, and stopped */
  const char *subject;
  const char *subject_end;
  const char *pattern; /* without the anchor */
  const char *pattern_end;
  bool anchored;       /* it matches at the first place or not at all */
  int lead;            /* the character every match begins with; -1: not known */
  const char *from;    /* where to search next; NULL: nowhere */
  const char *start;   /* of the match that was found */
  const char *end;     /* of that match; NULL: none yet */
  int capture_count;   /* begun in the match that was found */
  int depth;           /* choices on the trail */
  roost_choice *trail; /* while roost_match_next runs */
  roost_match_set set; /* set memory */
  roost_capture captures[ROOST_MATCH_CAPTURES_MAX];
} roost_match;

/* Prepares for a search in subject from its byte number from on; beyond its end nothing is found. A
 * ^ that begins the pattern is an anchor only if may_anchor. Both texts are borrowed and followed
 * by a NUL as Lua's strings are. Does not raise. */
void roost_match_init(roost_match *match, struct lua_State *lua, roost_slice subject,
                      roost_slice pattern, size_t from, bool may_anchor);

/* Finds the next match, which does not end where the one before it did. False: there is none.
 * Raises what is wrong with the pattern; may not return (see roost_steps_spend). */
bool roost_match_next(roost_match *match);

#endif
