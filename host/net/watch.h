/*
 * net/watch.h - whether something has changed in some folders.
 *
 * Of each folder its own entries are watched, not what lies deeper. What is told is only that
 * something may have changed: whoever is told looks for himself. Names that begin with a dot, and
 * those with an ending other than .lua, are of no interest. Loop thread only; a watch is its
 * maker's.
 */
#ifndef ROOST_NET_WATCH_H
#define ROOST_NET_WATCH_H

#include "net/loop.h"

typedef struct roost_watch roost_watch;

/* Watches no folder yet. fn is called once for each change, which may be often. ENOMEM. */
int roost_watch_open(roost_watch **out, roost_loop *loop, void (*fn)(void *ud), void *ud);

/* Watches these folders and no others; one that was made anew since is watched anew, one that is
 * not there is passed over. Returns 1 where a folder was added, else 0; ESYSTEM: one of them cannot
 * be watched (the others are), ENOMEM. */
int roost_watch_set(roost_watch *watch, const char *const *folders, size_t count);

/* fn is not called any more. NULL is allowed. */
void roost_watch_close(roost_watch *watch);

#endif
