/*
 * Calls on a loop's thread whose end somebody on another one waits for.
 */
#include <pthread.h>

#include "net/loop.h"

/* A function that is waited for; on the caller's stack. */
typedef struct waited {
  roost_loop_job job;
  void (*fn)(void *ud);
  void *ud;
  pthread_mutex_t mutex; /* guards done */
  pthread_cond_t over;
  bool done;
} waited;

static void run_waited(void *ud) {
  waited *call = ud;
  call->fn(call->ud);
  pthread_mutex_lock(&call->mutex);
  call->done = true;
  pthread_cond_signal(&call->over);
  pthread_mutex_unlock(&call->mutex);
}

void roost_loop_call(roost_loop *loop, void (*fn)(void *ud), void *ud) {
  waited call = {.job = {.fn = run_waited},
                 .fn = fn,
                 .ud = ud,
                 .mutex = PTHREAD_MUTEX_INITIALIZER,
                 .over = PTHREAD_COND_INITIALIZER};
  call.job.ud = &call;
  roost_loop_post_job(loop, &call.job);
  pthread_mutex_lock(&call.mutex);
  while (!call.done)
    pthread_cond_wait(&call.over, &call.mutex);
  pthread_mutex_unlock(&call.mutex);
  pthread_cond_destroy(&call.over);
  pthread_mutex_destroy(&call.mutex);
}
