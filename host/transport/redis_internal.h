/*
 * transport/redis_internal.h - the two connections to a Redis, for the redis files alone.
 *
 * Start reading at roost_redis_pair. A connection that has subscribed to something may do nothing
 * else (RESP2), so there are two: sub, which listens, and pub, which publishes. Greeting: who we
 * are (AUTH), which database (SELECT), and PING, on each; the pair is open when both have answered.
 * It ends as one: where one connection is lost, the other is given up. Both are asked for a sign of
 * life every ROOST_REDIS_PING_MS. The loop's thread.
 */
#ifndef ROOST_TRANSPORT_REDIS_INTERNAL_H
#define ROOST_TRANSPORT_REDIS_INTERNAL_H

#include "transport/link.h"
#include "transport/redis.h"
#include "transport/redis_codec.h"

#define ROOST_REDIS_PING_MS    10000
#define ROOST_REDIS_MESSAGES   64    /* taken per turn */
#define ROOST_REDIS_KEEP_BYTES 65536 /* of a buffer for packets, for the next one */

typedef struct roost_redis_pair roost_redis_pair;

typedef struct roost_redis_pair_ops {
  void (*on_open)(void *ud);
  /* What came on the listening connection: a message, or what a subscription has come to. Borrowed
   * for the call. */
  void (*on_heard)(void *ud, const roost_redis_reply *reply);
  /* An error that a command of the other connection has come to. */
  void (*on_refused)(void *ud, roost_slice text);
  /* Asked before each message; false: the rest waits until roost_redis_pair_go_on. NULL: always. */
  bool (*takes)(void *ud);
  void (*on_writable)(void *ud); /* of the publishing connection */
  /* As in roost_link_ops; the pair may be connected again. */
  void (*on_closed)(void *ud, int status, const char *why);
} roost_redis_pair_ops;

typedef struct roost_redis_side {
  roost_redis_pair *pair;
  roost_dialer dialer;
  unsigned owed; /* answers to the greeting */
  bool heard;    /* something came since the last PING */
} roost_redis_side;

struct roost_redis_pair {
  const roost_redis_pair_ops *ops;
  void *ud; /* handed to ops */
  roost_loop *loop;
  const roost_redis_options *options;
  size_t max_buffer_size;
  roost_redis_side sub;
  roost_redis_side pub;
  roost_timer pulse;      /* time for a PING, or the greeting takes too long */
  roost_loop_hook resume; /* goes on with messages that were read */
  bool open;
  bool paused; /* messages wait until there is room for them */
};

/* Nothing is connected yet; config: tls, places and the send limit. ops and options are borrowed.
 */
void roost_redis_pair_init(roost_redis_pair *pair, roost_loop *loop,
                           const roost_redis_options *options, size_t max_buffer_size,
                           size_t max_send_buffer_size, const roost_redis_pair_ops *ops, void *ud);
void roost_redis_pair_deinit(roost_redis_pair *pair);

/* on_open or on_closed follows, in a later turn. ENOMEM, EINVAL: nothing follows. */
int roost_redis_pair_connect(roost_redis_pair *pair);

/* Ends both once what was handed over is sent; no on_closed follows. */
void roost_redis_pair_close(roost_redis_pair *pair);

/* Ends both at once and tells on_closed; the pair's owner may be gone after it. */
void roost_redis_pair_fail(roost_redis_pair *pair, int status, const char *why);

/* Has what waits taken, in a later turn. */
void roost_redis_pair_go_on(roost_redis_pair *pair);

/* Sends a command while the pair is open. ENOMEM: nothing is sent. */
int roost_redis_listen(roost_redis_pair *pair, const char *verb, roost_slice channel);
int roost_redis_publish(roost_redis_pair *pair, roost_slice channel, roost_slice body);

/* Those of a client, for tests. */
roost_redis_pair *roost_redis_client_pair(roost_client *client);

/* Text of a body as messages are read: itself, or put into repaired with what is not UTF-8
 * replaced. ENOMEM. */
int roost_redis_text(roost_buffer *repaired, roost_slice *body);

/* What Redis said was wrong, as much of it as out holds, with a NUL. */
void roost_redis_error_text(char *out, size_t size, roost_slice text);

/* Whether a glob pattern, as PSUBSCRIBE has them, has something in it that stands for other texts,
 * and whether it matches. */
bool roost_redis_is_glob(roost_slice pattern);
bool roost_redis_glob_matches(roost_slice pattern, roost_slice text);

#endif
