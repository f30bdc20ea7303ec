#include "forward.h"

#include "core/slice.h"
#include "forward_internal.h"

/* ------------------------------------------------------------------------- lanes ------------- */

void roost_lane_send(roost_lane *lane, roost_note *note) {
  pthread_mutex_lock(&lane->mutex);
  const bool first = roost_list_empty(&lane->notes);
  roost_list_append(&lane->notes, &note->link);
  pthread_mutex_unlock(&lane->mutex);
  if (first)
    roost_loop_post_job(lane->to, &lane->wake);
}

static void run_notes(void *ud) {
  roost_lane *lane = ud;
  roost_list notes;
  roost_list_init(&notes);
  pthread_mutex_lock(&lane->mutex);
  roost_list_move(&notes, &lane->notes);
  pthread_mutex_unlock(&lane->mutex);
  while (!roost_list_empty(&notes)) {
    roost_note *note = ROOST_LIST_ENTRY(notes.next, roost_note, link);
    roost_list_remove(&note->link);
    note->run(note);
  }
}

static void lane_init(roost_lane *lane, roost_loop *to) {
  pthread_mutex_init(&lane->mutex, NULL);
  roost_list_init(&lane->notes);
  lane->to = to;
  lane->wake = (roost_loop_job){.fn = run_notes, .ud = lane};
}

static void lane_deinit(roost_lane *lane) {
  pthread_mutex_destroy(&lane->mutex);
}

/* ------------------------------------------------------------------------- trips ------------- */

void roost_trip_free(roost_trip *trip) {
  const roost_alloc *alloc = trip->forwards->alloc;
  roost_list_remove(&trip->near_link);
  roost_list_remove(&trip->home_link);
  roost_tls_info_release(trip->tls);
  roost_buffer_deinit(&trip->bytes);
  roost_buffer_deinit(&trip->value);
  roost_alloc_put(alloc, trip, sizeof *trip);
}

static void init_note(roost_trip *trip, roost_note *note, void (*run)(roost_note *note)) {
  *note = (roost_note){.trip = trip, .run = run};
  roost_list_init(&note->link);
}

static roost_trip *trip_new(roost_forwards *forwards, roost_near *near) {
  roost_trip *trip = roost_alloc_get(forwards->alloc, sizeof *trip);
  if (trip == NULL)
    return NULL;
  trip->forwards = forwards;
  trip->near = near;
  roost_list_init(&trip->near_link);
  roost_list_init(&trip->home_link);
  roost_buffer_init(&trip->bytes, forwards->alloc);
  roost_buffer_init(&trip->value, forwards->alloc);
  init_note(trip, &trip->go, roost_trip_go);
  init_note(trip, &trip->leaving, roost_trip_leaving);
  init_note(trip, &trip->left, roost_trip_left);
  init_note(trip, &trip->ease, roost_trip_ease);
  init_note(trip, &trip->end, roost_trip_end);
  init_note(trip, &trip->over, roost_trip_over);
  init_note(trip, &trip->unhandled, roost_trip_unhandled);
  init_note(trip, &trip->drop, roost_trip_drop);
  return trip;
}

/* There is room for it. */
static roost_slice put(roost_buffer *to, roost_slice text) {
  if (text.ptr == NULL)
    return text;
  char *copy = to->ptr + to->len;
  if (text.len > 0)
    memcpy(copy, text.ptr, text.len);
  to->len += text.len;
  return roost_slice_of(copy, text.len);
}

static roost_slice service_of(const roost_call *call) {
  return call->generation != NULL ? roost_slice_text(call->generation->service->name)
                                  : (roost_slice){NULL, 0};
}

static int copy_message(roost_trip *trip, const roost_call *call) {
  const roost_slice route = roost_buffer_slice(&call->handler->route);
  const roost_slice service = service_of(call);
  const size_t bytes = call->pattern.len + call->id.len + call->metadata.len + call->data.len +
                       route.len + service.len + 1;
  if (roost_buffer_reserve(&trip->bytes, bytes) != 0)
    return ROOST_ENOMEM;
  trip->message = (roost_message){.pattern = put(&trip->bytes, call->pattern),
                                  .id = put(&trip->bytes, call->id),
                                  .metadata = put(&trip->bytes, call->metadata),
                                  .data = put(&trip->bytes, call->data),
                                  .format = call->format};
  trip->route = put(&trip->bytes, route);
  trip->service = put(&trip->bytes, service);
  return 0;
}

static int copy_origin(roost_trip *trip, const roost_call *call) {
  const roost_origin *origin = call->origin;
  const roost_address *peer = origin->ops->remote(origin);
  const roost_address *local = origin->ops->local(origin);
  const roost_tls_info *tls = roost_call_tls(call);
  trip->has_peer = peer != NULL;
  trip->has_local = local != NULL;
  if (peer != NULL)
    trip->peer = *peer;
  if (local != NULL)
    trip->local = *local;
  trip->origin.takes_packed = origin->takes_packed;
  trip->server.config = roost_worker_first_config(
      trip->near->worker, roost_workers_get(trip->forwards->workers, 0), call->server);
  return tls != NULL ? roost_tls_info_copy(&trip->tls, trip->forwards->alloc, tls) : 0;
}

/* ------------------------------------------------------------------------- what home says ---- */

static bool takes_replies(const roost_trip *trip) {
  return trip->call != NULL && roost_call_owed(trip->call);
}

/* Home waits, and need not any more. */
static void ease(roost_trip *trip) {
  if (!atomic_load(&trip->waits) || atomic_load(&trip->crowded) ||
      atomic_load(&trip->unread) > ROOST_TRIP_UNREAD_BYTES / 4)
    return;
  atomic_store(&trip->waits, false);
  if (!atomic_exchange(&trip->easing, true))
    roost_lane_send(&trip->near->there, &trip->ease);
}

static void on_change(roost_call *call, roost_call_change change) {
  roost_trip *trip = call->on_change_ud;
  switch (change) {
  case ROOST_CALL_WRITABLE:
    atomic_store(&trip->crowded, false);
    ease(trip);
    break;
  case ROOST_CALL_LEAVING:
    if (!trip->said_leaving)
      roost_lane_send(&trip->near->there, &trip->leaving);
    trip->said_leaving = true;
    break;
  case ROOST_CALL_LEFT:
    if (!trip->said_left)
      roost_lane_send(&trip->near->there, &trip->left);
    trip->said_left = true;
    break;
  }
}

static void pass_item(const roost_trip *trip, const roost_parcel *parcel) {
  roost_call *call = trip->call;
  roost_buffer *item;
  const int status = roost_call_item_begin(call, &item);
  if (status == ROOST_EFULL) /* one stream too many: it is answered so, and over */
    on_change(call, ROOST_CALL_LEFT);
  if (status != 0 || roost_buffer_append(item, parcel->bytes, parcel->len) != 0)
    return;
  roost_call_set_format(call, parcel->format);
  roost_call_item_end(call);
}

static void pass_last(const roost_trip *trip, const roost_parcel *parcel) {
  roost_call *call = trip->call;
  if (parcel->kind == ROOST_REPLY_END) {
    roost_call_reply_none(call);
    return;
  }
  roost_buffer *out = roost_call_reply_begin(call, parcel->kind);
  if (out == NULL)
    return;
  if (roost_buffer_append(out, parcel->bytes, parcel->len) != 0) {
    roost_call_reply_undo(call);
    return;
  }
  roost_call_set_format(call, parcel->format);
  roost_call_reply_end(call, parcel->kind);
}

void roost_trip_reply(roost_note *note) {
  roost_parcel *parcel = (roost_parcel *)note;
  roost_trip *trip = note->trip;
  const bool is_item = parcel->kind == ROOST_REPLY_ITEM || parcel->kind == ROOST_REPLY_VOID;
  if (takes_replies(trip))
    (is_item ? pass_item : pass_last)(trip, parcel);
  atomic_fetch_sub(&trip->unread, parcel->len);
  roost_alloc_put(trip->forwards->alloc, parcel, sizeof *parcel + parcel->len);
  if (trip->call != NULL && roost_call_crowded(trip->call))
    atomic_store(&trip->crowded, true);
  ease(trip);
}

void roost_trip_unhandled(roost_note *note) {
  const roost_trip *trip = note->trip;
  roost_call *call = trip->call;
  if (takes_replies(trip))
    call->origin->ops->reply_unhandled(call->origin, call->id);
}

void roost_trip_drop(roost_note *note) {
  const roost_trip *trip = note->trip;
  if (trip->call != NULL && trip->call->origin != NULL)
    trip->call->origin->ops->close(trip->call->origin);
}

void roost_trip_over(roost_note *note) {
  roost_trip *trip = note->trip;
  roost_call *call = trip->call;
  trip->call = NULL;
  call->on_change = NULL;
  roost_call_finish(call);
  roost_list_remove(&trip->near_link);
  roost_lane_send(&trip->near->there, &trip->end);
}

/* ------------------------------------------------------------------------- the handler ------- */

static void forward_call(void *ud, roost_call *call) {
  roost_forwards *forwards = ud;
  roost_near *near = &forwards->near[call->dispatch->config.worker - 1];
  roost_trip *trip = trip_new(forwards, near);
  if (trip == NULL || copy_message(trip, call) != 0 || copy_origin(trip, call) != 0) {
    if (trip != NULL)
      roost_trip_free(trip);
    (void)roost_call_fail(call, "Internal server error");
    return;
  }
  trip->call = call;
  trip->ordinal = call->handler->ordinal;
  trip->event = call->handler->event;
  trip->is_event = call->event;
  call->on_change = on_change;
  call->on_change_ud = trip;
  roost_list_append(&near->trips, &trip->near_link);
  roost_lane_send(&near->there, &trip->go);
}

/* ------------------------------------------------------------------------- life -------------- */

static int join(roost_worker *worker, void *ud) {
  const roost_worker *first = roost_workers_get(((roost_forwards *)ud)->workers, 0);
  const roost_list *handlers = &first->dispatch->handlers;
  int status = 0;
  worker->dispatch->config.forward = forward_call;
  worker->dispatch->config.forward_ud = ud;
  for (const roost_list *at = handlers->next; at != handlers && status == 0; at = at->next)
    status = roost_dispatch_add_forward(worker->dispatch,
                                        ROOST_LIST_ENTRY(at, const roost_handler, link), handlers);
  return status;
}

int roost_forwards_new(roost_forwards **out, roost_workers *workers, const roost_alloc *alloc) {
  const size_t count = roost_workers_count(workers) - 1;
  *out = NULL;
  if (count == 0)
    return 0;
  roost_forwards *forwards = roost_alloc_get(alloc, sizeof *forwards);
  if (forwards == NULL)
    return ROOST_ENOMEM;
  *forwards = (roost_forwards){.alloc = alloc, .workers = workers};
  roost_list_init(&forwards->trips);
  forwards->near = roost_alloc_get(alloc, count * sizeof *forwards->near);
  if (forwards->near == NULL) {
    roost_alloc_put(alloc, forwards, sizeof *forwards);
    return ROOST_ENOMEM;
  }
  forwards->count = count;
  for (size_t i = 0; i < count; i++) {
    roost_near *near = &forwards->near[i];
    near->worker = roost_workers_get(workers, i + 1);
    roost_list_init(&near->trips);
    lane_init(&near->there, roost_workers_get(workers, 0)->loop);
    lane_init(&near->back, near->worker->loop);
  }
  *out = forwards;
  return roost_workers_each(workers, join, forwards);
}

void roost_forwards_close(roost_forwards *forwards) {
  if (forwards != NULL)
    forwards->closed = true;
}

/* Of notes in a lane only replies are not part of their trip. */
static void drop_notes(const roost_forwards *forwards, roost_lane *lane) {
  while (!roost_list_empty(&lane->notes)) {
    roost_note *note = ROOST_LIST_ENTRY(lane->notes.next, roost_note, link);
    roost_list_remove(&note->link);
    if (note->run != roost_trip_reply)
      continue;
    roost_parcel *parcel = (roost_parcel *)note;
    roost_alloc_put(forwards->alloc, parcel, sizeof *parcel + parcel->len);
  }
}

void roost_forwards_free(roost_forwards *forwards) {
  if (forwards == NULL)
    return;
  for (size_t i = 0; i < forwards->count; i++) {
    roost_near *near = &forwards->near[i];
    drop_notes(forwards, &near->there);
    drop_notes(forwards, &near->back);
    while (!roost_list_empty(&near->trips))
      roost_trip_free(ROOST_LIST_ENTRY(near->trips.next, roost_trip, near_link));
    lane_deinit(&near->there);
    lane_deinit(&near->back);
  }
  while (!roost_list_empty(&forwards->trips))
    roost_trip_free(ROOST_LIST_ENTRY(forwards->trips.next, roost_trip, home_link));
  roost_alloc_put(forwards->alloc, forwards->near, forwards->count * sizeof *forwards->near);
  roost_alloc_put(forwards->alloc, forwards, sizeof *forwards);
}
