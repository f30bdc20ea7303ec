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

void roost_trip_send(roost_trip *trip, roost_lane *lane, roost_note *note) {
  if (!atomic_load(&trip->forwards->closed))
    roost_lane_send(lane, note);
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

static roost_trip *trip_new(roost_forwards *forwards, roost_way *way) {
  roost_trip *trip = roost_alloc_get(forwards->alloc, sizeof *trip);
  if (trip == NULL)
    return NULL;
  trip->forwards = forwards;
  trip->way = way;
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
  init_note(trip, &trip->settle, roost_trip_settle);
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

/* What the broker's driver knows, into the buffer; it is no more than a few numbers. */
static int write_facts(roost_buffer *facts, const roost_origin *origin) {
  return origin->ops->facts != NULL ? origin->ops->facts(origin, facts) : 0;
}

static int copy_texts(roost_trip *trip, const roost_call *call, roost_slice facts) {
  const roost_slice route = roost_buffer_slice(&call->handler->route);
  const roost_slice service = service_of(call);
  const size_t bytes = call->pattern.len + call->id.len + call->metadata.len + call->data.len +
                       route.len + service.len + facts.len + 1;
  if (roost_buffer_reserve(&trip->bytes, bytes) != 0)
    return ROOST_ENOMEM;
  trip->message = (roost_message){.pattern = put(&trip->bytes, call->pattern),
                                  .id = put(&trip->bytes, call->id),
                                  .metadata = put(&trip->bytes, call->metadata),
                                  .data = put(&trip->bytes, call->data),
                                  .format = call->format};
  trip->route = put(&trip->bytes, route);
  trip->service = put(&trip->bytes, service);
  if (call->origin->ops->facts != NULL)
    trip->facts = put(&trip->bytes, facts);
  return 0;
}

static int copy_message(roost_trip *trip, const roost_call *call) {
  roost_buffer facts;
  roost_buffer_init(&facts, trip->forwards->alloc);
  int status = write_facts(&facts, call->origin);
  if (status == 0)
    status = copy_texts(trip, call, roost_buffer_slice(&facts));
  roost_buffer_deinit(&facts);
  return status;
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
  trip->origin.settles = origin->settles;
  const roost_worker *first = roost_workers_get(trip->forwards->workers, 0);
  trip->server.config = trip->way->near == first
                            ? call->server
                            : roost_worker_first_config(trip->way->near, first, call->server);
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
    roost_trip_send(trip, &trip->way->there, &trip->ease);
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
      roost_trip_send(trip, &trip->way->there, &trip->leaving);
    trip->said_leaving = true;
    break;
  case ROOST_CALL_LEFT:
    if (!trip->said_left)
      roost_trip_send(trip, &trip->way->there, &trip->left);
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

void roost_trip_settle(roost_note *note) {
  const roost_trip *trip = note->trip;
  roost_origin *origin = trip->call != NULL ? trip->call->origin : NULL;
  if (origin != NULL)
    (void)origin->ops->settle(origin, trip->hand);
}

void roost_trip_over(roost_note *note) {
  roost_trip *trip = note->trip;
  roost_call *call = trip->call;
  trip->call = NULL;
  call->on_change = NULL;
  if (trip->how == ROOST_SETTLE_REQUEUE)
    call->outcome = ROOST_OUTCOME_CUT;
  else if (trip->how == ROOST_SETTLE_NACK)
    roost_call_set_failed(call);
  roost_call_finish(call);
  roost_list_remove(&trip->near_link);
  roost_trip_send(trip, &trip->way->there, &trip->end);
}

/* ------------------------------------------------------------------------- the handler ------- */

/* From the first worker it is to the one that spread has chosen. */
static roost_way *way_of(roost_forwards *forwards, const roost_call *call) {
  const unsigned number = call->dispatch->config.worker;
  return number > 0 ? &forwards->inward[number - 1] : &forwards->outward[forwards->turn - 1];
}

static void forward_call(void *ud, roost_call *call) {
  roost_forwards *forwards = ud;
  roost_way *way = way_of(forwards, call);
  roost_trip *trip = trip_new(forwards, way);
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
  roost_list_append(&way->near_trips, &trip->near_link);
  roost_trip_send(trip, &way->there, &trip->go);
}

/* In turn, the first worker among them. What comes while it drains it does alone: the others may
 * have nothing left to do. */
static bool spread(void *ud) {
  roost_forwards *forwards = ud;
  if (roost_workers_get(forwards->workers, 0)->state != ROOST_WORKER_RUNNING)
    return false;
  forwards->turn = (forwards->turn + 1) % (forwards->count + 1);
  return forwards->turn > 0;
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

static void way_init(roost_way *way, roost_worker *near, roost_worker *home) {
  way->near = near;
  way->home = home;
  roost_list_init(&way->near_trips);
  roost_list_init(&way->home_trips);
  lane_init(&way->there, home->loop);
  lane_init(&way->back, near->loop);
}

static void begin_spreading(roost_forwards *forwards, roost_worker *first) {
  first->dispatch->config.forward = forward_call;
  first->dispatch->config.forward_ud = forwards;
  first->dispatch->config.spread = spread;
}

int roost_forwards_new(roost_forwards **out, roost_workers *workers, const roost_alloc *alloc) {
  const size_t count = roost_workers_count(workers) - 1;
  roost_worker *first = roost_workers_get(workers, 0);
  *out = NULL;
  if (count == 0)
    return 0;
  roost_forwards *forwards = roost_alloc_get(alloc, sizeof *forwards);
  roost_way *ways = roost_alloc_get(alloc, 2 * count * sizeof *ways);
  if (forwards == NULL || ways == NULL) {
    roost_alloc_put(alloc, ways, 2 * count * sizeof *ways);
    roost_alloc_put(alloc, forwards, sizeof *forwards);
    return ROOST_ENOMEM;
  }
  *forwards = (roost_forwards){
      .alloc = alloc, .workers = workers, .inward = ways, .outward = ways + count, .count = count};
  for (size_t i = 0; i < count; i++) {
    way_init(&forwards->inward[i], roost_workers_get(workers, i + 1), first);
    way_init(&forwards->outward[i], first, roost_workers_get(workers, i + 1));
  }
  *out = forwards;
  begin_spreading(forwards, first);
  return roost_workers_each(workers, join, forwards);
}

void roost_forwards_close(roost_forwards *forwards) {
  if (forwards != NULL)
    atomic_store(&forwards->closed, true);
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

static void way_deinit(const roost_forwards *forwards, roost_way *way) {
  drop_notes(forwards, &way->there);
  drop_notes(forwards, &way->back);
  while (!roost_list_empty(&way->near_trips))
    roost_trip_free(ROOST_LIST_ENTRY(way->near_trips.next, roost_trip, near_link));
  while (!roost_list_empty(&way->home_trips))
    roost_trip_free(ROOST_LIST_ENTRY(way->home_trips.next, roost_trip, home_link));
  lane_deinit(&way->there);
  lane_deinit(&way->back);
}

void roost_forwards_free(roost_forwards *forwards) {
  if (forwards == NULL)
    return;
  const size_t ways = 2 * forwards->count;
  for (size_t i = 0; i < ways; i++)
    way_deinit(forwards, &forwards->inward[i]); /* and those outward, which lie behind */
  roost_alloc_put(forwards->alloc, forwards->inward, ways * sizeof *forwards->inward);
  roost_alloc_put(forwards->alloc, forwards, sizeof *forwards);
}
