/*
 * A client of services behind Kafka.
 *
 * Expected: a reply topic the client reads, known before it connects (Nest's
 * subscribeToResponseOf). Seat: the partition of such a topic that replies are to come in
 * (kafka_pair.h). No group gives it, as it does with Nest, where each member that comes or goes,
 * and each pattern used for the first time, makes all of them begin to read anew, so that replies
 * are missed; and where a topic has fewer partitions than the group has members, some get none.
 * Here clients may share a partition, and pass over each other's replies.
 * The pair is made by the first connect and lives until the client is closed: librdkafka connects
 * again by itself, and what it has not sent yet it sends then.
 */
#include <stdio.h>
#include <string.h>

#include "core/map.h"
#include "core/slice.h"
#include "transport/kafka.h"
#include "transport/kafka_pair.h"
#include "transport/kafka_routes.h"
#include "wire/json.h"
#include "wire/pattern.h"

/* For the first connection, with its seats; for one that was there and is not. */
#define FIRST_PATIENCE_MS 15000
#define PATIENCE_MS       2000

static const char correlation_header[] = "kafka_correlationId";
static const char error_header[] = "kafka_nest-err";
static const char last_header[] = "kafka_nest-is-disposed";

typedef struct kafka_client {
  roost_client client; /* first: a kafka_client is a roost_client */
  roost_loop *loop;
  const roost_kafka_options *options; /* borrowed */
  roost_kafka_pair *pair;             /* NULL: not made, or closed */
  roost_map expected;                 /* reply topics: without_seat, or first_seat + its seat */
  size_t standing;                    /* of these, how many have no seat */
  roost_kafka_record record;          /* that is being sent */
  roost_buffer data;                  /* of the message being written */
  roost_buffer route;                 /* of it; then of the reply topic */
  roost_buffer text;                  /* JSON of the reply being handed on */
  roost_loop_hook later;              /* tells what must not be told at once */
  roost_timer patience;               /* until a connection that isn't made is given up */
  bool opening;                       /* on_open or on_closed is owed */
  bool open;
  char why[256]; /* for the sink */
  char refusal[400];
} kafka_client;

/* Values of expected: what is there and has no seat, and what has one. */
enum { without_seat = 1, first_seat = 2 };

static kafka_client *of(roost_client *client) {
  return (kafka_client *)client;
}

static bool is_ready(const kafka_client *self) {
  return self->pair != NULL && roost_kafka_pair_is_up(self->pair) &&
         (self->options->producer_only_mode || self->standing == 0);
}

static void look_whether_open(kafka_client *self) {
  if (!self->opening || !is_ready(self))
    return;
  self->opening = false;
  self->open = true;
  roost_timer_stop(roost_loop_wheel(self->loop), &self->patience);
  self->client.sink->on_open(self->client.sink_ud);
}

/* ------------------------------------------------------------------------- seats ------------- */

static void on_seated(void *ud, const roost_kafka_place *begin) {
  kafka_client *self = ud;
  const roost_slice name = roost_slice_text(begin->topic);
  for (size_t i = 0; i < self->expected.cap; i++) {
    roost_map_entry *entry = &self->expected.entries[i];
    if (entry->value != (void *)(uintptr_t)without_seat || !roost_slice_equal(entry->key, name))
      continue;
    entry->value = (void *)((uintptr_t)begin->partition + first_seat);
    self->standing--;
  }
  look_whether_open(self);
}

/* -1: there is none. */
static int32_t seat_of(const kafka_client *self, roost_slice topic) {
  const uintptr_t value = (uintptr_t)roost_map_get(&self->expected, topic);
  return value >= first_seat ? (int32_t)(value - first_seat) : -1;
}

/* ------------------------------------------------------------------------- the pair's calls -- */

static void on_up(void *ud) {
  look_whether_open(ud);
}

static void on_down(void *ud, const char *why) {
  kafka_client *self = ud;
  const bool was_open = self->open;
  if (!was_open && !self->opening)
    return;
  self->open = false;
  self->opening = false;
  roost_timer_stop(roost_loop_wheel(self->loop), &self->patience);
  snprintf(self->why, sizeof self->why, "%s", was_open ? "Connection closed" : why);
  self->client.sink->on_closed(self->client.sink_ud, was_open ? ROOST_EGONE : ROOST_ECONNECT,
                               self->why);
}

static void on_impatient(roost_timer *timer) {
  kafka_client *self = ROOST_LIST_ENTRY(timer, kafka_client, patience);
  const char *why = self->pair != NULL ? roost_kafka_pair_why(self->pair) : "";
  on_down(self, why[0] != '\0' ? why : "ETIMEDOUT");
}

static bool has(const roost_kafka_raw *raw, const char *name) {
  roost_slice value;
  return roost_kafka_raw_header(raw, name, &value);
}

/* Appends JSON to self->text and says where. */
static int append(kafka_client *self, roost_slice bytes, bool as_text, size_t *len) {
  const size_t before = self->text.len;
  const int status = as_text ? roost_json_write_string(&self->text, bytes)
                             : roost_kafka_read_value(&self->text, bytes);
  *len = self->text.len - before;
  return status;
}

static bool is_empty_text(roost_slice json) {
  return roost_slice_equal(json, ROOST_SLICE("\"\""));
}

/* Hands a reply on: what of it is there, the other two with ptr NULL. */
static void hand_on(kafka_client *self, const roost_kafka_raw *raw, roost_slice id) {
  roost_slice error = {NULL, 0};
  size_t id_len = 0;
  size_t value_len = 0;
  const bool failed = roost_kafka_raw_header(raw, error_header, &error);
  const bool is_bare = has(raw, ROOST_KAFKA_BARE_HEADER);
  roost_buffer_clear(&self->text);
  if (append(self, id, true, &id_len) != 0 ||
      append(self, failed ? error : roost_kafka_raw_value(raw), false, &value_len) != 0)
    return; /* it runs out of time */
  const roost_slice value = roost_slice_of(self->text.ptr + id_len, value_len);
  const roost_slice none = {NULL, 0};
  const roost_reply reply = {.format = ROOST_FORMAT_JSON,
                             .id = roost_slice_of(self->text.ptr, id_len),
                             .response = failed || is_bare ? none : value,
                             .err = failed && !is_empty_text(value) ? value : none,
                             .last = failed || has(raw, last_header)};
  self->client.sink->on_reply(self->client.sink_ud, &reply);
}

static void on_record(void *ud, roost_kafka_raw *raw) {
  kafka_client *self = ud;
  roost_slice id;
  if (roost_kafka_raw_header(raw, correlation_header, &id) && id.ptr != NULL)
    hand_on(self, raw, id);
  roost_kafka_raw_free(raw);
}

/* A request that was not sent has its answer here. */
static void on_delivered(void *ud, void *opaque, const roost_kafka_raw *raw, const char *why) {
  kafka_client *self = ud;
  roost_slice id;
  size_t id_len;
  (void)opaque;
  if (why == NULL || !roost_kafka_raw_header(raw, correlation_header, &id))
    return;
  roost_buffer_clear(&self->text);
  if (append(self, id, true, &id_len) != 0 ||
      roost_message_write_error(&self->text, roost_slice_text(why)) != 0)
    return;
  const roost_reply reply = {.format = ROOST_FORMAT_JSON,
                             .id = roost_slice_of(self->text.ptr, id_len),
                             .err =
                                 roost_slice_of(self->text.ptr + id_len, self->text.len - id_len),
                             .last = true};
  self->client.sink->on_reply(self->client.sink_ud, &reply);
}

static void on_writable(void *ud) {
  kafka_client *self = ud;
  if (self->open)
    self->client.sink->on_writable(self->client.sink_ud);
}

static const roost_kafka_pair_ops pair_ops = {.on_up = on_up,
                                              .on_down = on_down,
                                              .on_seated = on_seated,
                                              .on_record = on_record,
                                              .on_delivered = on_delivered,
                                              .on_writable = on_writable};

/* ------------------------------------------------------------------------- connecting -------- */

static void leave_seats(kafka_client *self) {
  for (size_t i = 0; i < self->expected.cap; i++)
    if (self->expected.entries[i].value != NULL)
      self->expected.entries[i].value = (void *)(uintptr_t)without_seat;
  self->standing = self->expected.count;
}

/* Has it have a seat, once there is a pair. */
static int sit(kafka_client *self, roost_slice topic) {
  char name[ROOST_KAFKA_TOPIC_BYTES + 1];
  if (self->pair == NULL || self->options->producer_only_mode)
    return 0;
  snprintf(name, sizeof name, "%.*s", (int)topic.len, topic.ptr);
  return roost_kafka_pair_sit(self->pair, name);
}

static int sit_everywhere(kafka_client *self) {
  const roost_map_entry *entry;
  size_t at = 0;
  int status = 0;
  while (status == 0 && (entry = roost_map_next(&self->expected, &at)) != NULL)
    status = sit(self, entry->key);
  return status;
}

static int open_pair(kafka_client *self, roost_buffer *why) {
  const roost_client_config *config = self->client.config;
  const roost_alloc *alloc = roost_loop_alloc(self->loop);
  roost_kafka_settings producer;
  roost_kafka_settings consumer;
  roost_kafka_settings_init(&producer, alloc);
  roost_kafka_settings_init(&consumer, alloc);
  roost_kafka_producer_settings(&producer, self->options, false, config->max_send_buffer_size);
  roost_kafka_consumer_settings(&consumer, self->options, false, config->max_buffer_size);
  const roost_kafka_pair_config pair = {.producer = &producer,
                                        .consumer =
                                            self->options->producer_only_mode ? NULL : &consumer,
                                        .max_send_bytes = config->max_send_buffer_size};
  int status = roost_kafka_pair_open(&self->pair, self->loop, &pair, &pair_ops, self, why);
  if (status == 0)
    status = sit_everywhere(self);
  roost_kafka_settings_deinit(&producer);
  roost_kafka_settings_deinit(&consumer);
  return status;
}

static void on_later(void *ud) {
  kafka_client *self = ud;
  if (self->pair != NULL) {
    look_whether_open(self);
  } else if (self->opening) {
    self->opening = false;
    self->client.sink->on_closed(self->client.sink_ud, ROOST_ECONNECT, self->why);
  }
}

static int connect_client(roost_client *client) {
  kafka_client *self = of(client);
  roost_buffer why;
  int status = 0;
  const bool is_first = self->pair == NULL;
  roost_buffer_init(&why, roost_loop_alloc(self->loop));
  if (is_first)
    status = open_pair(self, &why);
  if (status == ROOST_ECONFIG || status == ROOST_ESYSTEM) {
    snprintf(self->why, sizeof self->why, "%s: %.*s", status == ROOST_ECONFIG ? "EINVAL" : "EMFILE",
             (int)why.len, why.len > 0 ? why.ptr : "");
    status = 0;
  }
  roost_buffer_deinit(&why);
  if (status != 0)
    return status;
  self->opening = true;
  roost_loop_defer(self->loop, &self->later);
  roost_timer_start(roost_loop_wheel(self->loop), &self->patience,
                    is_first ? FIRST_PATIENCE_MS : PATIENCE_MS);
  return 0;
}

static void close_client(roost_client *client) {
  kafka_client *self = of(client);
  roost_loop_remove_hook(&self->later);
  roost_timer_stop(roost_loop_wheel(self->loop), &self->patience);
  self->open = self->opening = false;
  roost_kafka_pair_close(self->pair);
  self->pair = NULL;
  leave_seats(self);
}

/* ------------------------------------------------------------------------- sending ----------- */

static roost_buffer *begin(roost_client *client, const roost_message *head) {
  kafka_client *self = of(client);
  (void)head;
  roost_buffer_clear(&self->data);
  return &self->data;
}

static void undo(roost_client *client) {
  roost_buffer_clear(&of(client)->data);
}

static int refuse(kafka_client *self, const char *text, const char *more) {
  snprintf(self->refusal, sizeof self->refusal, text, more);
  self->client.refusal = self->refusal;
  return ROOST_EUNSUPPORTED;
}

/* Key and partition; all else is other transports'. */
static int add_options(kafka_client *self, roost_slice options) {
  roost_json_reader reader;
  roost_json_token token;
  roost_slice value;
  int status = 0;
  if (options.ptr == NULL)
    return 0;
  roost_json_reader_init(&reader, options);
  if (roost_json_next(&reader, &token) != ROOST_JSON_OBJECT)
    return ROOST_EPROTO;
  while (status == 0 && roost_json_next(&reader, &token) == ROOST_JSON_KEY) {
    const roost_slice name = token.text;
    status = roost_json_take(&reader, &value);
    if (status == 0 && roost_slice_equal(name, ROOST_SLICE("key")))
      status = roost_kafka_record_set_key(&self->record, value);
    if (status == 0 && roost_slice_equal(name, ROOST_SLICE("partition")))
      status = roost_kafka_record_set_partition(&self->record, value);
  }
  return status;
}

/* Where the answer is to go; the reply topic's name is in self->route. */
static int add_way_back(kafka_client *self, roost_slice id) {
  char digits[16];
  const roost_slice topic = roost_buffer_slice(&self->route);
  const int32_t seat = seat_of(self, topic);
  if (seat < 0) {
    char name[256];
    snprintf(name, sizeof name, "%.*s", (int)topic.len, topic.ptr);
    return refuse(
        self, "The client consumer did not subscribe to the corresponding reply topic (%s).", name);
  }
  snprintf(digits, sizeof digits, "%ld", (long)seat);
  int status =
      roost_kafka_record_add_value(&self->record, roost_slice_text(correlation_header), id);
  if (status == 0)
    status = roost_kafka_record_add_header(&self->record, ROOST_SLICE("kafka_replyTopic"), topic);
  return status == 0
             ? roost_kafka_record_add_header(&self->record, ROOST_SLICE("kafka_replyPartition"),
                                             roost_slice_text(digits))
             : status;
}

static int write_record(kafka_client *self, const roost_message *head, size_t topic_len) {
  roost_kafka_record_clear(&self->record);
  int status = roost_kafka_record_write(&self->record, roost_buffer_slice(&self->data));
  if (status == 0 && head->metadata.ptr != NULL)
    status = roost_kafka_record_add_headers(&self->record, head->metadata);
  if (status == 0)
    status = add_options(self, head->options);
  if (status == 0 && head->id.ptr != NULL) {
    status = roost_buffer_append(&self->route, ".reply", 6);
    if (status == 0)
      status = add_way_back(self, head->id);
    self->route.len = topic_len;
  }
  return status;
}

static int end(roost_client *client, const roost_message *head) {
  kafka_client *self = of(client);
  const char *why;
  roost_buffer_clear(&self->route);
  if (roost_pattern_normalise(&self->route, head->pattern, &why) != 1 ||
      !roost_kafka_is_topic(roost_buffer_slice(&self->route)))
    return refuse(self, "The pattern is no name of a Kafka topic%s", "");
  const roost_slice topic = roost_buffer_slice(&self->route);
  int status = write_record(self, head, topic.len);
  if (status == 0)
    status =
        roost_kafka_pair_produce(self->pair, roost_buffer_slice(&self->route), &self->record, NULL);
  if (status == ROOST_EFULL)
    return refuse(self, "The record is too large, or too much waits to be sent%s", "");
  return status == 0 || status == ROOST_EUNSUPPORTED || status == ROOST_ENOMEM
             ? status
             : refuse(self, "The record could not be sent: %s", roost_status_name(status));
}

static bool crowded(const roost_client *client) {
  const kafka_client *self = (const kafka_client *)client;
  return self->pair != NULL && roost_kafka_pair_crowded(self->pair);
}

static int expect(roost_client *client, roost_slice pattern) {
  kafka_client *self = of(client);
  const char *why;
  roost_buffer_clear(&self->route);
  if (roost_pattern_normalise(&self->route, pattern, &why) != 1 ||
      roost_buffer_append(&self->route, ".reply", 6) != 0)
    return ROOST_ENOMEM;
  const roost_slice topic = roost_buffer_slice(&self->route);
  if (!roost_kafka_is_topic(topic))
    return refuse(self, "The pattern is no name of a Kafka topic%s", "");
  if (roost_map_get(&self->expected, topic) != NULL)
    return self->open && seat_of(self, topic) < 0 ? 1 : 0;
  if (roost_map_set(&self->expected, topic, (void *)(uintptr_t)without_seat) != 0)
    return ROOST_ENOMEM;
  self->standing++;
  const int status = sit(self, topic);
  return status == 0 && self->open ? 1 : status;
}

/* ------------------------------------------------------------------------- its life ---------- */

static void free_client(roost_client *client) {
  kafka_client *self = of(client);
  close_client(client);
  roost_map_deinit(&self->expected);
  roost_kafka_record_deinit(&self->record);
  roost_buffer_deinit(&self->data);
  roost_buffer_deinit(&self->route);
  roost_buffer_deinit(&self->text);
  roost_alloc_put(roost_loop_alloc(self->loop), self, sizeof *self);
}

static const roost_client_ops client_ops = {.connect = connect_client,
                                            .begin = begin,
                                            .end = end,
                                            .undo = undo,
                                            .crowded = crowded,
                                            .close = close_client,
                                            .expect = expect,
                                            .free = free_client};

int roost_kafka_client_new(roost_client **out, roost_loop *loop, const roost_client_config *config,
                           const roost_client_sink *sink, void *sink_ud) {
  const roost_alloc *alloc = roost_loop_alloc(loop);
  kafka_client *self = roost_alloc_get(alloc, sizeof *self);
  *out = NULL;
  if (self == NULL)
    return ROOST_ENOMEM;
  self->client =
      (roost_client){.ops = &client_ops, .config = config, .sink = sink, .sink_ud = sink_ud};
  self->loop = loop;
  self->options = config->options;
  roost_map_init(&self->expected, alloc);
  roost_kafka_record_init(&self->record, alloc);
  roost_buffer_init(&self->data, alloc);
  roost_buffer_init(&self->route, alloc);
  roost_buffer_init(&self->text, alloc);
  self->later = (roost_loop_hook){.fn = on_later, .ud = self};
  roost_list_init(&self->later.link);
  roost_timer_init(&self->patience, on_impatient);
  *out = &self->client;
  return 0;
}
