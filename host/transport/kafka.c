/*
 * A server that takes its messages from Kafka: its life. What becomes of records is in
 * kafka_delivery.c.
 *
 * The pair begins to connect when the server starts, and goes on for ever, or until retry_attempts
 * looks in a row found no broker. It counts as listening once its group has given it partitions and
 * where they are read from is known; that is committed then.
 */
#include "transport/kafka.h"

#include <stdio.h>
#include <string.h>

#include "core/backoff.h"
#include "core/slice.h"
#include "transport/kafka_server.h"

#define DRAIN_MS    5000 /* for leaving the group and for what is left to be sent */
#define REVOKE_MS   5000 /* for records whose handlers run when partitions are given up */
#define SHORTEST_MS 50   /* until it is looked again whether a broker is there */

const roost_transport roost_kafka_transport = {
    .name = "kafka", .open_server = roost_kafka_server_open, .new_client = roost_kafka_client_new};

static roost_kafka_server *of(roost_server *server) {
  return (roost_kafka_server *)server;
}

/* ------------------------------------------------------------------------- logging ----------- */

void roost_kafka_log(const roost_kafka_server *self, roost_log_level level, const char *msg,
                     roost_slice topic, const char *err) {
  roost_log_line line;
  roost_log *log = self->server.log;
  if (log == NULL || !roost_log_enabled(log, level) ||
      !roost_log_limited(log, ROOST_LOG_KIND_BROKER))
    return;
  roost_log_begin(&line, log, level, roost_slice_text(msg));
  roost_log_text(&line, "server", roost_slice_text(self->server.config->name));
  if (topic.ptr != NULL)
    roost_log_text(&line, "pattern", topic);
  if (err != NULL && err[0] != '\0')
    roost_log_text(&line, "err", roost_slice_text(err));
  roost_log_end(&line);
}

static const roost_slice no_topic = {NULL, 0};

/* ------------------------------------------------------------------------- the pair's calls -- */

static void look_whether_ready(roost_kafka_server *self) {
  const bool reads = self->reading || roost_kafka_routes_count(&self->routes) == 0;
  if (self->server.listening || self->server.draining || !reads ||
      !roost_kafka_pair_is_up(self->pair))
    return;
  self->server.stats.connections = 1;
  self->server.stats.accepted++;
  roost_kafka_log(self, ROOST_LOG_INFO, "connected", no_topic, NULL);
  roost_server_tell(&self->server, ROOST_SERVER_LISTENING, NULL, "");
}

static void on_up(void *ud) {
  roost_kafka_server *self = ud;
  self->attempts = 0;
  roost_timer_stop(roost_loop_wheel(self->loop), &self->retry);
  look_whether_ready(self);
}

static void on_caught_up(void *ud) {
  roost_kafka_server *self = ud;
  self->reading = true;
  look_whether_ready(self);
}

/* librdkafka tries by itself, at about these times, and tells of the first failure alone. */
static void wait_to_retry(roost_kafka_server *self, const char *why) {
  const roost_server_config *config = self->server.config;
  roost_wheel *wheel = roost_loop_wheel(self->loop);
  if (config->retry_attempts > 0 && self->attempts >= config->retry_attempts) {
    roost_kafka_log(self, ROOST_LOG_ERROR, "gave up connecting", no_topic, why);
    self->gave_up = true;
    roost_loop_defer(self->loop, &self->end);
    return;
  }
  self->attempts++;
  const uint64_t salt = wheel->now_ms + (uintptr_t)self / 64;
  const uint64_t ms = roost_backoff_ms(config->retry_delay, self->attempts, salt);
  roost_timer_start(wheel, &self->retry, ms > SHORTEST_MS ? ms : SHORTEST_MS);
}

static void on_retry(roost_timer *timer) {
  roost_kafka_server *self = ROOST_LIST_ENTRY(timer, roost_kafka_server, retry);
  const char *why = roost_kafka_pair_why(self->pair);
  if (self->server.draining || roost_kafka_pair_is_up(self->pair))
    return;
  roost_kafka_log(self, ROOST_LOG_DEBUG, "reconnecting", no_topic, why);
  roost_server_tell(&self->server, ROOST_SERVER_RETRYING, NULL, why);
  wait_to_retry(self, why);
}

static void on_down(void *ud, const char *why) {
  roost_kafka_server *self = ud;
  self->server.stats.connections = 0;
  if (self->server.draining || self->gave_up || roost_timer_running(&self->retry))
    return;
  roost_kafka_log(self, ROOST_LOG_WARN, "disconnected", no_topic, why);
  roost_server_tell(&self->server, ROOST_SERVER_LOST, NULL, why);
  wait_to_retry(self, why);
}

static void on_assigned(void *ud, const roost_kafka_place *places, size_t count) {
  roost_kafka_server *self = ud;
  self->revoking = false;
  roost_timer_stop(roost_loop_wheel(self->loop), &self->patience);
  roost_kafka_window_drop(&self->window);
  for (size_t i = 0; i < count; i++)
    if (roost_kafka_window_add(&self->window, &places[i]) != 0)
      roost_kafka_log(self, ROOST_LOG_ERROR, "a partition is not read: out of memory",
                      roost_slice_text(places[i].topic), NULL);
}

/* A new group that reads from the end has no other place to go on from, until a record is done. */
static void on_seated(void *ud, const roost_kafka_place *begin) {
  const roost_kafka_server *self = ud;
  roost_kafka_pair_store(self->pair, begin, 1);
}

static void give_up(roost_kafka_server *self) {
  if (!self->revoking)
    return;
  roost_kafka_pump(self); /* stores what is done */
  self->revoking = false;
  roost_timer_stop(roost_loop_wheel(self->loop), &self->patience);
  roost_kafka_window_drop(&self->window);
  roost_kafka_pair_revoke(self->pair);
}

static void on_impatient(roost_timer *timer) {
  give_up(ROOST_LIST_ENTRY(timer, roost_kafka_server, patience));
}

/* What runs may end first, so that nobody handles it a second time. */
static void on_revoking(void *ud) {
  roost_kafka_server *self = ud;
  self->revoking = true;
  if (self->window.running == 0)
    give_up(self);
  else
    roost_timer_start(roost_loop_wheel(self->loop), &self->patience, REVOKE_MS);
}

static void on_record(void *ud, roost_kafka_raw *raw) {
  roost_kafka_take(ud, raw);
}

static void on_delivered(void *ud, void *opaque, const roost_kafka_raw *raw, const char *why) {
  roost_kafka_server *self = ud;
  if (opaque != NULL)
    roost_kafka_letter_sent(self, opaque, why);
  else if (why != NULL)
    roost_kafka_log(self, ROOST_LOG_WARN, "a reply could not be sent",
                    roost_slice_text(roost_kafka_raw_place(raw).topic), why);
}

static void on_trouble(void *ud, const char *topic, const char *why) {
  roost_kafka_log(ud, ROOST_LOG_WARN, topic != NULL ? "topic" : "consumer group",
                  roost_slice_text(topic), why);
}

static void on_writable(void *ud) {
  roost_kafka_server *self = ud;
  roost_list *link = self->pool.live.next;
  while (link != &self->pool.live) {
    roost_delivery *delivery = ROOST_LIST_ENTRY(link, roost_delivery, link);
    link = link->next;
    self->server.sink->on_writable(self->server.sink_ud, &delivery->origin);
  }
  roost_loop_defer(self->loop, &self->pump);
}

static void on_ended(void *ud) {
  roost_kafka_server *self = ud;
  self->ended = true;
  roost_loop_defer(self->loop, &self->end);
}

static const roost_kafka_pair_ops pair_ops = {.on_up = on_up,
                                              .on_down = on_down,
                                              .on_assigned = on_assigned,
                                              .on_revoking = on_revoking,
                                              .on_caught_up = on_caught_up,
                                              .on_seated = on_seated,
                                              .on_record = on_record,
                                              .on_delivered = on_delivered,
                                              .on_trouble = on_trouble,
                                              .on_writable = on_writable,
                                              .on_ended = on_ended};

/* ------------------------------------------------------------------------- routes ------------ */

static void on_bad_route(void *ud, roost_slice route, const char *why) {
  roost_kafka_log(ud, ROOST_LOG_WARN, "a pattern is not subscribed to", route, why);
}

static int subscribe_pair(roost_kafka_server *self) {
  const size_t count = roost_kafka_routes_count(&self->routes);
  const roost_alloc *alloc = roost_loop_alloc(self->loop);
  if (self->pair == NULL)
    return 0;
  const char **topics = roost_alloc_get(alloc, (count + 1) * sizeof *topics);
  if (topics == NULL)
    return ROOST_ENOMEM;
  for (size_t i = 0; i < count; i++)
    topics[i] = roost_kafka_routes_text(&self->routes, i);
  const int status = roost_kafka_pair_subscribe(self->pair, topics, count);
  roost_alloc_put(alloc, topics, (count + 1) * sizeof *topics);
  if (status != 0)
    roost_kafka_log(self, ROOST_LOG_ERROR, "subscribing failed", no_topic,
                    roost_status_name(status));
  return status;
}

static int subscribe(roost_server *server, const roost_subscription *list, size_t count) {
  roost_kafka_server *self = of(server);
  roost_kafka_routes next;
  roost_kafka_routes_init(&next, roost_loop_alloc(self->loop));
  const int status = roost_kafka_routes_fill(&next, list, count, on_bad_route, self);
  if (status != 0)
    return status;
  const bool is_same = roost_kafka_routes_equal(&self->routes, &next);
  roost_kafka_routes_deinit(&self->routes);
  self->routes = next;
  return is_same ? 0 : subscribe_pair(self);
}

/* ------------------------------------------------------------------------- its life ---------- */

static int open_pair(roost_kafka_server *self, roost_buffer *why) {
  const roost_server_config *config = self->server.config;
  const roost_alloc *alloc = roost_loop_alloc(self->loop);
  roost_kafka_settings producer;
  roost_kafka_settings consumer;
  roost_kafka_settings_init(&producer, alloc);
  roost_kafka_settings_init(&consumer, alloc);
  roost_kafka_producer_settings(&producer, self->options, true, config->max_send_buffer_size);
  roost_kafka_consumer_settings(&consumer, self->options, true, config->max_buffer_size);
  roost_kafka_retry_settings(&producer, config->retry_delay);
  roost_kafka_retry_settings(&consumer, config->retry_delay);
  const roost_kafka_pair_config pair = {.producer = &producer,
                                        .consumer = &consumer,
                                        .max_send_bytes = config->max_send_buffer_size,
                                        .log = self->server.log,
                                        .name = config->name};
  const int status = roost_kafka_pair_open(&self->pair, self->loop, &pair, &pair_ops, self, why);
  roost_kafka_settings_deinit(&producer);
  roost_kafka_settings_deinit(&consumer);
  return status;
}

static int start(roost_server *server) {
  roost_kafka_server *self = of(server);
  roost_buffer why;
  if (self->started)
    return 0;
  roost_buffer_init(&why, roost_loop_alloc(self->loop));
  int status = open_pair(self, &why);
  if (status != 0 && roost_buffer_append_byte(&why, '\0') == 0)
    roost_kafka_log(self, ROOST_LOG_ERROR, "not started", no_topic, why.ptr);
  roost_buffer_deinit(&why);
  if (status == 0)
    status = subscribe_pair(self);
  self->started = status == 0;
  return status;
}

static void on_pump(void *ud) {
  roost_kafka_server *self = ud;
  roost_kafka_pump(self);
  if (self->revoking && self->window.running == 0)
    give_up(self);
  if (self->server.draining)
    roost_loop_defer(self->loop, &self->end);
}

static void free_server(roost_kafka_server *self) {
  roost_loop_remove_hook(&self->pump);
  roost_loop_remove_hook(&self->end);
  roost_kafka_routes_deinit(&self->routes);
  roost_kafka_record_deinit(&self->record);
  roost_buffer_deinit(&self->value);
  roost_buffer_deinit(&self->text);
  roost_buffer_deinit(&self->headers);
  roost_buffer_deinit(&self->places);
  roost_alloc_put(roost_loop_alloc(self->loop), self, sizeof *self);
}

static void on_end(void *ud) {
  roost_kafka_server *self = ud;
  if (self->closing) {
    free_server(self);
    return;
  }
  if (self->gave_up)
    roost_kafka_pair_end(self->pair, 0);
  if (!self->server.draining || self->drained || self->pool.count > 0 || self->window.running > 0)
    return;
  if (self->pair != NULL && !self->ended) {
    roost_kafka_pair_end(self->pair, DRAIN_MS);
    return;
  }
  self->drained = true;
  self->server.stats.connections = 0;
  if (self->server.on_drained != NULL)
    self->server.on_drained(self->server.on_drained_ud, &self->server);
}

/* What waits is not begun: it comes again, to whoever gets its partition. */
static void drain(roost_server *server) {
  roost_kafka_server *self = of(server);
  if (server->draining || self->closing)
    return;
  server->draining = true;
  roost_server_tell(server, ROOST_SERVER_DRAINING, NULL, "");
  roost_loop_defer(self->loop, &self->end);
}

static void close_server(roost_server *server) {
  roost_kafka_server *self = of(server);
  if (self->closing)
    return;
  self->closing = true;
  roost_server_let_go(server);
  roost_timer_stop(roost_loop_wheel(self->loop), &self->patience);
  roost_timer_stop(roost_loop_wheel(self->loop), &self->retry);
  roost_delivery_pool_deinit(&self->pool);
  roost_kafka_window_deinit(&self->window);
  roost_kafka_pair_close(self->pair);
  self->pair = NULL;
  roost_loop_defer(self->loop, &self->end);
}

static const roost_server_ops server_ops = {
    .start = start, .drain = drain, .close = close_server, .subscribe = subscribe};

int roost_kafka_server_open(roost_server **out, roost_loop *loop, const roost_server_config *config,
                            roost_log *log, const roost_sink_ops *sink, void *sink_ud,
                            const char **why) {
  const roost_alloc *alloc = roost_loop_alloc(loop);
  roost_kafka_server *self = roost_alloc_get(alloc, sizeof *self);
  *out = NULL;
  *why = "out of memory";
  if (self == NULL)
    return ROOST_ENOMEM;
  self->server.ops = &server_ops;
  self->server.config = config;
  self->server.log = log;
  self->server.sink = sink;
  self->server.sink_ud = sink_ud;
  roost_list_init(&self->server.watchers);
  self->loop = loop;
  self->options = config->options;
  roost_kafka_routes_init(&self->routes, alloc);
  roost_kafka_window_init(&self->window, alloc, roost_loop_wheel(loop));
  roost_delivery_pool_init(&self->pool, &roost_kafka_delivery_ops, alloc, &self->server, self);
  roost_kafka_record_init(&self->record, alloc);
  roost_buffer_init(&self->value, alloc);
  roost_buffer_init(&self->text, alloc);
  roost_buffer_init(&self->headers, alloc);
  roost_buffer_init(&self->places, alloc);
  self->pump = (roost_loop_hook){.fn = on_pump, .ud = self};
  roost_list_init(&self->pump.link);
  self->end = (roost_loop_hook){.fn = on_end, .ud = self};
  roost_list_init(&self->end.link);
  roost_timer_init(&self->patience, on_impatient);
  roost_timer_init(&self->retry, on_retry);
  *out = &self->server;
  return 0;
}
