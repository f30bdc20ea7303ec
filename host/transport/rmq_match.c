/*
 * Wildcards of topic exchanges, by the rules that Nest's server has for them.
 */
#include <string.h>

#include "core/slice.h"
#include "transport/rmq.h"

/* The next word of *rest, which goes on behind its dot; false: there is none. */
static bool next_word(roost_slice *rest, roost_slice *word) {
  if (rest->ptr == NULL)
    return false;
  const char *dot = rest->len > 0 ? memchr(rest->ptr, '.', rest->len) : NULL;
  const size_t len = dot != NULL ? (size_t)(dot - rest->ptr) : rest->len;
  *word = (roost_slice){rest->ptr, len};
  *rest = dot != NULL ? (roost_slice){dot + 1, rest->len - len - 1} : (roost_slice){NULL, 0};
  return true;
}

static bool is(roost_slice word, char wildcard) {
  return word.len == 1 && word.ptr[0] == wildcard;
}

bool roost_rmq_is_wildcard(roost_slice route) {
  roost_slice word;
  while (next_word(&route, &word))
    if (is(word, '*') || is(word, '#'))
      return true;
  return false;
}

bool roost_rmq_matches(roost_slice wildcard, roost_slice key) {
  roost_slice wanted;
  roost_slice word;
  while (next_word(&wildcard, &wanted)) {
    if (is(wanted, '#'))
      return wildcard.ptr == NULL;
    if (!next_word(&key, &word) ||
        (is(wanted, '*') ? word.len == 0 : !roost_slice_equal(wanted, word)))
      return false;
  }
  return key.ptr == NULL;
}
