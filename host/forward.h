/*
 * forward.h - calls of handlers that only the first worker has: singletons', and C handlers.
 *
 * Start reading at forward_call in forward.c, the handler that the other workers have in their
 * place. Trip: one such call, on its way: near is the worker that the caller is connected to, home
 * the first one. Home, the trip is the origin that a call of the real handler answers to; near, it
 * is what a call is for whose replies come from elsewhere. Lane: what goes from one worker to
 * another, in order, so that the messages of a connection stay in theirs. A trip is made near, and
 * freed home once near has nothing to say of it any more. Owned by the host.
 */
#ifndef ROOST_FORWARD_H
#define ROOST_FORWARD_H

#include "workers.h"

typedef struct roost_forwards roost_forwards;

/* Has the others forward to the first; all workers are there already, and none is started. Nothing
 * where there is only one. ENOMEM. */
int roost_forwards_new(roost_forwards **out, roost_workers *workers, const roost_alloc *alloc);

/* Nothing is sent any more: the other workers are closed. The host's thread; NULL is allowed. */
void roost_forwards_close(roost_forwards *forwards);

/* All workers must be gone. NULL is allowed. */
void roost_forwards_free(roost_forwards *forwards);

#endif
