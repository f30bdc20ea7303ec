/*
 * The records of a Kafka server: how they become messages, what is answered, and what becomes of
 * them. Start at roost_kafka_take.
 */
#include <string.h>

#include "core/backoff.h"
#include "core/slice.h"
#include "transport/kafka_server.h"
#include "wire/json.h"

#define HELD_RECORDS   256     /* of one partition, before it is paused */
#define HELD_BYTES     1048576 /* likewise */
#define RETRY_MS       100     /* until a record is tried again, at first */
#define RETRIES        5       /* before it goes to the dead letters, where there are some */
#define LETTER_MS      1000    /* until a dead letter is sent again */
#define FIRST_FRACTION 4       /* reading goes on when this part of what is held is left */

static const char correlation_header[] = "kafka_correlationId";
static const char reply_topic_header[] = "kafka_replyTopic";
static const char reply_partition_header[] = "kafka_replyPartition";
static const char error_header[] = "kafka_nest-err";
static const char last_header[] = "kafka_nest-is-disposed";

static roost_kafka_delivery *of(roost_delivery *delivery) {
  return (roost_kafka_delivery *)delivery;
}

static roost_kafka_delivery *of_origin(roost_origin *origin) {
  return (roost_kafka_delivery *)origin;
}

static roost_kafka_server *server_of(const roost_kafka_delivery *delivery) {
  return delivery->delivery.pool->ud;
}

/* ------------------------------------------------------------------------- arriving ---------- */

/* What has no way back is an event. */
static bool is_event(const roost_kafka_raw *raw) {
  roost_slice value;
  return !roost_kafka_raw_header(raw, correlation_header, &value) || value.len == 0 ||
         !roost_kafka_raw_header(raw, reply_topic_header, &value) || value.len == 0;
}

static bool holds_enough(const roost_kafka_partition *partition) {
  return partition->waiting >= HELD_RECORDS || partition->waiting_bytes >= HELD_BYTES;
}

void roost_kafka_take(roost_kafka_server *self, roost_kafka_raw *raw) {
  const roost_kafka_place place = roost_kafka_raw_place(raw);
  roost_kafka_partition *partition = roost_kafka_window_find(&self->window, &place);
  if (partition == NULL || self->server.draining) {
    roost_kafka_raw_free(raw);
    return;
  }
  self->server.stats.bytes.bytes_in += roost_kafka_raw_bytes(raw);
  if (roost_kafka_window_push(&self->window, partition, raw, place.offset,
                              roost_kafka_raw_bytes(raw), is_event(raw)) != 0) {
    roost_kafka_raw_free(raw);
    roost_kafka_log(self, ROOST_LOG_ERROR, "a record is lost: out of memory",
                    roost_slice_text(place.topic), NULL);
    return;
  }
  if (!partition->paused && holds_enough(partition)) {
    partition->paused = true;
    roost_kafka_pair_pause(self->pair, &partition->place);
  }
  roost_loop_defer(self->loop, &self->pump);
}

/* ------------------------------------------------------------------------- dispatching ------- */

static bool may_start(const roost_kafka_server *self) {
  const uint32_t most = self->server.config->max_in_flight;
  return !self->server.draining && !self->revoking && !self->closing &&
         (most == 0 || self->pool.count < most) && !roost_kafka_pair_crowded(self->pair);
}

static int32_t partition_in(roost_slice text) {
  int64_t number = 0;
  size_t at = 0;
  for (; at < text.len && text.ptr[at] >= '0' && text.ptr[at] <= '9' && number <= INT32_MAX; at++)
    number = number * 10 + (text.ptr[at] - '0');
  return at == 0 || number > INT32_MAX ? -1 : (int32_t)number;
}

/* Notes where replies go. */
static int address(roost_kafka_delivery *delivery, const roost_kafka_raw *raw) {
  roost_slice topic;
  roost_slice id;
  roost_slice partition;
  if (!roost_kafka_raw_header(raw, reply_topic_header, &topic) ||
      !roost_kafka_raw_header(raw, correlation_header, &id))
    return 0;
  int status = roost_buffer_append_slice(&delivery->texts, topic);
  if (status == 0)
    status = roost_buffer_append_slice(&delivery->texts, id);
  delivery->topic_len = status == 0 ? topic.len : 0;
  delivery->partition = roost_kafka_raw_header(raw, reply_partition_header, &partition)
                            ? partition_in(partition)
                            : -1;
  return status;
}

/* Where a part of the message's text begins and ends. */
typedef struct part {
  size_t at;
  size_t end;
} part;

static roost_slice slice_of(const roost_buffer *text, part p) {
  return roost_slice_of(text->ptr + p.at, p.end - p.at);
}

/* Writes a text as JSON; bytes that are not UTF-8 are replaced. */
static int write_text(roost_buffer *out, part *p, roost_slice text) {
  p->at = out->len;
  int status = roost_json_write_string(out, text);
  if (status == ROOST_EINVAL)
    status = roost_json_write_string(out, ROOST_SLICE("?"));
  p->end = out->len;
  return status;
}

typedef struct parts {
  part pattern;
  part id;
  part data;
  part metadata;
} parts;

static int write_parts(roost_kafka_server *self, const roost_kafka_entry *entry, parts *all) {
  roost_kafka_facts facts;
  roost_slice id;
  roost_buffer *text = &self->text;
  const roost_slice value = roost_kafka_raw_value(entry->raw);
  roost_buffer_clear(text);
  int status = roost_kafka_raw_facts(entry->raw, &facts, &self->headers);
  if (status == 0)
    status = write_text(text, &all->pattern, facts.topic);
  if (status == 0 && roost_kafka_raw_header(entry->raw, correlation_header, &id))
    status = write_text(text, &all->id, id);
  all->data.at = text->len;
  if (status == 0)
    status = value.ptr != NULL ? roost_kafka_read_value(text, value)
                               : roost_kafka_read_null(text, &facts);
  all->data.end = all->metadata.at = text->len;
  if (status == 0)
    status = roost_kafka_read_headers(text, facts.headers, facts.header_count);
  all->metadata.end = text->len;
  return status;
}

static void settle(roost_kafka_server *self, roost_kafka_entry *entry, roost_settlement how);

static void dispatch(roost_kafka_server *self, roost_kafka_entry *entry) {
  parts all = {{0, 0}, {0, 0}, {0, 0}, {0, 0}};
  roost_delivery *delivery = roost_delivery_take(&self->pool);
  if (delivery == NULL || write_parts(self, entry, &all) != 0 ||
      (!entry->event && address(of(delivery), entry->raw) != 0)) {
    if (delivery != NULL)
      roost_delivery_give(delivery);
    settle(self, entry, ROOST_SETTLE_REQUEUE);
    return;
  }
  of(delivery)->entry = entry;
  const roost_message message = {
      .format = ROOST_FORMAT_JSON,
      .pattern = slice_of(&self->text, all.pattern),
      .data = slice_of(&self->text, all.data),
      .id = entry->event ? (roost_slice){NULL, 0} : slice_of(&self->text, all.id),
      .metadata = slice_of(&self->text, all.metadata),
      .route = roost_kafka_routes_find(&self->routes, entry->partition->place.topic)};
  roost_delivery_dispatch(delivery, &message);
}

/* A regular expression may match the topic of our own replies, too. */
static bool is_own_reply(const roost_kafka_server *self, const roost_kafka_entry *entry) {
  const roost_slice topic = roost_slice_text(entry->partition->place.topic);
  const roost_slice ending = ROOST_SLICE(".reply");
  roost_slice value;
  return entry->event && topic.len > ending.len &&
         memcmp(topic.ptr + topic.len - ending.len, ending.ptr, ending.len) == 0 &&
         roost_kafka_raw_header(entry->raw, correlation_header, &value) &&
         roost_kafka_routes_are_wild(&self->routes, topic.ptr);
}

static void start_entry(roost_kafka_server *self, roost_kafka_entry *entry) {
  if (is_own_reply(self, entry)) {
    settle(self, entry, ROOST_SETTLE_ACK);
    return;
  }
  const size_t most = self->server.config->max_buffer_size;
  if (most == 0 || entry->bytes <= most) {
    dispatch(self, entry);
    return;
  }
  roost_kafka_log(self, ROOST_LOG_WARN, "a record is over max_buffer_size",
                  roost_slice_text(entry->partition->place.topic), NULL);
  settle(self, entry, ROOST_SETTLE_BROKEN);
}

static void resume(roost_kafka_server *self, roost_kafka_partition *partition) {
  if (!partition->paused || partition->waiting > HELD_RECORDS / FIRST_FRACTION ||
      partition->waiting_bytes > HELD_BYTES / FIRST_FRACTION)
    return;
  partition->paused = false;
  roost_kafka_pair_resume(self->pair, &partition->place);
}

/* One of each partition in turn, so that none waits for all of another. */
static bool start_some(roost_kafka_server *self) {
  bool any = false;
  roost_list *link = self->window.partitions.next;
  while (link != &self->window.partitions && may_start(self)) {
    roost_kafka_partition *partition = ROOST_LIST_ENTRY(link, roost_kafka_partition, link);
    link = link->next;
    roost_kafka_entry *entry = roost_kafka_window_ready(&self->window, partition);
    if (entry == NULL)
      continue;
    any = true;
    start_entry(self, entry);
    resume(self, partition);
  }
  return any;
}

void roost_kafka_pump(roost_kafka_server *self) {
  if (self->pair == NULL)
    return;
  while (start_some(self))
    ;
  roost_buffer_clear(&self->places);
  (void)roost_kafka_window_collect(&self->window, &self->places); /* what is left: next time */
  const size_t count = self->places.len / sizeof(roost_kafka_place);
  if (count > 0)
    roost_kafka_pair_store(self->pair, (const roost_kafka_place *)(void *)self->places.ptr, count);
}

/* ------------------------------------------------------------------------- the end of one ---- */

static void send_letter(roost_kafka_server *self, roost_kafka_entry *entry);

static void on_letter_retry(roost_timer *timer) {
  roost_kafka_entry *entry = ROOST_LIST_ENTRY(timer, roost_kafka_entry, retry);
  send_letter(entry->ud, entry);
}

static void finish(roost_kafka_server *self, roost_kafka_entry *entry) {
  roost_kafka_window_done(&self->window, entry);
  roost_loop_defer(self->loop, &self->pump);
}

/* With the header's name and the digits of a number. */
static int add_number(roost_kafka_record *record, roost_slice name, int64_t number) {
  roost_buffer digits;
  roost_buffer_init(&digits, record->bytes.alloc);
  int status = roost_json_write_integer(&digits, number);
  if (status == 0)
    status = roost_kafka_record_add_header(record, name, roost_buffer_slice(&digits));
  roost_buffer_deinit(&digits);
  return status;
}

/* The record as it came, with where it was; the names are those of Spring's dead letters. */
static int write_letter(roost_kafka_server *self, const roost_kafka_entry *entry) {
  roost_kafka_facts facts;
  roost_kafka_record *record = &self->record;
  roost_kafka_record_clear(record);
  int status = roost_kafka_raw_facts(entry->raw, &facts, &self->headers);
  if (status == 0)
    status = roost_kafka_record_set_bytes(record, roost_kafka_raw_value(entry->raw), facts.key);
  for (size_t i = 0; i < facts.header_count && status == 0; i++)
    status = roost_kafka_record_add_header(record, facts.headers[i].name, facts.headers[i].value);
  if (status == 0)
    status =
        roost_kafka_record_add_header(record, ROOST_SLICE("kafka_dlt-original-topic"), facts.topic);
  if (status == 0)
    status = add_number(record, ROOST_SLICE("kafka_dlt-original-partition"), facts.partition);
  return status == 0 ? add_number(record, ROOST_SLICE("kafka_dlt-original-offset"), facts.offset)
                     : status;
}

static void send_letter(roost_kafka_server *self, roost_kafka_entry *entry) {
  const roost_slice topic = roost_slice_text(self->options->dead_letter);
  int status = write_letter(self, entry);
  if (status == 0)
    status = roost_kafka_pair_produce(self->pair, topic, &self->record, entry);
  if (status != 0)
    roost_kafka_letter_sent(self, entry, roost_status_name(status));
}

void roost_kafka_letter_sent(roost_kafka_server *self, roost_kafka_entry *entry, const char *why) {
  if (why == NULL) {
    finish(self, entry);
    return;
  }
  roost_kafka_log(self, ROOST_LOG_ERROR, "a dead letter could not be sent",
                  roost_slice_text(self->options->dead_letter), why);
  entry->ud = self;
  roost_timer_init(&entry->retry, on_letter_retry);
  roost_timer_start(roost_loop_wheel(self->loop), &entry->retry, LETTER_MS);
}

static void on_retry(roost_timer *timer) {
  roost_kafka_entry *entry = ROOST_LIST_ENTRY(timer, roost_kafka_entry, retry);
  roost_kafka_server *self = entry->ud;
  if (!may_start(self)) {
    roost_timer_start(roost_loop_wheel(self->loop), timer, RETRY_MS);
    return;
  }
  roost_kafka_window_unpark(&self->window, entry);
  dispatch(self, entry);
}

/* It is handled again, and until then nothing after it in its partition that is an event. */
static void retry(roost_kafka_server *self, roost_kafka_entry *entry) {
  entry->attempts++;
  entry->ud = self;
  roost_kafka_window_park(&self->window, entry);
  roost_timer_init(&entry->retry, on_retry);
  roost_timer_start(roost_loop_wheel(self->loop), &entry->retry,
                    roost_backoff_ms(RETRY_MS, entry->attempts, (uint64_t)entry->offset));
}

static void settle(roost_kafka_server *self, roost_kafka_entry *entry, roost_settlement how) {
  const bool has_letters = self->options->dead_letter != NULL && entry->raw != NULL;
  const bool is_ours = !entry->partition->dropped;
  if (how == ROOST_SETTLE_REQUEUE && is_ours &&
      !(has_letters && entry->attempts + 1 >= RETRIES && !self->server.draining)) {
    retry(self, entry);
    return;
  }
  const bool has_failed = how == ROOST_SETTLE_NACK || how == ROOST_SETTLE_BROKEN ||
                          (how == ROOST_SETTLE_REQUEUE && is_ours);
  if (has_failed && has_letters && is_ours)
    send_letter(self, entry);
  else
    finish(self, entry);
}

static void settled(roost_delivery *delivery, roost_settlement how) {
  roost_kafka_entry *entry = of(delivery)->entry;
  of(delivery)->entry = NULL;
  settle(server_of(of(delivery)), entry, how);
}

static void eased(void *ud) {
  roost_kafka_server *self = ud;
  roost_loop_defer(self->loop, &self->pump);
}

/* ------------------------------------------------------------------------- replies ----------- */

static roost_buffer *reply_begin(roost_origin *origin, roost_reply_kind kind) {
  const roost_kafka_delivery *delivery = of_origin(origin);
  roost_kafka_server *self = server_of(delivery);
  (void)kind;
  if (delivery->topic_len == 0 || self->pair == NULL)
    return NULL;
  roost_buffer_clear(&self->value);
  origin->value_format = ROOST_FORMAT_JSON;
  return &self->value;
}

static void reply_undo(roost_origin *origin) {
  roost_buffer_clear(&server_of(of_origin(origin))->value);
}

static int add_text(roost_kafka_record *record, const char *name, roost_slice value) {
  return roost_kafka_record_add_header(record, roost_slice_text(name), value);
}

static bool is_empty_text(roost_slice json) {
  return json.len == 0 || roost_slice_equal(json, ROOST_SLICE("\"\"")) ||
         roost_slice_equal(json, ROOST_SLICE("null")) ||
         roost_slice_equal(json, ROOST_SLICE("false")) || roost_slice_equal(json, ROOST_SLICE("0"));
}

static int write_reply(roost_kafka_record *record, roost_reply_kind kind, roost_slice value,
                       roost_slice id) {
  int status = 0;
  roost_kafka_record_clear(record);
  if (kind == ROOST_REPLY_ITEM || kind == ROOST_REPLY_LAST)
    status = roost_kafka_record_write(record, value);
  if (status == 0)
    status = add_text(record, correlation_header, id);
  if (status == 0 && kind == ROOST_REPLY_ERROR && !is_empty_text(value))
    status = roost_kafka_record_add_value(record, roost_slice_text(error_header), value);
  if (status == 0 && kind == ROOST_REPLY_END)
    status = add_text(record, ROOST_KAFKA_BARE_HEADER, roost_slice_of("\0", 1));
  if (status == 0 && kind != ROOST_REPLY_ITEM && kind != ROOST_REPLY_VOID)
    status = add_text(record, last_header, roost_slice_of("\0", 1));
  return status;
}

static int send_reply(roost_kafka_server *self, const roost_kafka_delivery *delivery) {
  const roost_slice topic = roost_slice_of(delivery->texts.ptr, delivery->topic_len);
  if (self->record.partition < 0)
    self->record.partition = delivery->partition;
  const int status = roost_kafka_pair_produce(self->pair, topic, &self->record, NULL);
  if (status != 0) {
    roost_kafka_log(self, ROOST_LOG_WARN, "a reply could not be sent", topic,
                    status == ROOST_EFULL ? "too large, or too much waits to be sent"
                                          : roost_status_name(status));
    return ROOST_ENOMEM;
  }
  self->server.stats.bytes.bytes_out += self->record.bytes.len;
  return roost_kafka_pair_crowded(self->pair) ? ROOST_EFULL : 0;
}

static roost_slice id_of(const roost_kafka_delivery *delivery) {
  return roost_slice_of(delivery->texts.ptr + delivery->topic_len,
                        delivery->texts.len - delivery->topic_len);
}

static int reply_end(roost_origin *origin, roost_reply_kind kind, roost_slice id) {
  const roost_kafka_delivery *delivery = of_origin(origin);
  roost_kafka_server *self = server_of(delivery);
  (void)id; /* the bytes that came are in the delivery */
  const int status =
      write_reply(&self->record, kind, roost_buffer_slice(&self->value), id_of(delivery));
  return status == 0 ? send_reply(self, delivery) : ROOST_ENOMEM;
}

/* Nest has no end mark on this one. */
static void reply_unhandled(roost_origin *origin, roost_slice id) {
  static const char text[] = "There is no matching message handler defined in the remote service.";
  const roost_kafka_delivery *delivery = of_origin(origin);
  roost_kafka_server *self = server_of(delivery);
  (void)id;
  if (delivery->topic_len == 0 || self->pair == NULL)
    return;
  roost_kafka_record_clear(&self->record);
  if (add_text(&self->record, correlation_header, id_of(delivery)) == 0 &&
      add_text(&self->record, error_header, roost_slice_text(text)) == 0)
    (void)send_reply(self, delivery);
}

static bool crowded(const roost_origin *origin) {
  const roost_kafka_server *self = server_of((const roost_kafka_delivery *)(const void *)origin);
  return self->pair != NULL && roost_kafka_pair_crowded(self->pair);
}

static int facts(const roost_origin *origin, roost_buffer *out) {
  const roost_kafka_delivery *delivery = (const roost_kafka_delivery *)(const void *)origin;
  roost_kafka_server *self = server_of(delivery);
  roost_kafka_facts known;
  if (delivery->entry == NULL || delivery->entry->raw == NULL)
    return roost_buffer_append(out, "{}", 2);
  const int status = roost_kafka_raw_facts(delivery->entry->raw, &known, &self->headers);
  return status == 0 ? roost_kafka_read_facts(out, &known) : status;
}

/* ------------------------------------------------------------------------- the pool's calls -- */

static void init_delivery(roost_delivery *delivery) {
  roost_buffer_init(&of(delivery)->texts, delivery->pool->alloc);
}

static void clear_delivery(roost_delivery *delivery) {
  roost_buffer_clear(&of(delivery)->texts);
  of(delivery)->topic_len = 0;
  of(delivery)->entry = NULL;
}

static void deinit_delivery(roost_delivery *delivery) {
  roost_buffer_deinit(&of(delivery)->texts);
}

const roost_delivery_ops roost_kafka_delivery_ops = {.size = sizeof(roost_kafka_delivery),
                                                     .origin = {.reply_begin = reply_begin,
                                                                .reply_end = reply_end,
                                                                .reply_undo = reply_undo,
                                                                .reply_unhandled = reply_unhandled,
                                                                .crowded = crowded,
                                                                .facts = facts},
                                                     .init = init_delivery,
                                                     .clear = clear_delivery,
                                                     .deinit = deinit_delivery,
                                                     .settled = settled,
                                                     .eased = eased};
