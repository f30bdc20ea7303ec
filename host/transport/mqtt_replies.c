#include "transport/mqtt_replies.h"

#include "core/slice.h"

#define IDLE_MS 30000 /* kept for whoever asks again */
#define LOOK_MS 10000 /* between looks for those that are idle long enough */
#define FAILED  0x80

static const char suffix[] = ROOST_MQTT_REPLY_SUFFIX;

static roost_wheel *wheel_of(const roost_mqtt_replies *replies) {
  return roost_loop_wheel(replies->session->loop);
}

static const roost_alloc *alloc_of(const roost_mqtt_replies *replies) {
  return roost_loop_alloc(replies->session->loop);
}

/* ------------------------------------------------------------------------- topics ------------ */

static void free_topic(roost_mqtt_replies *replies, roost_mqtt_reply_topic *topic) {
  const roost_alloc *alloc = alloc_of(replies);
  while (!roost_list_empty(&topic->held))
    roost_mqtt_outgoing_free(ROOST_LIST_ENTRY(topic->held.next, roost_mqtt_outgoing, link), alloc);
  replies->held_bytes -= topic->held_bytes;
  if (topic->ask != 0)
    roost_mqtt_session_give_id(replies->session, topic->ask);
  roost_list_remove(&topic->link);
  roost_slots_remove(&replies->tokens, topic->token);
  roost_map_remove(&replies->topics, roost_buffer_slice(&topic->name));
  roost_buffer_deinit(&topic->name);
  roost_alloc_put(alloc, topic, sizeof *topic);
}

static void free_list(roost_mqtt_replies *replies, roost_list *list) {
  while (!roost_list_empty(list))
    free_topic(replies, ROOST_LIST_ENTRY(list->next, roost_mqtt_reply_topic, link));
}

static roost_mqtt_reply_topic *new_topic(roost_mqtt_replies *replies, roost_buffer *name) {
  roost_mqtt_reply_topic *topic = roost_alloc_get(alloc_of(replies), sizeof *topic);
  if (topic == NULL)
    return NULL;
  roost_list_init(&topic->link);
  roost_list_init(&topic->held);
  topic->name = *name;
  topic->token = roost_slots_add(&replies->tokens, topic);
  if (topic->token != 0 && roost_map_set(&replies->topics, roost_buffer_slice(name), topic) == 0) {
    roost_buffer_init(name, alloc_of(replies));
    return topic;
  }
  roost_slots_remove(&replies->tokens, topic->token);
  roost_alloc_put(alloc_of(replies), topic, sizeof *topic);
  return NULL;
}

static int subscribe(roost_mqtt_replies *replies, roost_mqtt_reply_topic *topic) {
  roost_mqtt_session *session = replies->session;
  const roost_mqtt_subscription one = {.filter = roost_buffer_slice(&topic->name)};
  topic->ask = roost_mqtt_session_take_id(session);
  if (topic->ask == 0)
    return ROOST_ENOMEM;
  const int status = roost_mqtt_write_subscribe(roost_mqtt_session_out(session), session->level,
                                                topic->ask, 0, &one, 1);
  if (status != 0)
    return status;
  roost_list_append(&replies->asked, &topic->link);
  roost_mqtt_session_sent(session);
  return 0;
}

/* The topic of that name, made and subscribed to where there is none; takes name's bytes then. */
static int find_topic(roost_mqtt_reply_topic **out, roost_mqtt_replies *replies,
                      roost_buffer *name) {
  *out = roost_map_get(&replies->topics, roost_buffer_slice(name));
  if (*out != NULL)
    return 0;
  *out = new_topic(replies, name);
  if (*out == NULL)
    return ROOST_ENOMEM;
  const int status = subscribe(replies, *out);
  if (status != 0)
    free_topic(replies, *out);
  return status;
}

/* ------------------------------------------------------------------------- waiting ----------- */

static void move(roost_mqtt_reply_topic *topic, roost_list *list) {
  roost_list_remove(&topic->link);
  roost_list_append(list, &topic->link);
}

/* Where it belongs, once its SUBSCRIBE is answered. */
static void place(roost_mqtt_replies *replies, roost_mqtt_reply_topic *topic) {
  if (topic->ask != 0)
    return;
  if (topic->waiters > 0) {
    move(topic, &replies->busy);
    return;
  }
  topic->idle_ms = roost_loop_now_ms(replies->session->loop);
  move(topic, &replies->idle);
  if (!roost_timer_running(&replies->timer))
    roost_timer_start(wheel_of(replies), &replies->timer, LOOK_MS);
}

int roost_mqtt_replies_want(roost_mqtt_reply_topic **out, roost_mqtt_replies *replies,
                            roost_slice topic) {
  roost_buffer name;
  if (topic.len > ROOST_MQTT_STRING_MAX - (sizeof suffix - 1))
    return ROOST_EINVAL;
  roost_buffer_init(&name, alloc_of(replies));
  int status = roost_buffer_append_slice(&name, topic);
  if (status == 0)
    status = roost_buffer_append(&name, suffix, sizeof suffix - 1);
  if (status == 0)
    status = find_topic(out, replies, &name);
  if (status == 0) {
    (*out)->waiters++;
    place(replies, *out);
  }
  roost_buffer_deinit(&name);
  return status;
}

void roost_mqtt_replies_done(roost_mqtt_replies *replies, uint64_t token) {
  roost_mqtt_reply_topic *topic = roost_slots_get(&replies->tokens, token);
  if (topic != NULL && --topic->waiters == 0)
    place(replies, topic);
}

/* One of QoS 0 needs no more than to be written. */
static void send_now(roost_mqtt_replies *replies, roost_mqtt_outgoing *outgoing) {
  roost_mqtt_session *session = replies->session;
  if (outgoing->qos > 0) {
    roost_mqtt_flight_send(replies->flight, outgoing);
    return;
  }
  const int status = roost_buffer_append_slice(roost_mqtt_session_out(session),
                                               roost_buffer_slice(&outgoing->packet));
  roost_mqtt_outgoing_free(outgoing, alloc_of(replies));
  roost_mqtt_session_check(session, status);
}

void roost_mqtt_replies_send(roost_mqtt_replies *replies, roost_mqtt_reply_topic *topic,
                             roost_mqtt_outgoing *outgoing) {
  if (topic->ask == 0) {
    send_now(replies, outgoing);
    return;
  }
  topic->held_bytes += outgoing->packet.len;
  replies->held_bytes += outgoing->packet.len;
  roost_list_append(&topic->held, &outgoing->link);
}

/* ------------------------------------------------------------------------- answers ----------- */

/* Those that waited for the subscription. */
static void send_held(roost_mqtt_replies *replies, roost_mqtt_reply_topic *topic) {
  roost_list held;
  roost_list_init(&held);
  roost_list_move(&held, &topic->held);
  replies->held_bytes -= topic->held_bytes;
  topic->held_bytes = 0;
  while (!roost_list_empty(&held)) {
    roost_mqtt_outgoing *outgoing = ROOST_LIST_ENTRY(held.next, roost_mqtt_outgoing, link);
    roost_list_remove(&outgoing->link);
    if (replies->session->state == ROOST_MQTT_UP)
      send_now(replies, outgoing);
    else
      roost_mqtt_outgoing_free(outgoing, alloc_of(replies));
  }
}

/* Tells each that waits there. Who is told may free all, so that they are taken out first. */
static void refuse(roost_mqtt_replies *replies, roost_mqtt_reply_topic *topic, uint8_t reason) {
  const roost_alloc *alloc = alloc_of(replies);
  roost_mqtt_refused_fn *refused = replies->refused;
  void *ud = replies->ud;
  roost_list held;
  roost_list_init(&held);
  roost_list_move(&held, &topic->held);
  free_topic(replies, topic);
  bool goes_on = true;
  while (!roost_list_empty(&held)) {
    roost_mqtt_outgoing *outgoing = ROOST_LIST_ENTRY(held.next, roost_mqtt_outgoing, link);
    if (goes_on)
      goes_on = refused(ud, roost_buffer_slice(&outgoing->request), reason);
    roost_mqtt_outgoing_free(outgoing, alloc);
  }
}

static roost_mqtt_reply_topic *find_asked(const roost_mqtt_replies *replies, uint16_t id) {
  for (roost_list *at = replies->asked.next; at != &replies->asked; at = at->next) {
    roost_mqtt_reply_topic *topic = ROOST_LIST_ENTRY(at, roost_mqtt_reply_topic, link);
    if (topic->ask == id)
      return topic;
  }
  return NULL;
}

void roost_mqtt_replies_answer(roost_mqtt_replies *replies, const roost_mqtt_packet *packet) {
  if (packet->type == ROOST_MQTT_UNSUBACK) {
    roost_mqtt_session_give_id(replies->session, packet->id);
    return;
  }
  roost_mqtt_reply_topic *topic = find_asked(replies, packet->id);
  if (topic == NULL)
    return;
  const uint8_t reason = (uint8_t)packet->reasons.ptr[0];
  if (reason >= FAILED) {
    refuse(replies, topic, reason);
    return;
  }
  roost_mqtt_session_give_id(replies->session, topic->ask);
  topic->ask = 0;
  place(replies, topic);
  send_held(replies, topic);
}

/* ------------------------------------------------------------------------- idle ones --------- */

/* Where memory is short the broker goes on sending us what nobody waits for. */
static void unsubscribe(const roost_mqtt_replies *replies, const roost_mqtt_reply_topic *topic) {
  roost_mqtt_session *session = replies->session;
  const roost_slice name = roost_buffer_slice(&topic->name);
  const uint16_t id = roost_mqtt_session_take_id(session);
  if (id == 0)
    return;
  if (roost_mqtt_write_unsubscribe(roost_mqtt_session_out(session), session->level, id, &name, 1) ==
      0)
    roost_mqtt_session_sent(session);
  else
    roost_mqtt_session_give_id(session, id);
}

static void on_timer(roost_timer *timer) {
  roost_mqtt_replies *replies = ROOST_LIST_ENTRY(timer, roost_mqtt_replies, timer);
  const uint64_t now_ms = roost_loop_now_ms(replies->session->loop);
  while (!roost_list_empty(&replies->idle)) {
    roost_mqtt_reply_topic *topic =
        ROOST_LIST_ENTRY(replies->idle.next, roost_mqtt_reply_topic, link);
    if (now_ms - topic->idle_ms < IDLE_MS)
      break;
    unsubscribe(replies, topic);
    free_topic(replies, topic);
  }
  if (!roost_list_empty(&replies->idle))
    roost_timer_start(wheel_of(replies), timer, LOOK_MS);
}

/* ------------------------------------------------------------------------- life -------------- */

void roost_mqtt_replies_init(roost_mqtt_replies *replies, roost_mqtt_session *session,
                             roost_mqtt_flight *flight, roost_mqtt_refused_fn *refused, void *ud) {
  *replies =
      (roost_mqtt_replies){.session = session, .flight = flight, .refused = refused, .ud = ud};
  roost_map_init(&replies->topics, alloc_of(replies));
  roost_slots_init(&replies->tokens, alloc_of(replies));
  roost_list_init(&replies->asked);
  roost_list_init(&replies->busy);
  roost_list_init(&replies->idle);
  roost_timer_init(&replies->timer, on_timer);
}

void roost_mqtt_replies_clear(roost_mqtt_replies *replies) {
  roost_timer_stop(wheel_of(replies), &replies->timer);
  free_list(replies, &replies->asked);
  free_list(replies, &replies->busy);
  free_list(replies, &replies->idle);
}

void roost_mqtt_replies_deinit(roost_mqtt_replies *replies) {
  roost_mqtt_replies_clear(replies);
  roost_map_deinit(&replies->topics);
  roost_slots_deinit(&replies->tokens);
}
