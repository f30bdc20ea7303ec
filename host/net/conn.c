#include "net/conn_internal.h"

#include <errno.h>
#include <sys/socket.h>

/* --------------------------------------------------------------------- memory ---------------- */

void roost_conn_account(roost_conn *conn, size_t bytes) {
  conn->accounted_bytes = bytes;
  roost_budget_count(conn);
}

/* --------------------------------------------------------------------- reading --------------- */

#define LOW_WATER_BYTES 65536

static bool is_reading(const roost_conn *conn) {
  return conn->ops != NULL && !conn->paused && !conn->throttled && !conn->eof;
}

static bool is_blocked(const roost_conn *conn) {
  return conn->outbox != NULL && conn->outbox->sending.len > conn->outbox->sent;
}

/* What the pipe has taken but not passed on. */
static size_t unsent(const roost_conn *conn) {
  const roost_pipe *pipe = conn->pipe;
  return pipe != NULL && pipe->ops->unsent != NULL ? pipe->ops->unsent(pipe) : 0;
}

/* The text for an error of the pipe's. */
static const char *why_of(const roost_conn *conn, ssize_t error) {
  const roost_pipe *pipe = conn->pipe;
  const char *why = error == -EPROTO && pipe->ops->why != NULL ? pipe->ops->why(pipe) : NULL;
  return why != NULL ? why : roost_socket_error((int)-error);
}

/* A pause is only told to the pipe once it would have read: most are over before that. */
static void watch(roost_conn *conn) {
  if (conn->state != ROOST_CONN_OPEN)
    return;
  const unsigned events = (is_reading(conn) ? ROOST_PIPE_READ : 0) |
                          (is_blocked(conn) || unsent(conn) > 0 ? ROOST_PIPE_WRITE : 0);
  if (events == conn->watched)
    return;
  conn->watched = (uint8_t)events;
  const int error = conn->pipe->ops->watch(conn->pipe, events);
  if (error != 0)
    roost_conn_end(conn, ROOST_ESYSTEM, roost_socket_error(-error));
}

void roost_conn_add_reading(roost_conn *conn) {
  if (is_reading(conn) && (conn->watched & ROOST_PIPE_READ) == 0)
    watch(conn);
}

static void take_eof(roost_conn *conn) {
  conn->eof = true;
  roost_budget_pass_on(conn);
  watch(conn);
  if (conn->ops->on_eof != NULL)
    conn->ops->on_eof(conn->ud);
  else
    roost_conn_shutdown(conn);
  if (conn->fin_sent)
    roost_conn_end(conn, 0, "");
}

/* rest: what is missing for sure of a large frame that is read into its place. */
static void set_low_water(roost_conn *conn, size_t rest) {
  const roost_pipe *pipe = conn->pipe;
  const bool wanted = rest >= LOW_WATER_BYTES;
  if (wanted == conn->low_water || pipe->ops->set_low_water == NULL)
    return;
  conn->low_water = wanted;
  pipe->ops->set_low_water(conn->pipe, wanted ? LOW_WATER_BYTES : 1);
}

/* False where nothing was there. */
static bool read_once(roost_conn *conn) {
  char *place = NULL;
  size_t room = conn->ops->room != NULL ? conn->ops->room(conn->ud, &place) : 0;
  const bool in_place = room > 0;
  if (!in_place) {
    place = conn->loop->read_buffer;
    room = ROOST_LOOP_READ_BYTES;
  }
  const ssize_t n = conn->pipe->ops->read(conn->pipe, place, room);
  if (n == -EAGAIN)
    return false;
  if (n < 0) {
    roost_conn_end(conn, ROOST_EGONE, why_of(conn, n));
    return true;
  }
  if (n == 0) {
    take_eof(conn);
    return true;
  }
  set_low_water(conn, in_place ? room - (size_t)n : 0);
  conn->active_ms = roost_loop_now_ms(conn->loop);
  if (conn->counters != NULL)
    conn->counters->bytes_in += (uint64_t)n;
  if (in_place)
    conn->ops->on_filled(conn->ud, (size_t)n);
  else
    conn->ops->on_bytes(conn->ud, (roost_slice){place, (size_t)n});
  return true;
}

bool roost_conn_read_now(roost_conn *conn) {
  return conn->state == ROOST_CONN_OPEN && conn->ops != NULL && !conn->eof && read_once(conn);
}

void roost_conn_pause(roost_conn *conn) {
  conn->paused = true;
  roost_budget_pass_on(conn);
}

void roost_conn_resume(roost_conn *conn) {
  conn->paused = false;
  roost_conn_add_reading(conn);
}

/* --------------------------------------------------------------------- writing --------------- */

size_t roost_conn_queued(const roost_conn *conn) {
  const roost_outbox *outbox = conn->outbox;
  const size_t own = outbox != NULL ? outbox->out.len + outbox->sending.len - outbox->sent : 0;
  return own + unsent(conn);
}

bool roost_conn_crowded(const roost_conn *conn) {
  return conn->crowded;
}

static bool is_over(const roost_conn *conn, size_t queued, size_t limit) {
  return (conn->send_limit > 0 && queued > limit) || (queued > 0 && roost_budget_is_over(conn));
}

void roost_conn_dirty(roost_conn *conn) {
  if (conn->state != ROOST_CONN_OPEN)
    return;
  roost_budget_count(conn);
  if (is_over(conn, roost_conn_queued(conn), conn->send_limit / 2))
    conn->crowded = true;
  roost_outbox *outbox = conn->outbox != NULL ? conn->outbox : roost_conn_outbox(conn);
  if (outbox == NULL)
    roost_conn_end(conn, ROOST_ENOMEM, "out of memory");
  else if (roost_list_empty(&outbox->link))
    roost_list_append(&conn->loop->dirty, &outbox->link);
}

/* Bytes the pipe took, 0 when it has no room. False when the connection has ended. */
static bool write_once(roost_conn *conn, const char *from, size_t len, size_t *taken) {
  const ssize_t n = conn->pipe->ops->write(conn->pipe, from, len);
  *taken = n > 0 ? (size_t)n : 0;
  if (n < 0 && n != -EAGAIN) {
    roost_conn_end(conn, ROOST_EGONE, why_of(conn, n));
    return false;
  }
  if (n > 0) {
    conn->active_ms = roost_loop_now_ms(conn->loop);
    if (conn->counters != NULL)
      conn->counters->bytes_out += (uint64_t)n;
  }
  return true;
}

/* What the pipe did not take of out becomes sending, so that out can grow without being moved. */
static bool write_out(roost_conn *conn) {
  roost_outbox *outbox = conn->outbox;
  size_t taken;
  if (outbox->out.len == 0)
    return true;
  if (!write_once(conn, outbox->out.ptr, outbox->out.len, &taken))
    return false;
  if (taken == outbox->out.len) {
    outbox->out.len = 0;
    return true;
  }
  const roost_buffer empty = outbox->sending;
  outbox->sending = outbox->out;
  outbox->sent = taken;
  outbox->out = empty;
  return true;
}

static bool write_sending(roost_conn *conn) {
  roost_outbox *outbox = conn->outbox;
  size_t taken;
  if (!write_once(conn, outbox->sending.ptr + outbox->sent, outbox->sending.len - outbox->sent,
                  &taken))
    return false;
  outbox->sent += taken;
  if (is_blocked(conn))
    return true;
  outbox->sent = 0;
  roost_buffer_deinit(&outbox->sending);
  return true;
}

/* Everything is written: nothing but our FIN may be owed. */
static void finish_writing(roost_conn *conn) {
  if (!conn->fin_wanted || conn->fin_sent)
    return;
  conn->fin_sent = true;
  conn->pipe->ops->shutdown(conn->pipe);
  if (conn->eof)
    roost_conn_end(conn, 0, "");
}

void roost_conn_flush(roost_list *link) {
  roost_conn *conn = ROOST_LIST_ENTRY(link, roost_outbox, link)->conn;
  if (conn->state != ROOST_CONN_OPEN)
    return;
  if (is_blocked(conn) && !write_sending(conn))
    return;
  if (!is_blocked(conn) && !write_out(conn))
    return;
  roost_outbox_rest(conn);
  roost_budget_count(conn);
  watch(conn);
  const size_t queued = roost_conn_queued(conn);
  if (conn->send_limit > 0 && queued > conn->send_limit) {
    roost_conn_end(conn, ROOST_EFULL, "the peer does not read what is sent to it");
    return;
  }
  if (queued == 0)
    finish_writing(conn);
  if (conn->state != ROOST_CONN_OPEN || !conn->crowded ||
      is_over(conn, queued, conn->send_limit / 4))
    return;
  conn->crowded = false;
  if (conn->ops != NULL && conn->ops->on_writable != NULL)
    conn->ops->on_writable(conn->ud);
}

void roost_conn_shutdown(roost_conn *conn) {
  conn->fin_wanted = true;
  roost_conn_dirty(conn);
}

/* --------------------------------------------------------------------- the end --------------- */

void roost_conn_discard(roost_conn *conn) {
  roost_loop *loop = conn->loop;
  if (conn->state != ROOST_CONN_CLOSING)
    roost_timer_stop(&loop->wheel, &conn->timer);
  roost_conn_forget_tls(conn);
  roost_conn_forget_played(conn);
  loop->buffer_bytes -= conn->counted_bytes;
  roost_outbox_drop(conn);
  roost_list_remove(&conn->link);
  roost_alloc_put(loop->alloc, conn, sizeof *conn);
  loop->conn_count--;
  loop->pending--;
}

void roost_conn_finish(void *ud) {
  roost_conn *conn = ud;
  if (conn->released != NULL)
    conn->released(conn, conn->released_ud);
  if (conn->ops != NULL && conn->ops->on_closed != NULL)
    conn->ops->on_closed(conn->ud, conn->status, conn->why);
  roost_conn_discard(conn);
}

void roost_conn_end(roost_conn *conn, int status, const char *why) {
  if (conn->state == ROOST_CONN_CLOSING)
    return;
  roost_timer_stop(&conn->loop->wheel, &conn->timer);
  conn->state = ROOST_CONN_CLOSING;
  conn->end = (roost_loop_hook){.fn = roost_conn_finish, .ud = conn};
  roost_list_init(&conn->end.link);
  conn->status = status;
  conn->why = why;
  if (conn->outbox != NULL)
    roost_list_remove(&conn->outbox->link);
  roost_budget_pass_on(conn);
  if (conn->dial != NULL)
    roost_dial_cancel(conn->dial);
  conn->dial = NULL;
  if (conn->pipe != NULL)
    conn->pipe->ops->close(conn->pipe);
  else
    roost_loop_defer(conn->loop, &conn->end);
}

void roost_conn_close(roost_conn *conn) {
  roost_conn_end(conn, 0, "");
}

void roost_conn_close_all(roost_loop *loop) {
  for (roost_list *link = loop->conns.next; link != &loop->conns; link = link->next)
    roost_conn_close(ROOST_LIST_ENTRY(link, roost_conn, link));
}

/* --------------------------------------------------------------------- the pipe's calls ------ */

static void on_ready(void *ud, unsigned events) {
  roost_conn *conn = ud;
  if (conn->state != ROOST_CONN_OPEN)
    return;
  if ((events & ROOST_PIPE_WRITE) != 0)
    roost_conn_dirty(conn);
  if ((events & ROOST_PIPE_READ) == 0)
    return;
  if (!is_reading(conn) || roost_budget_must_wait(conn))
    watch(conn);
  else if (roost_conn_has_turn(conn)) /* else the pipe tells again */
    (void)read_once(conn);
}

static void on_broken(void *ud, int error) {
  roost_conn *conn = ud;
  if (error == 0 && conn->fin_sent)
    roost_conn_end(conn, 0, "");
  else
    roost_conn_end(conn, ROOST_EGONE, roost_socket_error(error != 0 ? error : ECONNRESET));
}

static const roost_pipe_user pipe_user = {
    .ready = on_ready, .broken = on_broken, .closed = roost_conn_finish};

/* --------------------------------------------------------------------- time-outs ------------- */

/* The timer is not moved by traffic: when it fires it is seen how long the silence really was. */
static void on_idle_timer(roost_timer *timer) {
  roost_conn *conn = ROOST_LIST_ENTRY(timer, roost_conn, timer);
  roost_wheel *wheel = &conn->loop->wheel;
  const uint64_t silent_ms = wheel->now_ms - conn->active_ms;
  if (silent_ms < conn->idle_ms) {
    roost_timer_start(wheel, timer, conn->idle_ms - silent_ms);
  } else if (conn->low_water && roost_conn_read_now(conn)) {
    if (conn->state == ROOST_CONN_OPEN)
      roost_timer_start(wheel, timer, conn->idle_ms);
  } else if (conn->ops != NULL && conn->ops->busy != NULL && conn->ops->busy(conn->ud)) {
    roost_timer_start(wheel, timer, conn->idle_ms);
  } else {
    roost_conn_end(conn, ROOST_ETIMEDOUT, "nothing came or went for too long");
  }
}

void roost_conn_set_idle_timeout(roost_conn *conn, uint64_t ms) {
  if (conn->state == ROOST_CONN_CLOSING)
    return;
  conn->idle_ms = ms;
  if (conn->state != ROOST_CONN_OPEN)
    return;
  conn->active_ms = roost_loop_now_ms(conn->loop);
  if (ms == 0)
    roost_timer_stop(&conn->loop->wheel, &conn->timer);
  else
    roost_timer_start(&conn->loop->wheel, &conn->timer, ms);
}

/* --------------------------------------------------------------------- making ---------------- */

int roost_conn_new(roost_conn **out, roost_loop *loop) {
  roost_conn *conn = roost_alloc_get(loop->alloc, sizeof *conn);
  *out = conn;
  if (conn == NULL)
    return ROOST_ENOMEM;
  conn->loop = loop;
  conn->state = ROOST_CONN_CONNECTING;
  roost_timer_init(&conn->timer, on_idle_timer);
  roost_list_init(&conn->sibling);
  roost_list_append(&loop->conns, &conn->link);
  loop->conn_count++;
  loop->pending++;
  return 0;
}

/* Where the peer is gone already there is none: a listener has said it then. */
static void find_remote(roost_conn *conn, int descriptor) {
  struct sockaddr_storage address;
  struct sockaddr *plain = (struct sockaddr *)&address;
  socklen_t size = sizeof address;
  if (getpeername(descriptor, plain, &size) == 0)
    roost_inet_read(&conn->remote, plain);
}

void roost_conn_open(roost_conn *conn, roost_pipe *pipe) {
  conn->pipe = pipe;
  pipe->user = &pipe_user;
  pipe->ud = conn;
  conn->state = ROOST_CONN_OPEN;
  if (conn->remote.family == 0)
    find_remote(conn, pipe->ops->descriptor(pipe));
  conn->timer.fn = on_idle_timer;
  roost_conn_set_idle_timeout(conn, conn->idle_ms);
  watch(conn);
  if (roost_conn_queued(conn) > 0 || conn->fin_wanted)
    roost_conn_dirty(conn);
}

int roost_conn_adopt(roost_conn **out, roost_loop *loop, int descriptor) {
  roost_pipe *pipe;
  int status = roost_conn_new(out, loop);
  if (status != 0)
    return status;
  status = roost_pipe_socket(&pipe, loop, descriptor);
  if (status != 0) {
    roost_conn_discard(*out);
    *out = NULL;
    return status;
  }
  roost_conn_open(*out, pipe);
  return 0;
}

int roost_conn_pair(roost_conn **a, roost_conn **b, roost_loop *loop) {
  roost_pipe *pipes[2];
  roost_conn *conns[2] = {NULL, NULL};
  *a = *b = NULL;
  int status = roost_conn_new(&conns[0], loop);
  if (status == 0)
    status = roost_conn_new(&conns[1], loop);
  if (status == 0)
    status = roost_pipe_memory(&pipes[0], &pipes[1], loop);
  for (size_t i = 0; i < 2; i++) {
    if (status != 0 && conns[i] != NULL)
      roost_conn_discard(conns[i]);
    if (status != 0)
      continue;
    conns[i]->remote.family = AF_LOCAL;
    roost_conn_open(conns[i], pipes[i]);
  }
  if (status != 0)
    return status;
  *a = conns[0];
  *b = conns[1];
  return 0;
}

/* --------------------------------------------------------------------- small things ---------- */

void roost_conn_set_ops(roost_conn *conn, const roost_conn_ops *ops, void *ud) {
  conn->ops = ops;
  conn->ud = ud;
  roost_conn_add_reading(conn);
}

void roost_conn_set_send_limit(roost_conn *conn, size_t max_bytes) {
  conn->send_limit = max_bytes;
}

void roost_conn_count(roost_conn *conn, roost_conn_counters *counters) {
  conn->counters = counters;
}

void roost_conn_set_owner(roost_conn *conn, void *owner) {
  conn->owner = owner;
}

void *roost_conn_owner(const roost_conn *conn) {
  return conn->owner;
}

void roost_conn_each(roost_loop *loop, const roost_conn_ops *ops,
                     void (*fn)(roost_conn *conn, void *ud), void *ud) {
  for (roost_list *link = loop->conns.next; link != &loop->conns; link = link->next) {
    roost_conn *conn = ROOST_LIST_ENTRY(link, roost_conn, link);
    if (conn->ops == ops)
      fn(conn, ud);
  }
}

roost_loop *roost_conn_loop(const roost_conn *conn) {
  return conn->loop;
}

const roost_address *roost_conn_remote(const roost_conn *conn) {
  if (conn->played != NULL)
    return &conn->played->remote;
  roost_inet_print(&conn->remote, &conn->loop->said_remote);
  return &conn->loop->said_remote;
}

const roost_address *roost_conn_local(const roost_conn *conn) {
  roost_address *local = &conn->loop->said_local;
  struct sockaddr_storage address = {.ss_family = AF_UNSPEC};
  struct sockaddr *plain = (struct sockaddr *)&address;
  socklen_t size = sizeof address;
  if (conn->remote.family == AF_LOCAL)
    address.ss_family = AF_LOCAL;
  else if (conn->pipe != NULL && conn->state != ROOST_CONN_CLOSING)
    (void)getsockname(roost_conn_descriptor(conn), plain, &size);
  roost_socket_address(local, plain);
  return local;
}

int roost_conn_descriptor(const roost_conn *conn) {
  return conn->pipe != NULL ? conn->pipe->ops->descriptor(conn->pipe) : -1;
}
