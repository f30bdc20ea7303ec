/* What a pair's consumer reads: topics it has subscribed to, partitions its group gives it. */
#include "core/slice.h"
#include "transport/kafka_pair_internal.h"

static void say_trouble(roost_kafka_pair *pair, const char *topic, const char *why) {
  if (pair->ops != NULL && pair->ops->on_trouble != NULL)
    pair->ops->on_trouble(pair->ud, topic, why);
}

/* ------------------------------------------------------------------------- assignments ------- */

static void forget(roost_kafka_pair *pair) {
  if (pair->assigned != NULL)
    rd_kafka_topic_partition_list_destroy(pair->assigned);
  pair->assigned = NULL;
  pair->behind = 0;
}

static void tell_caught_up(roost_kafka_pair *pair) {
  if (pair->caught_up || pair->behind > 0)
    return;
  pair->caught_up = true;
  if (pair->ops != NULL && pair->ops->on_caught_up != NULL)
    pair->ops->on_caught_up(pair->ud);
}

void roost_kafka_pair_caught_up(roost_kafka_pair *pair, const roost_kafka_place *begin) {
  if (pair->behind == 0 || pair->assigned == NULL)
    return;
  rd_kafka_topic_partition_t *place =
      rd_kafka_topic_partition_list_find(pair->assigned, begin->topic, begin->partition);
  if (place == NULL || place->opaque != NULL)
    return;
  place->opaque = pair; /* any mark will do */
  pair->behind--;
  if (pair->ops != NULL && pair->ops->on_seated != NULL)
    pair->ops->on_seated(pair->ud, begin);
  tell_caught_up(pair);
}

static void tell_assigned(roost_kafka_pair *pair, const rd_kafka_topic_partition_list_t *list) {
  if (pair->ops == NULL || pair->ops->on_assigned == NULL)
    return;
  const size_t count = (size_t)list->cnt;
  roost_kafka_place *places = roost_alloc_get(pair->alloc, (count + 1) * sizeof *places);
  if (places == NULL) {
    say_trouble(pair, NULL, "no memory for the partitions");
    return;
  }
  for (size_t i = 0; i < count; i++)
    places[i] =
        (roost_kafka_place){list->elems[i].topic, list->elems[i].partition, list->elems[i].offset};
  pair->ops->on_assigned(pair->ud, places, count);
  roost_alloc_put(pair->alloc, places, (count + 1) * sizeof *places);
}

static void assign(roost_kafka_pair *pair, const rd_kafka_topic_partition_list_t *list) {
  const rd_kafka_resp_err_t err = rd_kafka_assign(pair->consumer, list);
  if (err != RD_KAFKA_RESP_ERR_NO_ERROR)
    say_trouble(pair, NULL, rd_kafka_err2str(err));
}

static void take_partitions(roost_kafka_pair *pair, const rd_kafka_topic_partition_list_t *list) {
  forget(pair);
  pair->revoking = false;
  pair->caught_up = false;
  pair->assigned = rd_kafka_topic_partition_list_copy(list);
  pair->behind = pair->assigned != NULL ? (size_t)list->cnt : 0;
  for (int i = 0; i < list->cnt && pair->assigned != NULL; i++)
    pair->assigned->elems[i].opaque = NULL;
  tell_assigned(pair, list);
  assign(pair, list);
  /* librdkafka remembers a pause of one that was given up, as long as a record of it is held. */
  (void)rd_kafka_resume_partitions(pair->consumer, (rd_kafka_topic_partition_list_t *)list);
  tell_caught_up(pair); /* where there are none */
}

void roost_kafka_pair_on_rebalance(rd_kafka_t *rk, rd_kafka_resp_err_t err,
                                   rd_kafka_topic_partition_list_t *partitions, void *opaque) {
  roost_kafka_pair *pair = opaque;
  (void)rk;
  if (err == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
    take_partitions(pair, partitions);
    return;
  }
  if (err != RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS)
    say_trouble(pair, NULL, rd_kafka_err2str(err));
  pair->revoking = true;
  if (pair->ops != NULL && pair->ops->on_revoking != NULL &&
      err == RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS)
    pair->ops->on_revoking(pair->ud);
  else
    roost_kafka_pair_revoke(pair);
}

void roost_kafka_pair_revoke(roost_kafka_pair *pair) {
  if (!pair->revoking)
    return;
  pair->revoking = false;
  forget(pair);
  assign(pair, NULL);
}

/* ------------------------------------------------------------------------- topics ------------ */

int roost_kafka_pair_subscribe(roost_kafka_pair *pair, const char *const *topics, size_t count) {
  rd_kafka_resp_err_t err = RD_KAFKA_RESP_ERR_NO_ERROR;
  if (count == 0) {
    err = rd_kafka_unsubscribe(pair->consumer);
  } else {
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)count);
    if (list == NULL)
      return ROOST_ENOMEM;
    for (size_t i = 0; i < count; i++)
      if (rd_kafka_topic_partition_list_add(list, topics[i], RD_KAFKA_PARTITION_UA) == NULL)
        err = RD_KAFKA_RESP_ERR__FAIL;
    if (err == RD_KAFKA_RESP_ERR_NO_ERROR)
      err = rd_kafka_subscribe(pair->consumer, list);
    rd_kafka_topic_partition_list_destroy(list);
  }
  pair->caught_up = false;
  return err == RD_KAFKA_RESP_ERR_NO_ERROR ? 0 : ROOST_EINVAL;
}

static rd_kafka_topic_partition_list_t *list_of(const roost_kafka_place *places, size_t count) {
  rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)count);
  for (size_t i = 0; i < count && list != NULL; i++) {
    rd_kafka_topic_partition_t *place =
        rd_kafka_topic_partition_list_add(list, places[i].topic, places[i].partition);
    if (place != NULL)
      place->offset = places[i].offset;
  }
  return list;
}

/* What fails here concerns partitions that are not ours any more. */
void roost_kafka_pair_pause(roost_kafka_pair *pair, const roost_kafka_place *place) {
  rd_kafka_topic_partition_list_t *list = list_of(place, 1);
  if (list == NULL)
    return;
  (void)rd_kafka_pause_partitions(pair->consumer, list);
  rd_kafka_topic_partition_list_destroy(list);
}

void roost_kafka_pair_resume(roost_kafka_pair *pair, const roost_kafka_place *place) {
  rd_kafka_topic_partition_list_t *list = list_of(place, 1);
  if (list == NULL)
    return;
  (void)rd_kafka_resume_partitions(pair->consumer, list);
  rd_kafka_topic_partition_list_destroy(list);
}

void roost_kafka_pair_store(roost_kafka_pair *pair, const roost_kafka_place *places, size_t count) {
  rd_kafka_topic_partition_list_t *list = list_of(places, count);
  if (list == NULL)
    return; /* the next record of the partition stores more */
  (void)rd_kafka_offsets_store(pair->consumer, list);
  rd_kafka_topic_partition_list_destroy(list);
}
