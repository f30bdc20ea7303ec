/*
 * config/suggest.h - "did you mean": the candidate nearest to a mistyped word.
 *
 *     roost_suggestion near = {.word = "prot"};
 *     roost_suggest(&near, "port");       // for every candidate
 *     if (near.best != NULL) ...
 *
 * Borrows word and candidates. Any thread.
 */
#ifndef ROOST_CONFIG_SUGGEST_H
#define ROOST_CONFIG_SUGGEST_H

typedef struct roost_suggestion {
  const char *word;  /* what was typed */
  const char *best;  /* the nearest so far, NULL: none is near */
  unsigned distance; /* of best: letters added, dropped, replaced, or swapped with the next */
} roost_suggestion;

void roost_suggest(roost_suggestion *suggestion, const char *candidate);

#endif
