/*
 * net/poll.h - foreign descriptors: somebody else's, that he wants to be told of by this loop.
 *
 * The descriptor stays its owner's: it is only looked at, and must be open until the poll is
 * closed. Loop thread only. A poll is owned by its maker until roost_poll_close; the loop closes
 * those that are left when it is freed.
 */
#ifndef ROOST_NET_POLL_H
#define ROOST_NET_POLL_H

#include "net/loop.h"

typedef struct roost_poll roost_poll;

/* Calls fn in every turn in which the descriptor can be read, or has failed, until it is closed.
 * ENOMEM; ESYSTEM: it is no descriptor that can be waited for, or is watched already. */
int roost_poll_open(roost_poll **out, roost_loop *loop, int descriptor, void (*fn)(void *ud),
                    void *ud);

/* fn is not called any more; NULL is allowed. May be called by fn. */
void roost_poll_close(roost_poll *poll);

#endif
