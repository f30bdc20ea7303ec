#include "mqtt_test.h"

typedef struct row {
  uint8_t level;
  int status;
  const char *bytes;
  const char *packets;
} row;

static const row rows[] = {
    /* CONNACK */
    {5, 0, "20 03 00 00 00", "2\n"},
    {5, 0, "20 03 01 00 00", "2s\n"},
    {5, 0, "20 03 00 87 00", "2 x87\n"},
    {5, 0, "20 06 00 00 03 21 00 14", "2 33:20::\n"},
    {5, ROOST_EPROTO, "20 06 00 00 03 21 00 00", ""}, /* receive maximum 0 */
    {5, ROOST_EPROTO, "20 09 00 00 06 21 00 14 21 00 14", ""},
    {5, ROOST_EPROTO, "20 08 00 00 05 27 00 00 00 00", ""},
    {5, 0, "20 08 00 00 05 27 00 01 00 00", "2 39:65536::\n"},
    {5, ROOST_EPROTO, "20 05 00 00 02 24 02", ""}, /* maximum QoS 2 is said by silence */
    {5, ROOST_EPROTO, "20 05 00 00 02 01 00", ""}, /* a property of PUBLISH */
    {5, ROOST_EPROTO, "20 05 00 00 02 7f 00", ""}, /* no property at all */
    {5, ROOST_EPROTO, "20 05 00 00 02 ff 00", ""},
    {5, ROOST_EPROTO, "20 03 00 05 00", ""}, /* no reason */
    {5, 0, "20 02 00 01", "2 x01\n"},        /* of a broker that knows no level 5 */
    {5, ROOST_EPROTO, "20 02 00 06", ""},
    {5, ROOST_EPROTO, "20 03 02 00 00", ""},
    {5, ROOST_EPROTO, "20 03 01 87 00", ""},
    {5, ROOST_EPROTO, "20 02 00 00", ""},
    {5, ROOST_EPROTO, "20 04 00 00 00 00", ""},
    {5, ROOST_EPROTO, "21 03 00 00 00", ""},
    {4, 0, "20 02 00 00", "2\n"},
    {4, 0, "20 02 01 00", "2s\n"},
    {4, 0, "20 02 00 05", "2 x05\n"},
    {4, ROOST_EPROTO, "20 02 00 06", ""},
    {4, ROOST_EPROTO, "20 03 00 00 00", ""},
    /* PUBLISH */
    {4, 0, "30 05 00 03 'a/b'", "3 q0 a/b=\n"},
    {4, 0, "30 07 00 03 'a/b' '{}'", "3 q0 a/b={}\n"},
    {4, 0, "31 04 00 01 'a' 'x' 3d 06 00 01 'a' 00 07 'y'", "3r q0 a=x\n3dr q2 a=y #7\n"},
    {5, 0, "32 08 00 01 'a' 01 02 00 'xy'", "3 q1 a=xy #258\n"},
    {5, 0, "30 0c 00 01 'a' 07 26 00 01 'k' 00 01 'v' 'x'", "3 q0 a=x 38:0:k:v\n"},
    {5, 0, "30 12 00 01 'a' 0e 26 00 01 'k' 00 01 'v' 26 00 01 'k' 00 01 'w'",
     "3 q0 a= 38:0:k:v 38:0:k:w\n"},
    {5, ROOST_EPROTO, "30 08 00 01 'a' 04 0b 81 01 01", ""}, /* bytes left in the properties */
    {5, 0, "30 07 00 01 'a' 03 0b 81 01", "3 q0 a= 11:129::\n"},
    {5, ROOST_EPROTO, "30 06 00 01 'a' 02 0b 00", ""},
    {5, ROOST_EPROTO, "30 07 00 01 'a' 03 0b 81 00", ""}, /* not in as few bytes as it needs */
    {5, ROOST_EPROTO, "30 07 00 01 'a' 03 23 00 01", ""}, /* an alias that we never allowed */
    {5, 0, "30 08 00 01 'a' 04 08 00 01 'b'", "3 q0 a= 8:0:b:\n"},
    {5, 0, "30 08 00 01 'a' 04 08 00 01 '#'", "3 q0 a= 8:0:#:\n"}, /* a publisher's fault */
    {5, 0, "30 06 00 01 'a' 02 01 01", "3 q0 a= 1:1::\n"},
    {5, ROOST_EPROTO, "30 06 00 01 'a' 02 01 02", ""},
    {5, ROOST_EPROTO, "30 04 00 01 'a' 01", ""},
    {5, ROOST_EPROTO, "30 03 00 01 'a'", ""}, /* no properties' length */
    {4, ROOST_EPROTO, "30 02 00 00", ""},
    {4, ROOST_EPROTO, "30 03 00 01 '#'", ""},
    {4, ROOST_EPROTO, "30 05 00 03 'a/+'", ""},
    {4, ROOST_EPROTO, "30 03 00 01 00", ""},
    {4, ROOST_EPROTO, "30 03 00 01 ff", ""},
    {4, ROOST_EPROTO, "30 03 00 02 'a'", ""},
    {4, ROOST_EPROTO, "30 01 00", ""},
    {4, ROOST_EPROTO, "32 05 00 01 'a' 00 00", ""},
    {4, ROOST_EPROTO, "32 04 00 01 'a' 00", ""},
    {4, ROOST_EPROTO, "36", ""},
    {4, ROOST_EPROTO, "38", ""},
    /* its answers */
    {4, 0, "40 02 00 01 50 02 00 02 62 02 00 03 70 02 00 04", "4 #1\n5 #2\n6 #3\n7 #4\n"},
    {4, ROOST_EPROTO, "40 02 00 00", ""},
    {4, ROOST_EPROTO, "40 03 00 01 00", ""},
    {4, ROOST_EPROTO, "40 01 00", ""},
    {4, ROOST_EPROTO, "60", ""},
    {4, ROOST_EPROTO, "42", ""},
    {5, 0, "40 02 00 01 40 03 00 02 10 40 04 00 03 97 00", "4 #1\n4 #2 x10\n4 #3 x97\n"},
    {5, 0, "50 08 00 01 80 04 1f 00 01 'w'", "5 #1 x80 31:0:w:\n"},
    {5, ROOST_EPROTO, "70 03 00 01 10", ""},
    {5, ROOST_EPROTO, "40 03 00 01 01", ""},
    {5, ROOST_EPROTO, "40 04 00 01 00 01", ""},
    /* SUBACK, UNSUBACK */
    {4, 0, "90 05 00 01 00 02 80", "9 #1 y00 y02 y80\n"},
    {4, ROOST_EPROTO, "90 03 00 01 87", ""},
    {4, ROOST_EPROTO, "90 02 00 01", ""},
    {5, 0, "90 05 00 01 00 01 87", "9 #1 y01 y87\n"},
    {5, ROOST_EPROTO, "90 04 00 01 00 03", ""},
    {5, ROOST_EPROTO, "90 03 00 01 00", ""},
    {4, 0, "b0 02 00 01", "11 #1\n"},
    {4, ROOST_EPROTO, "b0 03 00 01 00", ""},
    {5, 0, "b0 05 00 01 00 00 11", "11 #1 y00 y11\n"},
    {5, ROOST_EPROTO, "b0 04 00 01 00 01", ""},
    /* the rest */
    {5, 0, "d0 00", "13\n"},
    {5, ROOST_EPROTO, "d0 01 00", ""},
    {5, 0, "e0 00 e0 01 8b", "14\n14 x8b\n"},
    {5, 0, "e0 06 8e 04 1f 00 01 'w'", "14 x8e 31:0:w:\n"},
    {5, ROOST_EPROTO, "e0 01 04", ""},
    {4, ROOST_EPROTO, "e0 00", ""},
    {4, ROOST_EPROTO, "f0 00", ""},
    {5, 0, "f0 00 f0 02 18 00", "15\n15 x18\n"},
    {5, ROOST_EPROTO, "f0 02 01 00", ""},
    {5, ROOST_EPROTO, "10", ""}, /* what only clients send */
    {5, ROOST_EPROTO, "82", ""},
    {5, ROOST_EPROTO, "a2", ""},
    {5, ROOST_EPROTO, "c0", ""},
    {5, ROOST_EPROTO, "00", ""},
    /* lengths */
    {4, ROOST_EPROTO, "30 80 80 80 80", ""},
    {4, ROOST_EPROTO, "d0 80 00", ""},
    {4, ROOST_EFULL, "90 65", ""},
    {4, ROOST_EFULL, "90 ff ff ff 7f", ""},
    /* a PUBLISH over the limit: its topic, then the next packet */
    {4, 0,
     "32 69 00 03 'a/b' 00 07 '00000000001111111111222222222233333333334444444444555555555566666666"
     "667777777777888888888812345678' d0 00",
     "3! q1 a/b= #7\n13\n"},
    {4, 0, "30 ff 01 00 02 'ab' 'xyz'", "3! q0 ab=\n"},
    {4, ROOST_EPROTO, "30 70 00 70", ""},
    {4, ROOST_EPROTO, "32 70 00 6d", ""},
    {4, ROOST_EPROTO, "30 70 00 00", ""},
};

static void reads_every_row_however_it_is_cut(void **state) {
  fixture *f = *state;
  for (size_t i = 0; i < ROWS(rows); i++) {
    const roost_slice bytes = bytes_of(rows[i].bytes);
    for (size_t chunk = 1; chunk <= bytes.len; chunk++) {
      roost_mqtt_reader reader;
      roost_mqtt_reader_init(&reader, &f->probe.alloc, rows[i].level, LARGEST);
      roost_buffer_clear(&f->out);
      const int status = read_chunks(f, &reader, bytes, chunk);
      if (status != rows[i].status || strlen(rows[i].packets) != f->out.len)
        print_error("row %zu, \"%s\" in pieces of %zu: %d \"%.*s\"\n", i, rows[i].bytes, chunk,
                    status, (int)f->out.len, f->out.len > 0 ? f->out.ptr : "");
      assert_int_equal(status, rows[i].status);
      assert_text(roost_buffer_slice(&f->out), rows[i].packets);
      assert_true((status < 0) == (reader.error != NULL));
      roost_mqtt_reader_deinit(&reader);
    }
    free_copy(bytes);
  }
}

static void a_failure_is_final(void **state) {
  fixture *f = *state;
  roost_mqtt_reader reader;
  roost_mqtt_packet packet;
  roost_slice bad = ROOST_SLICE("\x10");
  roost_slice good = ROOST_SLICE("\xd0\x00");
  roost_mqtt_reader_init(&reader, &f->probe.alloc, 5, LARGEST);
  assert_int_equal(roost_mqtt_read(&reader, &bad, &packet), ROOST_EPROTO);
  assert_string_equal(reader.error, "a packet that a broker can't send");
  assert_int_equal(roost_mqtt_read(&reader, &good, &packet), ROOST_EPROTO);
  roost_mqtt_reader_deinit(&reader);
}

static void borrows_what_is_whole_and_grows_with_what_arrived(void **state) {
  fixture *f = *state;
  static char body[300000];
  roost_mqtt_reader reader;
  roost_mqtt_packet packet;
  roost_slice whole = ROOST_SLICE("\x30\x05\x00\x01"
                                  "axy"
                                  "\x30\x80\x89\x7a\x00\x01"
                                  "a");
  const char *payload = whole.ptr + 5;
  memset(body, 'x', sizeof body);
  roost_mqtt_reader_init(&reader, &f->probe.alloc, 4, 1 << 30);
  assert_int_equal(roost_mqtt_read(&reader, &whole, &packet), 1);
  assert_ptr_equal(packet.payload.ptr, payload);
  assert_int_equal(f->probe.asked, 0);
  assert_int_equal(roost_mqtt_read(&reader, &whole, &packet), 0); /* 2,000,000 bytes are declared */
  assert_true(roost_mqtt_reader_memory(&reader) <= 64);
  for (size_t left = 2000000 - 3; left > 0;) {
    const size_t n = left < sizeof body ? left : sizeof body;
    roost_slice part = {body, n};
    left -= n;
    assert_int_equal(roost_mqtt_read(&reader, &part, &packet), left == 0);
  }
  assert_int_equal(packet.payload.len, 2000000 - 3);
  roost_slice nothing = {NULL, 0};
  assert_int_equal(roost_mqtt_read(&reader, &nothing, &packet), 0);
  assert_int_equal(roost_mqtt_reader_memory(&reader), 0);
  roost_mqtt_reader_deinit(&reader);
}

static void what_is_too_large_is_not_kept(void **state) {
  fixture *f = *state;
  static char body[70000];
  roost_mqtt_reader reader;
  roost_mqtt_packet packet;
  roost_slice head = ROOST_SLICE("\x32\x80\x80\x80\x05\x00\x01"
                                 "a\x00\x09");
  memset(body, 'x', sizeof body);
  roost_mqtt_reader_init(&reader, &f->probe.alloc, 4, 1000);
  assert_int_equal(roost_mqtt_read(&reader, &head, &packet), 1);
  assert_true(packet.too_large);
  assert_int_equal(packet.id, 9);
  for (size_t left = (size_t)10 * 1024 * 1024 - 5; left > 0;) {
    const size_t n = left < sizeof body ? left : sizeof body;
    roost_slice part = {body, n};
    left -= n;
    assert_int_equal(roost_mqtt_read(&reader, &part, &packet), 0);
    assert_true(roost_mqtt_reader_memory(&reader) <= 1024);
  }
  roost_slice next = ROOST_SLICE("\x30\x04\x00\x01"
                                 "ay");
  assert_int_equal(roost_mqtt_read(&reader, &next, &packet), 1);
  assert_text(packet.payload, "y");
  roost_mqtt_reader_deinit(&reader);
}

static void without_memory_it_says_so(void **state) {
  fixture *f = *state;
  roost_mqtt_reader reader;
  roost_mqtt_packet packet;
  roost_slice part = ROOST_SLICE("\x30\x05\x00\x01");
  roost_mqtt_reader_init(&reader, &f->probe.alloc, 4, LARGEST);
  f->probe.refuse_after = 0;
  assert_int_equal(roost_mqtt_read(&reader, &part, &packet), ROOST_ENOMEM);
  roost_mqtt_reader_deinit(&reader);
}

static void knows_what_a_broker_allows(void **state) {
  (void)state;
  const roost_slice bytes =
      bytes_of("20 2a 00 00 27 29 00 21 00 14 27 00 01 00 00 24 01 25 00 28 00 2a 00 "
               "13 00 1e 12 00 03 'abc' 1f 00 02 'no' 26 00 01 'k' 00 01 'v'");
  roost_mqtt_reader reader;
  roost_mqtt_packet packet;
  roost_mqtt_limits limits;
  roost_slice rest = bytes;
  roost_mqtt_reader_init(&reader, roost_alloc_default(), 5, LARGEST);
  assert_int_equal(roost_mqtt_read(&reader, &rest, &packet), 1);
  roost_mqtt_limits_read(&limits, &packet);
  assert_int_equal(limits.receive_maximum, 20);
  assert_int_equal(limits.maximum_packet_size, 65536);
  assert_int_equal(limits.maximum_qos, 1);
  assert_false(limits.retain_available);
  assert_false(limits.wildcard_available);
  assert_false(limits.shared_available);
  assert_false(limits.identifiers_available);
  assert_true(limits.has_keep_alive);
  assert_int_equal(limits.keep_alive_s, 30);
  assert_text(limits.client_id, "abc");

  roost_mqtt_property why;
  assert_true(roost_mqtt_property_find(&packet, ROOST_MQTT_REASON_STRING, &why));
  assert_text(why.text, "no");
  free_copy(bytes);

  packet.properties = (roost_slice){NULL, 0};
  roost_mqtt_limits_read(&limits, &packet);
  assert_int_equal(limits.receive_maximum, 65535);
  assert_int_equal(limits.maximum_qos, 2);
  assert_true(limits.retain_available && limits.wildcard_available && limits.shared_available);
  assert_true(limits.identifiers_available);
  assert_false(limits.has_keep_alive);
  assert_null(limits.client_id.ptr);
  roost_mqtt_reader_deinit(&reader);
}

static void reasons_have_texts(void **state) {
  (void)state;
  assert_string_equal(roost_mqtt_reason_text(4, true, 5), "Not authorized");
  assert_string_equal(roost_mqtt_reason_text(5, true, 0x87), "Not authorized");
  assert_string_equal(roost_mqtt_reason_text(5, true, 1), "Unacceptable protocol version");
  assert_string_equal(roost_mqtt_reason_text(4, false, 0x80), "Unspecified error");
  assert_string_equal(roost_mqtt_reason_text(5, false, 0x9d), "Server moved");
  assert_string_equal(roost_mqtt_reason_text(5, false, 0xfe), "Unknown reason");
  assert_string_equal(roost_mqtt_reason_text(4, true, 9), "Unknown reason");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(reads_every_row_however_it_is_cut, set_up, tear_down),
      cmocka_unit_test_setup_teardown(a_failure_is_final, set_up, tear_down),
      cmocka_unit_test_setup_teardown(borrows_what_is_whole_and_grows_with_what_arrived, set_up,
                                      tear_down),
      cmocka_unit_test_setup_teardown(what_is_too_large_is_not_kept, set_up, tear_down),
      cmocka_unit_test_setup_teardown(without_memory_it_says_so, set_up, tear_down),
      cmocka_unit_test(knows_what_a_broker_allows),
      cmocka_unit_test(reasons_have_texts),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
