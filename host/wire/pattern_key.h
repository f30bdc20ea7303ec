/*
 * wire/pattern_key.h - the names of an object pattern's members: are two equal, which is first.
 *
 * The order is ICU's root collation, as JavaScript's localeCompare has it, for ASCII and Latin-1
 * (pattern_order.h); characters beyond come after those, by code point. Keys are compared as they
 * stand in valid JSON text, escapes and all, so nothing is copied. No I/O; any thread.
 */
#ifndef ROOST_WIRE_PATTERN_KEY_H
#define ROOST_WIRE_PATTERN_KEY_H

#include "roost.h"

typedef struct roost_pattern_key {
  roost_slice text; /* what stands between the quotes, borrowed */
  bool escaped;     /* text has escapes */
} roost_pattern_key;

bool roost_pattern_key_equal(const roost_pattern_key *a, const roost_pattern_key *b);

/* Below, equal to or above 0, as a sorts before, with or after b; different keys may sort equal. */
int roost_pattern_key_compare(const roost_pattern_key *a, const roost_pattern_key *b);

/* Whether the key is an array index to JavaScript: those come first in an object. */
bool roost_pattern_key_is_index(const roost_pattern_key *key);

#endif
