/*
 * transport/kafka_pair.h - a producer and a consumer of librdkafka, driven by the loop.
 *
 * Start reading at roost_kafka_pair_open. librdkafka has threads of its own for the sockets; here
 * everything happens on the loop's thread: it polls a pipe that librdkafka writes into when one of
 * its queues is no longer empty, and takes what is there. Of all files
 * only kafka_pair.c, kafka_group.c, kafka_seat.c and kafka_raw.c know librdkafka.
 * Raw: a record as librdkafka hands it over, held until roost_kafka_raw_free.
 * Up: some broker of the cluster can be reached. Assigned: the group has given this member its
 * partitions. Caught up: of each of them, where reading begins is known, so that what is written
 * from now on is read. Seat: one partition of a topic, chosen by chance and read without a group:
 * no other member can take it away, so that nothing in it is missed.
 * Stored: an offset that may be committed; librdkafka does so soon, and when the partition is given
 * up.
 * What librdkafka allocates comes from malloc, not from a roost_alloc: it has no allocator of its
 * own. The send buffer is bounded by the settings, what was fetched and not read yet likewise.
 */
#ifndef ROOST_TRANSPORT_KAFKA_PAIR_H
#define ROOST_TRANSPORT_KAFKA_PAIR_H

#include "core/log.h"
#include "net/loop.h"
#include "transport/kafka_settings.h"
#include "wire/kafka.h"

typedef struct roost_kafka_pair roost_kafka_pair;
typedef struct rd_kafka_message_s roost_kafka_raw;

typedef struct roost_kafka_place {
  const char *topic;
  int32_t partition;
  int64_t offset; /* where an offset is meant */
} roost_kafka_place;

/* All but on_record may be NULL, and that where there is no consumer. None is called any more once
 * roost_kafka_pair_close was. */
typedef struct roost_kafka_pair_ops {
  void (*on_up)(void *ud);
  /* why is an error's name, a colon and librdkafka's text, borrowed for the call. Also while it was
   * never up. */
  void (*on_down)(void *ud, const char *why);
  void (*on_assigned)(void *ud, const roost_kafka_place *places, size_t count);
  /* All of them are to be given up: roost_kafka_pair_revoke says when, soon. */
  void (*on_revoking)(void *ud);
  void (*on_caught_up)(void *ud);
  /* A partition, assigned or a topic's seat, is caught up with, and read from this offset on. */
  void (*on_seated)(void *ud, const roost_kafka_place *begin);
  /* The record is the callee's. */
  void (*on_record)(void *ud, roost_kafka_raw *raw);
  /* What produce was given opaque for has reached the broker (why NULL), or never will. raw is
   * borrowed: what was to be sent. */
  void (*on_delivered)(void *ud, void *opaque, const roost_kafka_raw *raw, const char *why);
  /* Something is wrong with a topic or the group; topic NULL: with the group. */
  void (*on_trouble)(void *ud, const char *topic, const char *why);
  void (*on_writable)(void *ud); /* it was crowded, and less than a quarter of that is left */
  void (*on_ended)(void *ud);    /* after roost_kafka_pair_end */
} roost_kafka_pair_ops;

typedef struct roost_kafka_pair_config {
  const roost_kafka_settings *producer; /* copied by librdkafka */
  const roost_kafka_settings *consumer; /* NULL: there is none */
  size_t max_send_bytes;                /* 0: no limit but librdkafka's */
  roost_log *log;                       /* of what librdkafka logs; NULL: nowhere */
  const char *name;                     /* for that: of the server; NULL: none */
} roost_kafka_pair_config;

/* Begins to connect; ops are called in later turns. Where a setting is wrong why says which.
 * ECONFIG, ESYSTEM, ENOMEM. */
int roost_kafka_pair_open(roost_kafka_pair **out, roost_loop *loop,
                          const roost_kafka_pair_config *config, const roost_kafka_pair_ops *ops,
                          void *ud, roost_buffer *why);

/* What the consumer reads from now on: topics, and where they begin with ^ regular expressions.
 * Joins the group, or leaves it where there are none. ENOMEM, EINVAL. */
int roost_kafka_pair_subscribe(roost_kafka_pair *pair, const char *const *topics, size_t count);

/* Has the consumer read a seat of this topic too, from its end on. Not together with the above.
 * ENOMEM. */
int roost_kafka_pair_sit(roost_kafka_pair *pair, const char *topic);

/* Gives the partitions up that on_revoking was about, with what was stored of them. */
void roost_kafka_pair_revoke(roost_kafka_pair *pair);

/* Reading goes on, or stops, at where it is. */
void roost_kafka_pair_pause(roost_kafka_pair *pair, const roost_kafka_place *place);
void roost_kafka_pair_resume(roost_kafka_pair *pair, const roost_kafka_place *place);

/* Has these offsets, of the records to be read next, committed. */
void roost_kafka_pair_store(roost_kafka_pair *pair, const roost_kafka_place *places, size_t count);

/* Sends a record, copied; opaque, if not NULL, is told of. EFULL: there is too much to send, or the
 * record is too large; EINVAL: the topic's name is none; ENOMEM, ESYSTEM. */
int roost_kafka_pair_produce(roost_kafka_pair *pair, roost_slice topic,
                             const roost_kafka_record *record, void *opaque);

/* Over half of what may wait to be sent does. */
bool roost_kafka_pair_crowded(const roost_kafka_pair *pair);

bool roost_kafka_pair_is_up(const roost_kafka_pair *pair);

/* What librdkafka has said last about a connection; "" where it has come up since. */
const char *roost_kafka_pair_why(const roost_kafka_pair *pair);

/* Leaves the group, sends what is left and then tells on_ended, or after timeout_ms. */
void roost_kafka_pair_end(roost_kafka_pair *pair, uint64_t timeout_ms);

/* No op is called any more. What is left is still sent, for a while, in the loop's turns. */
void roost_kafka_pair_close(roost_kafka_pair *pair);

/* ------------------------------------------------------------------------- records ----------- */

void roost_kafka_raw_free(roost_kafka_raw *raw);

size_t roost_kafka_raw_bytes(const roost_kafka_raw *raw); /* of its key and value */

/* Where it stands; borrowed from it. */
roost_kafka_place roost_kafka_raw_place(const roost_kafka_raw *raw);

/* Its value, ptr NULL: null; borrowed from it. */
roost_slice roost_kafka_raw_value(const roost_kafka_raw *raw);

/* The last header of that name; false: it has none. Borrowed from it. */
bool roost_kafka_raw_header(const roost_kafka_raw *raw, const char *name, roost_slice *value);

/* All that is known of it, borrowed from it and from headers, which is cleared first. ENOMEM. */
int roost_kafka_raw_facts(const roost_kafka_raw *raw, roost_kafka_facts *facts,
                          roost_buffer *headers);

#endif
