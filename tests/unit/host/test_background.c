#include "alloc_probe.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <sys/resource.h>

#include "background.h"
#include "vm/vm.h"

#define JOBS    2000
#define GUARD_S 20

typedef struct job {
  roost_job job;
  struct fixture *fixture;
  int number;
} job;

typedef struct fixture {
  roost_clock clock;
  roost_loop *loop;
  roost_background *background;
  roost_background_port port;
  roost_jobs jobs;
  sem_t held; /* holds a job up */
  sem_t ran;
  job list[JOBS];
  int run;           /* so far; the other thread's */
  int done;          /* this one's */
  bool ran_in_order; /* the other thread's */
  bool in_order;     /* this one's */
  pthread_t thread;  /* that runs them */
  int priority;      /* of it */
} fixture;

static void init(fixture *self) {
  memset(self, 0, sizeof *self);
  sem_init(&self->held, 0, 0);
  sem_init(&self->ran, 0, 0);
  assert_int_equal(roost_loop_new(&self->loop, roost_alloc_default(), &self->clock), 0);
  assert_int_equal(roost_background_start(&self->background, roost_alloc_default(), NULL, "test"),
                   0);
  roost_background_port_init(&self->port, self->background, self->loop);
  self->jobs = roost_background_jobs(&self->port);
  self->ran_in_order = true;
  self->in_order = true;
}

static void stop(fixture *self, bool finish) {
  roost_background_stop(self->background, finish);
  self->background = NULL;
}

static void deinit(fixture *self) {
  stop(self, true);
  roost_background_port_drop(&self->port);
  roost_loop_free(self->loop);
  roost_background_port_deinit(&self->port);
  sem_destroy(&self->held);
  sem_destroy(&self->ran);
}

static void wait_for(sem_t *what) {
  struct timespec until;
  clock_gettime(CLOCK_REALTIME, &until);
  until.tv_sec += GUARD_S;
  assert_int_equal(sem_timedwait(what, &until), 0);
}

static void on_run(roost_job *started, roost_runner *runner) {
  job *own = ROOST_LIST_ENTRY(started, job, job);
  fixture *self = own->fixture;
  self->ran_in_order &= runner != NULL && own->number == self->run;
  self->run++;
  self->thread = pthread_self();
  sem_post(&self->ran);
}

static void on_held(roost_job *started, roost_runner *runner) {
  fixture *self = ROOST_LIST_ENTRY(started, job, job)->fixture;
  on_run(started, runner);
  errno = 0;
  self->priority = getpriority(PRIO_PROCESS, 0); /* of the thread, on Linux */
  wait_for(&self->held);
}

static void on_done(roost_job *started) {
  job *own = ROOST_LIST_ENTRY(started, job, job);
  fixture *self = own->fixture;
  self->in_order &= own->number == self->done;
  self->done++;
}

static void start(fixture *self, int number, void (*run)(roost_job *, roost_runner *),
                  void (*done)(roost_job *)) {
  job *own = &self->list[number];
  *own = (job){.job = {.run = run, .done = done}, .fixture = self, .number = number};
  roost_list_init(&own->job.link);
  roost_job_start(&self->jobs, &own->job, NULL);
}

static void poll_until_done(fixture *self, int count) {
  for (int i = 0; i < 20000 && self->done < count; i++)
    roost_loop_poll(self->loop, 5);
  assert_int_equal(self->done, count);
}

static void jobs_run_elsewhere_and_come_back_in_order(void **state) {
  (void)state;
  static fixture self;
  init(&self);
  for (int i = 0; i < JOBS; i++)
    start(&self, i, on_run, on_done);
  poll_until_done(&self, JOBS);
  assert_true(self.in_order);
  assert_true(self.ran_in_order);
  assert_false(pthread_equal(self.thread, pthread_self()));
  deinit(&self);
}

static void its_thread_is_of_the_lowest_priority(void **state) {
  (void)state;
  static fixture self;
  init(&self);
  start(&self, 0, on_held, on_done);
  sem_post(&self.held);
  poll_until_done(&self, 1);
  assert_int_equal(self.priority, 19);
  deinit(&self);
}

static void on_run_alone(roost_job *started, roost_runner *runner) {
  on_run(started, runner);
  memset(started, 0xa5, sizeof *started); /* it may free itself */
}

static void one_that_nobody_waits_for_is_its_own(void **state) {
  (void)state;
  static fixture self;
  init(&self);
  for (int i = 0; i < 100; i++)
    start(&self, i, on_run_alone, NULL);
  stop(&self, true);
  assert_int_equal(self.run, 100);
  deinit(&self);
}

/* Held up by the first one. */
static void fill(fixture *self) {
  start(self, 0, on_held, on_done);
  for (int i = 1; i < 10; i++)
    start(self, i, on_run, on_done);
  wait_for(&self->ran);
}

static void *let_go(void *ud) {
  fixture *self = ud;
  sched_yield();
  sem_post(&self->held);
  return NULL;
}

static void stopping_runs_what_waits_or_does_not(void **state) {
  (void)state;
  for (int finish = 0; finish < 2; finish++) {
    static fixture self;
    pthread_t thread;
    init(&self);
    fill(&self);
    assert_int_equal(pthread_create(&thread, NULL, let_go, &self), 0);
    stop(&self, finish == 1);
    pthread_join(thread, NULL);
    /* It may have been let go before it was told to stop. */
    assert_true(finish ? self.run == 10 : self.run >= 1);
    roost_background_port_drop(&self.port);
    roost_loop_poll(self.loop, 0);
    assert_int_equal(self.done, 0);
    deinit(&self);
  }
  roost_background_stop(NULL, true);
}

static void a_loop_that_ends_first_tells_nobody(void **state) {
  (void)state;
  static fixture self;
  init(&self);
  start(&self, 0, on_run, on_done);
  wait_for(&self.ran);
  stop(&self, true);
  deinit(&self);
  assert_int_equal(self.done, 0);
}

/* One background serves the ports of several loops. */
static void a_job_comes_back_to_its_own_loop(void **state) {
  (void)state;
  static fixture self;
  roost_background_port other;
  roost_loop *loop;
  job own = {.job = {.run = on_run, .done = on_done}, .fixture = &self};
  init(&self);
  assert_int_equal(roost_loop_new(&loop, roost_alloc_default(), &self.clock), 0);
  roost_background_port_init(&other, self.background, loop);
  const roost_jobs jobs = roost_background_jobs(&other);
  roost_job_start(&jobs, &own.job, NULL);
  wait_for(&self.ran);
  for (int i = 0; i < 5; i++)
    roost_loop_poll(self.loop, 1);
  assert_int_equal(self.done, 0);
  for (int i = 0; i < 20000 && self.done == 0; i++)
    roost_loop_poll(loop, 5);
  assert_int_equal(self.done, 1);
  stop(&self, true);
  roost_loop_free(loop);
  roost_background_port_deinit(&other);
  deinit(&self);
}

static void without_a_thread_they_run_at_once(void **state) {
  (void)state;
  static fixture self;
  const roost_jobs none = {NULL, NULL};
  roost_runner runner;
  job own = {.job = {.run = on_run, .done = on_done}, .fixture = &self};
  init(&self);
  roost_job_start(&none, &own.job, &runner);
  assert_int_equal(self.run, 1);
  assert_int_equal(self.done, 1);
  deinit(&self);
}

static void it_starts_or_says_why_not(void **state) {
  (void)state;
  int status = ROOST_ENOMEM;
  for (size_t allowed = 0; status == ROOST_ENOMEM; allowed++) {
    roost_alloc_probe probe;
    roost_background *background;
    roost_alloc_probe_init(&probe);
    probe.refuse_after = allowed;
    assert_true(allowed < 10);
    status = roost_background_start(&background, &probe.alloc, NULL, "test");
    assert_true((status == 0) == (background != NULL));
    roost_background_stop(background, false);
    assert_int_equal(probe.bytes, 0);
  }
  assert_int_equal(status, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(jobs_run_elsewhere_and_come_back_in_order),
      cmocka_unit_test(its_thread_is_of_the_lowest_priority),
      cmocka_unit_test(one_that_nobody_waits_for_is_its_own),
      cmocka_unit_test(stopping_runs_what_waits_or_does_not),
      cmocka_unit_test(a_loop_that_ends_first_tells_nobody),
      cmocka_unit_test(a_job_comes_back_to_its_own_loop),
      cmocka_unit_test(without_a_thread_they_run_at_once),
      cmocka_unit_test(it_starts_or_says_why_not),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
