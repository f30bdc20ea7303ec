#include "net/loop_internal.h"

#include <signal.h>

#include "net/tls_internal.h"

/* --------------------------------------------------------------------- time ------------------ */

static uint64_t read_clock_ms(const roost_loop *loop) {
  return roost_clock_now_us(loop->clock) / 1000;
}

static void refresh(roost_loop *loop) {
  loop->fresh = true;
  loop->now_us = roost_clock_now_us(loop->clock);
  roost_wheel_advance(&loop->wheel, loop->now_us / 1000);
}

void roost_loop_touch(roost_loop *loop) {
  if (!loop->fresh)
    refresh(loop);
}

static void stay_awake(roost_loop *loop);

static void on_timer(uv_timer_t *timer) {
  roost_loop *loop = timer->data;
  loop->armed_ms = UINT64_MAX;
  refresh(loop);
  if (loop->polling)
    stay_awake(loop); /* that was what poll waited for */
}

/* Only ever moves the timer forward: one that fires too early costs less than one moved with each
 * request's deadline. */
static void arm_timer(roost_loop *loop) {
  if (loop->clock->fake)
    return;
  const uint64_t wake_ms = roost_wheel_wake_ms(&loop->wheel);
  if (wake_ms >= loop->armed_ms)
    return;
  const uint64_t now_ms = read_clock_ms(loop);
  loop->armed_ms = wake_ms;
  uv_update_time(&loop->uv);
  uv_timer_start(&loop->timer, on_timer, wake_ms > now_ms ? wake_ms - now_ms : 0, 0);
}

/* --------------------------------------------------------------------- a turn ---------------- */

static void run_flush_hooks(roost_loop *loop) {
  roost_list now;
  roost_list_init(&now);
  roost_list_move(&now, &loop->flush_hooks);
  while (!roost_list_empty(&now)) {
    roost_loop_hook *hook = ROOST_LIST_ENTRY(now.next, roost_loop_hook, link);
    roost_list_remove(&hook->link);
    roost_list_append(&loop->flush_hooks, &hook->link);
    hook->fn(hook->ud);
  }
}

/* Those that the quota leaves unwritten are the first of the next turn. */
static void write_dirty(roost_loop *loop) {
  roost_list now;
  roost_list_init(&now);
  roost_list_move(&now, &loop->dirty);
  for (size_t n = 0; !roost_list_empty(&now); n++) {
    if (n > 0 && roost_loop_is_spent(loop))
      break;
    roost_list *link = now.next;
    roost_list_remove(link);
    roost_conn_flush(link);
  }
  roost_list_move(&now, &loop->dirty);
  roost_list_move(&loop->dirty, &now);
}

static void flush(roost_loop *loop) {
  run_flush_hooks(loop);
  write_dirty(loop);
  if (loop->sharers != NULL)
    roost_budget_exchange(loop);
  if (loop->throttling &&
      (loop->buffer_limit == 0 || loop->buffer_bytes + loop->other_bytes <= loop->buffer_limit))
    roost_budget_release(loop);
}

static void on_idle(uv_idle_t *idle) {
  roost_loop *loop = idle->data;
  roost_loop_touch(loop);
  roost_list now;
  roost_list_init(&now);
  roost_list_move(&now, &loop->deferred);
  roost_quota_run_hooks(loop, &now);
  roost_list_move(&now, &loop->deferred);
  roost_list_move(&loop->deferred, &now);
  if (roost_list_empty(&loop->deferred))
    uv_idle_stop(idle);
}

static void stay_awake(roost_loop *loop) {
  uv_idle_start(&loop->idle, on_idle);
}

static void on_prepare(uv_prepare_t *prepare) {
  roost_loop *loop = prepare->data;
  if (loop->clock->fake)
    refresh(loop);
  flush(loop);
  if (!roost_list_empty(&loop->dirty))
    stay_awake(loop);
  arm_timer(loop);
  loop->fresh = false;
}

static void on_check(uv_check_t *check) {
  roost_loop *loop = check->data;
  roost_loop_touch(loop);
  flush(loop);
}

/* Takes the first one out and calls it, or only forgets it. */
static void run_post(const roost_loop *loop, roost_list *posts, bool call) {
  roost_loop_job *next = ROOST_LIST_ENTRY(posts->next, roost_loop_job, link);
  const roost_loop_job job = *next;
  roost_list_remove(&next->link);
  if (job.owned)
    roost_alloc_put(loop->alloc, next, sizeof *next);
  if (call)
    job.fn(job.ud);
}

/* What the quota leaves is first again. */
static void put_back(roost_loop *loop, roost_list *posts) {
  pthread_mutex_lock(&loop->post_lock);
  roost_list_move(posts, &loop->posts);
  roost_list_move(&loop->posts, posts);
  pthread_mutex_unlock(&loop->post_lock);
  uv_async_send(&loop->async);
}

static void on_async(uv_async_t *async) {
  roost_loop *loop = async->data;
  roost_list now;
  roost_loop_touch(loop);
  roost_list_init(&now);
  pthread_mutex_lock(&loop->post_lock);
  roost_list_move(&now, &loop->posts);
  pthread_mutex_unlock(&loop->post_lock);
  while (!roost_list_empty(&now)) {
    run_post(loop, &now, !loop->freeing);
    if (!roost_list_empty(&now) && roost_loop_is_spent(loop)) {
      put_back(loop, &now);
      return;
    }
  }
}

/* A timer may fire before the turn sleeps, and nothing else would end that sleep. */
static void on_guard(uv_timer_t *timer) {
  stay_awake(timer->data);
}

/* --------------------------------------------------------------------- making and freeing ---- */

static int open_handles(roost_loop *loop) {
  if (uv_loop_init(&loop->uv) != 0)
    return ROOST_ESYSTEM;
  if (uv_async_init(&loop->uv, &loop->async, on_async) != 0) {
    uv_loop_close(&loop->uv);
    return ROOST_ESYSTEM;
  }
  uv_prepare_init(&loop->uv, &loop->prepare);
  uv_check_init(&loop->uv, &loop->check);
  uv_idle_init(&loop->uv, &loop->idle);
  uv_timer_init(&loop->uv, &loop->timer);
  uv_timer_init(&loop->uv, &loop->guard);
  loop->async.data = loop->prepare.data = loop->check.data = loop;
  loop->idle.data = loop->timer.data = loop->guard.data = loop->uv.data = loop;
  uv_prepare_start(&loop->prepare, on_prepare);
  uv_check_start(&loop->check, on_check);
  return 0;
}

int roost_loop_new(roost_loop **out, const roost_alloc *alloc, roost_clock *clock) {
  *out = NULL;
  roost_loop *loop = roost_alloc_get(alloc, sizeof *loop);
  if (loop == NULL)
    return ROOST_ENOMEM;
  loop->alloc = alloc;
  loop->clock = clock;
  loop->armed_ms = UINT64_MAX;
  loop->read_buffer = roost_alloc_resize(alloc, NULL, 0, ROOST_LOOP_READ_BYTES);
  int status = loop->read_buffer != NULL ? open_handles(loop) : ROOST_ENOMEM;
  if (status != 0) {
    roost_alloc_put(alloc, loop->read_buffer, ROOST_LOOP_READ_BYTES);
    roost_alloc_put(alloc, loop, sizeof *loop);
    return status;
  }
  loop->now_us = roost_clock_now_us(clock);
  roost_wheel_init(&loop->wheel, loop->now_us / 1000);
  roost_list_init(&loop->flush_hooks);
  roost_list_init(&loop->deferred);
  roost_list_init(&loop->closing_hooks);
  roost_list_init(&loop->dirty);
  roost_list_init(&loop->spares);
  roost_buffer_init(&loop->no_room, roost_alloc_none());
  roost_list_init(&loop->conns);
  roost_list_init(&loop->listeners);
  roost_list_init(&loop->polls);
  roost_list_init(&loop->posts);
  roost_list_init(&loop->guests);
  pthread_mutex_init(&loop->post_lock, NULL);
  *out = loop;
  return 0;
}

static void close_all(roost_loop *loop) {
  loop->freeing = true;
  while (!roost_list_empty(&loop->closing_hooks)) {
    roost_loop_hook *hook = ROOST_LIST_ENTRY(loop->closing_hooks.next, roost_loop_hook, link);
    roost_list_remove(&hook->link);
    hook->fn(hook->ud);
  }
  roost_listener_close_all(loop);
  roost_poll_close_all(loop);
  roost_conn_close_all(loop);
  while (loop->pending > 0 || !roost_list_empty(&loop->deferred)) {
    uv_run(&loop->uv, UV_RUN_ONCE);
    roost_conn_close_all(loop);
  }
}

void roost_loop_free(roost_loop *loop) {
  if (loop == NULL)
    return;
  close_all(loop);
  uv_handle_t *handles[] = {(uv_handle_t *)&loop->prepare, (uv_handle_t *)&loop->check,
                            (uv_handle_t *)&loop->idle,    (uv_handle_t *)&loop->timer,
                            (uv_handle_t *)&loop->guard,   (uv_handle_t *)&loop->async};
  for (size_t i = 0; i < sizeof handles / sizeof handles[0]; i++)
    uv_close(handles[i], NULL);
  while (uv_loop_close(&loop->uv) != 0)
    uv_run(&loop->uv, UV_RUN_DEFAULT);
  while (!roost_list_empty(&loop->posts))
    run_post(loop, &loop->posts, false);
  roost_guest_free_all(loop);
  roost_inherited_close_all(loop);
  roost_outbox_free_spares(loop);
  pthread_mutex_destroy(&loop->post_lock);
  roost_tls_buffers_free(loop->alloc, loop->tls);
  roost_alloc_put(loop->alloc, loop->read_buffer, ROOST_LOOP_READ_BYTES);
  roost_alloc_put(loop->alloc, loop, sizeof *loop);
}

/* --------------------------------------------------------------------- running --------------- */

static void block_pipe_signal(sigset_t *before) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &set, before);
}

/* Nothing is left to do where the thread had it blocked. Where it had not, none was waiting then:
 * one that waits now is ours. */
static void restore_pipe_signal(const sigset_t *before) {
  sigset_t pending;
  if (sigismember(before, SIGPIPE) == 1)
    return;
  sigpending(&pending);
  if (sigismember(&pending, SIGPIPE) == 1) {
    const struct timespec at_once = {0, 0};
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGPIPE);
    sigtimedwait(&set, NULL, &at_once);
  }
  pthread_sigmask(SIG_SETMASK, before, NULL);
}

static int enter(roost_loop *loop, sigset_t *signals) {
  if (loop->inside)
    return ROOST_ESTATE;
  loop->inside = true;
  block_pipe_signal(signals);
  refresh(loop);
  return 0;
}

static void leave(roost_loop *loop, const sigset_t *signals) {
  flush(loop);
  if (roost_list_empty(&loop->deferred))
    uv_idle_stop(&loop->idle); /* else the next sleep would be cut short */
  restore_pipe_signal(signals);
  loop->inside = false;
}

int roost_loop_run(roost_loop *loop) {
  sigset_t signals;
  int status = enter(loop, &signals);
  if (status != 0)
    return status;
  while (!loop->stopping)
    uv_run(&loop->uv, UV_RUN_DEFAULT);
  loop->stopping = false;
  leave(loop, &signals);
  return 0;
}

int roost_loop_poll(roost_loop *loop, uint32_t timeout_ms) {
  sigset_t signals;
  if (!loop->inside)
    roost_quota_begin(loop);
  int status = enter(loop, &signals);
  if (status != 0)
    return status;
  if (timeout_ms > 0) {
    uv_update_time(&loop->uv);
    uv_timer_start(&loop->guard, on_guard, timeout_ms, 0);
  }
  loop->polling = true;
  uv_run(&loop->uv, timeout_ms > 0 ? UV_RUN_ONCE : UV_RUN_NOWAIT);
  loop->polling = false;
  uv_timer_stop(&loop->guard);
  leave(loop, &signals);
  roost_quota_end(loop);
  return 0;
}

static void note_descriptor(uv_handle_t *handle, void *ud) {
  if (uv_handle_get_type(handle) == UV_POLL && uv_is_active(handle))
    *(bool *)ud = true;
}

bool roost_loop_listens(roost_loop *loop) {
  bool found = loop->uv.active_reqs.count > 0;
  uv_walk(&loop->uv, note_descriptor, &found);
  return found;
}

void roost_loop_stop(roost_loop *loop) {
  loop->stopping = true;
  if (loop->inside)
    uv_stop(&loop->uv);
}

int roost_loop_fd(const roost_loop *loop) {
  return uv_backend_fd(&loop->uv);
}

int roost_loop_timeout(const roost_loop *loop) {
  if (!roost_list_empty(&loop->deferred) || !roost_list_empty(&loop->dirty))
    return 0;
  const uint64_t due_ms = roost_wheel_next_ms(&loop->wheel);
  const uint64_t now_ms = read_clock_ms(loop);
  if (due_ms <= now_ms || uv_backend_timeout(&loop->uv) == 0)
    return 0;
  if (due_ms == UINT64_MAX || loop->clock->fake)
    return -1;
  const uint64_t wait_ms = due_ms - now_ms;
  return wait_ms < INT32_MAX ? (int)wait_ms : INT32_MAX;
}

/* --------------------------------------------------------------------- small things ---------- */

uint64_t roost_loop_now_ms(const roost_loop *loop) {
  return loop->wheel.now_ms;
}

const uint64_t *roost_loop_now_us(const roost_loop *loop) {
  return &loop->now_us;
}

roost_wheel *roost_loop_wheel(roost_loop *loop) {
  return &loop->wheel;
}

const roost_alloc *roost_loop_alloc(const roost_loop *loop) {
  return loop->alloc;
}

int roost_loop_post(roost_loop *loop, void (*fn)(void *ud), void *ud) {
  roost_loop_job *job = roost_alloc_get(loop->alloc, sizeof *job);
  if (job == NULL)
    return ROOST_ENOMEM;
  *job = (roost_loop_job){.fn = fn, .ud = ud, .owned = true};
  roost_loop_post_job(loop, job);
  return 0;
}

void roost_loop_post_job(roost_loop *loop, roost_loop_job *job) {
  pthread_mutex_lock(&loop->post_lock);
  roost_list_append(&loop->posts, &job->link);
  pthread_mutex_unlock(&loop->post_lock);
  uv_async_send(&loop->async);
}

void roost_loop_wake(roost_loop *loop) {
  uv_async_send(&loop->async);
}

bool roost_loop_hook_is_in(const roost_loop_hook *hook) {
  return hook->link.next != NULL && !roost_list_empty(&hook->link);
}

void roost_loop_add_flush(roost_loop *loop, roost_loop_hook *hook) {
  if (!roost_loop_hook_is_in(hook))
    roost_list_append(&loop->flush_hooks, &hook->link);
}

void roost_loop_defer(roost_loop *loop, roost_loop_hook *hook) {
  if (roost_loop_hook_is_in(hook))
    return;
  roost_list_append(&loop->deferred, &hook->link);
  stay_awake(loop);
}

void roost_loop_add_closing(roost_loop *loop, roost_loop_hook *hook) {
  if (!roost_loop_hook_is_in(hook))
    roost_list_append(&loop->closing_hooks, &hook->link);
}

void roost_loop_remove_hook(roost_loop_hook *hook) {
  if (roost_loop_hook_is_in(hook))
    roost_list_remove(&hook->link);
}

size_t roost_loop_conn_count(const roost_loop *loop) {
  return loop->conn_count;
}

size_t roost_loop_buffer_bytes(const roost_loop *loop) {
  return loop->buffer_bytes;
}

void roost_loop_set_sockets(roost_loop *loop, roost_sockets *sockets) {
  loop->sockets = sockets;
}

void roost_loop_set_buffer_limit(roost_loop *loop, size_t bytes) {
  loop->buffer_limit = bytes;
}

void roost_loop_share_limit(roost_loop *loop, roost_loop *const *sharers, size_t count) {
  loop->sharers = sharers;
  loop->sharer_count = count;
}
