#include "alloc_probe.h"
#include "core/slice.h"
#include "transport/mqtt_received.h"
#include "transport/mqtt_routes.h"

static const roost_subscription some[] = {
    {.route = {"a/+", 3}, .qos = -1},          {.route = {"a/b", 3}, .qos = 2},
    {.route = {"a/#", 3}, .qos = 0},           {.route = {"$share/g/s/+", 12}, .qos = -1},
    {.route = {"$share/g/one", 12}, .qos = 1}, {.route = {"bad#", 4}, .qos = 7},
};

#define COUNT (sizeof some / sizeof *some)

static const char *found(const roost_mqtt_routes *routes, const char *topic) {
  static char text[32];
  const roost_mqtt_route *route = roost_mqtt_routes_find(routes, roost_slice_text(topic));
  snprintf(text, sizeof text, "%.*s", route != NULL ? (int)route->text.len : 4,
           route != NULL ? route->text.ptr : "none");
  return text;
}

static void a_topic_has_one_route(void **state) {
  (void)state;
  roost_alloc_probe probe;
  roost_mqtt_routes routes;
  roost_alloc_probe_init(&probe);
  roost_mqtt_routes_init(&routes, &probe.alloc);
  assert_int_equal(roost_mqtt_routes_set(&routes, some, COUNT, 1), 0);
  assert_string_equal(found(&routes, "a/b"), "a/b");
  assert_string_equal(found(&routes, "a/c"), "a/+");
  assert_string_equal(found(&routes, "a/c/d"), "a/#");
  assert_string_equal(found(&routes, "s/1"), "$share/g/s/+");
  assert_string_equal(found(&routes, "one"), "$share/g/one");
  assert_string_equal(found(&routes, "b"), "none");
  static const uint8_t qos[] = {1, 2, 0, 1, 1, 1};
  for (size_t i = 0; i < COUNT; i++) {
    const roost_mqtt_route *route = roost_mqtt_routes_get(&routes, some[i].route);
    assert_ptr_equal(route, &routes.routes[i]);
    assert_int_equal(route->qos, qos[i]);
    assert_int_equal(route->is_valid, i != COUNT - 1);
  }
  assert_null(roost_mqtt_routes_get(&routes, ROOST_SLICE("a/c")));
  roost_mqtt_routes_deinit(&routes);
  assert_int_equal(probe.bytes, 0);
}

static void a_number_says_a_route_of_the_topic(void **state) {
  (void)state;
  roost_mqtt_routes routes;
  roost_mqtt_routes_init(&routes, roost_alloc_default());
  assert_int_equal(roost_mqtt_routes_set(&routes, some, COUNT, 1), 0);
  const uint32_t number = routes.routes[2].number;
  assert_ptr_equal(roost_mqtt_routes_numbered(&routes, number, ROOST_SLICE("a/b")),
                   &routes.routes[2]);
  assert_null(roost_mqtt_routes_numbered(&routes, number, ROOST_SLICE("b")));
  assert_null(roost_mqtt_routes_numbered(&routes, number + 1, ROOST_SLICE("a/b")));
  for (size_t i = 0; i < COUNT; i++)
    assert_true(routes.routes[i].number > 0 && routes.routes[i].number <= 268435455);
  /* It is the same in every life of a host. */
  assert_int_equal(routes.routes[1].number, 177108421);
  roost_mqtt_routes_deinit(&routes);
}

static void without_memory_there_are_none(void **state) {
  (void)state;
  roost_alloc_probe probe;
  roost_mqtt_routes routes;
  int status = ROOST_ENOMEM;
  for (size_t allowed = 0; status != 0; allowed++) {
    roost_alloc_probe_init(&probe);
    probe.refuse_after = allowed;
    roost_mqtt_routes_init(&routes, &probe.alloc);
    status = roost_mqtt_routes_set(&routes, some, COUNT, 1);
    if (status != 0)
      assert_int_equal(probe.bytes, 0);
    roost_mqtt_routes_deinit(&routes);
    assert_int_equal(probe.bytes, 0);
  }
}

static void what_was_received_is_known(void **state) {
  (void)state;
  roost_alloc_probe probe;
  roost_mqtt_received received;
  roost_alloc_probe_init(&probe);
  roost_mqtt_received_init(&received, &probe.alloc);
  assert_int_equal(roost_mqtt_received_get(&received, 7), ROOST_MQTT_FREE);
  probe.refuse_after = 0;
  assert_int_equal(roost_mqtt_received_set(&received, 7, ROOST_MQTT_RUNNING), ROOST_ENOMEM);
  probe.refuse_after = ROOST_ALLOC_PROBE_NEVER;
  assert_int_equal(roost_mqtt_received_set(&received, 65535, ROOST_MQTT_DONE), 0);
  assert_int_equal(roost_mqtt_received_get(&received, 65535), ROOST_MQTT_DONE);
  const uint32_t session = received.session;
  roost_mqtt_received_forget(&received);
  assert_int_equal(roost_mqtt_received_get(&received, 65535), ROOST_MQTT_FREE);
  assert_int_not_equal(received.session, session);
  roost_mqtt_received_deinit(&received);
  assert_int_equal(probe.bytes, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_topic_has_one_route),
      cmocka_unit_test(a_number_says_a_route_of_the_topic),
      cmocka_unit_test(without_memory_there_are_none),
      cmocka_unit_test(what_was_received_is_known),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
