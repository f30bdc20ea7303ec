#include "transport/mqtt_session.h"

#include <stdio.h>
#include <string.h>

#include "core/hex.h"
#include "core/slice.h"
#include "net/crypto.h"

#define GREETING_MS   10000 /* until CONNACK */
#define ENDING_MS     2000  /* until the broker has closed */
#define ID_WORDS      1024  /* of 64 identifiers each */
#define NEVER_EXPIRES UINT32_MAX
#define KEEP_BYTES    4096
#define BAD_VERSION_4 0x01 /* in CONNACK of brokers of before version 5 */
#define BAD_VERSION_5 0x84
#define PACKET_HEAD   5 /* bytes that a packet is longer than its remaining length, at most */

typedef struct mqtt_link {
  roost_link link;
  roost_mqtt_reader reader;
} mqtt_link;

static roost_wheel *wheel_of(const roost_mqtt_session *session) {
  return roost_loop_wheel(session->loop);
}

/* Whether the session is there, and this its connection: what its owner is told may end both. */
static bool is_live(const mqtt_link *link) {
  return link->link.dialer != NULL;
}

/* ------------------------------------------------------------------------- writing ----------- */

roost_buffer *roost_mqtt_session_out(const roost_mqtt_session *session) {
  return roost_conn_out(session->dialer.link->conn);
}

void roost_mqtt_session_sent(roost_mqtt_session *session) {
  session->sent = true;
  roost_conn_dirty(session->dialer.link->conn);
}

void roost_mqtt_session_fail(roost_mqtt_session *session, int status, const char *why) {
  roost_dialer_fail(&session->dialer, status, why);
}

void roost_mqtt_session_check(roost_mqtt_session *session, int status) {
  if (status == 0) {
    roost_mqtt_session_sent(session);
    return;
  }
  session->is_broken = true;
  roost_loop_defer(session->loop, &session->resume);
}

/* ------------------------------------------------------------------------- packet ids -------- */

uint16_t roost_mqtt_session_take_id(roost_mqtt_session *session) {
  for (unsigned i = 0; i < UINT16_MAX; i++) {
    session->last_id = session->last_id == UINT16_MAX ? 1 : (uint16_t)(session->last_id + 1);
    const uint64_t bit = (uint64_t)1 << session->last_id % 64;
    if ((session->ids[session->last_id / 64] & bit) == 0) {
      session->ids[session->last_id / 64] |= bit;
      return session->last_id;
    }
  }
  return 0;
}

void roost_mqtt_session_give_id(roost_mqtt_session *session, uint16_t id) {
  session->ids[id / 64] &= ~((uint64_t)1 << id % 64);
}

/* ------------------------------------------------------------------------- keep-alive -------- */

static void beat(roost_mqtt_session *session) {
  session->heard = session->sent = false;
  roost_timer_start(wheel_of(session), &session->timer, session->interval_ms);
}

/* Whether the broker has been silent for an interval after we asked it. Nothing is known while what
 * it sends is not read. */
static bool is_silent(const roost_mqtt_session *session) {
  return session->pinged && !session->heard && !session->blocked &&
         session->carried == session->carry.len;
}

static void on_timer(roost_timer *timer) {
  roost_mqtt_session *session = ROOST_LIST_ENTRY(timer, roost_mqtt_session, timer);
  if (session->state != ROOST_MQTT_UP) {
    roost_mqtt_session_fail(session, ROOST_ECONNECT, "ETIMEDOUT");
    return;
  }
  const mqtt_link *link = (const mqtt_link *)session->dialer.link;
  if (is_silent(session) && !roost_conn_read_now(link->link.conn)) {
    roost_mqtt_session_fail(session, ROOST_EGONE, "ETIMEDOUT");
    return;
  }
  if (!is_live(link))
    return;
  const bool idle = !session->heard || !session->sent;
  beat(session);
  if (!idle)
    return;
  session->pinged = true;
  roost_mqtt_session_check(session, roost_mqtt_write_ping(roost_mqtt_session_out(session)));
}

static void start_keep_alive(roost_mqtt_session *session) {
  const uint64_t seconds = session->limits.has_keep_alive ? session->limits.keep_alive_s
                                                          : session->config.options->keepalive;
  session->interval_ms = seconds * 1000 / 2;
  session->pinged = false;
  roost_timer_stop(wheel_of(session), &session->timer);
  if (seconds > 0)
    beat(session);
}

/* ------------------------------------------------------------------------- greeting ---------- */

static roost_slice first_of(const char *text, const char *other) {
  return roost_slice_text(text != NULL ? text : other);
}

static int write_connect(roost_mqtt_session *session) {
  const roost_mqtt_options *options = session->config.options;
  const size_t max = session->config.max_buffer_size;
  const roost_mqtt_connect connect = {
      .level = session->level,
      .clean = options->clean,
      .keep_alive_s = options->keepalive,
      .client_id = roost_slice_text(session->client_id),
      .username = first_of(options->username, options->broker.user),
      .password = first_of(options->password, options->broker.password),
      .session_expiry_s = NEVER_EXPIRES,
      .receive_maximum = session->config.receive_maximum,
      .maximum_packet_size =
          max < UINT32_MAX - PACKET_HEAD ? (uint32_t)(max + PACKET_HEAD) : UINT32_MAX};
  return roost_mqtt_write_connect(roost_mqtt_session_out(session), &connect);
}

static void on_open(void *ud, roost_link *link) {
  roost_mqtt_session *session = ud;
  if (session->config.counters != NULL)
    roost_conn_count(link->conn, session->config.counters);
  session->state = ROOST_MQTT_GREETING;
  roost_timer_start(wheel_of(session), &session->timer, GREETING_MS);
  if (write_connect(session) == 0)
    roost_mqtt_session_sent(session);
  else
    roost_mqtt_session_fail(session, ROOST_ECONNECT, "out of memory");
}

/* The same once more as older brokers want it. */
static void speak_level_4(roost_mqtt_session *session) {
  session->level = 4;
  roost_dialer_close(&session->dialer);
  session->state = ROOST_MQTT_DIALLING;
  const int status = roost_dialer_connect(&session->dialer);
  if (status == 0)
    return;
  session->state = ROOST_MQTT_DOWN;
  session->ops->on_down(session->ud, ROOST_ECONNECT, roost_status_name(status));
}

/* What the broker says of a failure: the reason's text, and its own words. */
static void say_why(char *why, size_t size, const char *what, const roost_mqtt_session *session,
                    const roost_mqtt_packet *packet) {
  roost_mqtt_property words;
  const char *text =
      roost_mqtt_reason_text(session->level, packet->type == ROOST_MQTT_CONNACK, packet->reason);
  if (roost_mqtt_property_find(packet, ROOST_MQTT_REASON_STRING, &words) && words.text.len > 0)
    snprintf(why, size, "%s: %s (%.*s)", what, text, (int)words.text.len, words.text.ptr);
  else
    snprintf(why, size, "%s: %s", what, text);
}

/* The name of the system's error that is nearest to a CONNACK's reason. */
static const char *error_name(uint8_t reason) {
  switch (reason) {
  case 0x04: /* bad user name or password, not authorized; of version 3.1.1 */
  case 0x05:
  case 0x86: /* the same of version 5, banned, bad authentication method */
  case 0x87:
  case 0x8a:
  case 0x8c:
    return "EACCES";
  default:
    return "ECONNREFUSED";
  }
}

static void take_connack(roost_mqtt_session *session, const roost_mqtt_packet *packet) {
  char why[160];
  const bool is_old = packet->reason == BAD_VERSION_4 || packet->reason == BAD_VERSION_5;
  if (session->level == 5 && is_old && session->config.options->protocol_version == 0) {
    speak_level_4(session);
  } else if (packet->reason != 0) {
    say_why(why, sizeof why, error_name(packet->reason), session, packet);
    roost_mqtt_session_fail(session, ROOST_ECONNECT, why);
  } else {
    roost_mqtt_limits_read(&session->limits, packet);
    session->state = ROOST_MQTT_UP;
    start_keep_alive(session);
    session->ops->on_up(session->ud, packet->session_present);
  }
}

/* ------------------------------------------------------------------------- reading ----------- */

static void break_off(roost_mqtt_session *session, const char *what) {
  char why[160];
  snprintf(why, sizeof why, "EPROTO: %s", what);
  roost_mqtt_session_fail(session, ROOST_EPROTO, why);
}

static void take_disconnect(roost_mqtt_session *session, const roost_mqtt_packet *packet) {
  char why[160];
  const bool is_up = session->state == ROOST_MQTT_UP;
  say_why(why, sizeof why, is_up ? "the broker has ended the connection" : "ECONNREFUSED", session,
          packet);
  roost_mqtt_session_fail(session, ROOST_EGONE, why);
}

static void take_packet(roost_mqtt_session *session, const roost_mqtt_packet *packet) {
  const bool is_up = session->state == ROOST_MQTT_UP;
  if (packet->type == ROOST_MQTT_AUTH)
    return; /* we never begin with it */
  if (packet->type == ROOST_MQTT_DISCONNECT)
    take_disconnect(session, packet);
  else if (is_up != (packet->type != ROOST_MQTT_CONNACK))
    break_off(session, "the broker's packets come in the wrong order");
  else if (packet->type == ROOST_MQTT_CONNACK)
    take_connack(session, packet);
  else if (packet->type == ROOST_MQTT_PINGRESP)
    session->pinged = false;
  else if (packet->type == ROOST_MQTT_PUBLISH)
    session->ops->on_publish(session->ud, packet);
  else
    session->ops->on_answer(session->ud, packet);
}

/* Hands on as many packets as a turn may have; the bytes left are those of the next turn. */
static void take_bytes(roost_mqtt_session *session, mqtt_link *link, roost_slice *bytes) {
  roost_mqtt_packet packet;
  int status = 1;
  for (unsigned i = 0; status > 0 && i < ROOST_MQTT_PACKETS && !session->blocked; i++) {
    link->reader.level = session->level;
    status = roost_mqtt_read(&link->reader, bytes, &packet);
    if (status < 0) {
      break_off(session, link->reader.error);
      return;
    }
    if (status > 0)
      take_packet(session, &packet);
    if (!is_live(link))
      return;
  }
}

/* Keeps what is left for a later turn. */
static void carry_over(roost_mqtt_session *session, const mqtt_link *link, roost_slice rest) {
  if (roost_buffer_append_slice(&session->carry, rest) != 0) {
    roost_mqtt_session_fail(session, ROOST_EGONE, "out of memory");
    return;
  }
  roost_conn_pause(link->link.conn);
  roost_conn_account(link->link.conn, session->carry.cap + roost_mqtt_reader_memory(&link->reader));
  if (!session->blocked)
    roost_loop_defer(session->loop, &session->resume);
}

static void on_bytes(void *ud, roost_link *at, roost_slice bytes) {
  roost_mqtt_session *session = ud;
  mqtt_link *link = (mqtt_link *)at;
  if (session->state == ROOST_MQTT_ENDING)
    return;
  session->heard = true;
  if (session->carry.len == 0)
    take_bytes(session, link, &bytes);
  if (!is_live(link))
    return;
  if (bytes.len > 0 || session->blocked)
    carry_over(session, link, bytes);
  else
    roost_conn_account(at->conn, roost_mqtt_reader_memory(&link->reader));
}

static void drop_carry(roost_mqtt_session *session) {
  session->carried = 0;
  roost_buffer_clear(&session->carry);
  roost_buffer_trim(&session->carry, KEEP_BYTES);
}

static roost_slice left_of(const roost_mqtt_session *session) {
  const size_t len = session->carry.len - session->carried;
  return len > 0 ? roost_slice_of(session->carry.ptr + session->carried, len)
                 : (roost_slice){NULL, 0};
}

static void on_resume(void *ud) {
  roost_mqtt_session *session = ud;
  mqtt_link *link = (mqtt_link *)session->dialer.link;
  if (link == NULL)
    return;
  if (session->is_broken) {
    roost_mqtt_session_fail(session, ROOST_EGONE, "out of memory");
    return;
  }
  if (session->blocked)
    return;
  roost_slice rest = left_of(session);
  if (rest.len > 0)
    take_bytes(session, link, &rest);
  if (!is_live(link))
    return;
  session->carried = session->carry.len - rest.len;
  if (rest.len > 0) {
    if (!session->blocked)
      roost_loop_defer(session->loop, &session->resume);
    return;
  }
  drop_carry(session);
  if (!session->blocked)
    roost_conn_resume(link->link.conn);
}

void roost_mqtt_session_block(roost_mqtt_session *session, bool blocked) {
  session->blocked = blocked;
  if (!blocked)
    roost_loop_defer(session->loop, &session->resume);
}

/* ------------------------------------------------------------------------- the link ---------- */

static void init_link(roost_link *at, void *ud) {
  const roost_mqtt_session *session = ud;
  roost_mqtt_reader_init(&((mqtt_link *)at)->reader, roost_loop_alloc(session->loop),
                         session->level, session->config.max_buffer_size);
}

static void deinit_link(roost_link *at) {
  roost_mqtt_reader_deinit(&((mqtt_link *)at)->reader);
}

static void on_writable(void *ud, roost_link *link) {
  const roost_mqtt_session *session = ud;
  (void)link;
  if (session->state == ROOST_MQTT_UP)
    session->ops->on_writable(session->ud);
}

/* Nothing is left of the connection. */
static void go_down(roost_mqtt_session *session) {
  session->state = ROOST_MQTT_DOWN;
  session->blocked = false;
  session->is_broken = false;
  roost_timer_stop(wheel_of(session), &session->timer);
  roost_loop_remove_hook(&session->resume);
  session->carried = session->carry.len;
}

static void on_closed(void *ud, int status, const char *why) {
  roost_mqtt_session *session = ud;
  const bool was_up = session->state == ROOST_MQTT_UP;
  go_down(session);
  session->ops->on_down(session->ud, was_up ? status : ROOST_ECONNECT, why);
}

static const roost_link_ops link_ops = {.size = sizeof(mqtt_link),
                                        .init = init_link,
                                        .deinit = deinit_link,
                                        .on_open = on_open,
                                        .on_bytes = on_bytes,
                                        .on_writable = on_writable,
                                        .on_closed = on_closed};

/* ------------------------------------------------------------------------- life -------------- */

int roost_mqtt_session_connect(roost_mqtt_session *session) {
  drop_carry(session);
  session->level = session->config.options->protocol_version == 4 ? 4 : 5;
  session->state = ROOST_MQTT_DIALLING;
  const int status = roost_dialer_connect(&session->dialer);
  if (status != 0)
    session->state = ROOST_MQTT_DOWN;
  return status;
}

void roost_mqtt_session_close(roost_mqtt_session *session) {
  if (session->state == ROOST_MQTT_UP &&
      roost_mqtt_write_disconnect(roost_mqtt_session_out(session), session->level, 0) == 0)
    roost_mqtt_session_sent(session);
  go_down(session);
  roost_dialer_close(&session->dialer);
}

bool roost_mqtt_session_end(roost_mqtt_session *session) {
  if (session->state != ROOST_MQTT_UP) {
    roost_mqtt_session_close(session);
    return false;
  }
  roost_conn *conn = session->dialer.link->conn;
  const int status =
      roost_mqtt_write_disconnect(roost_mqtt_session_out(session), session->level, 0);
  go_down(session);
  session->state = ROOST_MQTT_ENDING;
  roost_timer_start(wheel_of(session), &session->timer, status == 0 ? ENDING_MS : 0);
  roost_mqtt_session_sent(session);
  roost_conn_resume(conn);
  return true;
}

/* The one that is configured, or "roost_" and 16 hex digits. */
static int make_client_id(roost_mqtt_session *session) {
  const roost_alloc *alloc = roost_loop_alloc(session->loop);
  char text[] = "roost_0123456789abcdef";
  uint32_t random[2];
  if (session->config.options->client_id != NULL) {
    session->client_id =
        roost_alloc_text(alloc, roost_slice_text(session->config.options->client_id));
  } else {
    const int status = roost_random_bytes(random, sizeof random);
    if (status != 0)
      return status;
    roost_hex_write8(text + 6, random[0]);
    roost_hex_write8(text + 14, random[1]);
    session->client_id = roost_alloc_text(alloc, roost_slice_text(text));
  }
  return session->client_id != NULL ? 0 : ROOST_ENOMEM;
}

int roost_mqtt_session_init(roost_mqtt_session *session, roost_loop *loop,
                            const roost_mqtt_session_config *config,
                            const roost_mqtt_session_ops *ops, void *ud) {
  const roost_alloc *alloc = roost_loop_alloc(loop);
  *session = (roost_mqtt_session){.config = *config, .loop = loop, .ops = ops, .ud = ud};
  roost_dialer_init_broker(&session->dialer, loop, &config->options->broker,
                           config->max_send_buffer_size, &link_ops, session);
  roost_timer_init(&session->timer, on_timer);
  roost_buffer_init(&session->carry, alloc);
  session->resume = (roost_loop_hook){.fn = on_resume, .ud = session};
  roost_list_init(&session->resume.link);
  session->ids = roost_alloc_get(alloc, ID_WORDS * sizeof *session->ids);
  const int status = session->ids != NULL ? make_client_id(session) : ROOST_ENOMEM;
  if (status != 0)
    roost_mqtt_session_deinit(session);
  return status;
}

void roost_mqtt_session_deinit(roost_mqtt_session *session) {
  const roost_alloc *alloc = roost_loop_alloc(session->loop);
  go_down(session);
  roost_dialer_deinit(&session->dialer);
  roost_buffer_deinit(&session->carry);
  roost_alloc_put(alloc, session->ids, ID_WORDS * sizeof *session->ids);
  roost_alloc_put_text(alloc, session->client_id);
}
