#include "mqtt_test.h"

static void expect(fixture *f, const char *spec) {
  const roost_slice bytes = bytes_of(spec);
  assert_slice(roost_buffer_slice(&f->out), bytes.ptr, bytes.len);
  roost_buffer_clear(&f->out);
  free_copy(bytes);
}

static void writes_connect(void **state) {
  fixture *f = *state;
  roost_mqtt_connect connect = {
      .level = 4, .clean = true, .keep_alive_s = 60, .client_id = ROOST_SLICE("me")};
  assert_int_equal(roost_mqtt_write_connect(&f->out, &connect), 0);
  expect(f, "10 0e 00 04 'MQTT' 04 02 00 3c 00 02 'me'");

  connect.username = ROOST_SLICE("u");
  connect.password = roost_slice_of("\xff\0", 2);
  connect.clean = false;
  assert_int_equal(roost_mqtt_write_connect(&f->out, &connect), 0);
  expect(f, "10 15 00 04 'MQTT' 04 c0 00 3c 00 02 'me' 00 01 'u' 00 02 ff 00");

  connect.level = 5;
  connect.password = (roost_slice){NULL, 0};
  connect.session_expiry_s = UINT32_MAX;
  connect.receive_maximum = 20;
  connect.maximum_packet_size = 0x10000;
  assert_int_equal(roost_mqtt_write_connect(&f->out, &connect), 0);
  expect(f, "10 1f 00 04 'MQTT' 05 80 00 3c 0d 11 ff ff ff ff 21 00 14 27 00 01 00 00 00 02 'me' "
            "00 01 'u'");

  connect = (roost_mqtt_connect){.level = 5, .clean = true};
  assert_int_equal(roost_mqtt_write_connect(&f->out, &connect), 0);
  expect(f, "10 0d 00 04 'MQTT' 05 02 00 00 00 00 00");
}

static void connect_refuses_what_is_no_text(void **state) {
  fixture *f = *state;
  static char text[65536];
  memset(text, 'x', sizeof text);
  roost_mqtt_connect connect = {.level = 5, .client_id = ROOST_SLICE("a\xff")};
  assert_int_equal(roost_mqtt_write_connect(&f->out, &connect), ROOST_EINVAL);
  connect.client_id = roost_slice_of("a\0", 2);
  assert_int_equal(roost_mqtt_write_connect(&f->out, &connect), ROOST_EINVAL);
  connect.client_id = ROOST_SLICE("a");
  connect.password = roost_slice_of(text, sizeof text);
  assert_int_equal(roost_mqtt_write_connect(&f->out, &connect), ROOST_EINVAL);
  connect.password.len--;
  assert_int_equal(roost_mqtt_write_connect(&f->out, &connect), 0);
}

static void writes_subscriptions(void **state) {
  fixture *f = *state;
  const roost_mqtt_subscription both[] = {{ROOST_SLICE("a/+"), 1, true},
                                          {ROOST_SLICE("b"), 2, false}};
  const roost_slice filters[] = {ROOST_SLICE("a/+"), ROOST_SLICE("b")};
  assert_int_equal(roost_mqtt_write_subscribe(&f->out, 4, 258, 7, both, 2), 0);
  expect(f, "82 0c 01 02 00 03 'a/+' 01 00 01 'b' 02");
  assert_int_equal(roost_mqtt_write_subscribe(&f->out, 5, 258, 300, both + 1, 1), 0);
  expect(f, "82 0a 01 02 03 0b ac 02 00 01 'b' 02");
  assert_int_equal(roost_mqtt_write_subscribe(&f->out, 5, 258, 0, both, 2), 0);
  expect(f, "82 0d 01 02 00 00 03 'a/+' 05 00 01 'b' 02");
  assert_int_equal(roost_mqtt_write_unsubscribe(&f->out, 4, 3, filters, 2), 0);
  expect(f, "a2 0a 00 03 00 03 'a/+' 00 01 'b'");
  assert_int_equal(roost_mqtt_write_unsubscribe(&f->out, 5, 3, filters, 1), 0);
  expect(f, "a2 08 00 03 00 00 03 'a/+'");
}

static void writes_answers(void **state) {
  fixture *f = *state;
  assert_int_equal(roost_mqtt_write_answer(&f->out, 4, ROOST_MQTT_PUBACK, 1, 0x80), 0);
  expect(f, "40 02 00 01");
  assert_int_equal(roost_mqtt_write_answer(&f->out, 5, ROOST_MQTT_PUBREC, 1, 0x80), 0);
  expect(f, "50 03 00 01 80");
  assert_int_equal(roost_mqtt_write_answer(&f->out, 5, ROOST_MQTT_PUBREL, 1, 0), 0);
  expect(f, "62 02 00 01");
  assert_int_equal(roost_mqtt_write_answer(&f->out, 5, ROOST_MQTT_PUBCOMP, 1, 0x92), 0);
  expect(f, "70 03 00 01 92");
  assert_int_equal(roost_mqtt_write_ping(&f->out), 0);
  expect(f, "c0 00");
  assert_int_equal(roost_mqtt_write_disconnect(&f->out, 5, 0), 0);
  expect(f, "e0 00");
  assert_int_equal(roost_mqtt_write_disconnect(&f->out, 5, 4), 0);
  expect(f, "e0 01 04");
  assert_int_equal(roost_mqtt_write_disconnect(&f->out, 4, 4), 0);
  expect(f, "e0 00");
}

static void writes_a_publish_in_place(void **state) {
  fixture *f = *state;
  roost_mqtt_mark mark;
  roost_buffer properties;
  roost_buffer_init(&properties, &f->probe.alloc);
  assert_int_equal(roost_mqtt_put_user_property(&properties, ROOST_SLICE("k"), ROOST_SLICE("v")),
                   0);
  assert_int_equal(roost_mqtt_put_user_property(&properties, ROOST_SLICE("\xff"), ROOST_SLICE("v")),
                   ROOST_EINVAL);
  roost_mqtt_publish publish = {.dup = true,
                                .retain = true,
                                .qos = 2,
                                .id = 258,
                                .topic = ROOST_SLICE("a/b"),
                                .properties = roost_buffer_slice(&properties)};
  for (unsigned guess = 0; guess < 6; guess++) {
    assert_int_equal(roost_mqtt_publish_begin(&f->out, &mark, 5, &publish, guess), 0);
    assert_int_equal(roost_buffer_append(&f->out, "{}", 2), 0);
    assert_int_equal(roost_mqtt_publish_end(&f->out, &mark, 0), 1);
    expect(f, "3d 11 00 03 'a/b' 01 02 07 26 00 01 'k' 00 01 'v' '{}'");
  }
  publish = (roost_mqtt_publish){.topic = ROOST_SLICE("a/b")};
  assert_int_equal(roost_mqtt_publish_begin(&f->out, &mark, 4, &publish, 2), 0);
  assert_int_equal(roost_mqtt_publish_end(&f->out, &mark, 7), 1);
  expect(f, "30 05 00 03 'a/b'");
  assert_int_equal(roost_mqtt_publish_begin(&f->out, &mark, 5, &publish, 2), 0);
  assert_int_equal(roost_mqtt_publish_end(&f->out, &mark, 7), ROOST_EFULL);
  assert_int_equal(f->out.len, 0);
  roost_buffer_deinit(&properties);
}

/* Lengths around each border, after something else in the buffer, whatever was guessed. */
static void what_was_written_is_read(void **state) {
  fixture *f = *state;
  static const size_t sizes[] = {0, 124, 125, 16380, 16381, 2097148, 2097149};
  static char payload[2097149];
  const roost_mqtt_publish publish = {.topic = ROOST_SLICE("a")};
  memset(payload, 'x', sizeof payload);
  for (size_t i = 0; i < ROWS(sizes) * 4; i++) {
    const size_t size = sizes[i / 4];
    roost_mqtt_mark mark;
    roost_mqtt_reader reader;
    roost_mqtt_packet packet;
    roost_buffer_clear(&f->out);
    assert_int_equal(roost_mqtt_write_answer(&f->out, 4, ROOST_MQTT_PUBACK, 1, 0), 0);
    assert_int_equal(roost_mqtt_publish_begin(&f->out, &mark, 4, &publish, 1 + (unsigned)(i % 4)),
                     0);
    assert_int_equal(roost_buffer_append(&f->out, payload, size), 0);
    assert_int_equal(roost_mqtt_publish_end(&f->out, &mark, 0), 1 + i / 4 / 2);
    roost_slice rest = roost_buffer_slice(&f->out);
    roost_mqtt_reader_init(&reader, &f->probe.alloc, 4, 1 << 30);
    assert_int_equal(roost_mqtt_read(&reader, &rest, &packet), 1);
    assert_int_equal(roost_mqtt_read(&reader, &rest, &packet), 1);
    assert_slice(packet.payload, payload, size);
    assert_int_equal(rest.len, 0);
    roost_mqtt_reader_deinit(&reader);
  }
}

static void without_memory_nothing_is_written(void **state) {
  fixture *f = *state;
  const roost_mqtt_connect connect = {.level = 5, .client_id = ROOST_SLICE("a")};
  const roost_mqtt_subscription one = {ROOST_SLICE("a"), 0, false};
  const roost_mqtt_publish publish = {.topic = ROOST_SLICE("a")};
  const roost_slice filter = ROOST_SLICE("a");
  roost_mqtt_mark mark;
  f->probe.refuse_after = 0;
  assert_int_equal(roost_mqtt_write_connect(&f->out, &connect), ROOST_ENOMEM);
  assert_int_equal(roost_mqtt_write_subscribe(&f->out, 5, 1, 0, &one, 1), ROOST_ENOMEM);
  assert_int_equal(roost_mqtt_write_unsubscribe(&f->out, 5, 1, &filter, 1), ROOST_ENOMEM);
  assert_int_equal(roost_mqtt_write_answer(&f->out, 5, ROOST_MQTT_PUBACK, 1, 0), ROOST_ENOMEM);
  assert_int_equal(roost_mqtt_write_ping(&f->out), ROOST_ENOMEM);
  assert_int_equal(roost_mqtt_write_disconnect(&f->out, 5, 0), ROOST_ENOMEM);
  assert_int_equal(roost_mqtt_put_user_property(&f->out, filter, filter), ROOST_ENOMEM);
  assert_int_equal(roost_mqtt_publish_begin(&f->out, &mark, 5, &publish, 1), ROOST_ENOMEM);
  assert_int_equal(f->out.len, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(writes_connect, set_up, tear_down),
      cmocka_unit_test_setup_teardown(connect_refuses_what_is_no_text, set_up, tear_down),
      cmocka_unit_test_setup_teardown(writes_subscriptions, set_up, tear_down),
      cmocka_unit_test_setup_teardown(writes_answers, set_up, tear_down),
      cmocka_unit_test_setup_teardown(writes_a_publish_in_place, set_up, tear_down),
      cmocka_unit_test_setup_teardown(what_was_written_is_read, set_up, tear_down),
      cmocka_unit_test_setup_teardown(without_memory_nothing_is_written, set_up, tear_down),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
