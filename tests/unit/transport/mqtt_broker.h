/*
 * mqtt_broker.h - a broker that the test plays, at the other end of connections in memory. Packets
 * are written as in wire/mqtt_test.h: "d0 00", "30 05 00 03 'a/b'".
 */
#ifndef ROOST_TESTS_MQTT_BROKER_H
#define ROOST_TESTS_MQTT_BROKER_H

#include "net/net_test.h"

#include "transport/mqtt.h"
#include "wire/mqtt_test.h"

/* CONNECT as these tests have it. */
#define CONNECT_5 "10 17 00 04 'MQTT' 05 02 00 00 08 21 04 00 27 00 10 00 05 00 02 'me'"
#define CONNECT_4 "10 0e 00 04 'MQTT' 04 02 00 00 00 02 'me'"
#define KEPT_5    "10 1c 00 04 'MQTT' 05 00 00 00 0d 11 ff ff ff ff 21 04 00 27 00 10 00 05 00 02 'me'"
#define CONNACK   "20 03 00 00 00"
#define PRESENT   "20 03 01 00 00"

typedef struct mqtt_broker {
  net_test test;
  net_record peer;   /* the connection dialled last */
  net_record before; /* those before, which are closed */
  unsigned dials;
  bool refuses; /* whoever dials */
  roost_mqtt_options options;
} mqtt_broker;

static inline int mqtt_broker_dial(void *ud, roost_conn **out, const roost_conn_ops *ops,
                                   void *ops_ud) {
  mqtt_broker *self = ud;
  roost_conn *far;
  self->dials++;
  if (self->refuses)
    return ROOST_ECONNECT;
  const int status = roost_conn_pair(out, &far, self->test.loop);
  if (status != 0)
    return status;
  roost_conn_set_ops(*out, ops, ops_ud);
  if (self->peer.conn != NULL) {
    roost_conn_set_ops(self->peer.conn, &net_record_ops, &self->before);
    roost_conn_close(self->peer.conn);
  }
  net_record_deinit(&self->peer);
  net_record_init(&self->peer, far);
  return 1;
}

static inline void mqtt_broker_init(mqtt_broker *self) {
  memset(self, 0, sizeof *self);
  net_test_init(&self->test);
  net_record_init(&self->peer, NULL);
  net_record_init(&self->before, NULL);
  self->options =
      (roost_mqtt_options){.broker.endpoint = {"broker", 1883}, .client_id = "me", .clean = true};
}

static inline void mqtt_broker_deinit(mqtt_broker *self) {
  net_test_turns(&self->test, 4);
  net_test_deinit(&self->test);
  net_record_deinit(&self->peer);
  net_record_deinit(&self->before);
}

static inline void mqtt_turns(mqtt_broker *self) {
  net_test_turns(&self->test, 6);
}

/* What came since the last time is exactly this. */
static inline void mqtt_expect(mqtt_broker *self, const char *spec) {
  const roost_slice bytes = bytes_of(spec);
  mqtt_turns(self);
  if (!roost_slice_equal(roost_buffer_slice(&self->peer.bytes), bytes)) {
    for (size_t i = 0; i < self->peer.bytes.len; i++)
      print_error("%02x ", (uint8_t)self->peer.bytes.ptr[i]);
    print_error("\n%.*s\n", (int)self->peer.bytes.len, self->peer.bytes.ptr);
    fail_msg("expected %s", spec);
  }
  roost_buffer_clear(&self->peer.bytes);
  free_copy(bytes);
}

static inline void mqtt_send(mqtt_broker *self, const char *spec) {
  const roost_slice bytes = bytes_of(spec);
  if (self->peer.conn != NULL) {
    assert_int_equal(roost_buffer_append_slice(roost_conn_out(self->peer.conn), bytes), 0);
    roost_conn_dirty(self->peer.conn);
  }
  free_copy(bytes);
  mqtt_turns(self);
}

static inline void mqtt_break_off(mqtt_broker *self) {
  roost_conn_close(self->peer.conn);
  mqtt_turns(self);
}

#endif
