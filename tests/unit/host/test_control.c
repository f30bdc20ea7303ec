/*
 * The control thread: what is posted to it, its tick, and the log that it writes.
 */
#include <pthread.h>
#include <semaphore.h>

#include "alloc_probe.h"
#include "control.h"
#include "core/slice.h"

#define GUARD_S 20
#define POSTERS 4
#define POSTS   500

typedef struct fixture {
  roost_clock clock;
  roost_log *log;
  roost_control *control;
  sem_t done; /* something that the test waits for */
  char lines[4096];
  unsigned posted; /* run so far; the control thread's */
  unsigned ticks;
  pthread_t thread; /* the control thread, as the last function saw it */
} fixture;

static void on_line(void *ud, roost_log_level level, roost_slice line) {
  fixture *self = ud;
  (void)level;
  const size_t len = strlen(self->lines);
  snprintf(self->lines + len, sizeof self->lines - len, "%.*s\n", (int)line.len, line.ptr);
  sem_post(&self->done);
}

/* Fails instead of hanging. */
static void wait_for(fixture *self) {
  struct timespec until;
  clock_gettime(CLOCK_REALTIME, &until);
  until.tv_sec += GUARD_S;
  assert_int_equal(sem_timedwait(&self->done, &until), 0);
}

static void init(fixture *self) {
  memset(self, 0, sizeof *self);
  sem_init(&self->done, 0, 0);
  assert_int_equal(roost_log_new(&self->log, roost_alloc_default(), &self->clock, on_line, self),
                   0);
  assert_int_equal(roost_control_start(&self->control, roost_alloc_default(), self->log), 0);
}

static void deinit(fixture *self) {
  roost_control_stop(self->control);
  roost_log_free(self->log);
  sem_destroy(&self->done);
}

static void lines_are_written_without_being_asked_for(void **state) {
  (void)state;
  fixture self;
  init(&self);
  for (int i = 0; i < 3; i++) {
    roost_log_say(self.log, ROOST_LOG_INFO, "hello");
    wait_for(&self);
  }
  roost_log_say(self.log, ROOST_LOG_INFO, "the last one");
  roost_control_stop(self.control);
  self.control = NULL;
  assert_non_null(strstr(self.lines, "the last one"));
  deinit(&self);
}

static void on_post(void *ud) {
  fixture *self = ud;
  self->thread = pthread_self();
  self->posted++;
}

static void *post_many(void *ud) {
  const fixture *self = ud;
  for (int i = 0; i < POSTS; i++)
    assert_int_equal(roost_control_post(self->control, on_post, ud), 0);
  return NULL;
}

static void what_threads_post_runs_there(void **state) {
  (void)state;
  fixture self;
  pthread_t threads[POSTERS];
  init(&self);
  for (int i = 0; i < POSTERS; i++)
    assert_int_equal(pthread_create(&threads[i], NULL, post_many, &self), 0);
  for (int i = 0; i < POSTERS; i++)
    pthread_join(threads[i], NULL);
  roost_control_call(self.control, on_post, &self);
  assert_int_equal(self.posted, POSTERS * POSTS + 1);
  assert_false(pthread_equal(self.thread, pthread_self()));
  assert_int_equal(roost_control_post(self.control, on_post, &self), 0);
  roost_control_stop(self.control);
  self.control = NULL;
  assert_int_equal(self.posted, POSTERS * POSTS + 2);
  deinit(&self);
}

static uint32_t on_tick(void *ud) {
  fixture *self = ud;
  self->thread = pthread_self();
  if (++self->ticks == 3)
    sem_post(&self->done);
  return self->ticks < 3 ? self->ticks - 1 : 3600000; /* 0 is as soon as can be */
}

static void the_tick_comes_when_it_wants_to(void **state) {
  (void)state;
  fixture self;
  init(&self);
  roost_control_set_tick(self.control, on_tick, &self);
  wait_for(&self);
  roost_control_set_tick(self.control, NULL, NULL);
  assert_int_equal(self.ticks, 3);
  assert_false(pthread_equal(self.thread, pthread_self()));
  roost_control_set_tick(self.control, on_tick, &self); /* another one, at once */
  roost_control_trim(self.control);
  deinit(&self);
  assert_true(self.ticks >= 3);
}

static uint32_t on_slow_tick(void *ud) {
  fixture *self = ud;
  self->ticks++;
  sem_post(&self->done);
  return 3600000;
}

static void the_tick_comes_when_it_is_asked_for(void **state) {
  (void)state;
  fixture self;
  init(&self);
  roost_control_tick_now(self.control); /* there is none yet */
  roost_control_set_tick(self.control, on_slow_tick, &self);
  wait_for(&self);
  roost_control_tick_now(self.control);
  wait_for(&self);
  roost_control_set_tick(self.control, NULL, NULL);
  assert_true(self.ticks >= 2);
  deinit(&self);
}

static void it_starts_or_says_why_not(void **state) {
  (void)state;
  fixture self;
  int status = ROOST_ENOMEM;
  init(&self);
  for (size_t allowed = 0; status == ROOST_ENOMEM; allowed++) {
    roost_alloc_probe probe;
    roost_control *other;
    roost_alloc_probe_init(&probe);
    probe.refuse_after = allowed;
    assert_true(allowed < 100);
    status = roost_control_start(&other, &probe.alloc, self.log);
    assert_true((status == 0) == (other != NULL));
    roost_control_stop(other);
    assert_int_equal(probe.bytes, 0);
  }
  assert_int_equal(status, 0);
  deinit(&self);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(lines_are_written_without_being_asked_for),
      cmocka_unit_test(what_threads_post_runs_there),
      cmocka_unit_test(the_tick_comes_when_it_wants_to),
      cmocka_unit_test(the_tick_comes_when_it_is_asked_for),
      cmocka_unit_test(it_starts_or_says_why_not),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
