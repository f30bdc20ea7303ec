#include "transport/mqtt_properties.h"
#include "wire/wire_test.h"

/* A PUBLISH with these properties, of "NAME=VALUE" texts. */
static void put(roost_buffer *properties, const char *const *pairs) {
  for (; *pairs != NULL; pairs++) {
    const char *equals = strchr(*pairs, '=');
    assert_int_equal(roost_mqtt_put_user_property(properties,
                                                  roost_slice_of(*pairs, (size_t)(equals - *pairs)),
                                                  roost_slice_text(equals + 1)),
                     0);
  }
}

static void metadata_is_an_object_of_texts(void **state) {
  fixture *f = *state;
  static const struct {
    const char *pairs[6];
    const char *json;
  } rows[] = {
      {{"a=b", NULL}, "{\"a\":\"b\"}"},
      {{"a=b", "c=", "=d", NULL}, "{\"a\":\"b\",\"c\":\"\",\"\":\"d\"}"},
      {{"a=1", "b=x", "a=2", "a=3", NULL}, "{\"a\":[\"1\",\"2\",\"3\"],\"b\":\"x\"}"},
      {{"q=\"\\\n", NULL}, "{\"q\":\"\\\"\\\\\\n\"}"},
      {{NULL}, ""},
  };
  for (size_t i = 0; i < ROWS(rows); i++) {
    roost_buffer properties;
    roost_buffer_init(&properties, &f->probe.alloc);
    put(&properties, rows[i].pairs);
    const roost_mqtt_packet packet = {.properties = roost_buffer_slice(&properties)};
    roost_buffer_clear(&f->out);
    assert_int_equal(roost_mqtt_read_metadata(&f->out, &packet), rows[i].pairs[0] != NULL);
    assert_text(roost_buffer_slice(&f->out), rows[i].json);
    roost_buffer_deinit(&properties);
  }
}

static void expect_written(fixture *f, const roost_mqtt_options *options, const char *metadata,
                           const char *const *pairs) {
  roost_buffer expected;
  roost_buffer_init(&expected, &f->probe.alloc);
  put(&expected, pairs);
  roost_buffer_clear(&f->out);
  assert_int_equal(roost_mqtt_write_metadata(&f->out, options, roost_slice_text(metadata)), 0);
  assert_slice(roost_buffer_slice(&f->out), expected.len > 0 ? expected.ptr : "", expected.len);
  roost_buffer_deinit(&expected);
}

static void metadata_goes_out_as_user_properties(void **state) {
  fixture *f = *state;
  const roost_mqtt_pair pairs[] = {{"from", "us"}, {"v", "1"}};
  const roost_mqtt_options none = {.user_property_count = 0};
  const roost_mqtt_options some = {.user_properties = pairs, .user_property_count = 2};
  expect_written(f, &none, NULL, (const char *[]){NULL});
  expect_written(f, &none, "{}", (const char *[]){NULL});
  expect_written(f, &none, "[1]", (const char *[]){NULL});
  expect_written(f, &some, NULL, (const char *[]){"from=us", "v=1", NULL});
  expect_written(f, &some, "{\"v\":\"2\"}", (const char *[]){"from=us", "v=2", NULL});
  expect_written(f, &none, " { \"a\" : 1 , \"b\" : true, \"c\": null, \"d\" : {\"e\": [1]} }",
                 (const char *[]){"a=1", "b=true", "d={\"e\": [1]}", NULL});
  expect_written(f, &none, "{\"a\":[\"x\", 2 ,null,\"y\"],\"b\":[],\"c\":\"\\u00e9\\n\"}",
                 (const char *[]){"a=x", "a=2", "a=y", "c=\xC3\xA9\n", NULL});
}

static void what_is_too_long_is_refused(void **state) {
  fixture *f = *state;
  static char text[70000];
  const roost_mqtt_options none = {.user_property_count = 0};
  memset(text, 'x', sizeof text);
  memcpy(text, "{\"a\":\"", 6);
  text[sizeof text - 3] = '"';
  text[sizeof text - 2] = '}';
  text[sizeof text - 1] = '\0';
  assert_int_equal(roost_mqtt_write_metadata(&f->out, &none, roost_slice_text(text)), ROOST_EINVAL);
  f->probe.refuse_after = 0;
  assert_int_equal(roost_mqtt_write_metadata(&f->out, &none, ROOST_SLICE("{\"a\":\"b\"}")),
                   ROOST_ENOMEM);
}

static void options_are_qos_and_retain(void **state) {
  (void)state;
  static const struct {
    const char *options;
    uint8_t qos;
    bool retain;
    const char *wrong;
  } rows[] = {
      {NULL, 0, false, NULL},
      {"{}", 0, false, NULL},
      {"{\"qos\":1,\"retain\":true}", 1, true, NULL},
      {"{\"priority\":[1,{}],\"retain\":false,\"qos\":0}", 0, false, NULL},
      {"{\"qos\":2}", 2, false, "the broker does not take messages of that QoS"},
      {"{\"qos\":3}", 0, false, "qos is 0, 1 or 2"},
      {"{\"qos\":-1}", 0, false, "qos is 0, 1 or 2"},
      {"{\"qos\":\"1\"}", 0, false, "qos is 0, 1 or 2"},
      {"{\"retain\":1}", 0, false, "retain is true or false"},
  };
  const roost_mqtt_limits limits = {.maximum_qos = 1, .retain_available = true};
  for (size_t i = 0; i < ROWS(rows); i++) {
    roost_mqtt_publish publish = {.qos = 0};
    const char *wrong =
        roost_mqtt_read_options(&publish, &limits, roost_slice_text(rows[i].options));
    assert_true((wrong == NULL) == (rows[i].wrong == NULL));
    if (wrong != NULL)
      assert_string_equal(wrong, rows[i].wrong);
    assert_int_equal(publish.qos, rows[i].qos);
    assert_int_equal(publish.retain, rows[i].retain);
  }
  roost_mqtt_publish publish = {.qos = 0};
  const roost_mqtt_limits bare = {.maximum_qos = 1};
  assert_string_equal(roost_mqtt_read_options(&publish, &bare, ROOST_SLICE("{\"retain\":true}")),
                      "the broker does not retain messages");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(metadata_is_an_object_of_texts, set_up, tear_down),
      cmocka_unit_test_setup_teardown(metadata_goes_out_as_user_properties, set_up, tear_down),
      cmocka_unit_test_setup_teardown(what_is_too_long_is_refused, set_up, tear_down),
      cmocka_unit_test(options_are_qos_and_retain),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
