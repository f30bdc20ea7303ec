/*
 * Seats: one partition of each of some topics, read without a group.
 *
 * librdkafka says how many partitions a topic has only to whoever waits for the broker. So a
 * thread, the asker, asks for a list of topics and writes its answers into that; then the loop's
 * thread, woken by the pair's pipe, takes the list back and has the consumer read. What could not
 * be answered is asked again by the tick.
 */
#include <stdio.h>
#include <unistd.h>

#include "core/thread.h"
#include "net/crypto.h"
#include "transport/kafka_pair_internal.h"

/* ------------------------------------------------------------------------- the asker --------- */

static int32_t any_of(const struct rd_kafka_metadata_topic *topic) {
  uint32_t number = 0;
  (void)roost_random_bytes(&number, sizeof number);
  return topic->partitions[number % (uint32_t)topic->partition_cnt].id;
}

static void choose(rd_kafka_topic_partition_t *place, const struct rd_kafka_metadata *metadata) {
  const struct rd_kafka_metadata_topic *topic = metadata->topics;
  place->err = metadata->topic_cnt == 1 ? topic->err : RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
  if (place->err == RD_KAFKA_RESP_ERR_NO_ERROR && topic->partition_cnt > 0)
    place->partition = any_of(topic);
}

static void ask_one(rd_kafka_t *rk, rd_kafka_topic_partition_t *place) {
  const struct rd_kafka_metadata *metadata = NULL;
  rd_kafka_topic_t *topic = rd_kafka_topic_new(rk, place->topic, NULL);
  if (topic == NULL) {
    place->err = rd_kafka_last_error();
    return;
  }
  place->err = rd_kafka_metadata(rk, 0, topic, &metadata, ROOST_KAFKA_ASK_MS);
  if (place->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
    choose(place, metadata);
    rd_kafka_metadata_destroy(metadata);
  }
  rd_kafka_topic_destroy(topic);
}

static bool is_unreachable(rd_kafka_resp_err_t err) {
  return err == RD_KAFKA_RESP_ERR__TIMED_OUT || err == RD_KAFKA_RESP_ERR__TRANSPORT;
}

/* Gives up at the first that gets no answer at all, since the others would not either. */
static void *ask(void *ud) {
  roost_kafka_pair *pair = ud;
  for (int i = 0; i < pair->asked->cnt; i++) {
    ask_one(pair->consumer, &pair->asked->elems[i]);
    if (is_unreachable(pair->asked->elems[i].err))
      break;
  }
  atomic_store(&pair->answered, true);
  (void)!write(pair->wake[1], "x", 1); /* a pipe that is full wakes it as well */
  return NULL;
}

static void start_asking(roost_kafka_pair *pair) {
  pair->asked = rd_kafka_topic_partition_list_copy(pair->wanted);
  if (pair->asked == NULL)
    return; /* the next tick tries again */
  atomic_store(&pair->answered, false);
  if (roost_thread_start(&pair->asker, ask, pair) == 0)
    return;
  rd_kafka_topic_partition_list_destroy(pair->asked);
  pair->asked = NULL;
}

/* ------------------------------------------------------------------------- the loop ---------- */

static void say_why(roost_kafka_pair *pair, const rd_kafka_topic_partition_t *place) {
  char text[256];
  if (place->err == RD_KAFKA_RESP_ERR_NO_ERROR || is_unreachable(place->err))
    return; /* of a broker that can't be reached librdkafka says more */
  snprintf(text, sizeof text, "%.100s: %s", place->topic, rd_kafka_err2str(place->err));
  roost_kafka_pair_keep_why(pair, place->err, text);
}

/* They begin to be read; the list of what is read has them first, since answers may come at once.
 */
static void sit_down(roost_kafka_pair *pair, const rd_kafka_topic_partition_list_t *seats) {
  for (int i = 0; i < seats->cnt; i++) {
    const rd_kafka_topic_partition_t *seat = &seats->elems[i];
    rd_kafka_topic_partition_list_del(pair->wanted, seat->topic, RD_KAFKA_PARTITION_UA);
    rd_kafka_topic_partition_list_add(pair->assigned, seat->topic, seat->partition);
  }
  pair->behind += (size_t)seats->cnt;
  pair->caught_up = false;
  rd_kafka_error_t *error = rd_kafka_incremental_assign(pair->consumer, seats);
  if (error != NULL) /* of the state of its group, which it has none of */
    roost_kafka_pair_keep_why(pair, rd_kafka_error_code(error), rd_kafka_error_string(error));
  rd_kafka_error_destroy(error);
}

static void take_answers(roost_kafka_pair *pair) {
  rd_kafka_topic_partition_list_t *asked = pair->asked;
  rd_kafka_topic_partition_list_t *seats = rd_kafka_topic_partition_list_new(asked->cnt);
  for (int i = 0; i < asked->cnt && seats != NULL; i++) {
    const rd_kafka_topic_partition_t *place = &asked->elems[i];
    if (place->partition == RD_KAFKA_PARTITION_UA)
      say_why(pair, place);
    else
      rd_kafka_topic_partition_list_add(seats, place->topic, place->partition)->offset =
          RD_KAFKA_OFFSET_END;
  }
  if (seats != NULL && seats->cnt > 0)
    sit_down(pair, seats);
  if (seats != NULL)
    rd_kafka_topic_partition_list_destroy(seats);
}

void roost_kafka_pair_stop_asking(roost_kafka_pair *pair) {
  if (pair->asked == NULL)
    return;
  pthread_join(pair->asker, NULL);
  rd_kafka_topic_partition_list_destroy(pair->asked);
  pair->asked = NULL;
}

void roost_kafka_pair_look_for_seats(roost_kafka_pair *pair) {
  if (pair->asked == NULL || !atomic_load(&pair->answered))
    return;
  if (pair->stage == ROOST_KAFKA_OPEN)
    take_answers(pair);
  roost_kafka_pair_stop_asking(pair);
}

bool roost_kafka_pair_wants_seats(const roost_kafka_pair *pair) {
  return pair->wanted != NULL && pair->wanted->cnt > 0 && pair->stage == ROOST_KAFKA_OPEN;
}

void roost_kafka_pair_ask_for_seats(roost_kafka_pair *pair) {
  if (pair->asked == NULL && roost_kafka_pair_wants_seats(pair))
    start_asking(pair);
}

int roost_kafka_pair_sit(roost_kafka_pair *pair, const char *topic) {
  if (pair->wanted == NULL)
    pair->wanted = rd_kafka_topic_partition_list_new(1);
  if (pair->assigned == NULL)
    pair->assigned = rd_kafka_topic_partition_list_new(1);
  if (pair->wanted == NULL || pair->assigned == NULL ||
      rd_kafka_topic_partition_list_add(pair->wanted, topic, RD_KAFKA_PARTITION_UA) == NULL)
    return ROOST_ENOMEM;
  roost_timer_start(roost_loop_wheel(pair->loop), &pair->tick, 0);
  return 0;
}
