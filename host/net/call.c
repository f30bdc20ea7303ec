/*
 * Calls on a loop's thread whose end somebody on another one waits for.
 */
#include <pthread.h>

#include "net/loop.h"

/* A function that is waited for; on the caller's stack. */
typedef struct errand {
  roost_loop_job job;
  void (*fn)(void *ud);
  void *ud;
  pthread_mutex_t mutex; /* guards done */
  pthread_cond_t over;
  bool done;
} errand;

static void run_errand(void *ud) {
  errand *call = ud;
  call->fn(call->ud);
  pthread_mutex_lock(&call->mutex);
  call->done = true;
  pthread_cond_signal(&call->over);
  pthread_mutex_unlock(&call->mutex);
}

void roost_loop_call(roost_loop *loop, void (*fn)(void *ud), void *ud) {
  errand call = {.job = {.fn = run_errand},
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
