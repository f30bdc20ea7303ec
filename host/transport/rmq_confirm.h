/*
 * transport/rmq_confirm.h - which messages of a channel the broker has yet to confirm.
 *
 * Tag: a message's number in its channel, from 1. The broker confirms them in any order, one by
 * one, or all up to one at once. Of those that somebody waits for the id is kept. Owned by the
 * client; the loop's thread.
 */
#ifndef ROOST_TRANSPORT_RMQ_CONFIRM_H
#define ROOST_TRANSPORT_RMQ_CONFIRM_H

#include "core/buffer.h"

#define ROOST_RMQ_CONFIRM_ID 32 /* bytes of an id, at most */

typedef struct roost_rmq_confirm {
  uint64_t tag;
  uint8_t len; /* of id; 0: it was told of */
  char id[ROOST_RMQ_CONFIRM_ID];
} roost_rmq_confirm;

typedef struct roost_rmq_confirms {
  uint64_t last;    /* tag of the last message that was sent */
  roost_buffer all; /* roost_rmq_confirm, by tag */
  size_t first;     /* those before it were told of */
} roost_rmq_confirms;

void roost_rmq_confirms_init(roost_rmq_confirms *confirms, const roost_alloc *alloc);
void roost_rmq_confirms_deinit(roost_rmq_confirms *confirms);

/* The channel is gone: the next one begins anew. */
void roost_rmq_confirms_clear(roost_rmq_confirms *confirms);

/* Makes room for one more. ENOMEM. */
int roost_rmq_confirms_reserve(roost_rmq_confirms *confirms);

/* A message was sent; nobody waits for it where id's ptr is NULL, else there was room. */
void roost_rmq_confirms_add(roost_rmq_confirms *confirms, roost_slice id);

/* Takes out one that was confirmed with tag, or with all up to it: true with its id, copied, in
 * *out. To be called until it returns false. */
bool roost_rmq_confirms_take(roost_rmq_confirms *confirms, uint64_t tag, bool multiple,
                             char id[ROOST_RMQ_CONFIRM_ID], roost_slice *out);

#endif
