#include "transport/nats_durable.h"

#include <inttypes.h>
#include <stdio.h>

#include "core/slice.h"
#include "wire/json.h"
#include "wire/nats_headers.h"
#include "wire/utf8.h"

#define PULL_MAX    256   /* messages of one pull */
#define PULL_MS     30000 /* that the server holds it */
#define ANSWER_MS   5000  /* that an answer, or a new try, is waited for */
#define LOOK_MIN_MS 100
#define LOOK_MAX_MS 5000

static const roost_slice nothing = {NULL, 0};

static uint64_t now_ms(const roost_nats_server *self) {
  return roost_loop_wheel(self->loop)->now_ms;
}

/* ------------------------------------------------------------------------- names ------------- */

/* The same on every host, and another one for each text. */
static uint32_t hash_of(roost_slice text) {
  uint32_t hash = 2166136261u;
  for (size_t i = 0; i < text.len; i++)
    hash = (hash ^ (uint8_t)text.ptr[i]) * 16777619u;
  return hash;
}

static bool is_name_byte(char byte) {
  return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
         (byte >= '0' && byte <= '9') || byte == '-' || byte == '_';
}

/* A name for a subject: of letters and digits alone, and before them what stands in first. */
static void make_name(char name[ROOST_NATS_NAME_MAX + 1], const char *first, roost_slice subject) {
  const int len =
      snprintf(name, ROOST_NATS_NAME_MAX - 9, "%s%s%.*s", first, first[0] != '\0' ? "-" : "",
               (int)(subject.len < 100 ? subject.len : 100), subject.ptr);
  size_t used = len < 0 ? 0 : (size_t)len;
  if (used >= ROOST_NATS_NAME_MAX - 9)
    used = ROOST_NATS_NAME_MAX - 10;
  for (size_t i = 0; i < used; i++)
    if (!is_name_byte(name[i]))
      name[i] = '_';
  snprintf(name + used, ROOST_NATS_NAME_MAX + 1 - used, "-%08" PRIx32, hash_of(subject));
}

/* ------------------------------------------------------------------------- questions --------- */

static int write_inbox(const roost_nats_durable *durable, char *text, size_t size) {
  return snprintf(text, size, "%s.%" PRIu64 ".", durable->server->conn.inbox, durable->sid);
}

/* Asks JetStream; the answer comes to a subject of this turn. */
static void ask(roost_nats_durable *durable, const char *subject, const roost_buffer *question) {
  roost_nats_server *self = durable->server;
  char inbox[ROOST_NATS_INBOX_MAX + 48];
  const int before = write_inbox(durable, inbox, sizeof inbox);
  const int digits =
      snprintf(inbox + before, sizeof inbox - (size_t)before, "%" PRIu64, ++durable->turn);
  durable->asked_ms = now_ms(self);
  (void)roost_nats_server_publish(self, roost_slice_text(subject),
                                  (roost_slice){inbox, (size_t)(before + digits)},
                                  roost_buffer_slice(question));
}

/* Where memory is short nothing is asked, and with the next look once more. */
static void ask_json(roost_nats_durable *durable, const char *subject, roost_buffer *question,
                     int status) {
  durable->asked_ms = now_ms(durable->server);
  if (status == 0)
    ask(durable, subject, question);
  roost_buffer_deinit(question);
}

static int write_member(roost_buffer *out, char before, const char *key, roost_slice text) {
  const int status = roost_json_write_key(out, before, roost_slice_text(key));
  return status == 0 ? roost_json_write_string(out, text) : status;
}

static void find_stream(roost_nats_durable *durable, roost_nats_step step, const char *subject) {
  roost_buffer question;
  roost_buffer_init(&question, roost_loop_alloc(durable->server->loop));
  durable->step = step;
  int status = write_member(&question, '{', "subject", roost_slice_text(subject));
  if (status == 0)
    status = roost_buffer_append_byte(&question, '}');
  ask_json(durable, "$JS.API.STREAM.NAMES", &question, status);
}

/* A stream for events forgets what all consumers are done with; one for dead letters keeps them. */
static void make_stream(roost_nats_durable *durable, roost_nats_step step, const char *name,
                        const char *subject) {
  roost_buffer question;
  char api[ROOST_NATS_NAME_MAX + 32];
  roost_buffer_init(&question, roost_loop_alloc(durable->server->loop));
  durable->step = step;
  int status = write_member(&question, '{', "name", roost_slice_text(name));
  if (status == 0)
    status = roost_buffer_printf(&question, ",\"subjects\":[");
  if (status == 0)
    status = roost_json_write_string(&question, roost_slice_text(subject));
  if (status == 0)
    status = roost_buffer_printf(&question,
                                 "],\"retention\":\"%s\",\"storage\":\"file\",\"discard\":\"old\","
                                 "\"max_consumers\":-1,\"max_msgs\":-1,\"max_bytes\":-1,"
                                 "\"num_replicas\":1}",
                                 step == ROOST_NATS_STEP_MAKE ? "interest" : "limits");
  snprintf(api, sizeof api, "$JS.API.STREAM.CREATE.%s", name);
  ask_json(durable, api, &question, status);
}

static void make_consumer(roost_nats_durable *durable) {
  const roost_nats_options *options = durable->server->options;
  roost_buffer question;
  char api[4 * ROOST_NATS_NAME_MAX];
  roost_buffer_init(&question, roost_loop_alloc(durable->server->loop));
  durable->step = ROOST_NATS_STEP_CONSUMER;
  int status = write_member(&question, '{', "stream_name", roost_slice_text(durable->stream));
  if (status == 0)
    status = roost_buffer_printf(&question, ",\"config\":");
  if (status == 0)
    status = write_member(&question, '{', "durable_name", roost_slice_text(durable->name));
  if (status == 0)
    status = write_member(&question, ',', "filter_subject", roost_slice_text(durable->sub->route));
  if (status == 0)
    status = roost_buffer_printf(&question,
                                 ",\"deliver_policy\":\"all\",\"ack_policy\":\"explicit\","
                                 "\"replay_policy\":\"instant\",\"max_deliver\":-1,"
                                 "\"max_ack_pending\":20000,\"ack_wait\":%" PRIu64 "}}",
                                 options->ack_wait_ms * 1000000);
  snprintf(api, sizeof api, "$JS.API.CONSUMER.DURABLE.CREATE.%s.%s", durable->stream,
           durable->name);
  ask_json(durable, api, &question, status);
}

/* ------------------------------------------------------------------------- pulling ----------- */

static size_t room_of(const roost_nats_durable *durable) {
  const roost_nats_server *self = durable->server;
  const size_t most =
      self->server.config->max_in_flight > 0 ? self->server.config->max_in_flight : PULL_MAX;
  const size_t running = self->pool.count;
  const size_t room = running < most ? most - running : 0;
  return room < PULL_MAX ? room : PULL_MAX;
}

static void pull(roost_nats_durable *durable) {
  const roost_nats_server *self = durable->server;
  const size_t room = room_of(durable);
  roost_buffer question;
  char api[4 * ROOST_NATS_NAME_MAX];
  if (durable->step != ROOST_NATS_STEP_READY || durable->stopped || durable->wanted > 0 ||
      room == 0 || !roost_nats_conn_ready(&self->conn))
    return;
  durable->wanted = room;
  roost_buffer_init(&question, roost_loop_alloc(self->loop));
  const int status = roost_buffer_printf(&question, "{\"batch\":%zu,\"expires\":%" PRIu64 "}", room,
                                         (uint64_t)PULL_MS * 1000000);
  snprintf(api, sizeof api, "$JS.API.CONSUMER.MSG.NEXT.%s.%s", durable->stream, durable->name);
  ask_json(durable, api, &question, status);
}

static void begin_pulling(roost_nats_durable *durable) {
  durable->step = ROOST_NATS_STEP_READY;
  durable->wanted = 0;
  durable->failed = false;
  pull(durable);
}

static void after_consumer(roost_nats_durable *durable) {
  const char *letters = durable->server->options->dead_letter;
  if (letters != NULL)
    find_stream(durable, ROOST_NATS_STEP_LETTERS, letters);
  else
    begin_pulling(durable);
}

/* ------------------------------------------------------------------------- answers ----------- */

/* Said once, until it has gone well again. */
static void fail(roost_nats_durable *durable, const char *what, roost_slice why) {
  char err[300];
  durable->step = ROOST_NATS_STEP_FAILED;
  durable->asked_ms = now_ms(durable->server);
  if (durable->failed)
    return;
  durable->failed = true;
  snprintf(err, sizeof err, "%s%.*s", what, (int)(why.len < 200 ? why.len : 200), why.ptr);
  roost_nats_server_log(durable->server, ROOST_LOG_ERROR, ROOST_LOG_KIND_DENIED,
                        "durable events cannot be had yet", roost_slice_text(durable->sub->route),
                        err);
}

typedef struct answer {
  roost_slice error;  /* its description; ptr NULL: none */
  roost_slice stream; /* the first of streams */
  size_t streams;
} answer;

static int read_error(roost_json_reader *reader, answer *to) {
  roost_json_token token;
  roost_json_type type;
  if (roost_json_next(reader, &token) != ROOST_JSON_OBJECT)
    return ROOST_EPROTO;
  to->error = ROOST_SLICE("an error without description");
  while ((type = roost_json_next(reader, &token)) == ROOST_JSON_KEY) {
    const bool is_text = roost_slice_equal(token.text, ROOST_SLICE("description"));
    if (!is_text && roost_json_skip(reader) != 0)
      return ROOST_EPROTO;
    if (is_text && roost_json_next(reader, &token) != ROOST_JSON_STRING)
      return ROOST_EPROTO;
    if (is_text)
      to->error = token.text;
  }
  return type == ROOST_JSON_OBJECT_END ? 0 : ROOST_EPROTO;
}

/* null where there is none. */
static int read_streams(roost_json_reader *reader, answer *to) {
  roost_json_token token;
  roost_json_type type = roost_json_next(reader, &token);
  if (type == ROOST_JSON_NULL)
    return 0;
  if (type != ROOST_JSON_ARRAY)
    return ROOST_EPROTO;
  while ((type = roost_json_next(reader, &token)) == ROOST_JSON_STRING)
    if (to->streams++ == 0)
      to->stream = token.text;
  return type == ROOST_JSON_ARRAY_END ? 0 : ROOST_EPROTO;
}

static int read_answer(answer *to, roost_slice json) {
  roost_json_reader reader;
  roost_json_token token;
  *to = (answer){.streams = 0};
  if (roost_utf8_valid_prefix(json) < json.len)
    return ROOST_EPROTO;
  roost_json_reader_init(&reader, json);
  if (roost_json_next(&reader, &token) != ROOST_JSON_OBJECT)
    return ROOST_EPROTO;
  int status = 0;
  while (status == 0 && roost_json_next(&reader, &token) == ROOST_JSON_KEY) {
    if (roost_slice_equal(token.text, ROOST_SLICE("error")))
      status = read_error(&reader, to);
    else if (roost_slice_equal(token.text, ROOST_SLICE("streams")))
      status = read_streams(&reader, to);
    else
      status = roost_json_skip(&reader);
  }
  return status;
}

/* A stream of ours is made where none has the subject; several would each give a part of it. */
static void take_streams(roost_nats_durable *durable, const answer *found) {
  if (found->streams == 0) {
    make_stream(durable, ROOST_NATS_STEP_MAKE, durable->name, durable->sub->route);
  } else if (found->streams > 1) {
    fail(durable, "several streams have a part of them: make one that has all", nothing);
  } else if (found->stream.len >= sizeof durable->stream) {
    fail(durable, "the name of their stream is too long: ", found->stream);
  } else {
    memcpy(durable->stream, found->stream.ptr, found->stream.len);
    durable->stream[found->stream.len] = '\0';
    make_consumer(durable);
  }
}

static void take_answer(roost_nats_durable *durable, roost_slice json) {
  answer found;
  if (read_answer(&found, json) != 0) {
    fail(durable, "JetStream's answer is not understood", nothing);
    return;
  }
  if (found.error.ptr != NULL) {
    fail(durable, "JetStream: ", found.error);
    return;
  }
  switch (durable->step) {
  case ROOST_NATS_STEP_FIND:
    take_streams(durable, &found);
    break;
  case ROOST_NATS_STEP_MAKE:
    snprintf(durable->stream, sizeof durable->stream, "%s", durable->name);
    make_consumer(durable);
    break;
  case ROOST_NATS_STEP_CONSUMER:
    after_consumer(durable);
    break;
  case ROOST_NATS_STEP_LETTERS:
    if (found.streams > 0)
      begin_pulling(durable);
    else
      make_stream(durable, ROOST_NATS_STEP_MAKE_LETTERS, durable->letters,
                  durable->server->options->dead_letter);
    break;
  case ROOST_NATS_STEP_MAKE_LETTERS:
    begin_pulling(durable);
    break;
  default:
    break;
  }
}

/* A pull is over before it has brought all: it has waited long enough (408), or something has
 * become of the consumer. */
static void take_sign(roost_nats_durable *durable, const roost_nats_headers *headers) {
  if (headers->status == 100)
    return;
  durable->wanted = 0;
  if (headers->status == 404 || headers->status == 408)
    pull(durable);
  else
    find_stream(durable, ROOST_NATS_STEP_FIND, durable->sub->route);
}

static void take_reply(roost_nats_durable *durable, const roost_nats_op *op) {
  roost_nats_headers headers = {.status = 0};
  if (op->block.ptr != NULL)
    (void)roost_nats_headers_open(&headers, op->block);
  if (headers.status == ROOST_NATS_NO_RESPONDER)
    fail(durable, "JetStream is not on, or not for this account", nothing);
  else if (durable->step == ROOST_NATS_STEP_READY)
    take_sign(durable, &headers);
  else
    take_answer(durable, op->payload);
}

/* ------------------------------------------------------------------------- what came --------- */

static bool begins_with(roost_slice text, roost_slice start) {
  return text.len >= start.len && memcmp(text.ptr, start.ptr, start.len) == 0;
}

static bool is_turn(const roost_nats_durable *durable, roost_slice word) {
  char text[24];
  const int len = snprintf(text, sizeof text, "%" PRIu64, durable->turn);
  return roost_slice_equal(word, (roost_slice){text, (size_t)len});
}

void roost_nats_durable_take(roost_nats_durable *durable, const roost_nats_op *op) {
  char inbox[ROOST_NATS_INBOX_MAX + 48];
  const size_t before = (size_t)write_inbox(durable, inbox, sizeof inbox);
  if (begins_with(op->reply, ROOST_SLICE("$JS.ACK."))) {
    roost_nats_event_take(durable, op);
    if (durable->wanted > 0)
      durable->wanted--;
    pull(durable);
    return;
  }
  if (!begins_with(op->subject, (roost_slice){inbox, before}))
    return;
  const roost_slice rest = {op->subject.ptr + before, op->subject.len - before};
  if (begins_with(rest, ROOST_SLICE("letter.")))
    roost_nats_letter_answered(durable, (roost_slice){rest.ptr + 7, rest.len - 7}, op);
  else if (is_turn(durable, rest) && !durable->stopped)
    take_reply(durable, op);
}

void roost_nats_durables_eased(roost_nats_server *self) {
  for (size_t i = 0; i < self->sub_count && self->options->durable != NULL; i++)
    if (self->subs[i]->durable != NULL)
      pull(self->subs[i]->durable);
}

/* ------------------------------------------------------------------------- looking ----------- */

static void start_look(roost_nats_server *self) {
  uint64_t ms = self->options->ack_wait_ms / 3;
  ms = ms < LOOK_MIN_MS ? LOOK_MIN_MS : ms > LOOK_MAX_MS ? LOOK_MAX_MS : ms;
  if (!roost_timer_running(&self->look))
    roost_timer_start(roost_loop_wheel(self->loop), &self->look, ms);
}

static void look_at(roost_nats_durable *durable) {
  const uint64_t passed = now_ms(durable->server) - durable->asked_ms;
  if (durable->step == ROOST_NATS_STEP_READY && durable->wanted == 0) {
    pull(durable);
  } else if (passed > (durable->step == ROOST_NATS_STEP_READY ? PULL_MS + ANSWER_MS : ANSWER_MS)) {
    durable->wanted = 0;
    find_stream(durable, ROOST_NATS_STEP_FIND, durable->sub->route);
  }
}

void roost_nats_durable_look(roost_nats_server *self) {
  if (!roost_nats_conn_ready(&self->conn))
    return;
  roost_nats_events_go_on(self);
  for (size_t i = 0; i < self->sub_count && !self->server.draining; i++)
    if (self->subs[i]->durable != NULL)
      look_at(self->subs[i]->durable);
  start_look(self);
}

/* ------------------------------------------------------------------------- life -------------- */

int roost_nats_durable_new(roost_nats_durable **out, roost_nats_server *self,
                           const roost_nats_sub *sub) {
  roost_nats_durable *durable = roost_alloc_get(roost_loop_alloc(self->loop), sizeof *durable);
  *out = durable;
  if (durable == NULL)
    return ROOST_ENOMEM;
  durable->server = self;
  durable->sub = sub;
  durable->sid = ++self->last_sid;
  make_name(durable->name, self->options->durable, roost_slice_text(sub->route));
  if (self->options->dead_letter != NULL)
    make_name(durable->letters, "", roost_slice_text(self->options->dead_letter));
  return 0;
}

void roost_nats_durable_free(roost_nats_durable *durable) {
  if (durable == NULL)
    return;
  roost_nats_events_forget(durable);
  roost_alloc_put(roost_loop_alloc(durable->server->loop), durable, sizeof *durable);
}

int roost_nats_durable_connect(roost_nats_durable *durable) {
  roost_nats_server *self = durable->server;
  char inbox[ROOST_NATS_INBOX_MAX + 48];
  const int len = write_inbox(durable, inbox, sizeof inbox);
  snprintf(inbox + len, sizeof inbox - (size_t)len, ">");
  const int status = roost_nats_write_sub(roost_nats_conn_out(&self->conn), roost_slice_text(inbox),
                                          nothing, durable->sid);
  if (status != 0)
    return status;
  durable->stopped = false;
  durable->wanted = 0;
  find_stream(durable, ROOST_NATS_STEP_FIND, durable->sub->route);
  start_look(self);
  return 0;
}

void roost_nats_durable_stop(roost_nats_durable *durable) {
  roost_nats_server *self = durable->server;
  durable->stopped = true;
  if (roost_nats_write_unsub(roost_nats_conn_out(&self->conn), durable->sid, 0) == 0)
    roost_nats_conn_dirty(&self->conn);
}
