/*
 * service/handler.h - one registered handler: a pattern's route and what to run for it.
 *
 * A Lua handler is owned by its generation, a C handler by the dispatch; both outlive the calls
 * that run them, which pin the generation.
 */
#ifndef ROOST_SERVICE_HANDLER_H
#define ROOST_SERVICE_HANDLER_H

#include "core/alloc.h"
#include "core/list.h"
#include "core/slice.h"
#include "service/binding.h"
#include "service/stats.h"

/* timeout_ms of a handler that did not say: the configuration's. */
#define ROOST_TIMEOUT_DEFAULT UINT64_MAX

typedef struct roost_handler {
  roost_list link;              /* in its owner's list, in order of registration */
  roost_generation *generation; /* of a Lua handler; NULL: a C handler */
  roost_buffer route;           /* normalised pattern; owned */
  roost_route_stats *stats; /* its route's, once it is in a table; the service's or dispatch's */
  bool event;               /* made by service:event */
  bool wildcard;            /* route has NATS wildcards */
  uint64_t timeout_ms;      /* wait for the next reply; 0: none */
  char *transport;          /* only for servers of this one; NULL: all; owned */
  char *queue;              /* of brokers that have queue groups; NULL: the server's; owned */
  int qos;                  /* of brokers that have some; -1: the server's */
  int function;             /* Lua: its place in the registry */
  bool wants_ctx;           /* Lua: it takes a second argument */
  bool forwards;            /* the first worker has the handler: fn passes its calls there */
  size_t ordinal;           /* among its owner's of the same route and kind; not of C handlers */
  roost_handler_fn *fn;     /* C */
  void *ud;                 /* handed to fn */
} roost_handler;

/* A copy of from with pattern (JSON text) as its route, in no list yet. EINVAL with a fixed text in
 * *why where it is no pattern, ENOMEM. */
int roost_handler_new(roost_handler **out, const roost_alloc *alloc, const roost_handler *from,
                      roost_slice pattern, const char **why);

/* How many in an owner's list, up to that one where it is in it, are of its route and kind. */
size_t roost_handler_ordinal(const roost_list *owners, const roost_handler *of);

/* A copy, in no list yet, of one that is in its owner's list and perhaps another thread's: it
 * forwards, by a function still to be set, and bounds no wait. ENOMEM. */
int roost_handler_copy(roost_handler **out, const roost_alloc *alloc, const roost_handler *of,
                       const roost_list *owners);

/* The one in an owner's list that a copy was made of; another one since, perhaps, or NULL: there is
 * none any more. */
const roost_handler *roost_handler_find(const roost_list *owners, roost_slice route, bool event,
                                        size_t ordinal);

void roost_handler_free(const roost_alloc *alloc, roost_handler *handler);

#endif
