#include "vm/match.h"

#include <ctype.h>
#include <lauxlib.h>
#include <lua.h>
#include <string.h>

#include "vm/search.h"
#include "vm/steps.h"

/* A place of the walk: the pattern from there on is to match the subject from there on. */
typedef struct place {
  const char *at;   /* in the subject */
  const char *next; /* in the pattern */
} place;

static inline void spend(roost_match *match, size_t steps) {
  roost_steps_spend(match->vm, match->lua, steps);
}

static inline unsigned char byte_at(const char *at) {
  return (unsigned char)*at;
}

/* ------------------------------------------------------------------------- classes ----------- */

/* %a and so on; each letter's capital stands for all other characters. %z is an old name of the
 * NUL. */
#define CLASSES(X)                                                                                 \
  X('a', isalpha)                                                                                  \
  X('c', iscntrl)                                                                                  \
  X('d', isdigit)                                                                                  \
  X('g', isgraph)                                                                                  \
  X('l', islower)                                                                                  \
  X('p', ispunct)                                                                                  \
  X('s', isspace)                                                                                  \
  X('u', isupper)                                                                                  \
  X('w', isalnum)                                                                                  \
  X('x', isxdigit)                                                                                 \
  X('z', is_nul)

static inline int is_nul(int c) {
  return c == 0;
}

/* Whether c belongs to the class named by the letter; any other character stands for itself. */
static bool in_class(unsigned char c, unsigned char letter) {
  bool negated = isupper(letter) != 0;
  switch (tolower(letter)) {
#define ONE(name, test)                                                                            \
  case name:                                                                                       \
    return (test(c) != 0) != negated;
    CLASSES(ONE)
#undef ONE
  default:
    return c == letter;
  }
}

static const char *literal_run(unsigned char c, const char *at, const char *end) {
  while (at < end && byte_at(at) == c)
    at++;
  return at;
}

/* The end of the run of characters of a class. */
static const char *class_run(unsigned char letter, const char *at, const char *end) {
  bool negated = isupper(letter) != 0;
  switch (tolower(letter)) {
#define ONE(name, test)                                                                            \
  case name:                                                                                       \
    while (at < end && (test(byte_at(at)) != 0) != negated)                                        \
      at++;                                                                                        \
    return at;
    CLASSES(ONE)
#undef ONE
  default:
    return literal_run(letter, at, end);
  }
}

/* ------------------------------------------------------------------------- sets -------------- */

/* So often a short set is looked through before what was found is remembered. */
#define TRIES         32
#define SHORT_SET_MAX 64

/* Makes the set that begins at set the remembered one, and returns its end. A ] directly after [ or
 * [^ is a member, and so is the character after a %. */
static const char *learn_set(roost_match *match, const char *set) {
  const char *at = set + 1;
  if (at < match->pattern_end && *at == '^')
    at++;
  size_t steps = 0;
  do {
    if (at == match->pattern_end)
      luaL_error(match->lua, "malformed pattern (missing ']')");
    if (*at++ == '%' && at < match->pattern_end)
      at++;
    if (++steps % ROOST_STEPS_PER_POLL == 0)
      spend(match, ROOST_STEPS_PER_POLL);
  } while (at == match->pattern_end || *at != ']');
  spend(match, steps % ROOST_STEPS_PER_POLL);
  roost_match_set *memory = &match->set;
  memory->start = set;
  memory->end = at + 1;
  memory->negated = set[1] == '^';
  memory->members = set + (memory->negated ? 2 : 1);
  memory->tries = memory->end - set <= SHORT_SET_MAX ? TRIES : 0;
  memset(memory->known, 0, sizeof memory->known);
  return memory->end;
}

/* Whether c is among the members from *at on that begin before limit; leaves *at behind them. */
static inline bool among(const roost_match_set *set, unsigned char c, const char **at,
                         const char *limit) {
  const char *last = set->end - 1;
  while (*at < limit) {
    const char *member = *at;
    bool is_range = *member != '%' && member[1] == '-' && member + 2 < last;
    *at += is_range ? 3 : *member == '%' ? 2 : 1;
    if (is_range         ? byte_at(member) <= c && c <= byte_at(member + 2)
        : *member == '%' ? in_class(c, byte_at(member + 1))
                         : byte_at(member) == c)
      return true;
  }
  return false;
}

static bool look_up(const roost_match_set *set, unsigned char c) {
  const char *at = set->members;
  return among(set, c, &at, set->end - 1) != set->negated;
}

/* The same for a set of any length, in parts. */
static bool look_up_counted(roost_match *match, unsigned char c) {
  const char *at = match->set.members;
  const char *last = match->set.end - 1;
  bool is_among = false;
  while (!is_among && at < last) {
    const char *from = at;
    const char *limit = last - at > ROOST_STEPS_PER_POLL ? at + ROOST_STEPS_PER_POLL : last;
    is_among = among(&match->set, c, &at, limit);
    spend(match, (size_t)(at - from));
  }
  return is_among != match->set.negated;
}

static bool remember(roost_match *match, unsigned char c) {
  roost_match_set *set = &match->set;
  const uint64_t bit = (uint64_t)1 << c % 64;
  bool matches = look_up_counted(match, c);
  set->known[c / 64] |= bit;
  set->matches[c / 64] = matches ? set->matches[c / 64] | bit : set->matches[c / 64] & ~bit;
  return matches;
}

/* Whether the remembered set matches c. */
static inline bool in_set(roost_match *match, unsigned char c) {
  roost_match_set *set = &match->set;
  const uint64_t bit = (uint64_t)1 << c % 64;
  if (set->tries > 0) {
    set->tries--;
    return look_up(set, c);
  }
  if ((set->known[c / 64] & bit) == 0)
    return remember(match, c);
  return (set->matches[c / 64] & bit) != 0;
}

static const char *set_run(roost_match *match, const char *at, const char *end) {
  while (at < end && in_set(match, byte_at(at)))
    at++;
  return at;
}

/* ------------------------------------------------------------------------- items ------------- */

/* The end of an item, which is where a suffix may stand. If it is a set, it is then the remembered
 * one. */
static inline const char *item_end(roost_match *match, const char *item) {
  switch (*item) {
  case '%':
    if (item + 1 == match->pattern_end)
      luaL_error(match->lua, "malformed pattern (ends with '%%')");
    return item + 2;
  case '[':
    return item == match->set.start ? match->set.end : learn_set(match, item);
  default:
    return item + 1;
  }
}

/* Whether an item whose end was asked for matches the character at a place. */
static inline bool item_matches(roost_match *match, const char *item, const char *at) {
  if (at == match->subject_end)
    return false;
  switch (*item) {
  case '.':
    return true;
  case '%':
    return in_class(byte_at(at), byte_at(item + 1));
  case '[':
    return in_set(match, byte_at(at));
  default:
    return *at == *item;
  }
}

static const char *item_run_to(roost_match *match, const char *item, const char *at,
                               const char *end) {
  switch (*item) {
  case '%':
    return class_run(byte_at(item + 1), at, end);
  case '[':
    return set_run(match, at, end);
  default:
    return literal_run(byte_at(item), at, end);
  }
}

/* Where the longest run of an item ends. */
static const char *item_run(roost_match *match, const char *item, const char *at) {
  if (*item == '.')
    return match->subject_end;
  for (;;) {
    bool is_long = match->subject_end - at > ROOST_STEPS_PER_POLL;
    const char *end = is_long ? at + ROOST_STEPS_PER_POLL : match->subject_end;
    const char *stop = item_run_to(match, item, at, end);
    spend(match, (size_t)(stop - at));
    if (stop < end || !is_long)
      return stop;
    at = stop;
  }
}

/* ------------------------------------------------------------------------- the walk ---------- */

static inline roost_choice *push_choice(roost_match *match, const char *mark, const char *at) {
  if (match->depth == ROOST_MATCH_TRAIL_MAX)
    luaL_error(match->lua, "pattern too complex");
  roost_choice *choice = &match->trail[match->depth++];
  choice->mark = mark;
  choice->at = at;
  return choice;
}

static inline bool open_capture(roost_match *match, place *here) {
  if (match->capture_count == ROOST_MATCH_CAPTURES_MAX)
    luaL_error(match->lua, "too many captures");
  bool is_position = here->next[1] == ')';
  push_choice(match, here->next, here->at);
  match->captures[match->capture_count++] =
      (roost_capture){here->at, is_position ? ROOST_CAPTURE_POSITION : ROOST_CAPTURE_OPEN};
  here->next += is_position ? 2 : 1;
  return true;
}

/* Closes the capture that was opened last and is still open. */
static inline bool close_capture(roost_match *match, place *here) {
  int i = match->capture_count - 1;
  while (i >= 0 && match->captures[i].len != ROOST_CAPTURE_OPEN)
    i--;
  if (i < 0)
    luaL_error(match->lua, "invalid pattern capture");
  push_choice(match, here->next, here->at)->capture = i;
  match->captures[i].len = here->at - match->captures[i].start;
  here->next++;
  return true;
}

/* %1 and so on: the end of what the capture holds, once more; NULL: it is not there. A position
 * holds nothing that could be. */
static const char *repeat_capture(roost_match *match, char digit, const char *at) {
  int i = digit - '1';
  if (i < 0 || i >= match->capture_count || match->captures[i].len == ROOST_CAPTURE_OPEN)
    luaL_error(match->lua, "invalid capture index %%%d", i + 1);
  const roost_capture *capture = &match->captures[i];
  if (capture->len == ROOST_CAPTURE_POSITION || capture->len > match->subject_end - at ||
      !roost_search_same(match->lua, capture->start, at, (size_t)capture->len))
    return NULL;
  return at + capture->len;
}

/* %bxy: the end of what begins with x and goes to the y that balances it; NULL: there is none. */
static const char *balance(roost_match *match, const char *escape, const char *start) {
  if (match->pattern_end - escape < 4)
    luaL_error(match->lua, "malformed pattern (missing arguments to '%%b')");
  const char opening = escape[2];
  const char closing = escape[3];
  size_t open = 0;
  if (start == match->subject_end || *start != opening)
    return NULL;
  for (const char *at = start + 1; at < match->subject_end; at++) {
    if ((at - start) % ROOST_STEPS_PER_POLL == 0)
      spend(match, ROOST_STEPS_PER_POLL);
    if (*at == closing) {
      if (open == 0) {
        spend(match, (size_t)(at - start) % ROOST_STEPS_PER_POLL);
        return at + 1;
      }
      open--;
    } else if (*at == opening) {
      open++;
    }
  }
  spend(match, (size_t)(match->subject_end - start) % ROOST_STEPS_PER_POLL);
  return NULL;
}

/* %f[set]: whether the place is between a character outside the set and one in it. Before and
 * behind the subject stand NULs. The set is then the remembered one. */
static bool at_frontier(roost_match *match, const char *set, const char *at) {
  if (*set != '[')
    luaL_error(match->lua, "missing '[' after '%%f' in pattern");
  item_end(match, set);
  unsigned char before = at == match->subject ? 0 : byte_at(at - 1);
  unsigned char after = at == match->subject_end ? 0 : byte_at(at);
  return !in_set(match, before) && in_set(match, after);
}

/* Whether a % with this behind it is %b, %f or %1 rather than an item. */
static inline bool is_escape(char kind) {
  return kind == 'b' || kind == 'f' || (kind >= '0' && kind <= '9');
}

static inline bool match_escape(roost_match *match, place *here) {
  const char kind = here->next[1];
  if (kind == 'f') {
    bool matches = at_frontier(match, here->next + 2, here->at);
    here->next = match->set.end;
    return matches;
  }
  here->at =
      kind == 'b' ? balance(match, here->next, here->at) : repeat_capture(match, kind, here->at);
  here->next += kind == 'b' ? 4 : 2;
  return here->at != NULL;
}

/* An item with * (least 0) or + (least 1): as many characters as there are, for now. */
static inline bool match_most(roost_match *match, place *here, const char *suffix, int least) {
  const char *stop = item_run(match, here->next, here->at);
  if (stop - here->at < least)
    return false;
  if (stop != here->at)
    push_choice(match, suffix, stop)->low = here->at + least;
  here->at = stop;
  here->next = suffix + 1;
  return true;
}

/* An item and its suffix. Where the item does not match, there is nothing to choose. */
static inline bool match_item(roost_match *match, place *here) {
  const char *item = here->next;
  const char *suffix = item_end(match, item);
  switch (*suffix) {
  case '*':
    return match_most(match, here, suffix, 0);
  case '+':
    return match_most(match, here, suffix, 1);
  case '-':
    if (item_matches(match, item, here->at))
      push_choice(match, suffix, here->at)->item = item;
    here->next = suffix + 1;
    return true;
  case '?':
    if (item_matches(match, item, here->at)) {
      push_choice(match, suffix, here->at);
      here->at++;
    }
    here->next = suffix + 1;
    return true;
  default:
    if (!item_matches(match, item, here->at))
      return false;
    here->at++;
    here->next = suffix;
    return true;
  }
}

/* One step of the walk; false: this way leads nowhere. */
static inline bool go_on(roost_match *match, place *here) {
  const char next = *here->next;
  if (next == '(')
    return open_capture(match, here);
  if (next == ')')
    return close_capture(match, here);
  if (next == '$' && here->next + 1 == match->pattern_end) {
    here->next++;
    return here->at == match->subject_end;
  }
  if (next == '%' && is_escape(here->next[1]))
    return match_escape(match, here);
  return match_item(match, here);
}

/* Back to the latest choice that has a way left; false: there is none. */
static inline bool go_back(roost_match *match, place *here) {
  for (; match->depth > 0; match->depth--) {
    roost_choice *choice = &match->trail[match->depth - 1];
    here->next = choice->mark + 1;
    switch (*choice->mark) {
    case '(':
      match->capture_count--;
      break;
    case ')':
      match->captures[choice->capture].len = ROOST_CAPTURE_OPEN;
      break;
    case '?':
      match->depth--;
      here->at = choice->at;
      return true;
    case '-':
      item_end(match, choice->item);
      if (!item_matches(match, choice->item, choice->at))
        break;
      here->at = ++choice->at;
      return true;
    default:
      if (choice->at == choice->low)
        break;
      here->at = --choice->at;
      return true;
    }
  }
  return false;
}

/* Where the whole pattern's match that starts at a place ends; NULL: it does not match there. */
static const char *match_at(roost_match *match, const char *at) {
  place here = {at, match->pattern};
  match->capture_count = 0;
  match->depth = 0;
  while (here.next != match->pattern_end) {
    spend(match, 1);
    if (!go_on(match, &here) && !go_back(match, &here))
      return NULL;
  }
  return here.at;
}

/* ------------------------------------------------------------------------- the search -------- */

/* Whether an item may begin with c and stands for just that. */
static bool is_literal(unsigned char c) {
  return c != '(' && c != ')' && c != '.' && c != '[' && c != '$' && c != '%';
}

/* The character that all matches begin with, if the pattern's first item says it. */
static int find_lead(const char *pattern, const char *end) {
  if (pattern == end)
    return -1;
  const char *suffix = pattern + 1;
  unsigned char c = byte_at(pattern);
  if (c == '%') {
    if (end - pattern >= 4 && *suffix == 'b')
      return byte_at(suffix + 1);
    c = byte_at(suffix++);
    if (suffix > end || isalnum(c))
      return -1;
  } else if (!is_literal(c)) {
    return -1;
  }
  return *suffix == '*' || *suffix == '?' || *suffix == '-' ? -1 : c;
}

void roost_match_init(roost_match *match, lua_State *lua, roost_slice subject, roost_slice pattern,
                      size_t from, bool may_anchor) {
  match->vm = roost_vm_of(lua);
  match->lua = lua;
  match->subject = subject.ptr;
  match->subject_end = subject.ptr + subject.len;
  match->anchored = may_anchor && pattern.len > 0 && *pattern.ptr == '^';
  match->pattern = pattern.ptr + (match->anchored ? 1 : 0);
  match->pattern_end = pattern.ptr + pattern.len;
  match->lead = find_lead(match->pattern, match->pattern_end);
  match->from = from <= subject.len ? subject.ptr + from : NULL;
  match->start = NULL;
  match->end = NULL;
  match->capture_count = 0;
  match->depth = 0;
  match->set.start = NULL;
}

/* The next place where a match can start, from at on; NULL: none. */
static inline const char *next_start(roost_match *match, const char *at) {
  if (match->lead < 0 || match->anchored)
    return at;
  if (at < match->subject_end && byte_at(at) == match->lead)
    return at;
  const char *found = memchr(at, match->lead, (size_t)(match->subject_end - at));
  const char *end = found != NULL ? found : match->subject_end;
  roost_steps_spend_bytes(match->vm, match->lua, (size_t)(end - at));
  return found;
}

bool roost_match_next(roost_match *match) {
  roost_choice trail[ROOST_MATCH_TRAIL_MAX];
  const char *at = match->from;
  match->trail = trail;
  while (at != NULL && (at = next_start(match, at)) != NULL) {
    const char *end = match_at(match, at);
    bool is_over = match->anchored || at == match->subject_end;
    if (end != NULL && end != match->end) {
      match->start = at;
      match->end = end;
      match->from = match->anchored ? NULL : end;
      return true;
    }
    at = is_over ? NULL : at + 1;
  }
  match->from = NULL;
  return false;
}
