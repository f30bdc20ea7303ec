/*
 * One event of a stream: from its delivery to what the server of NATS is told of it.
 */
#include <inttypes.h>
#include <stdio.h>

#include "core/slice.h"
#include "transport/nats_durable.h"
#include "wire/json.h"
#include "wire/nats_headers.h"

#define BACKOFF_MS     250 /* before the second try; four times as long before each further one */
#define BACKOFF_MAX_MS 60000
#define ACK_WORDS_MAX  12

static const roost_slice nothing = {NULL, 0};

/* ------------------------------------------------------------------------- telling ----------- */

/* Where too much waits to be sent nothing is told: then the event comes again. */
static void tell(roost_nats_server *self, roost_slice ack, roost_slice what) {
  (void)roost_nats_server_publish(self, ack, nothing, what);
}

static void tell_later(roost_nats_server *self, roost_slice ack, uint64_t tries) {
  char text[64];
  uint64_t ms = BACKOFF_MS;
  for (uint64_t i = 1; i < tries && ms < BACKOFF_MAX_MS; i++)
    ms *= 4;
  if (ms > BACKOFF_MAX_MS)
    ms = BACKOFF_MAX_MS;
  const int len = snprintf(text, sizeof text, "-NAK {\"delay\": %" PRIu64 "}", ms * 1000000);
  tell(self, ack, (roost_slice){text, (size_t)len});
}

/* ------------------------------------------------------------------------- facts ------------- */

/* What the subject of an event's acknowledgement says: $JS.ACK.[DOMAIN.ACCOUNT.]STREAM.CONSUMER.
 * TRIES.SEQUENCE.SEQUENCE.TIME.PENDING[.RANDOM]. */
typedef struct facts {
  uint64_t tries;
  uint64_t sequence;
} facts;

static uint64_t number_of(roost_slice word) {
  uint64_t number = 0;
  for (size_t i = 0; i < word.len && word.ptr[i] >= '0' && word.ptr[i] <= '9'; i++)
    number = number * 10 + (uint64_t)(word.ptr[i] - '0');
  return number;
}

static facts read_facts(roost_slice ack) {
  roost_slice words[ACK_WORDS_MAX];
  size_t count = 0;
  while (count < ACK_WORDS_MAX && ack.len > 0) {
    const char *dot = memchr(ack.ptr, '.', ack.len);
    const size_t len = dot != NULL ? (size_t)(dot - ack.ptr) : ack.len;
    words[count++] = (roost_slice){ack.ptr, len};
    const size_t taken = len + (dot != NULL ? 1 : 0);
    ack.ptr += taken;
    ack.len -= taken;
  }
  if (count < 9)
    return (facts){.tries = 1};
  const size_t at = count >= 11 ? 6 : 4;
  return (facts){.tries = number_of(words[at]), .sequence = number_of(words[at + 1])};
}

/* ------------------------------------------------------------------------- dead letters ------ */

typedef struct letter {
  roost_slice ack;
  roost_slice subject;
  roost_slice block; /* ptr NULL: none */
  roost_slice payload;
  const char *why;
  facts facts;
} letter;

static void log_letter(roost_nats_server *self, const letter *dead, const char *msg) {
  char err[200];
  snprintf(err, sizeof err, "%s (delivery %" PRIu64 ", sequence %" PRIu64 ")", dead->why,
           dead->facts.tries, dead->facts.sequence);
  roost_nats_server_log(self, ROOST_LOG_ERROR, ROOST_LOG_KIND_HANDLER, msg, dead->subject, err);
}

/* Its own headers, but for those that mean something to the server. */
static int copy_headers(roost_buffer *out, roost_slice block) {
  roost_nats_headers headers;
  roost_slice name;
  roost_slice value;
  if (block.ptr == NULL || roost_nats_headers_open(&headers, block) != 0)
    return 0;
  while (roost_nats_headers_next(&headers, &name, &value)) {
    const bool is_servers = name.len >= 5 && memcmp(name.ptr, "Nats-", 5) == 0;
    if (!is_servers && roost_nats_headers_write(out, name, value) == ROOST_ENOMEM)
      return ROOST_ENOMEM;
  }
  return 0;
}

static int write_number(roost_buffer *out, const char *name, uint64_t number) {
  char text[24];
  const int len = snprintf(text, sizeof text, "%" PRIu64, number);
  return roost_nats_headers_write(out, roost_slice_text(name), (roost_slice){text, (size_t)len});
}

/* By its id the server knows a letter that comes twice. */
static int write_headers(const roost_nats_durable *durable, const letter *dead, roost_buffer *out) {
  char id[4 * ROOST_NATS_NAME_MAX];
  const int len = snprintf(id, sizeof id, "%s.%s.%" PRIu64, durable->stream, durable->name,
                           dead->facts.sequence);
  int status = copy_headers(out, dead->block);
  if (status == 0)
    status =
        roost_nats_headers_write(out, ROOST_SLICE("Nats-Msg-Id"), (roost_slice){id, (size_t)len});
  if (status == 0)
    status = roost_nats_headers_write(out, ROOST_SLICE("Roost-Subject"), dead->subject);
  if (status == 0)
    status = roost_nats_headers_write(out, ROOST_SLICE("Roost-Error"), roost_slice_text(dead->why));
  if (status == 0)
    status = roost_nats_headers_write(out, ROOST_SLICE("Roost-Stream"),
                                      roost_slice_text(durable->stream));
  if (status == 0)
    status = write_number(out, "Roost-Sequence", dead->facts.sequence);
  return status == 0 ? write_number(out, "Roost-Deliveries", dead->facts.tries) : status;
}

/* The answer comes to a subject that says which event it is about. */
static int write_letter(roost_nats_durable *durable, const letter *dead, roost_buffer *out) {
  const roost_nats_server *self = durable->server;
  roost_nats_mark mark;
  roost_buffer inbox;
  roost_buffer_init(&inbox, out->alloc);
  int status = roost_buffer_printf(&inbox, "%s.%" PRIu64 ".letter.%.*s", self->conn.inbox,
                                   durable->sid, (int)dead->ack.len, dead->ack.ptr);
  if (status == 0)
    status = roost_nats_pub_begin(out, &mark, roost_slice_text(self->options->dead_letter),
                                  roost_buffer_slice(&inbox), true);
  roost_buffer_deinit(&inbox);
  if (status != 0)
    return status;
  status = write_headers(durable, dead, out);
  if (status == 0)
    status = roost_nats_pub_body(out, &mark);
  if (status == 0)
    status = roost_buffer_append_slice(out, dead->payload);
  if (status == 0 && roost_nats_pub_size(out, &mark) > self->conn.max_payload)
    out->len = mark.payload; /* what it was does not fit any more: the headers say where it is */
  if (status == 0)
    return roost_nats_pub_end(out, &mark);
  roost_nats_pub_undo(out, &mark);
  return status;
}

static void bury(roost_nats_durable *durable, const letter *dead) {
  roost_nats_server *self = durable->server;
  if (self->options->dead_letter == NULL) {
    log_letter(self, dead, "an event has failed for good");
    tell(self, dead->ack, ROOST_SLICE("+TERM"));
    return;
  }
  roost_buffer *out = roost_nats_server_out(self);
  if (out == NULL || write_letter(durable, dead, out) != 0) {
    tell_later(self, dead->ack, dead->facts.tries);
    return;
  }
  roost_nats_server_sent(self);
  log_letter(self, dead, "an event has become a dead letter");
}

/* JSON with an error, or the server's word that nobody keeps it. */
void roost_nats_letter_answered(roost_nats_durable *durable, roost_slice ack,
                                const roost_nats_op *op) {
  const roost_slice mark = ROOST_SLICE("\"error\"");
  const bool is_kept =
      op->payload.len > 0 && memmem(op->payload.ptr, op->payload.len, mark.ptr, mark.len) == NULL;
  if (is_kept)
    tell(durable->server, ack, ROOST_SLICE("+TERM"));
  else
    tell_later(durable->server, ack, read_facts(ack).tries);
}

/* ------------------------------------------------------------------------- arriving ---------- */

static bool may_retry(const roost_nats_server *self, uint64_t tries) {
  return self->options->max_deliver == 0 || tries < self->options->max_deliver;
}

static int keep(roost_nats_delivery *delivery, const roost_nats_op *op, bool is_last) {
  delivery->block_bytes = op->block.len;
  int status = roost_buffer_append_slice(&delivery->reply, op->reply);
  if (status == 0)
    status = roost_buffer_append_slice(&delivery->subject, op->subject);
  if (status == 0 && is_last)
    status = roost_buffer_append_slice(&delivery->content, op->block);
  if (status == 0 && is_last)
    status = roost_buffer_append_slice(&delivery->content, op->payload);
  return status;
}

static void dispatch(roost_nats_durable *durable, const roost_nats_op *op, const facts *known,
                     roost_message *message) {
  roost_nats_server *self = durable->server;
  roost_delivery *at = roost_delivery_take(&self->pool);
  roost_nats_delivery *delivery = (roost_nats_delivery *)at;
  if (at == NULL || keep(delivery, op, !may_retry(self, known->tries)) != 0) {
    if (at != NULL)
      roost_delivery_give(at);
    tell_later(self, op->reply, 1);
    return;
  }
  delivery->durable = durable;
  delivery->kept = true;
  delivery->tries = known->tries;
  delivery->sequence = known->sequence;
  message->id = nothing; /* its caller is not known any more */
  roost_delivery_dispatch(at, message);
}

void roost_nats_event_take(roost_nats_durable *durable, const roost_nats_op *op) {
  roost_nats_server *self = durable->server;
  letter dead = {.ack = op->reply,
                 .subject = op->subject,
                 .block = op->block,
                 .payload = op->payload,
                 .facts = read_facts(op->reply)};
  const roost_nats_input input = {durable->sub, op->subject, nothing, op->block, op->payload};
  roost_message message;
  if (durable->stopped) {
    tell(self, op->reply, ROOST_SLICE("-NAK")); /* for another host */
    return;
  }
  if (op->oversize)
    dead.why = "it is larger than max_buffer_size";
  else if (self->options->max_deliver > 0 && dead.facts.tries > self->options->max_deliver)
    dead.why = "whoever had it has not come to an end with it";
  else if (roost_nats_server_read(self, &input, &message) == 0 ||
           (message.data.ptr != NULL && roost_json_validate(message.data) != 0))
    dead.why = "it is no message";
  if (dead.why != NULL)
    bury(durable, &dead);
  else
    dispatch(durable, op, &dead.facts, &message);
}

/* ------------------------------------------------------------------------- the end ----------- */

static void give_up(roost_nats_delivery *delivery, const char *why) {
  const size_t block = delivery->block_bytes;
  const letter dead = {.ack = roost_buffer_slice(&delivery->reply),
                       .subject = roost_buffer_slice(&delivery->subject),
                       .block = {block > 0 ? delivery->content.ptr : NULL, block},
                       .payload = {delivery->content.ptr + block, delivery->content.len - block},
                       .why = why,
                       .facts = {.tries = delivery->tries, .sequence = delivery->sequence}};
  bury(delivery->durable, &dead);
}

static void settle_failed(roost_nats_server *self, roost_nats_delivery *delivery, const char *why) {
  if (may_retry(self, delivery->tries) || delivery->durable == NULL)
    tell_later(self, roost_buffer_slice(&delivery->reply), delivery->tries);
  else
    give_up(delivery, why);
}

void roost_nats_event_settled(roost_delivery *at, roost_settlement how) {
  roost_nats_delivery *delivery = (roost_nats_delivery *)at;
  roost_nats_server *self = (roost_nats_server *)at->pool->server;
  const roost_slice ack = roost_buffer_slice(&delivery->reply);
  if (!delivery->kept) {
    if (how == ROOST_SETTLE_BROKEN)
      roost_nats_server_broken(self, delivery);
    return;
  }
  switch (how) {
  case ROOST_SETTLE_ACK:
    tell(self, ack, ROOST_SLICE("+ACK"));
    break;
  case ROOST_SETTLE_REQUEUE:
    tell(self, ack, ROOST_SLICE("-NAK"));
    break;
  case ROOST_SETTLE_NACK:
    settle_failed(self, delivery, "its handler has failed");
    break;
  case ROOST_SETTLE_UNHANDLED:
    settle_failed(self, delivery, "there is no handler for it");
    break;
  case ROOST_SETTLE_BROKEN:
    settle_failed(self, delivery, "its data is not JSON");
    break;
  }
}

void roost_nats_events_go_on(roost_nats_server *self) {
  for (roost_list *link = self->pool.live.next; link != &self->pool.live; link = link->next) {
    const roost_delivery *at = ROOST_LIST_ENTRY(link, roost_delivery, link);
    const roost_nats_delivery *delivery = (const roost_nats_delivery *)at;
    if (delivery->kept && !at->settled)
      tell(self, roost_buffer_slice(&delivery->reply), ROOST_SLICE("+WPI"));
  }
}

void roost_nats_events_forget(const roost_nats_durable *durable) {
  roost_list *live = &durable->server->pool.live;
  for (roost_list *link = live->next; link != live; link = link->next) {
    roost_nats_delivery *delivery =
        (roost_nats_delivery *)ROOST_LIST_ENTRY(link, roost_delivery, link);
    if (delivery->durable == durable)
      delivery->durable = NULL;
  }
}
