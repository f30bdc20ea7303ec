#include "transport/mqtt_flight.h"

#include "core/slice.h"

#define WINDOW_MAX 1024
#define DUP        0x08
#define FAILED     0x80
#define NOT_FOUND  0x92 /* packet identifier */

void roost_mqtt_flight_init(roost_mqtt_flight *flight, roost_mqtt_session *session,
                            roost_mqtt_refused_fn *refused, void *ud) {
  *flight = (roost_mqtt_flight){.session = session, .refused = refused, .ud = ud};
  roost_list_init(&flight->under_way);
  roost_list_init(&flight->queued);
}

static void free_all(const roost_mqtt_flight *flight, roost_list *list) {
  while (!roost_list_empty(list))
    roost_mqtt_outgoing_free(ROOST_LIST_ENTRY(list->next, roost_mqtt_outgoing, link),
                             roost_loop_alloc(flight->session->loop));
}

void roost_mqtt_flight_deinit(roost_mqtt_flight *flight) {
  free_all(flight, &flight->under_way);
  free_all(flight, &flight->queued);
}

/* ------------------------------------------------------------------------- outgoing ---------- */

static int write_packet(roost_mqtt_outgoing *outgoing, const roost_mqtt_session *session,
                        const roost_mqtt_publish *publish, roost_slice body) {
  roost_mqtt_publish with_id = *publish;
  roost_mqtt_mark mark;
  with_id.id = 1; /* takes the place of the one it will get */
  int status = roost_mqtt_publish_begin(&outgoing->packet, &mark, session->level, &with_id, 1);
  if (status == 0)
    status = roost_buffer_append_slice(&outgoing->packet, body);
  if (status != 0)
    return status;
  status = roost_mqtt_publish_end(&outgoing->packet, &mark, session->limits.maximum_packet_size);
  if (status < 0)
    return status;
  if (publish->qos > 0)
    outgoing->id_at = 1 + (size_t)status + 2 + publish->topic.len;
  return 0;
}

int roost_mqtt_outgoing_new(roost_mqtt_outgoing **out, const roost_mqtt_session *session,
                            const roost_mqtt_publish *publish, roost_slice body,
                            roost_slice request) {
  const roost_alloc *alloc = roost_loop_alloc(session->loop);
  roost_mqtt_outgoing *outgoing = roost_alloc_get(alloc, sizeof *outgoing);
  if (outgoing == NULL)
    return ROOST_ENOMEM;
  roost_list_init(&outgoing->link);
  roost_buffer_init(&outgoing->packet, alloc);
  roost_buffer_init(&outgoing->request, alloc);
  outgoing->qos = publish->qos;
  outgoing->level = session->level;
  int status = write_packet(outgoing, session, publish, body);
  if (status == 0)
    status = roost_buffer_append_slice(&outgoing->request, request);
  if (status == 0)
    *out = outgoing;
  else
    roost_mqtt_outgoing_free(outgoing, alloc);
  return status;
}

void roost_mqtt_outgoing_free(roost_mqtt_outgoing *outgoing, const roost_alloc *alloc) {
  roost_list_remove(&outgoing->link);
  roost_buffer_deinit(&outgoing->packet);
  roost_buffer_deinit(&outgoing->request);
  roost_alloc_put(alloc, outgoing, sizeof *outgoing);
}

/* ------------------------------------------------------------------------- sending ----------- */

static bool is_up(const roost_mqtt_flight *flight) {
  return flight->session->state == ROOST_MQTT_UP;
}

static void set_id(roost_mqtt_outgoing *outgoing, uint16_t id) {
  outgoing->id = id;
  outgoing->packet.ptr[outgoing->id_at] = (char)(uint8_t)(id >> 8);
  outgoing->packet.ptr[outgoing->id_at + 1] = (char)(uint8_t)id;
}

/* Writes it, or what it waits for the answer of. */
static void write_out(const roost_mqtt_flight *flight, const roost_mqtt_outgoing *outgoing) {
  roost_mqtt_session *session = flight->session;
  roost_buffer *out = roost_mqtt_session_out(session);
  const int status =
      outgoing->step == ROOST_MQTT_RELEASED
          ? roost_mqtt_write_answer(out, session->level, ROOST_MQTT_PUBREL, outgoing->id, 0)
          : roost_buffer_append_slice(out, roost_buffer_slice(&outgoing->packet));
  roost_mqtt_session_check(session, status);
}

/* As many of the queue as there is room for. */
static void fill_window(roost_mqtt_flight *flight) {
  while (is_up(flight) && !roost_list_empty(&flight->queued) && flight->count < flight->window) {
    roost_mqtt_outgoing *outgoing =
        ROOST_LIST_ENTRY(flight->queued.next, roost_mqtt_outgoing, link);
    const uint16_t id = roost_mqtt_session_take_id(flight->session);
    if (id == 0)
      return;
    set_id(outgoing, id);
    outgoing->step = ROOST_MQTT_PUBLISHED;
    roost_list_remove(&outgoing->link);
    roost_list_append(&flight->under_way, &outgoing->link);
    flight->count++;
    write_out(flight, outgoing);
  }
}

void roost_mqtt_flight_send(roost_mqtt_flight *flight, roost_mqtt_outgoing *outgoing) {
  outgoing->step = ROOST_MQTT_QUEUED;
  flight->bytes += outgoing->packet.len;
  roost_list_append(&flight->queued, &outgoing->link);
  fill_window(flight);
}

/* ------------------------------------------------------------------------- answers ----------- */

/* They come in the order that was sent, so the first is the one, nearly always. */
static roost_mqtt_outgoing *find(const roost_mqtt_flight *flight, uint16_t id) {
  for (roost_list *at = flight->under_way.next; at != &flight->under_way; at = at->next) {
    roost_mqtt_outgoing *outgoing = ROOST_LIST_ENTRY(at, roost_mqtt_outgoing, link);
    if (outgoing->id == id)
      return outgoing;
  }
  return NULL;
}

static void forget_id(roost_mqtt_flight *flight, roost_mqtt_outgoing *outgoing) {
  if (outgoing->id == 0)
    return;
  roost_mqtt_session_give_id(flight->session, outgoing->id);
  outgoing->id = 0;
  flight->count--;
}

static void drop(roost_mqtt_flight *flight, roost_mqtt_outgoing *outgoing) {
  forget_id(flight, outgoing);
  flight->bytes -= outgoing->packet.len;
  roost_mqtt_outgoing_free(outgoing, roost_loop_alloc(flight->session->loop));
}

/* It is received: what is left of it is its identifier. */
static void release(roost_mqtt_flight *flight, roost_mqtt_outgoing *outgoing) {
  outgoing->step = ROOST_MQTT_RELEASED;
  flight->bytes -= outgoing->packet.len;
  roost_buffer_deinit(&outgoing->packet);
}

/* A broker that has lost what it knew of us still asks for its PUBREL. */
static void answer_unknown(const roost_mqtt_flight *flight, const roost_mqtt_packet *packet) {
  roost_mqtt_session *session = flight->session;
  if (packet->type == ROOST_MQTT_PUBREC && packet->reason < FAILED)
    roost_mqtt_session_check(session, roost_mqtt_write_answer(roost_mqtt_session_out(session),
                                                              session->level, ROOST_MQTT_PUBREL,
                                                              packet->id, NOT_FOUND));
}

static void take_pubrec(roost_mqtt_flight *flight, roost_mqtt_outgoing *outgoing, uint8_t reason) {
  if (reason >= FAILED) {
    drop(flight, outgoing);
    return;
  }
  if (outgoing->step == ROOST_MQTT_PUBLISHED)
    release(flight, outgoing);
  write_out(flight, outgoing);
}

static void take_answer(roost_mqtt_flight *flight, roost_mqtt_outgoing *outgoing,
                        const roost_mqtt_packet *packet) {
  const roost_mqtt_type type = packet->type;
  if (type == ROOST_MQTT_PUBREC && outgoing->qos == 2)
    take_pubrec(flight, outgoing, packet->reason);
  else if ((type == ROOST_MQTT_PUBACK && outgoing->qos == 1) ||
           (type == ROOST_MQTT_PUBCOMP && outgoing->step == ROOST_MQTT_RELEASED))
    drop(flight, outgoing);
  fill_window(flight);
}

/* A reason that is no success is told last, from a copy: who is told may free the flight. */
void roost_mqtt_flight_answer(roost_mqtt_flight *flight, const roost_mqtt_packet *packet) {
  roost_mqtt_outgoing *outgoing = find(flight, packet->id);
  if (outgoing == NULL) {
    answer_unknown(flight, packet);
    return;
  }
  const bool tells = packet->reason != 0 && packet->type != ROOST_MQTT_PUBCOMP;
  roost_buffer request = {.alloc = outgoing->request.alloc};
  if (tells) {
    request = outgoing->request;
    roost_buffer_init(&outgoing->request, request.alloc);
  }
  take_answer(flight, outgoing, packet);
  if (request.len > 0)
    (void)flight->refused(flight->ud, roost_buffer_slice(&request), packet->reason);
  roost_buffer_deinit(&request);
}

/* ------------------------------------------------------------------------- reconnecting ------ */

/* What is still to be sent in a session that begins anew: events, as if for the first time. */
static void begin_anew(roost_mqtt_flight *flight) {
  roost_list old;
  roost_list_init(&old);
  roost_list_move(&old, &flight->under_way);
  roost_list_move(&old, &flight->queued);
  while (!roost_list_empty(&old)) {
    roost_mqtt_outgoing *outgoing = ROOST_LIST_ENTRY(old.next, roost_mqtt_outgoing, link);
    const bool is_request = outgoing->request.len > 0;
    if (outgoing->step == ROOST_MQTT_RELEASED || is_request) {
      drop(flight, outgoing);
      continue;
    }
    forget_id(flight, outgoing);
    outgoing->step = ROOST_MQTT_QUEUED;
    roost_list_remove(&outgoing->link);
    roost_list_append(&flight->queued, &outgoing->link);
  }
}

/* Nobody waits for a request that was not sent before its connection ended; and what was written
 * for another version of the protocol cannot be sent in this one. */
static void drop_useless(roost_mqtt_flight *flight, const roost_list *list) {
  for (roost_list *at = list->next; at != list;) {
    roost_mqtt_outgoing *outgoing = ROOST_LIST_ENTRY(at, roost_mqtt_outgoing, link);
    const bool is_other = outgoing->level != flight->session->level;
    at = at->next;
    if (is_other || (outgoing->step == ROOST_MQTT_QUEUED && outgoing->request.len > 0))
      drop(flight, outgoing);
  }
}

bool roost_mqtt_flight_is_empty(const roost_mqtt_flight *flight) {
  return roost_list_empty(&flight->under_way) && roost_list_empty(&flight->queued);
}

void roost_mqtt_flight_forget(roost_mqtt_flight *flight) {
  drop_useless(flight, &flight->queued);
}

void roost_mqtt_flight_up(roost_mqtt_flight *flight, bool present) {
  const uint16_t allowed = flight->session->limits.receive_maximum;
  flight->window = allowed < WINDOW_MAX ? allowed : WINDOW_MAX;
  if (!present)
    begin_anew(flight);
  drop_useless(flight, &flight->queued);
  drop_useless(flight, &flight->under_way);
  for (roost_list *at = flight->under_way.next; at != &flight->under_way && is_up(flight);
       at = at->next) {
    roost_mqtt_outgoing *outgoing = ROOST_LIST_ENTRY(at, roost_mqtt_outgoing, link);
    if (outgoing->step == ROOST_MQTT_PUBLISHED)
      outgoing->packet.ptr[0] = (char)((uint8_t)outgoing->packet.ptr[0] | DUP);
    write_out(flight, outgoing);
  }
  fill_window(flight);
}
