/*
 * core/list.h - an intrusive doubly linked ring: the link lives inside the element.
 *
 * An empty list, and a link that is in no list, points at itself. One thread at a time.
 */
#ifndef ROOST_CORE_LIST_H
#define ROOST_CORE_LIST_H

#include <stdbool.h>
#include <stddef.h>

typedef struct roost_list {
  struct roost_list *next; /* first element of a list */
  struct roost_list *prev; /* last element of a list */
} roost_list;

/* The struct that contains the link. */
#define ROOST_LIST_ENTRY(link, type, member)                                                       \
  ((type *)(void *)((char *)(link)-offsetof(type, member)))

static inline void roost_list_init(roost_list *list) {
  list->next = list;
  list->prev = list;
}

static inline bool roost_list_empty(const roost_list *list) {
  return list->next == list;
}

static inline void roost_list_append(roost_list *list, roost_list *link) {
  link->prev = list->prev;
  link->next = list;
  list->prev->next = link;
  list->prev = link;
}

/* Puts link in front of all others: what was put there last is taken first. */
static inline void roost_list_prepend(roost_list *list, roost_list *link) {
  roost_list_append(list->next, link);
}

/* Takes link out of the list it is in, if any. */
static inline void roost_list_remove(roost_list *link) {
  link->prev->next = link->next;
  link->next->prev = link->prev;
  roost_list_init(link);
}

/* Moves all of from to the end of to. */
static inline void roost_list_move(roost_list *to, roost_list *from) {
  if (roost_list_empty(from))
    return;
  from->next->prev = to->prev;
  to->prev->next = from->next;
  from->prev->next = to;
  to->prev = from->prev;
  roost_list_init(from);
}

#endif
