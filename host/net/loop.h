/*
 * net/loop.h - one event loop: descriptors, timers, posted work, and the flush of each turn.
 *
 * Turn: one round of the loop. Reading and timers mark connections dirty; everything dirty is
 * flushed once, at the end of the turn (and before the loop sleeps).
 * Hook: a struct of the caller's, linked into the loop, whose function runs at each flush.
 * Job: a struct of the caller's that carries a function to the loop's thread.
 * Quota: the time that one poll may work; what it does not get to is done by the next ones.
 * The loop belongs to one thread at a time; only those that post, roost_loop_call and
 * roost_loop_wake may be called from another.
 */
#ifndef ROOST_NET_LOOP_H
#define ROOST_NET_LOOP_H

#include <stdatomic.h>

#include "core/alloc.h"
#include "core/clock.h"
#include "core/list.h"
#include "core/wheel.h"

typedef struct roost_loop roost_loop;

/* Sockets of connections, accepted or dialled, of all the loops that share it; any thread. */
typedef struct roost_sockets {
  atomic_size_t open;
  size_t limit; /* 0: none */
} roost_sockets;

typedef struct roost_loop_hook {
  roost_list link;
  void (*fn)(void *ud);
  void *ud;
} roost_loop_hook;

typedef struct roost_loop_job {
  roost_list link;
  void (*fn)(void *ud);
  void *ud;
  bool owned; /* private: the loop's, made by roost_loop_post */
} roost_loop_job;

/* clock is borrowed; a fake one is never advanced by the loop. ENOMEM, ESYSTEM. */
int roost_loop_new(roost_loop **out, const roost_alloc *alloc, roost_clock *clock);

/* Closes what is still open, runs the close callbacks, frees. Posted work not yet run is dropped.
 */
void roost_loop_free(roost_loop *loop);

/* Time of this turn, cached: monotonic milliseconds. */
uint64_t roost_loop_now_ms(const roost_loop *loop);

/* Where the same is kept in microseconds, for whoever looks often; for the loop's life. */
const uint64_t *roost_loop_now_us(const roost_loop *loop);

/* Advanced by the loop each turn; whatever starts a timer on it is noticed before sleeping. */
roost_wheel *roost_loop_wheel(roost_loop *loop);

const roost_alloc *roost_loop_alloc(const roost_loop *loop);

/* Runs until roost_loop_stop. */
int roost_loop_run(roost_loop *loop);

/* True where something from outside may still come: a descriptor is watched, a name looked up.
 * Between turns. */
bool roost_loop_listens(roost_loop *loop);

/* One or more turns: what is ready, waiting at most timeout_ms for the first thing. */
int roost_loop_poll(roost_loop *loop, uint32_t timeout_ms);

/* Hands over a socket that listens: the listener that is to be bound to its address takes it. The
 * loop owns it from success on. EINVAL: it is none; EFULL. */
int roost_loop_inherit(roost_loop *loop, int descriptor);

struct roost_address; /* net/conn.h */

/* The address of number i of those that no listener has taken; false where there are fewer. */
bool roost_loop_inherited(const roost_loop *loop, size_t i, struct roost_address *address);

/* Has the loop's sockets be counted there, and made only below its limit; sockets outlives the
 * loop. Before there are any. */
void roost_loop_set_sockets(roost_loop *loop, roost_sockets *sockets);

/* Bounds the work of each poll from the next on to about us microseconds; 0: no bound. One thing of
 * each kind is done in any case (a message, a task, a write), none is cut short, and
 * connections take turns: one that was passed over goes before those that were not. */
void roost_loop_set_quota(roost_loop *loop, uint32_t us);

/* Whether the poll that goes on has used its quota up; costs a look at the clock where there is
 * one.
 */
bool roost_loop_is_spent(const roost_loop *loop);

/* Microseconds of it that are left; UINT64_MAX: there is no bound. */
uint64_t roost_loop_left_us(const roost_loop *loop);

/* Makes run return after this turn. */
void roost_loop_stop(roost_loop *loop);

int roost_loop_fd(const roost_loop *loop);
int roost_loop_timeout(const roost_loop *loop); /* as roost_host_timeout */

/* Has fn called on the loop's thread. Any thread. ENOMEM. */
int roost_loop_post(roost_loop *loop, void (*fn)(void *ud), void *ud);

/* The same without memory of the loop's: job, whose fn and ud are set, is the caller's and must not
 * be posted again before fn is called (it may be from then on). A loop that is freed drops it
 * without a call. Any thread. */
void roost_loop_post_job(roost_loop *loop, roost_loop_job *job);

/* Has fn called on the loop's thread, which must be running it, and waits until it has been. Any
 * other thread. */
void roost_loop_call(roost_loop *loop, void (*fn)(void *ud), void *ud);

/* Has the loop begin a turn soon, if it sleeps. Any thread, never blocks. */
void roost_loop_wake(roost_loop *loop);

/* Runs hook->fn at every flush, before connections are written, in the order they were added. */
void roost_loop_add_flush(roost_loop *loop, roost_loop_hook *hook);

/* Runs hook->fn once, in the next turn, which then does not sleep. Adding twice is adding once. */
void roost_loop_defer(roost_loop *loop, roost_loop_hook *hook);

/* Runs hook->fn when the loop is freed, before anything of it is closed: to end what has threads of
 * its own. */
void roost_loop_add_closing(roost_loop *loop, roost_loop_hook *hook);

/* Takes a hook of any kind out again; nothing happens where it is in none. */
void roost_loop_remove_hook(roost_loop_hook *hook);
/* Whether it is in one. */
bool roost_loop_hook_is_in(const roost_loop_hook *hook);

/* Connections that have not ended yet. */
size_t roost_loop_conn_count(const roost_loop *loop);

/* Memory of all connection buffers now. */
size_t roost_loop_buffer_bytes(const roost_loop *loop);

/* Memory of all connection buffers; over the limit the largest connections are not read. */
void roost_loop_set_buffer_limit(roost_loop *loop, size_t bytes);

/* Has the limit be one on the memory of all these loops' connections, which may run on other
 * threads: sharers, borrowed, has this one among them. What the others have is known as it was in
 * their last turn. Each of them is to be told, and none freed before all have stopped. */
void roost_loop_share_limit(roost_loop *loop, roost_loop *const *sharers, size_t count);

#endif
