/*
 * Forwarded calls on the worker where their handlers run.
 */
#include "core/slice.h"
#include "forward_internal.h"

static roost_trip *of_origin(const roost_origin *origin) {
  return ROOST_LIST_ENTRY(origin, roost_trip, origin);
}

static void send(roost_trip *trip, roost_note *note) {
  roost_trip_send(trip, &trip->way->back, note);
}

/* The last that near hears of it. */
static void say_over(roost_trip *trip) {
  if (trip->is_over)
    return;
  trip->is_over = true;
  send(trip, &trip->over);
}

/* ------------------------------------------------------------------------- replies ----------- */

static roost_buffer *reply_begin(roost_origin *origin, roost_reply_kind kind) {
  roost_trip *trip = of_origin(origin);
  (void)kind;
  if (atomic_load(&trip->forwards->closed))
    return NULL;
  roost_buffer_clear(&trip->value);
  origin->value_format = ROOST_FORMAT_JSON;
  return &trip->value;
}

/* Asked again once home has said that it waits, since near may have looked just before. */
static bool is_full(roost_trip *trip) {
  return atomic_load(&trip->crowded) || atomic_load(&trip->unread) > ROOST_TRIP_UNREAD_BYTES;
}

static bool crowded(const roost_origin *origin) {
  roost_trip *trip = of_origin(origin);
  if (!is_full(trip))
    return false;
  atomic_store(&trip->waits, true);
  return is_full(trip);
}

static int reply_end(roost_origin *origin, roost_reply_kind kind, roost_slice id) {
  roost_trip *trip = of_origin(origin);
  const size_t len = trip->value.len;
  (void)id;
  if (atomic_load(&trip->forwards->closed))
    return ROOST_EGONE;
  roost_parcel *parcel = roost_alloc_get(trip->forwards->alloc, sizeof *parcel + len);
  if (parcel == NULL)
    return ROOST_ENOMEM;
  parcel->note = (roost_note){.trip = trip, .run = roost_trip_reply};
  roost_list_init(&parcel->note.link);
  parcel->kind = kind;
  parcel->format = origin->value_format;
  parcel->len = len;
  if (len > 0)
    memcpy(parcel->bytes, trip->value.ptr, len);
  roost_buffer_trim(&trip->value, ROOST_TRIP_UNREAD_BYTES);
  atomic_fetch_add(&trip->unread, len);
  send(trip, &parcel->note);
  return is_full(trip) ? ROOST_EFULL : 0;
}

static void reply_undo(roost_origin *origin) {
  roost_buffer_clear(&of_origin(origin)->value);
}

static void reply_unhandled(roost_origin *origin, roost_slice id) {
  roost_trip *trip = of_origin(origin);
  (void)id;
  send(trip, &trip->unhandled);
}

/* A call that counts no more has ended, or goes on with nobody to answer to. */
static void eased(roost_origin *origin) {
  if (origin->in_flight == 0 && origin->streams == 0)
    say_over(of_origin(origin));
}

/* Told with the end. */
static void failed(roost_origin *origin, roost_settlement how) {
  of_origin(origin)->how = how;
}

static bool settle(roost_origin *origin, roost_settlement how) {
  roost_trip *trip = of_origin(origin);
  if (trip->is_settled || trip->is_over)
    return false;
  trip->is_settled = true;
  trip->hand = how;
  send(trip, &trip->settle);
  return true;
}

static int facts(const roost_origin *origin, roost_buffer *out) {
  const roost_trip *trip = of_origin(origin);
  return roost_buffer_append_slice(out, trip->facts.ptr != NULL ? trip->facts : ROOST_SLICE("{}"));
}

static const roost_address *remote(const roost_origin *origin) {
  const roost_trip *trip = of_origin(origin);
  return trip->has_peer ? &trip->peer : NULL;
}

static const roost_address *local(const roost_origin *origin) {
  const roost_trip *trip = of_origin(origin);
  return trip->has_local ? &trip->local : NULL;
}

static const roost_tls_info *tls(const roost_origin *origin) {
  return of_origin(origin)->tls;
}

/* Once is enough. */
static void close_origin(roost_origin *origin) {
  roost_trip *trip = of_origin(origin);
  if (trip->is_dropped || trip->is_over)
    return;
  trip->is_dropped = true;
  send(trip, &trip->drop);
}

static const roost_origin_ops origin_ops = {.reply_begin = reply_begin,
                                            .reply_end = reply_end,
                                            .reply_undo = reply_undo,
                                            .reply_unhandled = reply_unhandled,
                                            .eased = eased,
                                            .crowded = crowded,
                                            .remote = remote,
                                            .local = local,
                                            .tls = tls,
                                            .close = close_origin,
                                            .failed = failed,
                                            .settle = settle,
                                            .facts = facts};

/* ------------------------------------------------------------------------- what near says ---- */

/* The handler may be another one since, or gone: a reload has swapped, and this was on its way. */
static const roost_handler *find_handler(const roost_trip *trip, const roost_dispatch *dispatch) {
  if (trip->service.ptr == NULL)
    return roost_handler_find(&dispatch->handlers, trip->route, trip->event, trip->ordinal);
  for (size_t i = 0; i < dispatch->service_count; i++) {
    const roost_service *service = dispatch->services[i];
    if (service->current != NULL &&
        roost_slice_equal(roost_slice_text(service->name), trip->service))
      return roost_handler_find(&service->current->handlers, trip->route, trip->event,
                                trip->ordinal);
  }
  return NULL;
}

static void answer_error(roost_trip *trip) {
  roost_buffer *out = trip->is_event ? NULL : reply_begin(&trip->origin, ROOST_REPLY_ERROR);
  if (out != NULL && roost_message_write_error(out, ROOST_SLICE(ROOST_INTERNAL_ERROR)) == 0)
    (void)reply_end(&trip->origin, ROOST_REPLY_ERROR, trip->message.id);
}

static void init_origin(roost_trip *trip) {
  trip->origin.ops = &origin_ops;
  trip->origin.server = &trip->server;
  roost_list_init(&trip->origin.calls);
}

void roost_trip_go(roost_note *note) {
  roost_trip *trip = note->trip;
  roost_dispatch *dispatch = trip->way->home->dispatch;
  const roost_handler *handler = find_handler(trip, dispatch);
  roost_list_append(&trip->way->home_trips, &trip->home_link);
  init_origin(trip);
  if (handler == NULL) {
    if (!trip->is_event)
      reply_unhandled(&trip->origin, trip->message.id);
    say_over(trip);
    return;
  }
  if (roost_call_start(dispatch, &trip->origin, &trip->message, handler, trip->is_event) == 0)
    return;
  answer_error(trip);
  say_over(trip);
}

static void tell_gone(roost_trip *trip, bool reachable) {
  trip->origin.gone = true;
  roost_dispatch_sink.on_gone(NULL, &trip->origin, reachable);
}

void roost_trip_leaving(roost_note *note) {
  tell_gone(note->trip, true);
}

void roost_trip_left(roost_note *note) {
  tell_gone(note->trip, false);
}

void roost_trip_ease(roost_note *note) {
  roost_trip *trip = note->trip;
  atomic_store(&trip->easing, false);
  roost_dispatch_sink.on_writable(NULL, &trip->origin);
}

void roost_trip_end(roost_note *note) {
  roost_trip_free(note->trip);
}
