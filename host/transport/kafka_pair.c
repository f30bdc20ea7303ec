#include "transport/kafka_pair.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/slice.h"
#include "transport/kafka_pair_internal.h"

#define BATCH         64   /* records of one turn */
#define EVENTS        4096 /* other events of one turn */
#define LOOK_MS       50   /* between two looks at what no event tells of, while that matters */
#define DOUBT_MS      2000 /* after a connection has ended */
#define IDLE_LOOK_MS  1000 /* and while it does not */
#define LEAVE_LOOKS   100  /* for leaving a group where the loop goes on no more */
#define FLUSH_MS      2000 /* and for what is left to be sent then */
#define LEAVE_LOOK_MS 10
#define LINGER_MS     5000 /* for what is left to be sent when nobody waits for it */

/* ------------------------------------------------------------------------- up and down ------- */

static void come_up(roost_kafka_pair *pair) {
  if (pair->up)
    return;
  pair->up = true;
  pair->why[0] = '\0';
  if (pair->ops != NULL && pair->ops->on_up != NULL)
    pair->ops->on_up(pair->ud);
}

static void go_down(roost_kafka_pair *pair, const char *why) {
  pair->up = false;
  roost_timer_start(roost_loop_wheel(pair->loop), &pair->tick, LOOK_MS);
  if (pair->ops != NULL && pair->ops->on_down != NULL)
    pair->ops->on_down(pair->ud, why);
}

/* Whether some broker can be asked something; asks, and does not wait for the answer. */
static bool reaches(rd_kafka_t *rk) {
  const struct rd_kafka_metadata *metadata = NULL;
  const rd_kafka_resp_err_t err = rd_kafka_metadata(rk, 0, NULL, &metadata, 0);
  if (err == RD_KAFKA_RESP_ERR_NO_ERROR)
    rd_kafka_metadata_destroy(metadata);
  return err == RD_KAFKA_RESP_ERR_NO_ERROR || err == RD_KAFKA_RESP_ERR__TIMED_OUT;
}

/* The system's name for what librdkafka has a code of its own for. */
static const char *name_of(rd_kafka_resp_err_t code, const char *reason) {
  switch (code) {
  case RD_KAFKA_RESP_ERR__AUTHENTICATION:
    return "EACCES";
  case RD_KAFKA_RESP_ERR__SSL:
    return "ETLS";
  case RD_KAFKA_RESP_ERR__RESOLVE:
    return "ENOTFOUND";
  case RD_KAFKA_RESP_ERR__TIMED_OUT:
    return "ETIMEDOUT";
  case RD_KAFKA_RESP_ERR__TRANSPORT: /* one code for all: its text tells them apart */
    return strstr(reason, "onnection refused") != NULL ? "ECONNREFUSED" : "ECONNRESET";
  case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN:
    return "ECONNREFUSED";
  default:
    return "EPROTO";
  }
}

void roost_kafka_pair_keep_why(roost_kafka_pair *pair, rd_kafka_resp_err_t code,
                               const char *reason) {
  snprintf(pair->why, sizeof pair->why, "%s: %s", name_of(code, reason), reason);
}

/* The other brokers are tried by librdkafka, so that one that fails is no news; why is kept. */
static void on_error(rd_kafka_t *rk, int code, const char *reason, void *opaque) {
  roost_kafka_pair *pair = opaque;
  char text[256];
  const rd_kafka_resp_err_t err = (rd_kafka_resp_err_t)code;
  switch (err) {
  case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN:
    if (pair->why[0] == '\0')
      roost_kafka_pair_keep_why(pair, err, reason);
    go_down(pair, pair->why);
    break;
  case RD_KAFKA_RESP_ERR__AUTHENTICATION:
  case RD_KAFKA_RESP_ERR__SSL:
    roost_kafka_pair_keep_why(pair, err, reason);
    go_down(pair, pair->why);
    break;
  case RD_KAFKA_RESP_ERR__FATAL:
    rd_kafka_fatal_error(rk, text, sizeof text);
    if (pair->ops != NULL && pair->ops->on_trouble != NULL)
      pair->ops->on_trouble(pair->ud, NULL, text);
    break;
  default: /* librdkafka does not always say that this was the last one */
    roost_kafka_pair_keep_why(pair, err, reason);
    pair->doubt_ms = roost_loop_now_ms(pair->loop) + DOUBT_MS;
    roost_timer_start(roost_loop_wheel(pair->loop), &pair->tick, 0);
  }
}

/* ------------------------------------------------------------------------- the log ----------- */

enum { syslog_warning = 4 };

/* Served by the queues, so on the loop's thread. */
static void on_log(const rd_kafka_t *rk, int level, const char *facility, const char *text) {
  const roost_kafka_pair *pair = rd_kafka_opaque(rk);
  roost_log_line line;
  const bool is_warning = level <= syslog_warning;
  if (pair->log == NULL || (is_warning && !roost_log_limited(pair->log, ROOST_LOG_KIND_BROKER)))
    return;
  roost_log_begin(&line, pair->log, is_warning ? ROOST_LOG_WARN : ROOST_LOG_DEBUG,
                  ROOST_SLICE("librdkafka"));
  if (pair->name != NULL)
    roost_log_text(&line, "server", roost_slice_text(pair->name));
  roost_log_text(&line, "err", roost_slice_text(text));
  roost_log_user_text(&line, ROOST_SLICE("facility"), roost_slice_text(facility));
  roost_log_end(&line);
}

/* ------------------------------------------------------------------------- serving ----------- */

static void take_trouble(roost_kafka_pair *pair, const rd_kafka_message_t *raw) {
  const bool has_text = raw->payload != NULL && raw->len > 0; /* librdkafka's, NUL-terminated */
  if (pair->ops != NULL && pair->ops->on_trouble != NULL)
    pair->ops->on_trouble(pair->ud, raw->rkt != NULL ? rd_kafka_topic_name(raw->rkt) : NULL,
                          has_text ? raw->payload : rd_kafka_err2str(raw->err));
}

static void take(roost_kafka_pair *pair, rd_kafka_message_t *raw) {
  if (raw->err == RD_KAFKA_RESP_ERR_NO_ERROR || raw->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
    const roost_kafka_place place = roost_kafka_raw_place(raw);
    roost_kafka_pair_caught_up(pair, &place);
  } else {
    take_trouble(pair, raw);
  }
  if (raw->err == RD_KAFKA_RESP_ERR_NO_ERROR && pair->ops != NULL && pair->ops->on_record != NULL)
    pair->ops->on_record(pair->ud, raw);
  else
    rd_kafka_message_destroy(raw);
}

/* True where there may be more. */
static bool serve_consumer(roost_kafka_pair *pair) {
  for (int i = 0; i < BATCH; i++) {
    rd_kafka_message_t *raw = rd_kafka_consumer_poll(pair->consumer, 0);
    if (raw == NULL)
      return false;
    take(pair, raw);
  }
  return true;
}

static bool serve_producer(roost_kafka_pair *pair) {
  int served = 0;
  int count;
  while ((count = rd_kafka_poll(pair->producer, 0)) > 0) {
    served += count;
    if (served >= EVENTS)
      return true;
  }
  return false;
}

static void tell_writable(roost_kafka_pair *pair) {
  if (!pair->is_crowded || pair->queued_bytes > pair->max_send_bytes / 4)
    return;
  pair->is_crowded = false;
  if (pair->ops != NULL && pair->ops->on_writable != NULL)
    pair->ops->on_writable(pair->ud);
}

static bool has_left(const roost_kafka_pair *pair) {
  return pair->consumer == NULL || !pair->leaving_begun || rd_kafka_consumer_closed(pair->consumer);
}

/* Goes on with ending, as far as that has come. */
static void step(roost_kafka_pair *pair) {
  const bool is_late = roost_loop_now_ms(pair->loop) >= pair->deadline_ms;
  if (pair->stage == ROOST_KAFKA_LEAVING && (is_late || (has_left(pair) && pair->asked == NULL)))
    pair->stage = ROOST_KAFKA_FLUSHING;
  if (pair->stage != ROOST_KAFKA_FLUSHING || (!is_late && rd_kafka_outq_len(pair->producer) > 0))
    return;
  pair->stage = ROOST_KAFKA_ENDED;
  if (pair->ops == NULL)
    roost_loop_defer(pair->loop, &pair->reap);
  else if (pair->ops->on_ended != NULL)
    pair->ops->on_ended(pair->ud);
}

/* Drains both queues: their one byte is written only when a queue was empty before. */
static void serve(void *ud) {
  roost_kafka_pair *pair = ud;
  bool is_more = serve_producer(pair);
  roost_kafka_pair_look_for_seats(pair);
  if (pair->consumer != NULL)
    is_more = serve_consumer(pair) || is_more;
  tell_writable(pair);
  step(pair);
  if (is_more && pair->stage != ROOST_KAFKA_ENDED)
    roost_loop_defer(pair->loop, &pair->more);
}

static void on_wake(void *ud) {
  roost_kafka_pair *pair = ud;
  char bytes[64];
  while (read(pair->wake[0], bytes, sizeof bytes) > 0)
    ;
  serve(pair);
}

static void look(roost_kafka_pair *pair, bool in_doubt) {
  if (pair->stage != ROOST_KAFKA_OPEN || (pair->up && !in_doubt))
    return;
  const bool is_there =
      reaches(pair->producer) && (pair->consumer == NULL || reaches(pair->consumer));
  if (is_there && !pair->up)
    come_up(pair);
  if (is_there || !pair->up)
    return;
  if (pair->why[0] == '\0')
    roost_kafka_pair_keep_why(pair, RD_KAFKA_RESP_ERR__TRANSPORT, "no broker can be reached");
  go_down(pair, pair->why);
}

static void on_tick(roost_timer *timer) {
  roost_kafka_pair *pair = ROOST_LIST_ENTRY(timer, roost_kafka_pair, tick);
  const bool in_doubt = roost_loop_now_ms(pair->loop) < pair->doubt_ms;
  const bool matters = !pair->up || in_doubt || pair->stage != ROOST_KAFKA_OPEN ||
                       (pair->consumer != NULL && pair->behind > 0) ||
                       roost_kafka_pair_wants_seats(pair);
  roost_timer_start(roost_loop_wheel(pair->loop), &pair->tick, matters ? LOOK_MS : IDLE_LOOK_MS);
  look(pair, in_doubt);
  roost_kafka_pair_ask_for_seats(pair);
  serve(pair);
}

/* ------------------------------------------------------------------------- making ------------ */

static rd_kafka_conf_t *make_conf(roost_kafka_pair *pair, const roost_kafka_settings *settings,
                                  roost_buffer *why) {
  char text[256];
  const char *name;
  const char *value;
  size_t at = 0;
  rd_kafka_conf_t *conf = rd_kafka_conf_new();
  if (conf == NULL)
    return NULL;
  rd_kafka_conf_set_opaque(conf, pair);
  rd_kafka_conf_set_error_cb(conf, on_error);
  rd_kafka_conf_set_log_cb(conf, pair->log != NULL ? on_log : NULL);
  rd_kafka_conf_set(conf, "log.queue", "true", NULL, 0);
  while (roost_kafka_settings_next(settings, &at, &name, &value)) {
    if (rd_kafka_conf_set(conf, name, value, text, sizeof text) == RD_KAFKA_CONF_OK)
      continue;
    (void)roost_buffer_printf(why, "%s", text); /* it may quote the value: see the settings */
    rd_kafka_conf_destroy(conf);
    return NULL;
  }
  return conf;
}

static rd_kafka_t *make_handle(rd_kafka_type_t type, rd_kafka_conf_t *conf, roost_buffer *why) {
  char text[256];
  rd_kafka_t *rk = rd_kafka_new(type, conf, text, sizeof text);
  if (rk == NULL) {
    (void)roost_buffer_printf(why, "%s", text);
    rd_kafka_conf_destroy(conf);
    return NULL;
  }
  rd_kafka_set_log_queue(rk, NULL);
  return rk;
}

static int open_producer(roost_kafka_pair *pair, const roost_kafka_settings *settings,
                         roost_buffer *why) {
  rd_kafka_conf_t *conf = make_conf(pair, settings, why);
  if (conf == NULL)
    return ROOST_ECONFIG;
  rd_kafka_conf_set_dr_msg_cb(conf, roost_kafka_pair_on_delivered);
  pair->producer = make_handle(RD_KAFKA_PRODUCER, conf, why);
  if (pair->producer == NULL)
    return ROOST_ECONFIG;
  pair->producer_queue = rd_kafka_queue_get_main(pair->producer);
  return pair->producer_queue != NULL ? 0 : ROOST_ENOMEM;
}

static int open_consumer(roost_kafka_pair *pair, const roost_kafka_settings *settings,
                         roost_buffer *why) {
  if (settings == NULL)
    return 0;
  rd_kafka_conf_t *conf = make_conf(pair, settings, why);
  if (conf == NULL)
    return ROOST_ECONFIG;
  rd_kafka_conf_set_rebalance_cb(conf, roost_kafka_pair_on_rebalance);
  pair->consumer = make_handle(RD_KAFKA_CONSUMER, conf, why);
  if (pair->consumer == NULL)
    return ROOST_ECONFIG;
  rd_kafka_poll_set_consumer(pair->consumer);
  pair->consumer_queue = rd_kafka_queue_get_consumer(pair->consumer);
  return pair->consumer_queue != NULL ? 0 : ROOST_ENOMEM;
}

static int open_pipe(roost_kafka_pair *pair, roost_buffer *why) {
  if (pipe2(pair->wake, O_NONBLOCK | O_CLOEXEC) != 0) {
    pair->wake[0] = pair->wake[1] = -1;
    (void)roost_buffer_printf(why, "no pipe: %s", strerror(errno));
    return ROOST_ESYSTEM;
  }
  const int status = roost_poll_open(&pair->poll, pair->loop, pair->wake[0], on_wake, pair);
  if (status != 0)
    return status;
  rd_kafka_queue_io_event_enable(pair->producer_queue, pair->wake[1], "x", 1);
  if (pair->consumer_queue != NULL)
    rd_kafka_queue_io_event_enable(pair->consumer_queue, pair->wake[1], "x", 1);
  return 0;
}

/* ------------------------------------------------------------------------- the end ----------- */

/* A consumer that is leaving waits for what is in its queue, and whoever frees it for it. */
static void leave_now(roost_kafka_pair *pair) {
  for (int i = 0; i < LEAVE_LOOKS && !has_left(pair); i++) {
    rd_kafka_message_t *raw = rd_kafka_consumer_poll(pair->consumer, LEAVE_LOOK_MS);
    if (raw != NULL)
      rd_kafka_message_destroy(raw);
  }
}

static void free_handle(rd_kafka_t *rk, rd_kafka_queue_t *queue, int flags) {
  if (queue != NULL) {
    rd_kafka_queue_io_event_enable(queue, -1, NULL, 0);
    rd_kafka_queue_destroy(queue);
  }
  if (rk != NULL)
    rd_kafka_destroy_flags(rk, flags);
}

/* Callbacks are called until the consumer has left: what they may start is stopped after that. */
static void free_pair(void *ud) {
  roost_kafka_pair *pair = ud;
  pair->ops = NULL;
  roost_kafka_pair_stop_asking(pair);
  leave_now(pair);
  roost_timer_stop(roost_loop_wheel(pair->loop), &pair->tick);
  roost_loop_remove_hook(&pair->more);
  roost_loop_remove_hook(&pair->reap);
  roost_loop_remove_hook(&pair->gone);
  roost_poll_close(pair->poll);
  if (pair->assigned != NULL)
    rd_kafka_topic_partition_list_destroy(pair->assigned);
  if (pair->wanted != NULL)
    rd_kafka_topic_partition_list_destroy(pair->wanted);
  free_handle(pair->consumer, pair->consumer_queue, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
  if (pair->producer != NULL)
    rd_kafka_purge(pair->producer, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
  free_handle(pair->producer, pair->producer_queue, 0);
  for (int i = 0; i < 2; i++)
    if (pair->wake[i] >= 0)
      close(pair->wake[i]);
  roost_alloc_put(pair->alloc, pair, sizeof *pair);
}

/* The loop goes on no more: what is left is sent here. */
static void on_loop_gone(void *ud) {
  roost_kafka_pair *pair = ud;
  pair->ops = NULL;
  (void)rd_kafka_flush(pair->producer, FLUSH_MS);
  free_pair(pair);
}

int roost_kafka_pair_open(roost_kafka_pair **out, roost_loop *loop,
                          const roost_kafka_pair_config *config, const roost_kafka_pair_ops *ops,
                          void *ud, roost_buffer *why) {
  const roost_alloc *alloc = roost_loop_alloc(loop);
  *out = NULL;
  if (config->producer->status != 0 || (config->consumer != NULL && config->consumer->status != 0))
    return ROOST_ENOMEM;
  roost_kafka_pair *pair = roost_alloc_get(alloc, sizeof *pair);
  if (pair == NULL)
    return ROOST_ENOMEM;
  *pair = (roost_kafka_pair){.loop = loop,
                             .alloc = alloc,
                             .ops = ops,
                             .ud = ud,
                             .log = config->log,
                             .name = config->name,
                             .wake = {-1, -1},
                             .more = {.fn = serve, .ud = pair},
                             .reap = {.fn = free_pair, .ud = pair},
                             .gone = {.fn = on_loop_gone, .ud = pair},
                             .max_send_bytes = config->max_send_bytes};
  roost_list_init(&pair->more.link);
  roost_list_init(&pair->reap.link);
  roost_list_init(&pair->gone.link);
  roost_timer_init(&pair->tick, on_tick);
  int status = open_producer(pair, config->producer, why);
  if (status == 0)
    status = open_consumer(pair, config->consumer, why);
  if (status == 0)
    status = open_pipe(pair, why);
  if (status != 0) {
    free_pair(pair);
    return status;
  }
  roost_loop_add_closing(loop, &pair->gone);
  roost_timer_start(roost_loop_wheel(loop), &pair->tick, 0);
  *out = pair;
  return 0;
}

void roost_kafka_pair_end(roost_kafka_pair *pair, uint64_t timeout_ms) {
  if (pair->stage != ROOST_KAFKA_OPEN)
    return;
  pair->stage = ROOST_KAFKA_LEAVING;
  pair->deadline_ms = roost_loop_now_ms(pair->loop) + timeout_ms;
  if (pair->consumer != NULL) {
    rd_kafka_error_t *error = rd_kafka_consumer_close_queue(pair->consumer, pair->consumer_queue);
    pair->leaving_begun = error == NULL;
    rd_kafka_error_destroy(error);
  }
  roost_timer_start(roost_loop_wheel(pair->loop), &pair->tick, 0);
}

void roost_kafka_pair_close(roost_kafka_pair *pair) {
  if (pair == NULL)
    return;
  pair->ops = NULL;
  pair->log = NULL;
  if (pair->revoking)
    roost_kafka_pair_revoke(pair);
  if (pair->stage == ROOST_KAFKA_ENDED)
    roost_loop_defer(pair->loop, &pair->reap);
  else
    roost_kafka_pair_end(pair, LINGER_MS);
}

bool roost_kafka_pair_crowded(const roost_kafka_pair *pair) {
  return pair->is_crowded;
}

const char *roost_kafka_pair_why(const roost_kafka_pair *pair) {
  return pair->why;
}

bool roost_kafka_pair_is_up(const roost_kafka_pair *pair) {
  return pair->up;
}
