#include "alloc_probe.h"

#include "core/slice.h"
#include "transport/delivery.h"

/* Deliveries, with a sink that the test plays: it starts and ends calls by their counts alone. */

typedef struct probe_delivery {
  roost_delivery delivery; /* first */
  char number;             /* of the message */
} probe_delivery;

typedef struct delivery_test {
  roost_alloc_probe probe;
  roost_server server;
  roost_delivery_pool pool;
  roost_origin *origin; /* of the last message */
  unsigned starts;      /* calls that on_message starts */
  unsigned ends;        /* and ends before it returns */
  bool fails;           /* the first of those has failed */
  int status;           /* what on_message returns */
  unsigned gone;
  unsigned eased;
  char told[256]; /* "NUMBER HOW;" for each that was settled */
} delivery_test;

static delivery_test *test_of(roost_delivery *delivery) {
  return delivery->pool->ud;
}

static void end_call(roost_origin *origin) {
  origin->in_flight--;
  origin->ops->eased(origin);
}

static int on_message(void *ud, roost_origin *origin, const roost_message *message) {
  delivery_test *self = ud;
  (void)message;
  self->origin = origin;
  origin->in_flight += self->starts;
  if (self->fails)
    origin->ops->failed(origin, ROOST_SETTLE_NACK);
  for (unsigned i = 0; i < self->ends; i++)
    end_call(origin);
  return self->status;
}

/* What the service layer does: its calls have no caller any more. */
static void on_gone(void *ud, roost_origin *origin, bool reachable) {
  assert_false(reachable);
  ((delivery_test *)ud)->gone++;
  while (origin->in_flight > 0)
    end_call(origin);
}

static const roost_sink_ops sink = {.on_message = on_message, .on_gone = on_gone};

static void init(roost_delivery *delivery) {
  assert_int_equal(((probe_delivery *)delivery)->number, 0);
}

static void clear(roost_delivery *delivery) {
  ((probe_delivery *)delivery)->number = '-';
}

static void settled(roost_delivery *delivery, roost_settlement how) {
  static const char *const names[] = {"ack", "nack", "requeue", "unhandled", "broken"};
  delivery_test *self = test_of(delivery);
  const size_t len = strlen(self->told);
  snprintf(self->told + len, sizeof self->told - len, "%c %s;",
           ((probe_delivery *)delivery)->number, names[how]);
}

static void eased(void *ud) {
  ((delivery_test *)ud)->eased++;
}

static const roost_delivery_ops ops = {.size = sizeof(probe_delivery),
                                       .init = init,
                                       .clear = clear,
                                       .deinit = clear,
                                       .settled = settled,
                                       .eased = eased};

static int set_up(void **state) {
  static delivery_test self;
  self = (delivery_test){.starts = 1};
  roost_alloc_probe_init(&self.probe);
  self.server.sink = &sink;
  self.server.sink_ud = &self;
  roost_delivery_pool_init(&self.pool, &ops, &self.probe.alloc, &self.server, &self);
  *state = &self;
  return 0;
}

static int tear_down(void **state) {
  delivery_test *self = *state;
  roost_delivery_pool_deinit(&self->pool);
  assert_int_equal(self->pool.count, 0);
  assert_int_equal(self->probe.bytes, 0);
  return 0;
}

static roost_origin *dispatch(delivery_test *self, char number) {
  const roost_message message = {.pattern = ROOST_SLICE("\"p\""), .data = ROOST_SLICE("1")};
  roost_delivery *delivery = roost_delivery_take(&self->pool);
  assert_non_null(delivery);
  ((probe_delivery *)delivery)->number = number;
  roost_delivery_dispatch(delivery, &message);
  return self->origin;
}

static void it_is_settled_when_its_calls_are_over(void **state) {
  delivery_test *self = *state;
  self->starts = 2;
  roost_origin *first = dispatch(self, '1');
  roost_origin *second = dispatch(self, '2');
  assert_int_equal(self->pool.count, 2);
  end_call(second);
  end_call(first);
  assert_string_equal(self->told, "");
  end_call(first);
  assert_string_equal(self->told, "1 ack;");
  second->ops->failed(second, ROOST_SETTLE_NACK);
  end_call(second);
  assert_string_equal(self->told, "1 ack;2 nack;");
  assert_int_equal(self->pool.count, 0);
  assert_int_equal(self->eased, 2);
}

static void it_is_settled_at_once_where_nothing_runs(void **state) {
  delivery_test *self = *state;
  self->ends = 1;
  dispatch(self, '1');
  self->fails = true;
  dispatch(self, '2');
  self->fails = false;
  self->starts = self->ends = 0;
  dispatch(self, '3');
  self->status = ROOST_EPROTO;
  dispatch(self, '4');
  assert_string_equal(self->told, "1 ack;2 nack;3 unhandled;4 broken;");
}

/* The first of several event handlers may end before the next one starts. */
static void an_early_end_is_not_the_end(void **state) {
  delivery_test *self = *state;
  self->starts = 2;
  self->ends = 1;
  roost_origin *origin = dispatch(self, '1');
  assert_string_equal(self->told, "");
  end_call(origin);
  assert_string_equal(self->told, "1 ack;");
}

static void a_stream_is_a_call(void **state) {
  delivery_test *self = *state;
  roost_origin *origin = dispatch(self, '1');
  origin->in_flight--;
  origin->streams++;
  origin->ops->eased(origin);
  assert_string_equal(self->told, "");
  origin->streams--;
  origin->ops->eased(origin);
  assert_string_equal(self->told, "1 ack;");
}

static void by_hand_it_is_settled_once(void **state) {
  delivery_test *self = *state;
  roost_origin *origin = dispatch(self, '1');
  assert_true(origin->settles);
  assert_true(origin->ops->settle(origin, ROOST_SETTLE_REQUEUE));
  assert_false(origin->ops->settle(origin, ROOST_SETTLE_ACK));
  end_call(origin);
  assert_string_equal(self->told, "1 requeue;");
}

/* What a drain has cut off is to come again, whatever else has failed. */
static void cut_off_outweighs_failed(void **state) {
  delivery_test *self = *state;
  self->starts = 2;
  roost_origin *origin = dispatch(self, '1');
  origin->ops->failed(origin, ROOST_SETTLE_REQUEUE);
  end_call(origin);
  origin->ops->failed(origin, ROOST_SETTLE_NACK);
  end_call(origin);
  assert_string_equal(self->told, "1 requeue;");
}

static void those_of_a_lost_session_are_not_settled(void **state) {
  delivery_test *self = *state;
  dispatch(self, '1');
  dispatch(self, '2');
  roost_delivery_pool_abandon(&self->pool);
  assert_int_equal(self->gone, 2);
  assert_int_equal(self->pool.count, 0);
  assert_string_equal(self->told, "");
}

static void one_that_is_over_is_used_again(void **state) {
  delivery_test *self = *state;
  self->ends = 1;
  dispatch(self, '1');
  const size_t asked = self->probe.asked;
  dispatch(self, '2');
  roost_delivery_give(roost_delivery_take(&self->pool));
  assert_int_equal(self->probe.asked, asked);
  assert_int_equal(self->pool.idle_count, 1);
}

static void memory_may_be_short(void **state) {
  delivery_test *self = *state;
  self->probe.refuse_after = 0;
  assert_null(roost_delivery_take(&self->pool));
}

#define DELIVERY_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
  const struct CMUnitTest tests[] = {
      DELIVERY_TEST(it_is_settled_when_its_calls_are_over),
      DELIVERY_TEST(it_is_settled_at_once_where_nothing_runs),
      DELIVERY_TEST(an_early_end_is_not_the_end),
      DELIVERY_TEST(a_stream_is_a_call),
      DELIVERY_TEST(by_hand_it_is_settled_once),
      DELIVERY_TEST(cut_off_outweighs_failed),
      DELIVERY_TEST(those_of_a_lost_session_are_not_settled),
      DELIVERY_TEST(one_that_is_over_is_used_again),
      DELIVERY_TEST(memory_may_be_short),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
