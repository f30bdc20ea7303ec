#include <stdio.h>
#include <string.h>

#include "core/slice.h"
#include "transport/redis_internal.h"
#include "wire/utf8.h"

typedef struct redis_link {
  roost_link link;            /* first: a redis_link is a roost_link */
  roost_redis_reader *reader; /* NULL: memory was short */
} redis_link;

static redis_link *link_of(const roost_redis_side *side) {
  return (redis_link *)side->dialer.link;
}

static bool is_sub(const roost_redis_side *side) {
  return side == &side->pair->sub;
}

/* ------------------------------------------------------------------------- the end ----------- */

static void stop(roost_redis_pair *pair) {
  pair->open = false;
  pair->paused = false;
  roost_timer_stop(roost_loop_wheel(pair->loop), &pair->pulse);
  roost_loop_remove_hook(&pair->resume);
}

static void on_closed(void *ud, int status, const char *why) {
  roost_redis_side *side = ud;
  roost_redis_pair *pair = side->pair;
  stop(pair);
  roost_dialer_close(is_sub(side) ? &pair->pub.dialer : &pair->sub.dialer);
  pair->ops->on_closed(pair->ud, status, why);
}

void roost_redis_pair_fail(roost_redis_pair *pair, int status, const char *why) {
  roost_redis_side *side = pair->sub.dialer.link != NULL ? &pair->sub : &pair->pub;
  roost_dialer_fail(&side->dialer, status, why);
}

static void fail_side(roost_redis_side *side, int status, const char *why) {
  roost_dialer_fail(&side->dialer, status, why);
}

/* ------------------------------------------------------------------------- the greeting ------ */

static int send_command(const roost_redis_side *side, const roost_slice *args, size_t count) {
  roost_conn *conn = side->dialer.link->conn;
  const int status = roost_redis_command(roost_conn_out(conn), args, count);
  if (status == 0)
    roost_conn_dirty(conn);
  return status;
}

static int send_login(roost_redis_side *side) {
  const roost_redis_options *options = side->pair->options;
  const char *user = options->username;
  if (user == NULL && options->password == NULL)
    return 0;
  side->owed++;
  const roost_slice password = roost_slice_text(options->password != NULL ? options->password : "");
  if (user == NULL)
    return send_command(side, (roost_slice[]){ROOST_SLICE("AUTH"), password}, 2);
  return send_command(side, (roost_slice[]){ROOST_SLICE("AUTH"), roost_slice_text(user), password},
                      3);
}

static int send_select(roost_redis_side *side) {
  char number[16];
  if (side->pair->options->db == 0)
    return 0;
  side->owed++;
  snprintf(number, sizeof number, "%d", side->pair->options->db);
  return send_command(side, (roost_slice[]){ROOST_SLICE("SELECT"), roost_slice_text(number)}, 2);
}

static int send_ping(const roost_redis_side *side) {
  return send_command(side, (roost_slice[]){ROOST_SLICE("PING")}, 1);
}

static void on_open(void *ud, roost_link *link) {
  roost_redis_side *side = ud;
  side->owed = 1;
  side->heard = true;
  int status = ((redis_link *)link)->reader != NULL ? send_login(side) : ROOST_ENOMEM;
  if (status == 0)
    status = send_select(side);
  if (status == 0)
    status = send_ping(side);
  if (status != 0)
    fail_side(side, ROOST_ECONNECT, roost_status_name(status));
}

static void open_pair(roost_redis_pair *pair) {
  pair->open = true;
  pair->ops->on_open(pair->ud);
}

/* The other one goes to where this one is: another place may be another Redis. */
static void connect_sub(roost_redis_pair *pair) {
  pair->sub.dialer.place = pair->pub.dialer.place;
  pair->sub.dialer.leaves = false;
  const int status = roost_dialer_connect(&pair->sub.dialer);
  if (status != 0)
    roost_redis_pair_fail(pair, ROOST_ECONNECT, roost_status_name(status));
}

static void on_greeted(roost_redis_side *side) {
  roost_redis_pair *pair = side->pair;
  if (!is_sub(side))
    connect_sub(pair);
  else if (pair->sub.dialer.place != pair->pub.dialer.place)
    fail_side(side, ROOST_ECONNECT, "ECONNRESET");
  else
    open_pair(pair);
}

static void take_greeting(roost_redis_side *side, const roost_redis_item *item) {
  char why[160] = "EAUTH: ";
  if (item->kind == ROOST_REDIS_ERROR) {
    roost_redis_error_text(why + 7, sizeof why - 7, item->text);
    fail_side(side, ROOST_ECONNECT, why);
  } else if (--side->owed == 0) {
    on_greeted(side);
  }
}

/* ------------------------------------------------------------------------- reading ----------- */

static void take_reply(roost_redis_side *side, const roost_redis_reply *reply) {
  const roost_redis_pair *pair = side->pair;
  const bool is_error = !reply->is_array && reply->items[0].kind == ROOST_REDIS_ERROR;
  if (side->owed > 0)
    take_greeting(side, &reply->items[0]);
  else if (is_sub(side) && (reply->is_array || is_error))
    pair->ops->on_heard(pair->ud, reply);
  else if (is_error)
    pair->ops->on_refused(pair->ud, reply->items[0].text);
}

/* Whether the next message of the side may be taken now. */
static bool may_take(const roost_redis_side *side, unsigned left) {
  roost_redis_pair *pair = side->pair;
  if (!is_sub(side) || !pair->open)
    return true;
  if (pair->ops->takes != NULL && !pair->ops->takes(pair->ud)) {
    pair->paused = true;
    roost_conn_pause(side->dialer.link->conn);
    return false;
  }
  if (left > 0)
    return true;
  roost_loop_defer(pair->loop, &pair->resume);
  return false;
}

/* What it tells may free the pair: then the link has no dialer any more. */
static void take_replies(roost_redis_side *side, redis_link *link) {
  unsigned left = ROOST_REDIS_MESSAGES;
  int status = 1;
  while (status > 0 && link->link.dialer != NULL && may_take(side, left)) {
    roost_redis_reply reply;
    const char *why;
    status = roost_redis_next(link->reader, &reply, &why);
    left -= left > 0;
    if (status > 0)
      take_reply(side, &reply);
    else if (status < 0)
      fail_side(side, ROOST_EPROTO, why);
  }
}

static void on_bytes(void *ud, roost_link *at, roost_slice bytes) {
  roost_redis_side *side = ud;
  redis_link *link = (redis_link *)at;
  side->heard = true;
  if (roost_redis_feed(link->reader, bytes) != 0)
    fail_side(side, ROOST_EGONE, "out of memory");
  else
    take_replies(side, link);
}

static void on_resume(void *ud) {
  roost_redis_pair *pair = ud;
  redis_link *link = link_of(&pair->sub);
  if (link == NULL)
    return;
  if (!roost_conn_has_turn(link->link.conn)) {
    roost_loop_defer(pair->loop, &pair->resume);
    return;
  }
  if (pair->paused)
    roost_conn_resume(link->link.conn);
  pair->paused = false;
  take_replies(&pair->sub, link);
}

void roost_redis_pair_go_on(roost_redis_pair *pair) {
  if (pair->paused)
    roost_loop_defer(pair->loop, &pair->resume);
}

/* ------------------------------------------------------------------------- signs of life ----- */

/* False: there was none, and the side has ended. One whose messages wait has not been read. */
static bool is_alive(roost_redis_side *side) {
  if (side->dialer.link == NULL || (is_sub(side) && side->pair->paused))
    return true;
  const bool was_heard = side->heard;
  side->heard = false;
  if (was_heard && side->owed == 0 && send_ping(side) == 0)
    return true;
  if (was_heard && side->owed > 0)
    return true; /* it is still greeting: once more */
  fail_side(side, side->pair->open ? ROOST_EGONE : ROOST_ECONNECT, "ETIMEDOUT");
  return false;
}

static void on_pulse(roost_timer *timer) {
  roost_redis_pair *pair = ROOST_LIST_ENTRY(timer, roost_redis_pair, pulse);
  roost_timer_start(roost_loop_wheel(pair->loop), timer, ROOST_REDIS_PING_MS);
  if (is_alive(&pair->pub))
    (void)is_alive(&pair->sub);
}

/* ------------------------------------------------------------------------- the links --------- */

static void init_link(roost_link *at, void *ud) {
  const roost_redis_side *side = ud;
  redis_link *link = (redis_link *)at;
  (void)roost_redis_reader_new(&link->reader, roost_loop_alloc(side->pair->loop),
                               side->pair->max_buffer_size); /* on_open looks */
}

static void deinit_link(roost_link *at) {
  roost_redis_reader_free(((redis_link *)at)->reader);
}

static void on_writable(void *ud, roost_link *link) {
  const roost_redis_side *side = ud;
  (void)link;
  if (!is_sub(side) && side->pair->open)
    side->pair->ops->on_writable(side->pair->ud);
}

static const roost_link_ops link_ops = {.size = sizeof(redis_link),
                                        .init = init_link,
                                        .deinit = deinit_link,
                                        .on_open = on_open,
                                        .on_bytes = on_bytes,
                                        .on_writable = on_writable,
                                        .on_closed = on_closed};

/* ------------------------------------------------------------------------- the owner's calls - */

static void init_side(roost_redis_side *side, roost_redis_pair *pair, size_t max_send_buffer_size) {
  side->pair = pair;
  roost_dialer_init_broker(&side->dialer, pair->loop, &pair->options->broker, max_send_buffer_size,
                           &link_ops, side);
}

void roost_redis_pair_init(roost_redis_pair *pair, roost_loop *loop,
                           const roost_redis_options *options, size_t max_buffer_size,
                           size_t max_send_buffer_size, const roost_redis_pair_ops *ops, void *ud) {
  *pair = (roost_redis_pair){
      .ops = ops, .ud = ud, .loop = loop, .options = options, .max_buffer_size = max_buffer_size};
  init_side(&pair->sub, pair, 0);
  init_side(&pair->pub, pair, max_send_buffer_size);
  roost_timer_init(&pair->pulse, on_pulse);
  pair->resume = (roost_loop_hook){.fn = on_resume, .ud = pair};
  roost_list_init(&pair->resume.link);
}

void roost_redis_pair_deinit(roost_redis_pair *pair) {
  stop(pair);
  roost_dialer_deinit(&pair->sub.dialer);
  roost_dialer_deinit(&pair->pub.dialer);
}

int roost_redis_pair_connect(roost_redis_pair *pair) {
  pair->sub.heard = pair->pub.heard = false;
  pair->sub.owed = pair->pub.owed = 1;
  const int status = roost_dialer_connect(&pair->pub.dialer);
  if (status == 0)
    roost_timer_start(roost_loop_wheel(pair->loop), &pair->pulse, ROOST_REDIS_PING_MS);
  return status;
}

void roost_redis_pair_close(roost_redis_pair *pair) {
  stop(pair);
  roost_dialer_close(&pair->sub.dialer);
  roost_dialer_close(&pair->pub.dialer);
}

int roost_redis_listen(roost_redis_pair *pair, const char *verb, roost_slice channel) {
  return send_command(&pair->sub, (roost_slice[]){roost_slice_text(verb), channel}, 2);
}

int roost_redis_publish(roost_redis_pair *pair, roost_slice channel, roost_slice body) {
  return send_command(&pair->pub, (roost_slice[]){ROOST_SLICE("PUBLISH"), channel, body}, 3);
}

int roost_redis_text(roost_buffer *repaired, roost_slice *body) {
  if (roost_utf8_valid_prefix(*body) == body->len)
    return 0;
  roost_buffer_clear(repaired);
  const int status = roost_utf8_repair(repaired, *body);
  if (status == 0)
    *body = roost_buffer_slice(repaired);
  return status;
}

void roost_redis_error_text(char *out, size_t size, roost_slice text) {
  const size_t len = text.len < size - 1 ? text.len : size - 1;
  memcpy(out, text.ptr, len);
  out[len] = '\0';
}
