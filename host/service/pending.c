#include "service/pending.h"

#include "core/backoff.h"
#include "core/hex.h"
#include "core/slice.h"
#include "vm/task.h"

#define ID_DIGITS  21
#define KEEP_BYTES 4096 /* a pending that is used again holds no larger buffer */

static const char closed_text[] = "Connection closed";

/* ------------------------------------------------------------------------- ids --------------- */

static char hex_digit(uint64_t value) {
  return "0123456789abcdef"[value & 15];
}

/* An id as JSON text: the outbound's own digits, then the slot's. */
static roost_slice write_id(const roost_outbound *outbound, uint64_t slot,
                            char out[ID_DIGITS + 2]) {
  char *digits = out + 1 + sizeof outbound->prefix;
  out[0] = '"';
  memcpy(out + 1, outbound->prefix, sizeof outbound->prefix);
  roost_hex_write8(digits, (uint32_t)(slot >> 32));
  roost_hex_write8(digits + 8, (uint32_t)slot);
  out[ID_DIGITS + 1] = '"';
  return roost_slice_of(out, ID_DIGITS + 2);
}

/* What an id was written for; 0 where it is none of ours. */
static uint64_t read_id(const roost_outbound *outbound, roost_slice id) {
  uint32_t high;
  uint32_t low;
  if (id.len != ID_DIGITS + 2 || memcmp(id.ptr + 1, outbound->prefix, sizeof outbound->prefix) != 0)
    return 0;
  const char *digits = id.ptr + 1 + sizeof outbound->prefix;
  if (!roost_hex_read8(digits, &high) || !roost_hex_read8(digits + 8, &low))
    return 0;
  return (uint64_t)high << 32 | low;
}

/* ------------------------------------------------------------------------- leaving ----------- */

/* Nothing is read where it would only be more of what is unread already. Who waits for something
 * else is not kept waiting; nor is the peer, who may take nothing from us before we read. */
static void review_reading(roost_outbound *outbound) {
  const roost_client_ops *ops = outbound->client->ops;
  const bool pauses = outbound->holding > 0 && outbound->holding == outbound->slots.count &&
                      !ops->crowded(outbound->client);
  if (ops->pause == NULL || pauses == outbound->is_paused)
    return;
  outbound->is_paused = pauses;
  ops->pause(outbound->client, pauses);
}

/* From now on it does, or does not, which it need not have done before. */
static void set_holds(roost_outbound *outbound, roost_pending *pending, bool on) {
  outbound->holding += on;
  outbound->holding -= pending->holds;
  pending->holds = on;
  review_reading(outbound);
}

/* Takes it out, whatever it was waiting for. */
static void leave(roost_pending *pending) {
  roost_outbound *outbound = pending->outbound;
  if (outbound == NULL)
    return;
  pending->outbound = NULL;
  if (outbound->writing == pending) {
    outbound->writing = NULL;
    outbound->client->ops->undo(outbound->client);
  }
  if (!roost_list_empty(&pending->link))
    outbound->held_bytes -= pending->held.len;
  roost_list_remove(&pending->link);
  if (roost_timer_running(&pending->deadline))
    roost_timer_stop(outbound->wheel, &pending->deadline);
  roost_buffer_clear(&pending->held);
  roost_buffer_trim(&pending->held, KEEP_BYTES);
  if (pending->slot != 0)
    roost_slots_remove(&outbound->slots, pending->slot);
  pending->slot = 0;
  if (pending->is_sent && outbound->client->ops->forget != NULL)
    outbound->client->ops->forget(outbound->client, pending->token);
  pending->is_sent = false;
  if (outbound->holding > 0)
    set_holds(outbound, pending, false);
}

static void fail(roost_pending *pending, int status, const char *why) {
  roost_outbound *outbound = pending->outbound;
  outbound->stats.errors++;
  leave(pending);
  pending->ops->failed(pending, status, why);
}

/* Those that are there now; what is begun meanwhile is for the next connection. */
static void fail_all(roost_outbound *outbound, int status, const char *why) {
  roost_list all;
  roost_list_init(&all);
  roost_list_move(&all, &outbound->waiting);
  roost_list_move(&all, &outbound->held);
  while (!roost_list_empty(&all))
    fail(ROOST_LIST_ENTRY(all.next, roost_pending, link), status, why);
}

void roost_pending_drop(roost_pending *pending) {
  leave(pending);
}

static void drop_of(roost_list *list, const void *owner) {
  roost_list *at = list->next;
  while (at != list) {
    roost_pending *pending = ROOST_LIST_ENTRY(at, roost_pending, link);
    at = at->next;
    if (pending->owner == owner)
      leave(pending);
  }
}

void roost_outbound_drop(roost_outbound *outbound, const void *owner) {
  drop_of(&outbound->waiting, owner);
  drop_of(&outbound->held, owner);
}

static void on_deadline(roost_timer *timer) {
  roost_pending *pending = ROOST_LIST_ENTRY(timer, roost_pending, deadline);
  const uint64_t more_ms = pending->ops->more_ms != NULL ? pending->ops->more_ms(pending) : 0;
  if (more_ms > 0) {
    roost_timer_start(pending->outbound->wheel, timer, more_ms);
    return;
  }
  pending->outbound->stats.timeouts++;
  fail(pending, ROOST_ETIMEDOUT, "Timeout has occurred");
}

void roost_pending_init(roost_pending *pending, const roost_alloc *alloc,
                        const roost_pending_ops *ops) {
  *pending = (roost_pending){.ops = ops};
  roost_list_init(&pending->link);
  roost_timer_init(&pending->deadline, on_deadline);
  roost_buffer_init(&pending->held, alloc);
}

void roost_pending_deinit(roost_pending *pending) {
  leave(pending);
  roost_buffer_deinit(&pending->held);
}

/* ------------------------------------------------------------------------- the connection ---- */

static void tell_watchers(roost_outbound *outbound, int status, const char *why) {
  roost_list all;
  outbound->was_told = true;
  roost_list_init(&all);
  roost_list_move(&all, &outbound->watchers);
  while (!roost_list_empty(&all)) {
    roost_outbound_watcher *watcher = ROOST_LIST_ENTRY(all.next, roost_outbound_watcher, link);
    roost_list_remove(&watcher->link);
    roost_list_append(&outbound->watchers, &watcher->link);
    watcher->changed(watcher, outbound->state, status, why);
  }
}

static void go_down(roost_outbound *outbound, int status, const char *why) {
  outbound->state = ROOST_OUTBOUND_DOWN;
  outbound->is_blocked = false;
  outbound->attempts = 0;
  roost_timer_stop(outbound->wheel, &outbound->retry);
  roost_task_wake_all(&outbound->writers);
  fail_all(outbound, status, why);
  tell_watchers(outbound, status, why);
}

static int dial(roost_outbound *outbound) {
  outbound->attempts++;
  return outbound->client->ops->connect(outbound->client);
}

static uint64_t delay_of(const roost_outbound *outbound) {
  return roost_backoff_ms(outbound->config->retry_delay, outbound->attempts,
                          outbound->wheel->now_ms + (uintptr_t)outbound / 64);
}

static void on_retry(roost_timer *timer) {
  roost_outbound *outbound = ROOST_LIST_ENTRY(timer, roost_outbound, retry);
  const int status = dial(outbound);
  if (status != 0)
    go_down(outbound, status, roost_status_name(status));
}

static void on_closed(void *ud, int status, const char *why) {
  roost_outbound *outbound = ud;
  if (outbound->state == ROOST_OUTBOUND_CONNECTING &&
      outbound->attempts <= outbound->config->retry_attempts)
    roost_timer_start(outbound->wheel, &outbound->retry, delay_of(outbound));
  else
    go_down(outbound, status, why);
}

int roost_outbound_connect(roost_outbound *outbound) {
  if (outbound->state != ROOST_OUTBOUND_DOWN)
    return 0;
  outbound->state = ROOST_OUTBOUND_CONNECTING;
  const int status = dial(outbound);
  if (status != 0)
    outbound->state = ROOST_OUTBOUND_DOWN;
  return status;
}

void roost_outbound_close(roost_outbound *outbound) {
  const bool was_down = outbound->state == ROOST_OUTBOUND_DOWN;
  outbound->client->ops->close(outbound->client);
  if (!was_down)
    go_down(outbound, ROOST_EGONE, closed_text);
}

void roost_outbound_watch(roost_outbound *outbound, roost_outbound_watcher *watcher) {
  roost_list_append(&outbound->watchers, &watcher->link);
}

bool roost_outbound_crowded(const roost_outbound *outbound) {
  return outbound->state == ROOST_OUTBOUND_UP && outbound->client->ops->crowded(outbound->client);
}

/* ------------------------------------------------------------------------- sending ----------- */

/* What the client is given: what the caller said, and the id. */
static roost_message head_of(const roost_outbound *outbound, const roost_pending *pending,
                             const roost_message *said, char id[ID_DIGITS + 2]) {
  roost_message head = {.format = pending->format,
                        .pattern = said->pattern,
                        .metadata = said->metadata,
                        .options = said->options};
  if (pending->slot != 0 && pending->is_event)
    head.confirm = write_id(outbound, pending->slot, id);
  else if (pending->slot != 0)
    head.id = write_id(outbound, pending->slot, id);
  return head;
}

/* Bounds the first wait for a reply, or an event's to be handed over, of which a part may be over.
 */
static void start_deadline(roost_outbound *outbound, roost_pending *pending) {
  const uint64_t left_ms =
      pending->timeout_ms > pending->waited_ms ? pending->timeout_ms - pending->waited_ms : 1;
  if (pending->timeout_ms > 0 && !roost_timer_running(&pending->deadline))
    roost_timer_start(outbound->wheel, &pending->deadline, left_ms);
}

static void wait_for_reply(roost_outbound *outbound, roost_pending *pending) {
  roost_list_append(&outbound->waiting, &pending->link);
  if (!pending->is_event)
    start_deadline(outbound, pending);
  else if (roost_timer_running(&pending->deadline)) /* its word is out */
    roost_timer_stop(outbound->wheel, &pending->deadline);
}

static roost_message held_head(const roost_outbound *outbound, const roost_pending *pending,
                               char id[ID_DIGITS + 2]) {
  const char *at = pending->held.ptr;
  roost_message said = {.pattern = roost_slice_of(at, pending->pattern_len)};
  at += pending->pattern_len;
  if (pending->has_metadata)
    said.metadata = roost_slice_of(at, pending->metadata_len);
  if (pending->has_options)
    said.options = roost_slice_of(at + pending->metadata_len, pending->options_len);
  return head_of(outbound, pending, &said, id);
}

/* Sends one that was held. */
static int send_held(roost_outbound *outbound, const roost_pending *pending) {
  char id[ID_DIGITS + 2];
  const roost_client_ops *ops = outbound->client->ops;
  const roost_message head = held_head(outbound, pending, id);
  const size_t before = pending->pattern_len + pending->metadata_len + pending->options_len;
  roost_buffer *out = ops->begin(outbound->client, &head);
  if (out == NULL)
    return ROOST_ENOMEM;
  if (roost_buffer_append(out, pending->held.ptr + before, pending->held.len - before) != 0) {
    ops->undo(outbound->client);
    return ROOST_ENOMEM;
  }
  return ops->end(outbound->client, &head);
}

const char *roost_outbound_why(const roost_outbound *outbound, int status) {
  const roost_client *client = outbound->client;
  if (status == ROOST_EUNSUPPORTED && client->refusal != NULL)
    return client->refusal;
  return status == ROOST_ESCRIPT ? client->codec->why : "out of memory";
}

/* The client has taken it, and may have noted something that it wants to be told. */
static void note_sent(roost_outbound *outbound, roost_pending *pending) {
  pending->is_sent = pending->slot != 0 && !pending->is_event;
  pending->token = outbound->client->token;
}

static void send_one(roost_outbound *outbound, roost_pending *pending) {
  const bool is_over = pending->slot == 0;
  const int status = send_held(outbound, pending);
  if (status != 0) {
    fail(pending, status, roost_outbound_why(outbound, status));
  } else if (is_over) {
    leave(pending);
    pending->ops->sent(pending);
  } else {
    outbound->held_bytes -= pending->held.len;
    roost_buffer_clear(&pending->held);
    roost_list_remove(&pending->link);
    note_sent(outbound, pending);
    wait_for_reply(outbound, pending);
  }
}

/* As many as the transport wants to have at a time. */
static void send_all_held(roost_outbound *outbound) {
  while (!roost_list_empty(&outbound->held) && outbound->state == ROOST_OUTBOUND_UP &&
         !roost_outbound_crowded(outbound))
    send_one(outbound, ROOST_LIST_ENTRY(outbound->held.next, roost_pending, link));
}

static void on_writable(void *ud) {
  roost_outbound *outbound = ud;
  if (outbound->client->is_blocked != outbound->is_blocked) {
    outbound->is_blocked = !outbound->is_blocked;
    tell_watchers(outbound, 0, outbound->is_blocked ? "blocked" : "unblocked");
  }
  send_all_held(outbound);
  review_reading(outbound);
  roost_task_wake_all(&outbound->writers);
}

static void on_open(void *ud) {
  roost_outbound *outbound = ud;
  outbound->state = ROOST_OUTBOUND_UP;
  outbound->attempts = 0;
  if (outbound->was_up)
    outbound->stats.reconnects++;
  outbound->was_up = true;
  tell_watchers(outbound, 0, NULL);
  send_all_held(outbound);
}

static bool take_slot(roost_outbound *outbound, roost_pending *pending) {
  pending->slot = roost_slots_add(&outbound->slots, pending);
  if (outbound->is_paused)
    review_reading(outbound);
  return pending->slot != 0;
}

/* Where it cannot be sent yet: in the pending's own buffer. */
static roost_buffer *begin_held(roost_outbound *outbound, roost_pending *pending,
                                const roost_message *said, int *status) {
  const size_t limit = outbound->config->max_send_buffer_size;
  *status = ROOST_EFULL;
  if (limit != 0 && outbound->held_bytes > limit)
    return NULL;
  pending->pattern_len = said->pattern.len;
  pending->metadata_len = said->metadata.len;
  pending->options_len = said->options.len;
  pending->has_metadata = said->metadata.ptr != NULL;
  pending->has_options = said->options.ptr != NULL;
  *status = roost_buffer_append_slice(&pending->held, said->pattern);
  if (*status == 0 && said->metadata.ptr != NULL)
    *status = roost_buffer_append_slice(&pending->held, said->metadata);
  if (*status == 0 && said->options.ptr != NULL)
    *status = roost_buffer_append_slice(&pending->held, said->options);
  return *status == 0 ? &pending->held : NULL;
}

static roost_buffer *begin_now(roost_outbound *outbound, roost_pending *pending,
                               const roost_message *said) {
  char id[ID_DIGITS + 2];
  const roost_message head = head_of(outbound, pending, said, id);
  roost_buffer *out = outbound->client->ops->begin(outbound->client, &head);
  if (out != NULL)
    outbound->writing = pending;
  return out;
}

/* What is held goes first. */
static bool may_send(const roost_outbound *outbound) {
  return outbound->state == ROOST_OUTBOUND_UP && roost_list_empty(&outbound->held);
}

static roost_format format_of(const roost_client *client, roost_slice pattern) {
  return client->ops->format != NULL ? client->ops->format(client, pattern) : ROOST_FORMAT_JSON;
}

roost_buffer *roost_outbound_begin(roost_outbound *outbound, roost_pending *pending, bool reply,
                                   const roost_message *said, int *status) {
  *status = ROOST_ENOMEM;
  pending->is_event = !reply;
  if ((reply || outbound->client->confirms) && !take_slot(outbound, pending))
    return NULL;
  pending->outbound = outbound;
  pending->format = format_of(outbound->client, said->pattern);
  roost_buffer *out = may_send(outbound) ? begin_now(outbound, pending, said)
                                         : begin_held(outbound, pending, said, status);
  if (out == NULL)
    leave(pending);
  return out;
}

static int end_now(roost_outbound *outbound, roost_pending *pending, const roost_message *said) {
  char id[ID_DIGITS + 2];
  const bool is_over = pending->slot == 0; /* once it was sent */
  const roost_message head = head_of(outbound, pending, said, id);
  outbound->writing = NULL;
  if (!is_over)
    wait_for_reply(outbound, pending);
  const int status = outbound->client->ops->end(outbound->client, &head);
  if (status == 0)
    note_sent(outbound, pending);
  if (status != 0 || is_over)
    leave(pending);
  return status != 0 ? status : is_over;
}

int roost_outbound_end(roost_outbound *outbound, roost_pending *pending,
                       const roost_message *said) {
  if (!pending->is_event)
    outbound->stats.requests++;
  if (outbound->writing == pending)
    return end_now(outbound, pending, said);
  outbound->held_bytes += pending->held.len;
  roost_list_append(&outbound->held, &pending->link);
  if (pending->slot != 0 || pending->is_event)
    start_deadline(outbound, pending);
  const int status = roost_outbound_connect(outbound);
  if (status != 0)
    leave(pending);
  return status;
}

/* ------------------------------------------------------------------------- replies ----------- */

static void on_confirmed(roost_pending *pending, const roost_reply *reply) {
  if (reply->err.ptr != NULL) {
    fail(pending, ROOST_EGONE, "the broker did not take the event");
    return;
  }
  leave(pending);
  pending->ops->sent(pending);
}

/* For the next reply. */
static void start_wait(roost_pending *pending) {
  if (pending->timeout_ms > 0)
    roost_timer_start(pending->outbound->wheel, &pending->deadline, pending->timeout_ms);
}

static void on_reply(void *ud, const roost_reply *reply) {
  roost_outbound *outbound = ud;
  const uint64_t slot = read_id(outbound, reply->id);
  roost_pending *pending = roost_slots_get(&outbound->slots, slot);
  if (pending == NULL) {
    if (slot != 0) /* else another client's: some brokers' topics of replies are shared */
      outbound->stats.late++;
    return;
  }
  if (pending->is_event) {
    on_confirmed(pending, reply);
    return;
  }
  if (reply->err.ptr != NULL)
    outbound->stats.errors++;
  else if (reply->last)
    outbound->stats.answered++;
  if (reply->last)
    leave(pending);
  else if (!pending->holds)
    start_wait(pending);
  pending->ops->reply(pending, reply);
}

static void hold(roost_pending *pending, bool on) {
  roost_outbound *outbound = pending->outbound;
  const roost_client_ops *ops = outbound->client->ops;
  if (on)
    roost_timer_stop(outbound->wheel, &pending->deadline);
  else
    start_wait(pending);
  set_holds(outbound, pending, on);
  if (ops->hold != NULL)
    ops->hold(outbound->client, pending->token, on);
}

void roost_pending_note_unread(roost_pending *pending, size_t bytes) {
  const roost_outbound *outbound = pending->outbound;
  if (outbound == NULL)
    return;
  const roost_client_ops *ops = outbound->client->ops;
  if (ops->hold == NULL && ops->pause == NULL)
    return;
  const size_t limit = outbound->config->max_buffer_size;
  if (pending->holds ? bytes < limit / 4 : bytes > limit / 2)
    hold(pending, !pending->holds);
}

static const roost_client_sink sink = {on_open, on_reply, on_closed, on_writable};

/* ------------------------------------------------------------------------- life -------------- */

static int fill_prefix(roost_outbound *outbound, const roost_outbound_config *config) {
  unsigned char bytes[sizeof outbound->prefix];
  const int status = config->random_bytes(bytes, sizeof bytes);
  for (size_t i = 0; i < sizeof bytes; i++)
    outbound->prefix[i] = hex_digit(bytes[i]);
  return status;
}

int roost_outbound_new(roost_outbound **out, const roost_outbound_config *config,
                       const roost_client_config *client) {
  roost_outbound *outbound = roost_alloc_get(config->alloc, sizeof *outbound);
  *out = NULL;
  if (outbound == NULL)
    return ROOST_ENOMEM;
  outbound->alloc = config->alloc;
  outbound->wheel = config->wheel;
  outbound->config = client;
  roost_slots_init(&outbound->slots, config->alloc);
  roost_list_init(&outbound->link);
  roost_list_init(&outbound->waiting);
  roost_list_init(&outbound->held);
  roost_list_init(&outbound->writers);
  roost_list_init(&outbound->watchers);
  roost_timer_init(&outbound->retry, on_retry);
  int status = fill_prefix(outbound, config);
  if (status == 0)
    status = config->open(config->open_ud, &outbound->client, client, &sink, outbound);
  if (status != 0) {
    roost_alloc_put(config->alloc, outbound, sizeof *outbound);
    return status;
  }
  *out = outbound;
  return 0;
}

int roost_outbound_replace(roost_outbound *outbound, roost_client_open_fn *open, void *ud) {
  roost_client *client;
  const int status = open(ud, &client, outbound->config, &sink, outbound);
  if (status != 0)
    return status;
  roost_outbound_close(outbound);
  outbound->client->ops->free(outbound->client);
  outbound->client = client;
  return 0;
}

static void let_watchers_go(roost_outbound *outbound) {
  while (!roost_list_empty(&outbound->watchers)) {
    roost_outbound_watcher *watcher =
        ROOST_LIST_ENTRY(outbound->watchers.next, roost_outbound_watcher, link);
    roost_list_remove(&watcher->link);
    watcher->gone(watcher);
  }
}

void roost_outbound_free(roost_outbound *outbound) {
  if (outbound == NULL)
    return;
  roost_outbound_close(outbound);
  let_watchers_go(outbound);
  roost_timer_stop(outbound->wheel, &outbound->retry);
  outbound->client->ops->free(outbound->client);
  roost_list_remove(&outbound->link);
  roost_slots_deinit(&outbound->slots);
  roost_alloc_put(outbound->alloc, outbound, sizeof *outbound);
}
