#include "fake_client.h"

#include "service/pending.h"

/* An outbound over a client that writes down what it is told, on time that the test moves. */

typedef struct played_client {
  fake_client fake; /* first; a message per line in what it was sent */
  bool crowded;     /* what crowded says */
  bool freed;
  int connect_status;     /* what connect returns */
  char confirm[32];       /* of the event it has taken last */
  unsigned crowded_after; /* messages until it is; 0: never */
  uint64_t tokens;        /* of requests it has taken, one more for each */
  uint64_t tokens_sum;    /* of those that it was not told to forget */
  uint64_t held;          /* the last one whose replies it was told to hold back; 0: none */
  bool paused;            /* it reads nothing */
} played_client;

typedef struct waiting {
  roost_pending pending; /* first */
  struct pending_test *test;
  struct waiting *next; /* in test->all */
  unsigned replies;
  unsigned lasts;
  unsigned sents;
  unsigned failures;
  int status;
  const char *why;
  uint64_t more_ms;                   /* what it has when its time is over */
  char value[64];                     /* of the last reply: response or err */
  char id[32];                        /* as it was written, with quotes */
  void (*then)(struct waiting *self); /* inside failed or reply; may be NULL */
} waiting;

typedef struct watcher {
  roost_outbound_watcher watcher; /* first */
  unsigned calls;
  unsigned gone;
  roost_outbound_state state;
  int status;
  const char *why;
  void (*then)(struct watcher *self); /* may be NULL */
  struct pending_test *test;
} watcher;

typedef struct pending_test {
  roost_alloc_probe probe;
  roost_wheel wheel;
  roost_client_config config;
  played_client client;
  roost_outbound *outbound;
  waiting *all; /* to be freed */
  unsigned char random;
  int random_status;
  int open_status;
} pending_test;

/* --------------------------------------------------------------------- the client ------------ */

static played_client *played_of(const roost_client *client) {
  return (played_client *)(uintptr_t)client;
}

static int played_connect(roost_client *client) {
  (void)fake_client_connect(client);
  return played_of(client)->connect_status;
}

static roost_format played_format(const roost_client *client, roost_slice pattern) {
  (void)client;
  return roost_slice_equal(pattern, ROOST_SLICE("\"packed\"")) ? ROOST_FORMAT_PACKED
                                                               : ROOST_FORMAT_JSON;
}

static roost_buffer *played_begin(roost_client *client, const roost_message *head) {
  roost_buffer *out = fake_client_begin(client, head);
  if (roost_buffer_printf(out, "%.*s ", (int)head->pattern.len, head->pattern.ptr) == 0)
    return out;
  fake_client_undo(client);
  return NULL;
}

static int played_end(roost_client *client, const roost_message *head) {
  played_client *self = played_of(client);
  int status = roost_buffer_printf(&self->fake.out, " %.*s %.*s\n", (int)head->metadata.len,
                                   head->metadata.len ? head->metadata.ptr : "", (int)head->id.len,
                                   head->id.len ? head->id.ptr : "");
  if (status != 0) {
    fake_client_undo(client);
    return status;
  }
  if (self->crowded_after > 0 && --self->crowded_after == 0)
    self->crowded = true;
  snprintf(self->confirm, sizeof self->confirm, "%.*s", (int)head->confirm.len,
           head->confirm.ptr != NULL ? head->confirm.ptr : "");
  if (head->id.ptr != NULL) {
    client->token = ++self->tokens;
    self->tokens_sum += client->token;
  }
  return fake_client_end(client, head);
}

static void played_forget(roost_client *client, uint64_t token) {
  assert_in_range(token, 1, played_of(client)->tokens);
  assert_in_range(played_of(client)->tokens_sum, token, UINT64_MAX);
  played_of(client)->tokens_sum -= token;
}

static void played_hold(roost_client *client, uint64_t token, bool on) {
  played_client *self = played_of(client);
  self->held = on ? token : 0;
}

static void played_pause(roost_client *client, bool on) {
  assert_int_equal(played_of(client)->paused, !on);
  played_of(client)->paused = on;
}

static bool played_crowded(const roost_client *client) {
  return played_of(client)->crowded;
}

static void played_free(roost_client *client) {
  played_of(client)->freed = true;
}

static const roost_client_ops *ops(void) {
  static roost_client_ops own = {FAKE_CLIENT_OPS};
  own.connect = played_connect;
  own.format = played_format;
  own.begin = played_begin;
  own.end = played_end;
  own.forget = played_forget;
  own.hold = played_hold;
  own.pause = played_pause;
  own.crowded = played_crowded;
  own.free = played_free;
  return &own;
}

static int open_client(void *ud, roost_client **out, const roost_client_config *config,
                       const roost_client_sink *sink, void *sink_ud) {
  pending_test *self = ud;
  if (self->open_status != 0)
    return self->open_status;
  fake_client_init(&self->client.fake, ops(), &self->probe.alloc, config, sink, sink_ud);
  *out = &self->client.fake.client;
  return 0;
}

/* --------------------------------------------------------------------- making ---------------- */

static pending_test *random_test; /* roost_outbound_config.random_bytes is given no ud */

static int fake_random(void *out, size_t len) {
  memset(out, random_test->random, len);
  return random_test->random_status;
}

static int make(pending_test *self) {
  const roost_outbound_config config = {.alloc = &self->probe.alloc,
                                        .wheel = &self->wheel,
                                        .random_bytes = fake_random,
                                        .open = open_client,
                                        .open_ud = self};
  return roost_outbound_new(&self->outbound, &config, &self->config);
}

static void prepare(pending_test *self) {
  memset(self, 0, sizeof *self);
  roost_alloc_probe_init(&self->probe);
  roost_wheel_init(&self->wheel, 1000);
  roost_client_config_init(&self->config);
  random_test = self;
}

static void start(pending_test *self) {
  prepare(self);
  assert_int_equal(make(self), 0);
}

static void stop(pending_test *self) {
  self->probe.refuse_after = ROOST_ALLOC_PROBE_NEVER;
  roost_outbound_free(self->outbound);
  assert_true(self->client.freed);
  assert_int_equal(self->wheel.count, 0);
  for (waiting *who = self->all; who != NULL; who = who->next)
    roost_pending_deinit(&who->pending);
  fake_client_deinit(&self->client.fake);
  assert_int_equal(self->client.tokens_sum, 0); /* each was forgotten once */
  assert_int_equal(self->probe.bytes, 0);
}

/* --------------------------------------------------------------------- who waits ------------- */

static void on_reply(roost_pending *pending, const roost_reply *reply) {
  waiting *self = (waiting *)pending;
  const roost_slice value = reply->err.ptr != NULL ? reply->err : reply->response;
  self->replies++;
  self->lasts += reply->last;
  assert_int_equal(pending->outbound == NULL, reply->last);
  snprintf(self->value, sizeof self->value, "%.*s", (int)value.len, value.len ? value.ptr : "");
  if (self->then != NULL)
    self->then(self);
}

static void on_sent(roost_pending *pending) {
  assert_null(pending->outbound);
  ((waiting *)pending)->sents++;
}

static void on_failed(roost_pending *pending, int status, const char *why) {
  waiting *self = (waiting *)pending;
  assert_null(pending->outbound);
  self->failures++;
  self->status = status;
  self->why = why;
  if (self->then != NULL)
    self->then(self);
}

static uint64_t more_ms(const roost_pending *pending) {
  return ((const waiting *)pending)->more_ms;
}

static const roost_pending_ops pending_ops = {
    .reply = on_reply, .sent = on_sent, .failed = on_failed, .more_ms = more_ms};

static void init_waiting(pending_test *self, waiting *who) {
  waiting **at = &self->all;
  while (*at != NULL && *at != who)
    at = &(*at)->next;
  waiting *next = *at == who ? who->next : NULL;
  *at = who;
  *who = (waiting){.test = self, .next = next};
  roost_pending_init(&who->pending, &self->probe.alloc, &pending_ops);
}

/* Where the id of the last message stands, which the caller wants to have seen. */
static void note_id(pending_test *self, waiting *who) {
  const char *end = self->client.fake.out.ptr + self->client.fake.out.len - 1;
  snprintf(who->id, sizeof who->id, "%.23s", end - 23);
}

static int try_send(pending_test *self, waiting *who, bool reply, const char *pattern,
                    const char *data, const char *metadata) {
  int status;
  const roost_message said = {.pattern = roost_slice_text(pattern),
                              .metadata =
                                  metadata ? roost_slice_text(metadata) : (roost_slice){NULL, 0}};
  roost_buffer *out = roost_outbound_begin(self->outbound, &who->pending, reply, &said, &status);
  if (out == NULL) {
    assert_true(status < 0);
    assert_null(who->pending.outbound);
    return status;
  }
  if (roost_buffer_append_slice(out, roost_slice_text(data)) != 0) {
    roost_pending_drop(&who->pending);
    return ROOST_ENOMEM;
  }
  status = roost_outbound_end(self->outbound, &who->pending, &said);
  if (status != 0)
    assert_null(who->pending.outbound);
  return status;
}

/* A request that is sent at once. */
static void request(pending_test *self, waiting *who, uint64_t timeout_ms) {
  who->pending.timeout_ms = timeout_ms;
  assert_int_equal(try_send(self, who, true, "\"p\"", "1", NULL), 0);
  if (self->outbound->state == ROOST_OUTBOUND_UP && !self->client.crowded)
    note_id(self, who);
}

/* The same by one who has not asked yet. */
static void ask(pending_test *self, waiting *who, uint64_t timeout_ms) {
  init_waiting(self, who);
  request(self, who, timeout_ms);
}

static void go_up(pending_test *self) {
  if (self->outbound->state == ROOST_OUTBOUND_DOWN)
    assert_int_equal(roost_outbound_connect(self->outbound), 0);
  self->client.fake.client.sink->on_open(self->outbound);
}

/* Made, and connected. */
static void start_up(pending_test *self) {
  start(self);
  go_up(self);
}

static void go_down(pending_test *self, int status, const char *why) {
  self->client.fake.client.sink->on_closed(self->outbound, status, why);
}

static void answer(pending_test *self, const char *id, const char *value, bool last) {
  const roost_reply reply = {.id = id ? roost_slice_text(id) : (roost_slice){NULL, 0},
                             .response = value ? roost_slice_text(value) : (roost_slice){NULL, 0},
                             .last = last};
  self->client.fake.client.sink->on_reply(self->outbound, &reply);
}

static void pass(pending_test *self, uint64_t ms) {
  roost_wheel_advance(&self->wheel, self->wheel.now_ms + ms);
}

static void expect_sent(pending_test *self, const char *text) {
  assert_int_equal(roost_buffer_append_byte(&self->client.fake.out, '\0'), 0);
  assert_string_equal(self->client.fake.out.ptr, text);
  roost_buffer_clear(&self->client.fake.out);
}

static void expect_empty(const pending_test *self) {
  assert_int_equal(self->outbound->slots.count, 0);
  assert_int_equal(self->outbound->held_bytes, 0);
  assert_true(roost_list_empty(&self->outbound->waiting));
  assert_true(roost_list_empty(&self->outbound->held));
  assert_null(self->outbound->writing);
}

static void on_changed(roost_outbound_watcher *watching, roost_outbound_state state, int status,
                       const char *why) {
  watcher *self = (watcher *)watching;
  self->calls++;
  self->state = state;
  self->status = status;
  self->why = why;
  if (self->then != NULL)
    self->then(self);
}

static void on_gone(roost_outbound_watcher *watching) {
  ((watcher *)watching)->gone++;
}

static void watch(pending_test *self, watcher *who) {
  *who = (watcher){.watcher = {.changed = on_changed, .gone = on_gone}, .test = self};
  roost_list_init(&who->watcher.link);
  roost_outbound_watch(self->outbound, &who->watcher);
}

/* --------------------------------------------------------------------- requests -------------- */

static void a_sender_waits_for_who_reads_him_slowly(void **state) {
  static pending_test self;
  waiting who;
  (void)state;
  start_up(&self);
  self.config.max_buffer_size = 100;
  ask(&self, &who, 10);
  answer(&self, who.id, "1", false);
  roost_pending_note_unread(&who.pending, 50);
  assert_int_equal(self.client.held, 0);
  roost_pending_note_unread(&who.pending, 51);
  assert_int_equal(self.client.held, who.pending.token);
  answer(&self, who.id, "2", false); /* it was on its way */
  roost_pending_note_unread(&who.pending, 90);
  pass(&self, 100);
  roost_pending_note_unread(&who.pending, 25);
  assert_int_equal(self.client.held, who.pending.token);
  assert_int_equal(who.failures, 0);
  roost_pending_note_unread(&who.pending, 24);
  assert_int_equal(self.client.held, 0);
  pass(&self, 9);
  assert_int_equal(who.failures, 0);
  pass(&self, 2);
  assert_int_equal(who.status, ROOST_ETIMEDOUT);
  roost_pending_note_unread(&who.pending, 60); /* of one that is over */
  assert_int_equal(self.client.held, 0);
  stop(&self);
}

static void nothing_is_read_where_all_have_enough_to_read(void **state) {
  static pending_test self;
  waiting who[3];
  (void)state;
  start_up(&self);
  self.config.max_buffer_size = 100;
  ask(&self, &who[0], 0);
  ask(&self, &who[1], 0);
  roost_pending_note_unread(&who[0].pending, 60);
  assert_false(self.client.paused);
  roost_pending_note_unread(&who[1].pending, 60);
  assert_true(self.client.paused);
  ask(&self, &who[2], 0); /* its reply is waited for */
  assert_false(self.client.paused);
  answer(&self, who[2].id, "1", true);
  assert_true(self.client.paused);
  roost_pending_note_unread(&who[0].pending, 10);
  assert_false(self.client.paused);
  roost_pending_drop(&who[0].pending);
  assert_true(self.client.paused);
  roost_pending_drop(&who[1].pending);
  assert_false(self.client.paused);
  stop(&self);
}

/* He may read nothing before we do. */
static void a_peer_who_has_much_to_take_is_read(void **state) {
  static pending_test self;
  waiting who;
  (void)state;
  start_up(&self);
  self.config.max_buffer_size = 100;
  ask(&self, &who, 0);
  self.client.crowded = true;
  roost_pending_note_unread(&who.pending, 60);
  assert_false(self.client.paused);
  self.client.crowded = false;
  self.client.fake.client.sink->on_writable(self.outbound);
  assert_true(self.client.paused);
  go_down(&self, ROOST_EGONE, "gone");
  assert_false(self.client.paused);
  stop(&self);
}

static void one_that_has_more_time_is_not_over(void **state) {
  static pending_test self;
  waiting who;
  (void)state;
  start_up(&self);
  ask(&self, &who, 10);
  who.more_ms = 5;
  pass(&self, 10);
  who.more_ms = 0;
  pass(&self, 4);
  assert_int_equal(who.failures, 0);
  assert_int_equal(self.outbound->stats.timeouts, 0);
  pass(&self, 1);
  assert_int_equal(who.status, ROOST_ETIMEDOUT);
  assert_int_equal(self.outbound->stats.timeouts, 1);
  stop(&self);
}

static void one_that_is_over_holds_nothing_back(void **state) {
  static pending_test self;
  waiting who;
  (void)state;
  start_up(&self);
  self.config.max_buffer_size = 100;
  ask(&self, &who, 10);
  roost_pending_note_unread(&who.pending, 60);
  answer(&self, who.id, "1", true);
  request(&self, &who, 10);
  roost_pending_note_unread(&who.pending, 60);
  assert_int_equal(self.client.held, who.pending.token);
  roost_pending_drop(&who.pending);
  stop(&self);
}

static void a_request_is_sent_with_an_id_of_21_digits(void **state) {
  static pending_test self;
  waiting who;
  (void)state;
  prepare(&self);
  self.random = 0xfa;
  assert_int_equal(make(&self), 0);
  init_waiting(&self, &who);
  go_up(&self);
  assert_int_equal(try_send(&self, &who, true, "{\"a\":1}", "[2]", "{\"m\":3}"), 0);
  note_id(&self, &who);
  assert_int_equal(strlen(who.id), 23);
  assert_memory_equal(who.id, "\"aaaaa", 6);
  for (size_t i = 1; i < 22; i++)
    assert_non_null(strchr("0123456789abcdef", who.id[i]));
  char expected[64];
  snprintf(expected, sizeof expected, "{\"a\":1} [2] {\"m\":3} %s\n", who.id);
  expect_sent(&self, expected);
  answer(&self, who.id, "\"yes\"", true);
  assert_int_equal(who.replies, 1);
  assert_string_equal(who.value, "\"yes\"");
  expect_empty(&self);
  stop(&self);
}

static void ids_differ_and_a_slot_used_again_has_another(void **state) {
  static pending_test self;
  waiting first;
  waiting second;
  waiting third;
  (void)state;
  start_up(&self);
  init_waiting(&self, &first);
  init_waiting(&self, &second);
  init_waiting(&self, &third);
  request(&self, &first, 0);
  request(&self, &second, 0);
  assert_string_not_equal(first.id, second.id);
  answer(&self, first.id, "1", true);
  request(&self, &third, 0);
  assert_string_not_equal(third.id, first.id);
  answer(&self, first.id, "1", true); /* a late one is nobody's */
  assert_int_equal(first.replies, 1);
  assert_int_equal(third.replies, 0);
  assert_int_equal(self.outbound->stats.late, 1);
  answer(&self, third.id, "3", true);
  answer(&self, second.id, "2", true);
  assert_int_equal(third.replies + second.replies, 2);
  expect_empty(&self);
  stop(&self);
}

static void what_is_no_id_of_ours_is_another_clients(void **state) {
  static pending_test self;
  waiting who;
  char bad[32];
  (void)state;
  start_up(&self);
  ask(&self, &who, 0);
  answer(&self, NULL, "1", true);
  answer(&self, "7", "1", true);
  answer(&self, "null", "1", true);
  answer(&self, "\"\"", "1", true);
  answer(&self, "{\"a\":\"1234567890123456\"}", "1", true);
  for (size_t i = 1; i < 22; i++)
    for (const char *odd = "gG/:@`z \x80\xff"; *odd != '\0'; odd++) {
      strcpy(bad, who.id);
      bad[i] = *odd;
      answer(&self, bad, "1", true);
    }
  strcpy(bad, who.id);
  bad[strlen(bad) - 2] = bad[strlen(bad) - 2] == '9' ? '8' : '9';
  assert_int_equal(self.outbound->stats.late, 0);
  answer(&self, bad, "1", true);
  assert_int_equal(self.outbound->stats.late, 1); /* ours, and nobody waits */
  assert_int_equal(who.replies, 0);
  answer(&self, who.id, "1", true);
  assert_int_equal(who.replies, 1);
  stop(&self);
}

static void a_stream_of_replies_ends_with_the_last(void **state) {
  static pending_test self;
  waiting who;
  (void)state;
  start_up(&self);
  ask(&self, &who, 0);
  for (int i = 0; i < 1000; i++)
    answer(&self, who.id, "1", false);
  answer(&self, who.id, NULL, true);
  answer(&self, who.id, "2", false);
  answer(&self, who.id, "2", true);
  assert_int_equal(who.replies, 1001);
  assert_int_equal(who.lasts, 1);
  assert_int_equal(self.outbound->stats.late, 2);
  expect_empty(&self);
  stop(&self);
}

static void an_error_is_counted(void **state) {
  static pending_test self;
  waiting who;
  (void)state;
  start_up(&self);
  ask(&self, &who, 0);
  const roost_reply reply = {
      .id = roost_slice_text(who.id), .err = ROOST_SLICE("\"boom\""), .last = true};
  self.client.fake.client.sink->on_reply(self.outbound, &reply);
  assert_string_equal(who.value, "\"boom\"");
  assert_int_equal(self.outbound->stats.errors, 1);
  assert_int_equal(self.outbound->stats.requests, 1);
  expect_empty(&self);
  stop(&self);
}

static void an_event_is_out_once_it_is_handed_over(void **state) {
  static pending_test self;
  waiting who;
  (void)state;
  start_up(&self);
  init_waiting(&self, &who);
  assert_int_equal(try_send(&self, &who, false, "\"e\"", "1", NULL), 1);
  expect_sent(&self, "\"e\" 1  \n");
  assert_int_equal(who.sents, 0); /* the return value said so */
  assert_int_equal(self.outbound->stats.requests, 0);
  expect_empty(&self);
  stop(&self);
}

/* --------------------------------------------------------------------- time ------------------ */

static void an_event_that_is_held_has_its_time(void **state) {
  static pending_test self;
  waiting who;
  (void)state;
  start(&self);
  init_waiting(&self, &who);
  who.pending.timeout_ms = 10;
  assert_int_equal(try_send(&self, &who, false, "\"e\"", "1", NULL), 0);
  pass(&self, 1000);
  assert_int_equal(who.failures, 1);
  go_up(&self);
  expect_sent(&self, "");
  stop(&self);
}

/* Not before the client says that it is safe, for which no time is set. */
static void an_event_of_a_client_that_confirms(void **state) {
  static pending_test self;
  waiting events[4];
  (void)state;
  start(&self);
  self.client.fake.client.confirms = true;
  init_waiting(&self, &events[0]);
  events[0].pending.timeout_ms = 10;
  assert_int_equal(try_send(&self, &events[0], false, "\"a\"", "1", NULL), 0); /* held */
  go_up(&self);
  expect_sent(&self, "\"a\" 1  \n");
  assert_int_equal(strlen(self.client.confirm), 23);
  pass(&self, 1000);
  assert_int_equal(events[0].sents + events[0].failures, 0);
  answer(&self, self.client.confirm, NULL, true);
  assert_int_equal(events[0].sents, 1);
  for (size_t i = 1; i < 4; i++)
    init_waiting(&self, &events[i]);
  assert_int_equal(try_send(&self, &events[1], false, "\"b\"", "1", NULL), 0);
  const roost_reply refusal = {
      .id = roost_slice_text(self.client.confirm), .err = ROOST_SLICE("1"), .last = true};
  self.client.fake.client.sink->on_reply(self.outbound, &refusal);
  assert_int_equal(events[1].failures, 1);
  assert_int_equal(events[1].status, ROOST_EGONE);
  assert_string_equal(events[1].why, "the broker did not take the event");
  assert_int_equal(try_send(&self, &events[2], false, "\"c\"", "1", NULL), 0);
  assert_int_equal(try_send(&self, &events[3], false, "\"d\"", "1", NULL), 0);
  roost_pending_drop(&events[3].pending); /* nobody cares any more */
  go_down(&self, ROOST_EGONE, "lost");
  assert_int_equal(events[2].failures, 1);
  assert_int_equal(events[3].failures, 0);
  assert_int_equal(self.outbound->stats.requests, 0);
  expect_empty(&self);
  stop(&self);
}

static void each_reply_arms_the_deadline_anew(void **state) {
  static pending_test self;
  waiting who;
  (void)state;
  start_up(&self);
  ask(&self, &who, 50);
  for (int i = 0; i < 10; i++) {
    pass(&self, 49);
    answer(&self, who.id, "1", false);
  }
  assert_int_equal(who.replies, 10);
  pass(&self, 49);
  assert_int_equal(who.failures, 0);
  pass(&self, 1);
  assert_int_equal(who.failures, 1);
  assert_int_equal(who.status, ROOST_ETIMEDOUT);
  assert_int_equal(self.outbound->stats.timeouts, 1);
  expect_empty(&self);
  answer(&self, who.id, "late", true);
  assert_int_equal(who.replies, 10);
  assert_int_equal(self.outbound->stats.late, 1);
  pass(&self, 1000);
  assert_int_equal(who.failures, 1);
  stop(&self);
}

static void the_last_reply_stops_the_deadline(void **state) {
  static pending_test self;
  waiting who;
  (void)state;
  start_up(&self);
  ask(&self, &who, 50);
  answer(&self, who.id, "1", true);
  assert_int_equal(self.wheel.count, 0);
  pass(&self, 100);
  assert_int_equal(who.failures, 0);
  stop(&self);
}

static void waiting_for_the_connection_counts(void **state) {
  static pending_test self;
  waiting first;
  waiting second;
  (void)state;
  start(&self);
  init_waiting(&self, &first);
  init_waiting(&self, &second);
  request(&self, &first, 50);
  request(&self, &second, 80);
  pass(&self, 50);
  assert_int_equal(first.status, ROOST_ETIMEDOUT);
  go_up(&self);
  pass(&self, 29);
  assert_int_equal(second.failures, 0);
  pass(&self, 1);
  assert_int_equal(second.status, ROOST_ETIMEDOUT);
  expect_empty(&self);
  stop(&self);
}

/* What was waited before it was begun is taken from the first wait, and from no other. */
static void waiting_for_room_counts(void **state) {
  static pending_test self;
  waiting who[3];
  (void)state;
  start_up(&self);
  for (size_t i = 0; i < 3; i++) {
    init_waiting(&self, &who[i]);
    who[i].pending.waited_ms = i == 2 ? 50 : 30;
    request(&self, &who[i], 50);
  }
  pass(&self, 1); /* 50 of 50 were over */
  assert_int_equal(who[2].status, ROOST_ETIMEDOUT);
  pass(&self, 18);
  answer(&self, who[1].id, "1", false);
  pass(&self, 1);
  assert_int_equal(who[0].status, ROOST_ETIMEDOUT);
  pass(&self, 48);
  assert_int_equal(who[1].failures, 0);
  pass(&self, 1);
  assert_int_equal(who[1].status, ROOST_ETIMEDOUT);
  expect_empty(&self);
  stop(&self);
}

/* --------------------------------------------------------------------- held ------------------ */

static void the_first_use_connects_and_all_wait_for_it(void **state) {
  static pending_test self;
  waiting request_;
  waiting event;
  (void)state;
  start(&self);
  init_waiting(&self, &request_);
  init_waiting(&self, &event);
  assert_int_equal(self.client.fake.connects, 0);
  assert_int_equal(try_send(&self, &request_, true, "\"a\"", "1", "{}"), 0);
  assert_int_equal(try_send(&self, &event, false, "\"b\"", "2", NULL), 0);
  assert_int_equal(self.client.fake.connects, 1);
  expect_sent(&self, "");
  assert_true(self.outbound->held_bytes > 0);
  go_up(&self);
  assert_int_equal(event.sents, 1);
  assert_null(event.pending.outbound);
  assert_int_equal(self.outbound->held_bytes, 0);
  assert_int_equal(request_.pending.held.len, 0);
  const char *sent = self.client.fake.out.ptr;
  assert_memory_equal(sent, "\"a\" 1 {} \"", 10);
  assert_memory_equal(strchr(sent, '\n'), "\n\"b\" 2  \n", 9);
  snprintf(request_.id, sizeof request_.id, "%.23s", sent + 9);
  answer(&self, request_.id, "1", true);
  assert_int_equal(request_.lasts, 1);
  expect_empty(&self);
  stop(&self);
}

static void no_more_than_the_send_limit_is_held(void **state) {
  static pending_test self;
  static waiting who[8];
  size_t taken = 0;
  (void)state;
  prepare(&self);
  self.config.max_send_buffer_size = 20;
  assert_int_equal(make(&self), 0);
  for (size_t i = 0; i < 8; i++)
    init_waiting(&self, &who[i]);
  int status;
  while ((status = try_send(&self, &who[taken], true, "\"p\"", "12345678", NULL)) == 0)
    taken++;
  assert_int_equal(status, ROOST_EFULL);
  assert_int_equal(taken, 2); /* 11 bytes each: one may go beyond */
  assert_int_equal(self.outbound->slots.count, 2);
  roost_pending_drop(&who[0].pending);
  assert_int_equal(try_send(&self, &who[7], true, "\"p\"", "1", NULL), 0);
  go_down(&self, ROOST_ECONNECT, "ECONNREFUSED");
  assert_int_equal(who[0].failures, 0);
  assert_int_equal(who[1].status, ROOST_ECONNECT);
  assert_string_equal(who[7].why, "ECONNREFUSED");
  expect_empty(&self);
  stop(&self);
}

static void what_is_held_goes_as_the_transport_takes_it_and_in_order(void **state) {
  static pending_test self;
  static waiting who[4];
  (void)state;
  start(&self);
  for (size_t i = 0; i < 4; i++)
    init_waiting(&self, &who[i]);
  assert_int_equal(try_send(&self, &who[0], false, "\"p\"", "0", NULL), 0);
  assert_int_equal(try_send(&self, &who[1], false, "\"p\"", "1", NULL), 0);
  self.client.crowded_after = 1;
  go_up(&self);
  expect_sent(&self, "\"p\" 0  \n");
  assert_true(roost_outbound_crowded(self.outbound));
  assert_int_equal(try_send(&self, &who[2], false, "\"p\"", "2", NULL), 0); /* behind 1 */
  expect_sent(&self, "");
  self.client.crowded = false;
  self.client.fake.client.sink->on_writable(self.outbound);
  expect_sent(&self, "\"p\" 1  \n\"p\" 2  \n");
  assert_int_equal(who[1].sents + who[2].sents, 2);
  assert_int_equal(try_send(&self, &who[3], false, "\"p\"", "3", NULL), 1);
  expect_sent(&self, "\"p\" 3  \n");
  expect_empty(&self);
  stop(&self);
}

static void one_left_half_written_is_taken_back(void **state) {
  static pending_test self;
  waiting who;
  int status;
  (void)state;
  start(&self);
  init_waiting(&self, &who);
  const roost_message said = {.pattern = ROOST_SLICE("\"p\"")};
  roost_buffer *out = roost_outbound_begin(self.outbound, &who.pending, true, &said, &status);
  assert_int_equal(roost_buffer_append(out, "half", 4), 0);
  roost_pending_drop(&who.pending); /* held: nothing was connected yet */
  assert_int_equal(self.client.fake.connects, 0);
  expect_empty(&self);
  go_up(&self);
  out = roost_outbound_begin(self.outbound, &who.pending, true, &said, &status);
  assert_int_equal(roost_buffer_append(out, "half", 4), 0);
  roost_pending_deinit(&who.pending);
  expect_empty(&self);
  expect_sent(&self, "");
  ask(&self, &who, 0);
  answer(&self, who.id, "1", true);
  assert_int_equal(who.replies, 1);
  stop(&self);
}

/* --------------------------------------------------------------------- the connection -------- */

static void a_lost_connection_fails_all_at_once(void **state) {
  static pending_test self;
  static waiting who[100];
  watcher watching;
  (void)state;
  start_up(&self);
  watch(&self, &watching);
  for (size_t i = 0; i < 100; i++) {
    init_waiting(&self, &who[i]);
    request(&self, &who[i], 1000);
  }
  go_down(&self, ROOST_EGONE, "Connection closed");
  for (size_t i = 0; i < 100; i++) {
    assert_int_equal(who[i].failures, 1);
    assert_int_equal(who[i].status, ROOST_EGONE);
    assert_string_equal(who[i].why, "Connection closed");
  }
  assert_int_equal(watching.calls, 1);
  assert_int_equal(watching.state, ROOST_OUTBOUND_DOWN);
  assert_int_equal(self.wheel.count, 0);
  expect_empty(&self);
  answer(&self, who[0].id, "1", true);
  assert_int_equal(self.outbound->stats.late, 1);
  request(&self, &who[0], 0);
  assert_int_equal(self.client.fake.connects, 2);
  go_up(&self);
  assert_int_equal(self.outbound->stats.reconnects, 1);
  assert_int_equal(watching.calls, 2);
  assert_int_equal(watching.state, ROOST_OUTBOUND_UP);
  stop(&self);
}

static void close_fails_all_and_the_next_use_connects(void **state) {
  static pending_test self;
  waiting sent;
  waiting held;
  (void)state;
  start(&self);
  init_waiting(&self, &sent);
  init_waiting(&self, &held);
  roost_outbound_close(self.outbound); /* of one that is down: nothing to be told */
  go_up(&self);
  request(&self, &sent, 0);
  roost_outbound_close(self.outbound);
  assert_int_equal(sent.status, ROOST_EGONE);
  assert_string_equal(sent.why, "Connection closed");
  request(&self, &held, 0);
  roost_outbound_close(self.outbound); /* while it connects */
  assert_int_equal(held.status, ROOST_EGONE);
  assert_int_equal(self.client.fake.closes, 3);
  expect_empty(&self);
  assert_int_equal(self.outbound->state, ROOST_OUTBOUND_DOWN);
  stop(&self);
}

static void ask_again(waiting *self) {
  self->then = NULL;
  assert_int_equal(try_send(self->test, self, true, "\"again\"", "1", NULL), 0);
}

static void whoever_fails_may_ask_again_at_once(void **state) {
  static pending_test self;
  waiting first;
  waiting second;
  watcher watching;
  (void)state;
  start_up(&self);
  watch(&self, &watching);
  init_waiting(&self, &first);
  init_waiting(&self, &second);
  request(&self, &first, 0);
  request(&self, &second, 0);
  first.then = ask_again;
  roost_buffer_clear(&self.client.fake.out);
  go_down(&self, ROOST_EGONE, "Connection closed");
  assert_int_equal(first.failures, 1);
  assert_int_equal(second.failures, 1);
  assert_int_equal(self.client.fake.connects, 2);
  assert_int_equal(self.outbound->state, ROOST_OUTBOUND_CONNECTING);
  go_up(&self);
  assert_memory_equal(self.client.fake.out.ptr, "\"again\" 1", 9);
  assert_non_null(first.pending.outbound);
  roost_pending_deinit(&first.pending);
  expect_empty(&self);
  stop(&self);
}

static waiting *dropped;

static void drop_other(waiting *self) {
  (void)self;
  roost_pending_drop(&dropped->pending);
}

static void whoever_fails_may_drop_the_others(void **state) {
  static pending_test self;
  waiting first;
  waiting second;
  waiting third;
  (void)state;
  start_up(&self);
  init_waiting(&self, &first);
  init_waiting(&self, &second);
  init_waiting(&self, &third);
  request(&self, &first, 0);
  request(&self, &second, 0);
  request(&self, &third, 0);
  dropped = &second;
  first.then = drop_other;
  go_down(&self, ROOST_EGONE, "ECONNRESET");
  assert_int_equal(first.failures + third.failures, 2);
  assert_int_equal(second.failures, 0);
  expect_empty(&self);
  stop(&self);
}

static void close_it(waiting *self) {
  self->then = NULL;
  roost_outbound_close(self->test->outbound);
}

static void a_reply_may_close_the_outbound(void **state) {
  static pending_test self;
  waiting first;
  waiting second;
  (void)state;
  start_up(&self);
  init_waiting(&self, &first);
  init_waiting(&self, &second);
  request(&self, &first, 0);
  request(&self, &second, 0);
  first.then = close_it;
  answer(&self, first.id, "1", false);
  assert_int_equal(first.failures, 1);
  assert_int_equal(second.failures, 1);
  expect_empty(&self);
  stop(&self);
}

static void a_dropped_one_leaves_nothing(void **state) {
  static pending_test self;
  waiting who;
  (void)state;
  start_up(&self);
  ask(&self, &who, 100);
  roost_pending_deinit(&who.pending);
  size_t bytes = self.probe.bytes;
  uint32_t slots = self.outbound->slots.cap;
  for (int i = 0; i < 100000; i++) {
    init_waiting(&self, &who);
    roost_buffer_clear(&self.client.fake.out);
    request(&self, &who, 100);
    roost_pending_deinit(&who.pending);
  }
  expect_empty(&self);
  assert_int_equal(self.wheel.count, 0);
  assert_int_equal(self.outbound->slots.cap, slots);
  assert_int_equal(self.probe.bytes, bytes);
  assert_int_equal(who.failures, 0);
  stop(&self);
}

/* --------------------------------------------------------------------- retries --------------- */

/* Moves time on until the next attempt, and tells how long that was. */
static uint64_t until_attempt(pending_test *self) {
  const unsigned before = self->client.fake.connects;
  uint64_t ms = 0;
  while (self->client.fake.connects == before && ms++ < 100000)
    pass(self, 1);
  return ms;
}

static void attempts_are_made_with_growing_delays(void **state) {
  static pending_test self;
  waiting who;
  watcher watching;
  (void)state;
  prepare(&self);
  self.config.retry_attempts = 3;
  self.config.retry_delay = 100;
  assert_int_equal(make(&self), 0);
  watch(&self, &watching);
  ask(&self, &who, 0);
  for (uint64_t longest = 100; longest <= 400; longest *= 2) {
    go_down(&self, ROOST_ECONNECT, "ECONNREFUSED");
    assert_int_equal(who.failures, 0);
    assert_int_equal(watching.calls, 0);
    const uint64_t ms = until_attempt(&self);
    assert_in_range(ms, longest / 2, longest);
  }
  go_down(&self, ROOST_ECONNECT, "ECONNREFUSED");
  assert_int_equal(self.client.fake.connects, 4);
  assert_int_equal(who.status, ROOST_ECONNECT);
  assert_int_equal(watching.calls, 1);
  assert_string_equal(watching.why, "ECONNREFUSED");
  expect_empty(&self);
  request(&self, &who, 0); /* begins to count anew */
  go_down(&self, ROOST_ECONNECT, "ECONNREFUSED");
  assert_in_range(until_attempt(&self), 50, 100);
  go_up(&self);
  go_down(&self, ROOST_EGONE, "Connection closed"); /* what was sent is not tried again */
  assert_int_equal(who.failures, 2);
  assert_int_equal(self.wheel.count, 0);
  stop(&self);
}

static void delays_end_at_half_a_minute(void **state) {
  static pending_test self;
  (void)state;
  prepare(&self);
  self.config.retry_attempts = 40;
  self.config.retry_delay = 1000;
  assert_int_equal(make(&self), 0);
  assert_int_equal(roost_outbound_connect(self.outbound), 0);
  uint64_t ms = 0;
  for (int i = 0; i < 40; i++) {
    go_down(&self, ROOST_ECONNECT, "ECONNREFUSED");
    ms = until_attempt(&self);
  }
  assert_in_range(ms, 15000, 30000);
  stop(&self);
}

static void closing_ends_the_attempts(void **state) {
  static pending_test self;
  waiting who;
  (void)state;
  prepare(&self);
  self.config.retry_attempts = 3;
  self.config.retry_delay = 100;
  assert_int_equal(make(&self), 0);
  ask(&self, &who, 0);
  go_down(&self, ROOST_ECONNECT, "ECONNREFUSED");
  roost_outbound_close(self.outbound);
  assert_int_equal(who.status, ROOST_EGONE);
  pass(&self, 1000);
  assert_int_equal(self.client.fake.connects, 1);
  assert_int_equal(self.wheel.count, 0);
  stop(&self);
}

static void an_attempt_that_cannot_begin_is_the_end(void **state) {
  static pending_test self;
  waiting who;
  (void)state;
  prepare(&self);
  self.config.retry_attempts = 3;
  assert_int_equal(make(&self), 0);
  init_waiting(&self, &who);
  self.client.connect_status = ROOST_ENOMEM;
  assert_int_equal(try_send(&self, &who, true, "\"p\"", "1", NULL), ROOST_ENOMEM);
  assert_int_equal(self.outbound->state, ROOST_OUTBOUND_DOWN);
  expect_empty(&self);
  self.client.connect_status = 0;
  request(&self, &who, 0);
  go_down(&self, ROOST_ECONNECT, "ECONNREFUSED");
  self.client.connect_status = ROOST_ENOMEM;
  pass(&self, 1);
  assert_int_equal(who.status, ROOST_ENOMEM);
  expect_empty(&self);
  stop(&self);
}

/* --------------------------------------------------------------------- watchers -------------- */

static void leave_list(watcher *self) {
  roost_list_remove(&self->watcher.link);
}

static void watchers_are_told_of_a_broker_that_takes_nothing(void **state) {
  static pending_test self;
  watcher who;
  (void)state;
  start_up(&self);
  watch(&self, &who);
  const roost_client_sink *sink = self.client.fake.client.sink;
  sink->on_writable(self.outbound);
  assert_int_equal(who.calls, 0);
  for (unsigned i = 0; i < 2; i++) {
    self.client.fake.client.is_blocked = i == 0;
    sink->on_writable(self.outbound);
    sink->on_writable(self.outbound);
    assert_int_equal(who.calls, i + 1);
    assert_int_equal(who.state, ROOST_OUTBOUND_UP);
    assert_string_equal(who.why, i == 0 ? "blocked" : "unblocked");
  }
  stop(&self);
}

static void watchers_may_leave_while_they_are_told(void **state) {
  static pending_test self;
  watcher first;
  watcher second;
  (void)state;
  start(&self);
  watch(&self, &first);
  watch(&self, &second);
  first.then = leave_list;
  assert_false(self.outbound->was_told);
  go_up(&self);
  assert_true(self.outbound->was_told);
  go_down(&self, ROOST_EGONE, "Connection closed");
  assert_int_equal(first.calls, 1);
  assert_int_equal(second.calls, 2);
  stop(&self);
}

static void freeing_lets_watchers_go(void **state) {
  static pending_test self;
  watcher watching;
  (void)state;
  start(&self);
  watch(&self, &watching);
  go_up(&self);
  stop(&self);
  assert_int_equal(watching.gone, 1);
  assert_true(roost_list_empty(&watching.watcher.link));
}

/* --------------------------------------------------------------------- memory ---------------- */

static void making_one_may_fail(void **state) {
  static pending_test self;
  (void)state;
  prepare(&self);
  self.probe.refuse_after = 0;
  assert_int_equal(make(&self), ROOST_ENOMEM);
  assert_null(self.outbound);
  self.probe.refuse_after = ROOST_ALLOC_PROBE_NEVER;
  self.random_status = ROOST_ESYSTEM;
  assert_int_equal(make(&self), ROOST_ESYSTEM);
  assert_null(self.outbound);
  self.random_status = 0;
  self.open_status = ROOST_EUNSUPPORTED;
  assert_int_equal(make(&self), ROOST_EUNSUPPORTED);
  assert_null(self.outbound);
  assert_int_equal(self.probe.bytes, 0);
  roost_outbound_free(NULL);
}

/* Sends two held and two more at once, with memory for so many allocations only; each is told of
 * its failure, one way or the other, and what is left at the end is nothing. True where all went
 * through. */
static bool run_short(size_t allowed) {
  static pending_test self;
  static waiting who[4];
  bool all = true;
  start(&self);
  self.probe.refuse_after = allowed;
  for (size_t i = 0; i < 4; i++) {
    init_waiting(&self, &who[i]);
    who[i].pending.timeout_ms = 100;
    if (i == 2)
      go_up(&self);
    const int status = try_send(&self, &who[i], i % 2 == 0, "\"p\"", "[1,2,3]", "{}");
    assert_true(status == ROOST_ENOMEM || status == (i == 3 ? 1 : 0));
    all = all && status >= 0;
  }
  for (size_t i = 0; i < 4; i++) {
    if (who[i].failures > 0)
      assert_int_equal(who[i].status, ROOST_ENOMEM);
    all = all && who[i].failures == 0;
  }
  go_down(&self, ROOST_EGONE, "Connection closed");
  expect_empty(&self);
  for (size_t i = 0; i < 4; i++) {
    assert_true(who[i].failures + who[i].sents <= 1);
    roost_pending_deinit(&who[i].pending);
  }
  stop(&self);
  return all;
}

static void each_allocation_may_fail(void **state) {
  size_t allowed = 0;
  (void)state;
  while (!run_short(allowed))
    allowed++;
  assert_in_range(allowed, 3, 100);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_request_is_sent_with_an_id_of_21_digits),
      cmocka_unit_test(ids_differ_and_a_slot_used_again_has_another),
      cmocka_unit_test(what_is_no_id_of_ours_is_another_clients),
      cmocka_unit_test(a_stream_of_replies_ends_with_the_last),
      cmocka_unit_test(an_error_is_counted),
      cmocka_unit_test(an_event_is_out_once_it_is_handed_over),
      cmocka_unit_test(an_event_that_is_held_has_its_time),
      cmocka_unit_test(an_event_of_a_client_that_confirms),
      cmocka_unit_test(each_reply_arms_the_deadline_anew),
      cmocka_unit_test(the_last_reply_stops_the_deadline),
      cmocka_unit_test(waiting_for_the_connection_counts),
      cmocka_unit_test(waiting_for_room_counts),
      cmocka_unit_test(the_first_use_connects_and_all_wait_for_it),
      cmocka_unit_test(no_more_than_the_send_limit_is_held),
      cmocka_unit_test(what_is_held_goes_as_the_transport_takes_it_and_in_order),
      cmocka_unit_test(one_left_half_written_is_taken_back),
      cmocka_unit_test(a_lost_connection_fails_all_at_once),
      cmocka_unit_test(close_fails_all_and_the_next_use_connects),
      cmocka_unit_test(whoever_fails_may_ask_again_at_once),
      cmocka_unit_test(whoever_fails_may_drop_the_others),
      cmocka_unit_test(a_reply_may_close_the_outbound),
      cmocka_unit_test(a_dropped_one_leaves_nothing),
      cmocka_unit_test(attempts_are_made_with_growing_delays),
      cmocka_unit_test(delays_end_at_half_a_minute),
      cmocka_unit_test(closing_ends_the_attempts),
      cmocka_unit_test(an_attempt_that_cannot_begin_is_the_end),
      cmocka_unit_test(watchers_are_told_of_a_broker_that_takes_nothing),
      cmocka_unit_test(watchers_may_leave_while_they_are_told),
      cmocka_unit_test(a_sender_waits_for_who_reads_him_slowly),
      cmocka_unit_test(nothing_is_read_where_all_have_enough_to_read),
      cmocka_unit_test(a_peer_who_has_much_to_take_is_read),
      cmocka_unit_test(one_that_has_more_time_is_not_over),
      cmocka_unit_test(one_that_is_over_holds_nothing_back),
      cmocka_unit_test(freeing_lets_watchers_go),
      cmocka_unit_test(making_one_may_fail),
      cmocka_unit_test(each_allocation_may_fail),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
