/*
 * transport/redis_codec.h - the Redis protocol (RESP2): bytes to replies, commands to bytes.
 *
 * Reply: what the server says, whether it was asked or not (a message of a channel is one). Item:
 * an element of a reply that is an array; a reply that is no array has one, itself. hiredis tells
 * replies apart, on bytes that are ours: no socket, and only its reader's own memory is the C
 * library's. RESP3 is never asked for, and is an error. No I/O. One thread at a time.
 */
#ifndef ROOST_TRANSPORT_REDIS_CODEC_H
#define ROOST_TRANSPORT_REDIS_CODEC_H

#include "core/buffer.h"

#define ROOST_REDIS_ITEMS 4 /* that are kept of a reply: a pmessage has so many */

typedef struct roost_redis_reader roost_redis_reader;

typedef enum roost_redis_kind {
  ROOST_REDIS_NIL,
  ROOST_REDIS_STATUS, /* +OK */
  ROOST_REDIS_ERROR,  /* -NOAUTH .. */
  ROOST_REDIS_INTEGER,
  ROOST_REDIS_STRING,
  ROOST_REDIS_ARRAY
} roost_redis_kind;

typedef struct roost_redis_item {
  roost_redis_kind kind;
  roost_slice text; /* of a status, error or string: any bytes */
  int64_t integer;
} roost_redis_item;

typedef struct roost_redis_reply {
  bool is_array;
  size_t count; /* of its items; only so many as ROOST_REDIS_ITEMS are kept */
  roost_redis_item items[ROOST_REDIS_ITEMS];
} roost_redis_reply;

/* max_bytes bounds what a reply may have; 0: no bound. ENOMEM. */
int roost_redis_reader_new(roost_redis_reader **out, const roost_alloc *alloc, size_t max_bytes);

/* May be NULL. */
void roost_redis_reader_free(roost_redis_reader *reader);

/* Takes bytes as they came; they are copied. ENOMEM. */
int roost_redis_feed(roost_redis_reader *reader, roost_slice bytes);

/* The next whole reply of what was fed: 1, and *reply, whose texts are valid until the next call of
 * either; 0: more bytes are needed. EPROTO (what came is not RESP2, or more than max_bytes),
 * ENOMEM: nothing more comes of this reader, and *why says it, for the reader's life. */
int roost_redis_next(roost_redis_reader *reader, roost_redis_reply *reply, const char **why);

/* Appends a command; args are any bytes. ENOMEM leaves the buffer as it was. */
int roost_redis_command(roost_buffer *out, const roost_slice *args, size_t count);

/* Whether a text is this one. */
bool roost_redis_is(const roost_redis_item *item, const char *text);

#endif
