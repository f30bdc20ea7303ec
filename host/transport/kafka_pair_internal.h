/*
 * transport/kafka_pair_internal.h - a pair's struct, for the files that know librdkafka. Start
 * at transport/kafka_pair.h.
 */
#ifndef ROOST_TRANSPORT_KAFKA_PAIR_INTERNAL_H
#define ROOST_TRANSPORT_KAFKA_PAIR_INTERNAL_H

#include <librdkafka/rdkafka.h>
#include <pthread.h>
#include <stdatomic.h>

#include "net/poll.h"
#include "transport/kafka_pair.h"

typedef enum roost_kafka_stage {
  ROOST_KAFKA_OPEN,
  ROOST_KAFKA_LEAVING,  /* the consumer leaves its group */
  ROOST_KAFKA_FLUSHING, /* the producer sends what is left */
  ROOST_KAFKA_ENDED
} roost_kafka_stage;

struct roost_kafka_pair {
  roost_loop *loop;
  const roost_alloc *alloc;
  const roost_kafka_pair_ops *ops; /* NULL: closed */
  void *ud;                        /* handed to ops */
  roost_log *log;                  /* NULL: nothing is logged */
  const char *name;                /* of the server; NULL: none */
  rd_kafka_t *producer;
  rd_kafka_t *consumer;             /* NULL: there is none */
  rd_kafka_queue_t *producer_queue; /* of all its events */
  rd_kafka_queue_t *consumer_queue;
  int wake[2]; /* a pipe: librdkafka writes a byte where a queue has something; -1: not made */
  roost_poll *poll;
  roost_timer tick;                        /* looks after what no event tells of */
  roost_loop_hook more;                    /* there is more in a queue than one turn takes */
  roost_loop_hook reap;                    /* frees it, in a later turn */
  roost_loop_hook gone;                    /* the loop is freed */
  rd_kafka_topic_partition_list_t *wanted; /* that are to have a seat; NULL: none ever were */
  rd_kafka_topic_partition_list_t *asked;  /* the asker's, while there is one; else NULL */
  pthread_t asker;                         /* asks how many partitions they have */
  atomic_bool answered;                    /* the asker is done */
  roost_kafka_stage stage;
  uint64_t deadline_ms; /* of ending */
  uint64_t doubt_ms;    /* until then it is looked whether it is still up */
  bool up;
  bool revoking; /* librdkafka waits for roost_kafka_pair_revoke */
  bool leaving_begun;
  bool is_crowded;                           /* it was, and on_writable has not been told since */
  rd_kafka_topic_partition_list_t *assigned; /* NULL: nothing; opaque set: caught up */
  size_t behind;                             /* of these, how many are not */
  bool caught_up;
  size_t queued_bytes; /* handed to the producer and not reported on yet */
  size_t max_send_bytes;
  char why[256]; /* what librdkafka said last about a connection */
};

/* kafka_raw.c: a record has reached the broker, or never will; a librdkafka callback. */
void roost_kafka_pair_on_delivered(rd_kafka_t *rk, const rd_kafka_message_t *raw, void *opaque);

/* kafka_group.c: the group has given or taken partitions; a librdkafka callback. */
void roost_kafka_pair_on_rebalance(rd_kafka_t *rk, rd_kafka_resp_err_t err,
                                   rd_kafka_topic_partition_list_t *partitions, void *opaque);

/* kafka_group.c: a partition is read, from this offset on; told again later, with any other. */
void roost_kafka_pair_caught_up(roost_kafka_pair *pair, const roost_kafka_place *begin);

/* kafka_pair.c: what librdkafka has said, for whoever asks why there is no connection. */
void roost_kafka_pair_keep_why(roost_kafka_pair *pair, rd_kafka_resp_err_t code,
                               const char *reason);

/* kafka_seat.c: the tick asks for what has no seat, serving takes the answers. */
bool roost_kafka_pair_wants_seats(const roost_kafka_pair *pair);
void roost_kafka_pair_ask_for_seats(roost_kafka_pair *pair);
void roost_kafka_pair_look_for_seats(roost_kafka_pair *pair);

/* kafka_seat.c: waits until nothing is asked, which may take ROOST_KAFKA_ASK_MS. */
void roost_kafka_pair_stop_asking(roost_kafka_pair *pair);

#define ROOST_KAFKA_ASK_MS 500

#endif
