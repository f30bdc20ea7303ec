#include "transport/kafka_routes.h"

#include "alloc_probe.h"
#include "core/slice.h"

typedef struct fixture {
  roost_alloc_probe probe;
  roost_kafka_routes routes;
  unsigned bad;
  char last_bad[64];
} fixture;

static int set_up(void **state) {
  fixture *f = calloc(1, sizeof *f);
  assert_non_null(f);
  roost_alloc_probe_init(&f->probe);
  roost_kafka_routes_init(&f->routes, &f->probe.alloc);
  *state = f;
  return 0;
}

static int tear_down(void **state) {
  fixture *f = *state;
  roost_kafka_routes_deinit(&f->routes);
  assert_int_equal(f->probe.bytes, 0);
  free(f);
  return 0;
}

static void on_bad(void *ud, roost_slice route, const char *why) {
  fixture *f = ud;
  assert_non_null(why);
  f->bad++;
  snprintf(f->last_bad, sizeof f->last_bad, "%.*s", (int)route.len, route.ptr);
}

static const roost_subscription list[] = {
    {.route = {"^orders[.]", 10}}, {.route = {"orders.new", 10}}, {.route = {"{\"cmd\":1}", 9}},
    {.route = {"^[", 2}},          {.route = {"^.*$", 4}},        {.route = {"7", 1}},
};

static void assert_route(const fixture *f, const char *topic, const char *route) {
  const roost_slice found = roost_kafka_routes_find(&f->routes, topic);
  if (route == NULL)
    assert_null(found.ptr);
  else
    assert_true(roost_slice_equal(found, roost_slice_text(route)));
}

static void finds_exact_ones_first_then_the_first_that_matches(void **state) {
  fixture *f = *state;
  assert_int_equal(roost_kafka_routes_fill(&f->routes, list, 5, on_bad, f), 0);
  assert_int_equal(f->bad, 2);
  assert_string_equal(f->last_bad, "^[");
  assert_int_equal(roost_kafka_routes_count(&f->routes), 3);
  assert_string_equal(roost_kafka_routes_text(&f->routes, 0), "^orders[.]");
  assert_route(f, "orders.new", "orders.new");
  assert_route(f, "orders.old", "^orders[.]");
  assert_route(f, "else", "^.*$");
  assert_false(roost_kafka_routes_are_wild(&f->routes, "orders.new"));
  assert_true(roost_kafka_routes_are_wild(&f->routes, "orders.old"));
  assert_int_equal(roost_kafka_routes_fill(&f->routes, list + 5, 1, on_bad, f), 0);
  assert_route(f, "orders.new", NULL);
  assert_route(f, "7", "7");
}

static void knows_what_can_be_a_topic(void **state) {
  char longest[250];
  (void)state;
  memset(longest, 'x', sizeof longest);
  static const char *const good[] = {"a", "A.b_c-9", "...", "12345"};
  static const char *const bad[] = {"", ".", "..", "a b", "a/b", "\xc3\xa9", "{}", "a\n"};
  for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
    assert_true(roost_kafka_is_topic(roost_slice_text(good[i])));
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
    assert_false(roost_kafka_is_topic(roost_slice_text(bad[i])));
  assert_true(roost_kafka_is_topic(roost_slice_of(longest, 249)));
  assert_false(roost_kafka_is_topic(roost_slice_of(longest, 250)));
}

static void tells_lists_apart(void **state) {
  fixture *f = *state;
  roost_kafka_routes other;
  roost_kafka_routes_init(&other, &f->probe.alloc);
  assert_true(roost_kafka_routes_equal(&f->routes, &other));
  assert_int_equal(roost_kafka_routes_fill(&f->routes, list, 2, on_bad, f), 0);
  assert_false(roost_kafka_routes_equal(&f->routes, &other));
  assert_int_equal(roost_kafka_routes_fill(&other, list, 2, on_bad, f), 0);
  assert_true(roost_kafka_routes_equal(&f->routes, &other));
  assert_int_equal(roost_kafka_routes_fill(&other, list + 4, 2, on_bad, f), 0);
  assert_false(roost_kafka_routes_equal(&f->routes, &other));
  roost_kafka_routes_deinit(&other);
}

static void is_empty_without_memory(void **state) {
  fixture *f = *state;
  int status;
  size_t granted = 0;
  do {
    f->probe.refuse_after = granted++;
    status = roost_kafka_routes_fill(&f->routes, list, 6, on_bad, f);
    f->probe.refuse_after = ROOST_ALLOC_PROBE_NEVER;
    if (status != 0)
      assert_int_equal(roost_kafka_routes_count(&f->routes), 0);
  } while (status == ROOST_ENOMEM);
  assert_int_equal(status, 0);
  assert_true(granted > 4);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(finds_exact_ones_first_then_the_first_that_matches, set_up,
                                      tear_down),
      cmocka_unit_test_setup_teardown(knows_what_can_be_a_topic, set_up, tear_down),
      cmocka_unit_test_setup_teardown(tells_lists_apart, set_up, tear_down),
      cmocka_unit_test_setup_teardown(is_empty_without_memory, set_up, tear_down),
  };
  return cmocka_run_group_tests_name("kafka_routes", tests, NULL, NULL);
}
