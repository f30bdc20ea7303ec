#include "config/suggest.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

#define MAX_LETTERS 40

static unsigned smaller(unsigned a, unsigned b) {
  return a < b ? a : b;
}

static bool same(char a, char b) {
  return tolower((unsigned char)a) == tolower((unsigned char)b);
}

/* Edits from a to b, a swap of neighbours being one; three rows of the usual table are enough. */
static unsigned distance(const char *a, size_t a_len, const char *b, size_t b_len) {
  unsigned rows[3][MAX_LETTERS + 1];
  unsigned *before = rows[0];
  unsigned *last = rows[1];
  unsigned *now = rows[2];
  for (size_t j = 0; j <= b_len; j++)
    last[j] = (unsigned)j;
  for (size_t i = 1; i <= a_len; i++) {
    now[0] = (unsigned)i;
    for (size_t j = 1; j <= b_len; j++) {
      now[j] = smaller(smaller(last[j], now[j - 1]) + 1, last[j - 1] + !same(a[i - 1], b[j - 1]));
      if (i > 1 && j > 1 && same(a[i - 1], b[j - 2]) && same(a[i - 2], b[j - 1]))
        now[j] = smaller(now[j], before[j - 2] + 1);
    }
    unsigned *oldest = before;
    before = last;
    last = now;
    now = oldest;
  }
  return last[b_len];
}

void roost_suggest(roost_suggestion *suggestion, const char *candidate) {
  const size_t word_len = strlen(suggestion->word);
  const size_t len = strlen(candidate);
  if (word_len > MAX_LETTERS || len > MAX_LETTERS)
    return;
  const unsigned edits = distance(suggestion->word, word_len, candidate, len);
  const size_t allowed = word_len <= 2 ? 0 : word_len <= 4 ? 1 : word_len / 3;
  if (edits > allowed || (suggestion->best != NULL && edits >= suggestion->distance))
    return;
  suggestion->best = candidate;
  suggestion->distance = edits;
}
