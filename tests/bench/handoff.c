/*
 * What it costs to hand a job to the loop of another thread and to get it back: the processor time
 * of both threads per round trip, with 1 and with 64 jobs under way. Prints
 * {"one_us":N,"many_us":N}. Use it with a CPU for each thread.
 */
#include <pthread.h>
#include <stdio.h>
#include <time.h>

#include "core/alloc.h"
#include "core/clock.h"
#include "net/loop.h"

#define MOST_JOBS   64
#define ROUND_TRIPS 1000000u

typedef struct handoff handoff;

typedef struct traveller {
  roost_loop_job job;
  handoff *owner;
} traveller;

struct handoff {
  roost_loop *home; /* the main thread's */
  roost_loop *away;
  traveller travellers[MOST_JOBS];
  unsigned under_way;
  unsigned left; /* round trips to be begun; home's thread */
};

static void come_home(void *ud);

static void arrive_away(void *ud) {
  traveller *t = ud;
  t->job.fn = come_home;
  roost_loop_post_job(t->owner->home, &t->job);
}

static void set_out(traveller *t) {
  t->owner->left--;
  t->owner->under_way++;
  t->job.fn = arrive_away;
  roost_loop_post_job(t->owner->away, &t->job);
}

static void come_home(void *ud) {
  traveller *t = ud;
  t->owner->under_way--;
  if (t->owner->left > 0)
    set_out(t);
  else if (t->owner->under_way == 0)
    roost_loop_stop(t->owner->home);
}

static void stop_away(void *ud) {
  roost_loop_stop(ud);
}

static void *run_away(void *ud) {
  (void)roost_loop_run(ud);
  return NULL;
}

static double used_us(void) {
  struct timespec now;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

/* Microseconds per round trip; below 0: the loop failed. */
static double measure(handoff *h, unsigned jobs) {
  const double before = used_us();
  h->left = ROUND_TRIPS / (MOST_JOBS / jobs);
  const unsigned trips = h->left;
  for (unsigned i = 0; i < jobs; i++) {
    h->travellers[i] = (traveller){.job = {.ud = &h->travellers[i]}, .owner = h};
    set_out(&h->travellers[i]);
  }
  if (roost_loop_run(h->home) != 0)
    return -1;
  return (used_us() - before) / trips;
}

int main(void) {
  static handoff h;
  static roost_clock clocks[2]; /* of one thread each */
  pthread_t thread;
  if (roost_loop_new(&h.home, roost_alloc_default(), &clocks[0]) != 0 ||
      roost_loop_new(&h.away, roost_alloc_default(), &clocks[1]) != 0 ||
      pthread_create(&thread, NULL, run_away, h.away) != 0) {
    fprintf(stderr, "handoff: no memory or no thread\n");
    return 1;
  }
  const double one = measure(&h, 1);
  const double many = measure(&h, MOST_JOBS);
  const int failed = roost_loop_post(h.away, stop_away, h.away);
  if (failed == 0)
    pthread_join(thread, NULL);
  if (failed != 0 || one < 0 || many < 0)
    return 1;
  roost_loop_free(h.home);
  roost_loop_free(h.away);
  printf("{\"one_us\":%.3f,\"many_us\":%.3f}\n", one, many);
  return 0;
}
