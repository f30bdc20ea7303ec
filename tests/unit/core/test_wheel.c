#include "alloc_probe.h"
#include "core/wheel.h"

#define TIMERS   300
#define MAX_RUNS 64

/* A timer that knows what a plain model expects of it. */
typedef struct model_timer {
  roost_timer timer;
  bool running;
  uint64_t due_ms;
  uint64_t sequence;
} model_timer;

typedef struct model {
  roost_wheel wheel;
  model_timer timers[TIMERS];
  uint64_t sequence;
  size_t count;
  uint64_t runs;
} model;

static model *the_model; /* a timer's function gets nothing but the timer */

static uint64_t random_delay(void) {
  const unsigned bits = (unsigned)rand() % 40;
  const uint64_t value = (uint64_t)rand() << 20 ^ (uint64_t)rand();
  return value & (((uint64_t)1 << bits) - 1);
}

static void model_start(model *m, model_timer *timer, uint64_t delay_ms) {
  roost_timer_start(&m->wheel, &timer->timer, delay_ms);
  m->count += !timer->running;
  timer->running = true;
  timer->due_ms = m->wheel.now_ms + delay_ms;
  timer->sequence = m->sequence++;
}

static void model_stop(model *m, model_timer *timer) {
  roost_timer_stop(&m->wheel, &timer->timer);
  m->count -= timer->running;
  timer->running = false;
}

static model_timer *model_first(model *m) {
  model_timer *first = NULL;
  for (size_t i = 0; i < TIMERS; i++) {
    model_timer *timer = &m->timers[i];
    if (!timer->running)
      continue;
    if (first == NULL || timer->due_ms < first->due_ms ||
        (timer->due_ms == first->due_ms && timer->sequence < first->sequence))
      first = timer;
  }
  return first;
}

static void model_check(model *m) {
  const model_timer *first = model_first(m);
  assert_int_equal(m->wheel.count, m->count);
  const uint64_t next_ms = roost_wheel_next_ms(&m->wheel);
  assert_true(next_ms == (first != NULL ? first->due_ms : UINT64_MAX));
  assert_true(roost_wheel_wake_ms(&m->wheel) <= (next_ms > m->wheel.now_ms ? next_ms : UINT64_MAX));
  for (size_t i = 0; i < TIMERS; i++)
    assert_int_equal(roost_timer_running(&m->timers[i].timer), m->timers[i].running);
}

static void on_model_timer(roost_timer *fired) {
  model *m = the_model;
  model_timer *timer = ROOST_LIST_ENTRY(fired, model_timer, timer);
  const model_timer *first = model_first(m);
  assert_ptr_equal(timer, first);
  assert_true(timer->due_ms <= m->wheel.now_ms);
  timer->running = false;
  m->count--;
  m->runs++;
  if (rand() % 4 == 0) /* never 0 here: which of two advances runs it is not in the model */
    model_start(m, &m->timers[rand() % TIMERS], random_delay() + 1);
  if (rand() % 4 == 0)
    model_stop(m, &m->timers[rand() % TIMERS]);
  if (rand() % 8 == 0)
    model_start(m, timer, random_delay() + 1);
}

static void agrees_with_a_sorted_list(void **state) {
  (void)state;
  static model m;
  the_model = &m;
  for (unsigned seed = 0; seed < 20; seed++) {
    srand(seed);
    memset(&m, 0, sizeof m);
    roost_wheel_init(&m.wheel, seed * 123456789u);
    for (size_t i = 0; i < TIMERS; i++)
      roost_timer_init(&m.timers[i].timer, on_model_timer);
    for (int step = 0; step < 2000; step++) {
      model_timer *timer = &m.timers[rand() % TIMERS];
      const int what = rand() % 8;
      if (what < 4) {
        model_start(&m, timer, random_delay());
      } else if (what < 5) {
        model_stop(&m, timer);
      } else {
        const uint64_t now_ms = m.wheel.now_ms + random_delay();
        roost_wheel_advance(&m.wheel, now_ms);
        assert_true(m.wheel.now_ms == now_ms);
        const model_timer *first = model_first(&m);
        assert_true(first == NULL || first->due_ms > now_ms);
      }
      model_check(&m);
    }
    assert_true(m.runs > 100);
  }
}

/* What the functions below write down. */
static struct {
  roost_wheel wheel;
  int order[MAX_RUNS];
  uint64_t at_ms[MAX_RUNS];
  size_t count;
} seen;

typedef struct numbered {
  roost_timer timer;
  int number;
  uint64_t restart_ms; /* UINT64_MAX: not */
  roost_timer *stop;   /* NULL: none */
} numbered;

static void on_numbered(roost_timer *timer) {
  numbered *self = ROOST_LIST_ENTRY(timer, numbered, timer);
  assert_false(roost_timer_running(timer));
  assert_true(seen.count < MAX_RUNS);
  seen.order[seen.count] = self->number;
  seen.at_ms[seen.count++] = seen.wheel.now_ms;
  if (self->stop != NULL)
    roost_timer_stop(&seen.wheel, self->stop);
  if (self->restart_ms != UINT64_MAX)
    roost_timer_start(&seen.wheel, timer, self->restart_ms);
}

static int set_up(void **state) {
  (void)state;
  memset(&seen, 0, sizeof seen);
  roost_wheel_init(&seen.wheel, 1000);
  return 0;
}

static void start(numbered *self, int number, uint64_t delay_ms) {
  *self = (numbered){.number = number, .restart_ms = UINT64_MAX};
  roost_timer_init(&self->timer, on_numbered);
  roost_timer_start(&seen.wheel, &self->timer, delay_ms);
}

static void equals_run_in_order_of_start(void **state) {
  (void)state;
  numbered timers[6];
  start(&timers[0], 0, 5000); /* same due time from different levels */
  roost_wheel_advance(&seen.wheel, 5000);
  start(&timers[1], 1, 1000);
  roost_wheel_advance(&seen.wheel, 5990);
  start(&timers[2], 2, 10);
  start(&timers[3], 3, 9);
  start(&timers[4], 4, 10);
  roost_timer_start(&seen.wheel, &timers[1].timer, 10); /* again: now it is the last */
  roost_wheel_advance(&seen.wheel, 6000);
  const int expected[] = {3, 0, 2, 4, 1};
  assert_int_equal(seen.count, 5);
  assert_memory_equal(seen.order, expected, sizeof expected);
}

static void no_delay_waits_for_the_next_advance(void **state) {
  (void)state;
  numbered timers[2];
  start(&timers[0], 0, 0);
  timers[0].restart_ms = 0;
  start(&timers[1], 1, 50);
  assert_int_equal(roost_wheel_next_ms(&seen.wheel), 1000);
  roost_wheel_advance(&seen.wheel, 1000);
  assert_int_equal(seen.count, 1);
  roost_wheel_advance(&seen.wheel, 2000); /* 0, then 1; not 0 for ever */
  assert_int_equal(seen.count, 3);
  assert_int_equal(seen.order[2], 1);
  assert_int_equal(seen.wheel.count, 1);
  assert_int_equal(roost_wheel_next_ms(&seen.wheel), 1000); /* overdue since then */
  roost_timer_stop(&seen.wheel, &timers[0].timer);
  assert_int_equal(roost_wheel_next_ms(&seen.wheel), UINT64_MAX);
  assert_int_equal(roost_wheel_wake_ms(&seen.wheel), UINT64_MAX);
}

static void time_stands_at_the_due_time(void **state) {
  (void)state;
  numbered timers[2];
  start(&timers[0], 0, 300);
  timers[0].restart_ms = 300;
  start(&timers[1], 1, 700);
  roost_wheel_advance(&seen.wheel, 2000);
  const int order[] = {0, 0, 1, 0};
  const uint64_t at_ms[] = {1300, 1600, 1700, 1900};
  assert_int_equal(seen.count, 4);
  assert_memory_equal(seen.order, order, sizeof order);
  assert_memory_equal(seen.at_ms, at_ms, sizeof at_ms);
  assert_int_equal(seen.wheel.now_ms, 2000);
  assert_int_equal(roost_wheel_next_ms(&seen.wheel), 2200);
}

static void a_function_may_stop_one_that_is_due(void **state) {
  (void)state;
  numbered timers[3];
  for (int i = 0; i < 3; i++)
    start(&timers[i], i, 10);
  timers[0].stop = &timers[1].timer;
  roost_wheel_advance(&seen.wheel, 1010);
  assert_int_equal(seen.count, 2);
  assert_int_equal(seen.order[1], 2);
  assert_int_equal(seen.wheel.count, 0);
}

static void on_freed(roost_timer *timer) {
  seen.count++;
  free(ROOST_LIST_ENTRY(timer, numbered, timer));
}

static void a_function_may_free_its_timer(void **state) {
  (void)state;
  for (int i = 0; i < 10; i++) {
    numbered *timer = malloc(sizeof *timer);
    start(timer, i, (uint64_t)i % 2);
    timer->timer.fn = on_freed;
  }
  roost_wheel_advance(&seen.wheel, 1001);
  assert_int_equal(seen.count, 10);
}

static void far_jumps_are_quick(void **state) {
  (void)state;
  numbered timers[3];
  const uint64_t year_ms = 31557600000u;
  start(&timers[0], 0, 1000 * year_ms);
  start(&timers[1], 1, UINT64_MAX);
  start(&timers[2], 2, 1);
  assert_int_equal(roost_wheel_next_ms(&seen.wheel), 1001);
  roost_wheel_advance(&seen.wheel, 999 * year_ms);
  assert_int_equal(seen.count, 1);
  assert_true(roost_wheel_next_ms(&seen.wheel) == 1000 * year_ms + 1000);
  roost_wheel_advance(&seen.wheel, 8000 * year_ms);
  assert_int_equal(seen.count, 2);
  roost_wheel_advance(&seen.wheel, ((uint64_t)1 << 48) - 2);
  assert_int_equal(seen.count, 2);
  roost_wheel_advance(&seen.wheel, ((uint64_t)1 << 48) - 1); /* where every delay ends */
  assert_int_equal(seen.count, 3);
  assert_int_equal(seen.wheel.count, 0);
}

static void time_never_goes_back(void **state) {
  (void)state;
  numbered timer;
  start(&timer, 0, 0);
  roost_wheel_advance(&seen.wheel, 10);
  assert_int_equal(seen.wheel.now_ms, 1000);
  assert_int_equal(seen.count, 1);
}

/* However many levels a timer goes down, sleeping by wake_ms takes a few steps to it. */
static void waking_by_wake_ms_ends(void **state) {
  (void)state;
  numbered timer;
  start(&timer, 0, 123456789012);
  unsigned steps = 0;
  while (seen.count == 0) {
    const uint64_t wake_ms = roost_wheel_wake_ms(&seen.wheel);
    assert_true(wake_ms <= timer.timer.due_ms);
    roost_wheel_advance(&seen.wheel, wake_ms);
    steps++;
  }
  assert_true(steps <= ROOST_WHEEL_LEVELS);
  assert_int_equal(seen.at_ms[0], 123456790012);
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(agrees_with_a_sorted_list),
      TEST(equals_run_in_order_of_start),
      TEST(no_delay_waits_for_the_next_advance),
      TEST(time_stands_at_the_due_time),
      TEST(a_function_may_stop_one_that_is_due),
      TEST(a_function_may_free_its_timer),
      TEST(far_jumps_are_quick),
      TEST(time_never_goes_back),
      TEST(waking_by_wake_ms_ends),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
