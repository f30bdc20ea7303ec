/*
 * forward.h - calls that one worker has for another: of handlers that only the first one has
 * (singletons', and C handlers), and of brokers' messages, whose sessions only the first one has.
 *
 * Start reading at forward_call in forward.c, which is run in the place of the real handler. Trip:
 * one such call, on its way: near is the worker that the message came to, home the one where its
 * handler runs. Home, the trip is the origin that a call of the real handler answers to; near, it
 * is what a call is for whose replies come from elsewhere. Way: from one near to one home: inward
 * from each other worker to the first one, outward from the first to each other. Lane: what goes
 * from one worker to another, in order, so that the messages of a connection stay in theirs. A trip
 * is made near, and freed home once near has nothing to say of it any more. Owned by the host.
 */
#ifndef ROOST_FORWARD_H
#define ROOST_FORWARD_H

#include "workers.h"

typedef struct roost_forwards roost_forwards;

/* Has the others forward to the first, and the first spread the messages of its brokers over all;
 * all workers are there already, and none is started. Nothing where there is only one. ENOMEM. */
int roost_forwards_new(roost_forwards **out, roost_workers *workers, const roost_alloc *alloc);

/* Nothing is sent any more: the other workers are closed. The host's thread; NULL is allowed. */
void roost_forwards_close(roost_forwards *forwards);

/* All workers must be gone. NULL is allowed. */
void roost_forwards_free(roost_forwards *forwards);

#endif
