#include "transport/rmq_test.h"

#include "wire/json.h"

#define MOST_BODY 4000000

typedef struct codec_test {
  roost_rmq_codec *codec;
  roost_buffer in;  /* what the broker sends */
  roost_buffer out; /* what was written */
  roost_rmq_event event;
  const char *why;
} codec_test;

static int setup(void **state) {
  codec_test *self = calloc(1, sizeof *self);
  assert_non_null(self);
  assert_int_equal(roost_rmq_codec_new(&self->codec, roost_alloc_default(), MOST_BODY), 0);
  roost_buffer_init(&self->in, roost_alloc_default());
  roost_buffer_init(&self->out, roost_alloc_default());
  *state = self;
  return 0;
}

static int teardown(void **state) {
  codec_test *self = *state;
  roost_rmq_codec_free(self->codec);
  roost_buffer_deinit(&self->in);
  roost_buffer_deinit(&self->out);
  free(self);
  return 0;
}

/* Reads all that was put, which is one event, and forgets it. */
static int read_all(codec_test *self) {
  roost_slice input = roost_buffer_slice(&self->in);
  const int status = roost_rmq_read(self->codec, &input, &self->event, &self->why);
  if (status >= 0)
    assert_int_equal(input.len, 0);
  return status;
}

static void expect(codec_test *self, roost_rmq_kind kind) {
  assert_int_equal(read_all(self), 1);
  assert_int_equal(self->event.kind, kind);
  roost_buffer_clear(&self->in);
}

static void expect_broken(codec_test *self, const char *why) {
  assert_int_equal(read_all(self), ROOST_EPROTO);
  assert_string_equal(self->why, why);
  roost_buffer_clear(&self->in);
  roost_rmq_codec_free(self->codec);
  assert_int_equal(roost_rmq_codec_new(&self->codec, roost_alloc_default(), MOST_BODY), 0);
}

static void assert_text(roost_slice text, const char *expected) {
  if (expected == NULL) {
    assert_null(text.ptr);
    return;
  }
  assert_non_null(text.ptr);
  if (!roost_slice_equal(text, roost_slice_text(expected)))
    fail_msg("\"%.*s\" is not \"%s\"", (int)text.len, text.ptr, expected);
}

/* ------------------------------------------------------------------------- reading ----------- */

static void test_connection_methods(void **state) {
  codec_test *self = *state;
  rmq_start(&self->in);
  expect(self, ROOST_RMQ_START);
  assert_text(self->event.text, "PLAIN AMQPLAIN");
  rmq_tune(&self->in, 2047, 131072, 60);
  expect(self, ROOST_RMQ_TUNE);
  assert_int_equal(self->event.channel_max, 2047);
  assert_int_equal(self->event.frame_max, 131072);
  assert_int_equal(self->event.heartbeat_s, 60);
  rmq_said(&self->in, 0, RMQ_OPEN_OK, "", 0);
  expect(self, ROOST_RMQ_OPEN_OK);
  rmq_said(&self->in, 0, RMQ_BLOCKED, "low on memory", 0);
  expect(self, ROOST_RMQ_BLOCKED);
  assert_text(self->event.text, "low on memory");
  rmq_method(&self->in, 0, RMQ_UNBLOCKED, NULL);
  expect(self, ROOST_RMQ_UNBLOCKED);
  rmq_close(&self->in, 0, 320, "CONNECTION_FORCED");
  expect(self, ROOST_RMQ_CLOSE);
  assert_int_equal(self->event.code, 320);
  assert_text(self->event.text, "CONNECTION_FORCED");
  rmq_method(&self->in, 0, RMQ_CLOSE_OK, NULL);
  expect(self, ROOST_RMQ_CLOSE_OK);
  rmq_frame(&self->in, 8, 0, "", 0);
  expect(self, ROOST_RMQ_HEARTBEAT);
  roost_buffer secure = rmq_fields();
  rmq_text(&secure, "more", 4);
  rmq_method(&self->in, 0, RMQ_SECURE, &secure);
  expect(self, ROOST_RMQ_SECURE);
}

static void test_channel_methods(void **state) {
  codec_test *self = *state;
  const struct {
    uint32_t method;
    roost_rmq_kind kind;
  } bare[] = {{RMQ_CHANNEL_CLOSE_OK, ROOST_RMQ_CHANNEL_CLOSE_OK},
              {RMQ_EXCHANGE_OK, ROOST_RMQ_EXCHANGE_OK},
              {RMQ_BIND_OK, ROOST_RMQ_BIND_OK},
              {RMQ_UNBIND_OK, ROOST_RMQ_UNBIND_OK},
              {RMQ_QOS_OK, ROOST_RMQ_QOS_OK},
              {RMQ_CONFIRM_OK, ROOST_RMQ_CONFIRM_OK}};
  for (size_t i = 0; i < sizeof bare / sizeof *bare; i++) {
    rmq_method(&self->in, 3, bare[i].method, NULL);
    expect(self, bare[i].kind);
    assert_int_equal(self->event.channel, 3);
  }
  roost_buffer opened = rmq_fields();
  rmq_text(&opened, "", 4);
  rmq_method(&self->in, 1, RMQ_CHANNEL_OPEN_OK, &opened);
  expect(self, ROOST_RMQ_CHANNEL_OPEN_OK);
  rmq_close(&self->in, 1, 404, "NOT_FOUND - no exchange 'x' in vhost '/'");
  expect(self, ROOST_RMQ_CHANNEL_CLOSE);
  assert_int_equal(self->event.code, 404);
  assert_text(self->event.text, "NOT_FOUND - no exchange 'x' in vhost '/'");
  roost_buffer flow = rmq_fields();
  rmq_number(&flow, 1, 1);
  rmq_method(&self->in, 1, RMQ_FLOW, &flow);
  expect(self, ROOST_RMQ_CHANNEL_FLOW);
  assert_true(self->event.active);
}

static void test_queue_methods(void **state) {
  codec_test *self = *state;
  rmq_said(&self->in, 1, RMQ_QUEUE_OK, "amq.gen-1", 8);
  expect(self, ROOST_RMQ_QUEUE_OK);
  assert_text(self->event.text, "amq.gen-1");
  rmq_said(&self->in, 1, RMQ_CONSUME_OK, "tag", 0);
  expect(self, ROOST_RMQ_CONSUME_OK);
  assert_text(self->event.text, "tag");
  rmq_said(&self->in, 1, RMQ_CANCEL_OK, "tag", 0);
  expect(self, ROOST_RMQ_CANCEL_OK);
  assert_text(self->event.text, "tag");
  rmq_said(&self->in, 1, RMQ_CANCEL, "tag", 1);
  expect(self, ROOST_RMQ_CANCEL);
  assert_text(self->event.text, "tag");
  assert_true(self->event.wants_answer);
  const uint32_t confirms[] = {RMQ_ACK, RMQ_NACK};
  for (size_t i = 0; i < 2; i++) {
    roost_buffer fields = rmq_fields();
    rmq_number(&fields, 1ULL << 40, 8);
    rmq_number(&fields, 1, 1);
    rmq_method(&self->in, 1, confirms[i], &fields);
    expect(self, i == 0 ? ROOST_RMQ_ACK : ROOST_RMQ_NACK);
    assert_true(self->event.tag == 1ULL << 40);
    assert_true(self->event.multiple);
  }
  rmq_method(&self->in, 1, RMQ_METHOD(90, 11), NULL);
  expect(self, ROOST_RMQ_OTHER);
}

static void check_delivery(const codec_test *self, const char *body) {
  const roost_rmq_content *content = &self->event.content;
  assert_int_equal(self->event.kind, ROOST_RMQ_DELIVERY);
  assert_int_equal(self->event.channel, 1);
  assert_int_equal(self->event.tag, 7);
  assert_true(self->event.redelivered);
  assert_text(content->consumer_tag, "consumer");
  assert_text(content->exchange, "");
  assert_text(content->routing_key, "queue");
  assert_text(content->properties.reply_to, "amq.rabbitmq.reply-to");
  assert_text(content->properties.correlation_id, "3dcfcb87bd4bf06ff701b");
  assert_text(content->properties.headers, NULL);
  assert_int_equal(content->properties.priority, -1);
  assert_text(content->body, body);
  assert_false(content->is_too_large);
}

static void put_delivery(codec_test *self, const char *body) {
  rmq_delivery(&self->in, 7, body, "amq.rabbitmq.reply-to", "3dcfcb87bd4bf06ff701b");
}

static void test_delivery(void **state) {
  codec_test *self = *state;
  put_delivery(self, "{\"pattern\":1}");
  expect(self, ROOST_RMQ_DELIVERY);
  check_delivery(self, "{\"pattern\":1}");
  put_delivery(self, "");
  expect(self, ROOST_RMQ_DELIVERY);
  check_delivery(self, "");
}

static void test_byte_by_byte(void **state) {
  codec_test *self = *state;
  put_delivery(self, "first");
  put_delivery(self, "second");
  unsigned events = 0;
  for (size_t i = 0; i < self->in.len; i++) {
    roost_slice input = {self->in.ptr + i, 1};
    const int status = roost_rmq_read(self->codec, &input, &self->event, &self->why);
    assert_int_equal(input.len, 0);
    if (status == 1)
      check_delivery(self, events++ == 0 ? "first" : "second");
    else
      assert_int_equal(status, 0);
  }
  assert_int_equal(events, 2);
}

static void test_several_in_one(void **state) {
  codec_test *self = *state;
  for (unsigned i = 0; i < 3; i++)
    put_delivery(self, "x");
  roost_slice input = roost_buffer_slice(&self->in);
  for (unsigned i = 0; i < 3; i++) {
    assert_int_equal(roost_rmq_read(self->codec, &input, &self->event, &self->why), 1);
    check_delivery(self, "x");
  }
  assert_int_equal(roost_rmq_read(self->codec, &input, &self->event, &self->why), 0);
}

/* A body in several frames, with a heartbeat and another channel's method between. */
static void test_body_in_frames(void **state) {
  codec_test *self = *state;
  rmq_deliver_method(&self->in, 1, 7, "", "queue");
  rmq_header(&self->in, 1, 6, "\0\0", 2);
  rmq_frame(&self->in, 3, 1, "ab", 2);
  rmq_frame(&self->in, 8, 0, "", 0);
  rmq_method(&self->in, 2, RMQ_QOS_OK, NULL);
  rmq_frame(&self->in, 3, 1, "cd", 2);
  rmq_frame(&self->in, 3, 1, "", 0);
  rmq_frame(&self->in, 3, 1, "ef", 2);
  roost_slice input = roost_buffer_slice(&self->in);
  const roost_rmq_kind kinds[] = {ROOST_RMQ_HEARTBEAT, ROOST_RMQ_QOS_OK, ROOST_RMQ_DELIVERY};
  for (size_t i = 0; i < 3; i++) {
    assert_int_equal(roost_rmq_read(self->codec, &input, &self->event, &self->why), 1);
    assert_int_equal(self->event.kind, kinds[i]);
  }
  assert_text(self->event.content.body, "abcdef");
  assert_text(self->event.content.routing_key, "queue");
}

static void test_too_large(void **state) {
  codec_test *self = *state;
  static char piece[100000];
  rmq_deliver_method(&self->in, 1, 7, "", "queue");
  rmq_header(&self->in, 1, 41 * sizeof piece, "\0\0", 2);
  for (unsigned i = 0; i < 41; i++)
    rmq_frame(&self->in, 3, 1, piece, sizeof piece);
  expect(self, ROOST_RMQ_DELIVERY);
  assert_true(self->event.content.is_too_large);
  assert_null(self->event.content.body.ptr);
  assert_true(roost_rmq_codec_memory(self->codec) < 300000);
  put_delivery(self, "small");
  expect(self, ROOST_RMQ_DELIVERY);
  check_delivery(self, "small");
}

static void test_returned(void **state) {
  codec_test *self = *state;
  roost_buffer fields = rmq_fields();
  rmq_number(&fields, 312, 2);
  rmq_text(&fields, "NO_ROUTE", 1);
  rmq_text(&fields, "orders", 1);
  rmq_text(&fields, "orders.new", 1);
  rmq_method(&self->in, 1, RMQ_RETURN, &fields);
  rmq_header(&self->in, 1, 1, "\0\0", 2);
  rmq_frame(&self->in, 3, 1, "x", 1);
  expect(self, ROOST_RMQ_RETURNED);
  assert_int_equal(self->event.code, 312);
  assert_text(self->event.text, "NO_ROUTE");
  assert_text(self->event.content.exchange, "orders");
  assert_text(self->event.content.routing_key, "orders.new");
  assert_text(self->event.content.body, "x");
}

/* Every kind of value that a table can have. */
static void test_headers(void **state) {
  codec_test *self = *state;
  roost_buffer table = rmq_fields();
  const struct {
    char kind;
    uint64_t value;
    unsigned bytes;
  } numbers[] = {{'t', 1, 1},
                 {'b', 0xff, 1},
                 {'B', 0xff, 1},
                 {'s', 0xfffe, 2},
                 {'u', 0xffff, 2},
                 {'I', 0xfffffffd, 4},
                 {'i', 0xffffffff, 4},
                 {'l', 1ULL << 53 | 1, 8},
                 {'L', UINT64_MAX, 8},
                 {'f', 0x3fc00000, 4},
                 {'d', 0x3ff8000000000000, 8},
                 {'T', 1700000000, 8}};
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
    const char key[] = {numbers[i].kind, '\0'};
    rmq_text(&table, key, 1);
    rmq_number(&table, (uint8_t)numbers[i].kind, 1);
    rmq_number(&table, numbers[i].value, numbers[i].bytes);
  }
  rmq_text(&table, "D", 1);
  rmq_number(&table, 'D', 1);
  rmq_number(&table, 2, 1);
  rmq_number(&table, 314, 4);
  rmq_text(&table, "S", 1);
  rmq_number(&table, 'S', 1);
  rmq_text(&table, "a\"\xff", 4);
  rmq_text(&table, "x", 1);
  rmq_number(&table, 'x', 1);
  rmq_text(&table, "\x01\xff", 4);
  rmq_text(&table, "V", 1);
  rmq_number(&table, 'V', 1);
  rmq_text(&table, "A", 1);
  rmq_number(&table, 'A', 1);
  rmq_number(&table, 7, 4);
  rmq_number(&table, 'F', 1);
  rmq_number(&table, 0, 4);
  rmq_number(&table, 't', 1);
  rmq_number(&table, 0, 1);
  roost_buffer properties = rmq_fields();
  rmq_number(&properties, 0x2000, 2);
  rmq_number(&properties, table.len, 4);
  assert_int_equal(roost_buffer_append_slice(&properties, roost_buffer_slice(&table)), 0);
  rmq_deliver_method(&self->in, 1, 7, "", "queue");
  rmq_header(&self->in, 1, 0, properties.ptr, properties.len);
  expect(self, ROOST_RMQ_DELIVERY);
  assert_text(self->event.content.properties.headers,
              "{\"t\":true,\"b\":-1,\"B\":255,\"s\":-2,\"u\":65535,\"I\":-3,\"i\":4294967295,"
              "\"l\":9007199254740993,\"L\":18446744073709552000,\"f\":1.5,\"d\":1.5,"
              "\"T\":{\"!\":\"timestamp\",\"value\":1700000000},"
              "\"D\":{\"!\":\"decimal\",\"value\":{\"digits\":314,\"places\":2}},"
              "\"S\":\"a\\\"\xef\xbf\xbd\",\"x\":{\"type\":\"Buffer\",\"data\":[1,255]},"
              "\"V\":null,\"A\":[{},false]}");
  roost_buffer_deinit(&table);
  roost_buffer_deinit(&properties);
}

/* ------------------------------------------------------------------------- broken input ------ */

static void test_broken_frames(void **state) {
  codec_test *self = *state;
  assert_int_equal(roost_buffer_append(&self->in, "AMQP\0\0\x09\x01", 8), 0);
  expect_broken(self, "it does not speak AMQP 0-9-1");
  rmq_frame(&self->in, 9, 0, "", 0);
  expect_broken(self, "a frame of no known type");
  rmq_frame(&self->in, 8, 0, "", 0);
  self->in.ptr[self->in.len - 1] = 0;
  expect_broken(self, "a frame has no end mark");
  rmq_number(&self->in, 1, 1);
  rmq_number(&self->in, 0, 2);
  rmq_number(&self->in, ROOST_RMQ_FRAME_MAX - 7, 4);
  expect_broken(self, "a frame is larger than it may be");
  rmq_frame(&self->in, 1, 0, "\0\x0a\0", 3);
  expect_broken(self, "a method is cut short");
  rmq_method(&self->in, 0, RMQ_TUNE, NULL);
  expect_broken(self, "a method is broken");
  rmq_method(&self->in, 0, RMQ_START, NULL);
  expect_broken(self, "a method is broken");
}

static void test_broken_contents(void **state) {
  codec_test *self = *state;
  rmq_header(&self->in, 1, 0, "\0\0", 2);
  expect_broken(self, "a header stands where none can be");
  rmq_frame(&self->in, 3, 1, "x", 1);
  expect_broken(self, "a body stands where none can be");
  rmq_deliver_method(&self->in, 1, 7, "", "");
  rmq_frame(&self->in, 2, 1, "\0\x3c\0\0\0\0\0\0\0\0\0", 11);
  expect_broken(self, "a header stands where none can be");
  rmq_deliver_method(&self->in, 1, 7, "", "");
  rmq_header(&self->in, 1, 0, "\0", 1);
  expect_broken(self, "a message's header is broken");
  rmq_deliver_method(&self->in, 1, 7, "", "");
  rmq_deliver_method(&self->in, 1, 7, "", "");
  expect_broken(self, "a method stands within a message");
  rmq_deliver_method(&self->in, 1, 7, "", "");
  rmq_deliver_method(&self->in, 2, 7, "", "");
  expect_broken(self, "a message was begun within another one");
  rmq_deliver_method(&self->in, 1, 7, "", "");
  rmq_header(&self->in, 2, 0, "\0\0", 2);
  expect_broken(self, "a message is mixed with another channel's");
  rmq_deliver_method(&self->in, 1, 7, "", "");
  rmq_header(&self->in, 1, 1, "\0\0", 2);
  rmq_frame(&self->in, 3, 1, "xy", 2);
  expect_broken(self, "a body stands where none can be");
}

/* Tables in tables, as many as a frame holds: recursion must not follow them. */
static void test_deep_headers(void **state) {
  codec_test *self = *state;
  roost_buffer properties = rmq_fields();
  const size_t depth = 20000;
  rmq_number(&properties, 0x2000, 2);
  for (size_t i = 0; i < depth; i++) {
    rmq_number(&properties, (depth - 1 - i) * 6, 4);
    if (i + 1 < depth)
      rmq_number(&properties, 'F', 2); /* a key without a name, and the kind */
  }
  rmq_deliver_method(&self->in, 1, 7, "", "");
  rmq_header(&self->in, 1, 0, properties.ptr, properties.len);
  expect_broken(self, "a message's headers are broken");
  roost_buffer_deinit(&properties);
}

static void test_broken_tables(void **state) {
  codec_test *self = *state;
  static const struct {
    const char *bytes;
    size_t size;
  } tables[] = {{"\0\0\0", 3},
                {"\0\0\0\5", 4},
                {"\0\0\0\1\1", 5},
                {"\0\0\0\2\1k", 6},
                {"\0\0\0\3\1kt", 7},
                {"\0\0\0\4\1k?\0", 8},
                {"\0\0\0\5\1kS\0\0", 9},
                {"\0\0\0\7\1kS\0\0\0\1", 11},
                {"\0\0\0\7\1kF\0\0\0\1", 11}};
  for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
    roost_buffer properties = rmq_fields();
    rmq_number(&properties, 0x2000, 2);
    assert_int_equal(roost_buffer_append(&properties, tables[i].bytes, tables[i].size), 0);
    rmq_deliver_method(&self->in, 1, 7, "", "");
    rmq_header(&self->in, 1, 0, properties.ptr, properties.len);
    expect_broken(self, "a message's headers are broken");
    roost_buffer_deinit(&properties);
  }
}

/* ------------------------------------------------------------------------- writing ----------- */

/* What is written as a message comes back as a delivery, behind another method. */
static void publish_back(codec_test *self, const roost_rmq_properties *properties,
                         roost_slice body) {
  const roost_rmq_target target = {ROOST_SLICE("exchange"), ROOST_SLICE("key"), true};
  assert_int_equal(roost_rmq_write_publish(self->codec, &self->out, 1, &target, properties, body),
                   0);
  const size_t method = 8 + 4 + 2 + 9 + 4 + 1;
  assert_memory_equal(self->out.ptr,
                      "\1\0\1\0\0\0\x14\0\x3c\0\x28\0\0\x08"
                      "exchange\3key\1\xce",
                      method);
  rmq_deliver_method(&self->in, 1, 7, "", "queue");
  assert_int_equal(roost_buffer_append(&self->in, self->out.ptr + method, self->out.len - method),
                   0);
  roost_buffer_clear(&self->out);
  expect(self, ROOST_RMQ_DELIVERY);
}

static void test_publish(void **state) {
  codec_test *self = *state;
  static const char headers[] =
      "{\"text\":\"a\\u0000\\\"\",\"n\":1,\"big\":9007199254740993,\"x\":1.5,\"no\":null,"
      "\"yes\":true,\"list\":[1,[],{}],\"in\":{\"a\":false}}";
  const roost_rmq_properties properties = {.content_type = ROOST_SLICE("application/json"),
                                           .content_encoding = ROOST_SLICE("utf-8"),
                                           .headers = ROOST_SLICE(headers),
                                           .correlation_id = ROOST_SLICE("id"),
                                           .reply_to = ROOST_SLICE("amq.rabbitmq.reply-to"),
                                           .expiration = ROOST_SLICE("60000"),
                                           .message_id = ROOST_SLICE("m1"),
                                           .type = ROOST_SLICE("t"),
                                           .user_id = ROOST_SLICE("guest"),
                                           .app_id = ROOST_SLICE(""),
                                           .timestamp = 1700000000,
                                           .delivery_mode = 2,
                                           .priority = 5};
  publish_back(self, &properties, ROOST_SLICE("body"));
  const roost_rmq_properties *back = &self->event.content.properties;
  assert_text(back->content_type, "application/json");
  assert_text(back->content_encoding, "utf-8");
  assert_text(back->headers, headers);
  assert_text(back->correlation_id, "id");
  assert_text(back->reply_to, "amq.rabbitmq.reply-to");
  assert_text(back->expiration, "60000");
  assert_text(back->message_id, "m1");
  assert_text(back->type, "t");
  assert_text(back->user_id, "guest");
  assert_text(back->app_id, "");
  assert_int_equal(back->timestamp, 1700000000);
  assert_int_equal(back->delivery_mode, 2);
  assert_int_equal(back->priority, 5);
  assert_text(self->event.content.body, "body");
  const roost_rmq_properties none = {.headers = ROOST_SLICE("{}"), .priority = -1};
  publish_back(self, &none, ROOST_SLICE(""));
  assert_text(self->event.content.properties.headers, "{}");
  assert_text(self->event.content.properties.reply_to, NULL);
  assert_text(self->event.content.body, "");
}

static void test_split_bodies(void **state) {
  codec_test *self = *state;
  const roost_rmq_properties none = {.priority = -1};
  char body[20001];
  memset(body, 'b', sizeof body);
  const size_t sizes[] = {4087, 4088, 4089, 8176, 8177, sizeof body};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    publish_back(self, &none, (roost_slice){body, sizes[i]});
    assert_int_equal(self->event.content.body.len, sizes[i]);
    assert_memory_equal(self->event.content.body.ptr, body, sizes[i]);
  }
  roost_rmq_set_frame_max(self->codec, 1000000);
  const roost_rmq_target target = {ROOST_SLICE(""), ROOST_SLICE("q"), false};
  assert_int_equal(roost_rmq_write_publish(self->codec, &self->out, 1, &target, &none,
                                           (roost_slice){body, sizeof body}),
                   0);
  /* method, header and one frame */
  assert_int_equal(self->out.len, 8 + 4 + 2 + 1 + 2 + 1 + 8 + 14 + 8 + sizeof body);
}

/* An array of more entries than one page of memory holds. */
static void test_large_tables(void **state) {
  codec_test *self = *state;
  roost_buffer headers = rmq_fields();
  assert_int_equal(roost_buffer_printf(&headers, "{\"list\":[0"), 0);
  for (unsigned i = 1; i < 5000; i++)
    assert_int_equal(roost_buffer_printf(&headers, ",%u", i), 0);
  assert_int_equal(roost_buffer_printf(&headers, "]}"), 0);
  roost_rmq_properties properties = {.priority = -1, .headers = roost_buffer_slice(&headers)};
  const roost_rmq_target target = {ROOST_SLICE(""), ROOST_SLICE("q"), false};
  assert_int_equal(
      roost_rmq_write_publish(self->codec, &self->out, 1, &target, &properties, ROOST_SLICE("x")),
      ROOST_EINVAL); /* a header is in one frame */
  assert_int_equal(self->out.len, 0);
  roost_rmq_set_frame_max(self->codec, ROOST_RMQ_FRAME_MAX);
  publish_back(self, &properties, ROOST_SLICE("x"));
  const roost_slice back = self->event.content.properties.headers;
  assert_true(roost_slice_equal(back, roost_buffer_slice(&headers)));
  roost_buffer_deinit(&headers);
}

static void test_refused(void **state) {
  codec_test *self = *state;
  char name[256];
  memset(name, 'n', sizeof name);
  const roost_slice far_too_long = {name, sizeof name};
  const roost_rmq_properties none = {.priority = -1};
  roost_rmq_target target = {ROOST_SLICE(""), far_too_long, false};
  assert_int_equal(
      roost_rmq_write_publish(self->codec, &self->out, 1, &target, &none, ROOST_SLICE("")),
      ROOST_EINVAL);
  target.routing_key.len = 255;
  const roost_rmq_properties replied = {.priority = -1, .reply_to = far_too_long};
  assert_int_equal(
      roost_rmq_write_publish(self->codec, &self->out, 1, &target, &replied, ROOST_SLICE("")),
      ROOST_EINVAL);
  static const char *const tables[] = {"[]", "1",     "{\"a\":1",   "{\"a\"}",
                                       "",   "{} {}", "{\"a\":[1,}"};
  for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
    const roost_rmq_properties bad = {.priority = -1, .headers = roost_slice_text(tables[i])};
    assert_int_equal(
        roost_rmq_write_publish(self->codec, &self->out, 1, &target, &bad, ROOST_SLICE("")),
        ROOST_EINVAL);
  }
  char deep[128] = "{\"a\":";
  memset(deep + 5, '[', 40);
  memset(deep + 45, ']', 40);
  deep[85] = '}';
  char keyed[300];
  snprintf(keyed, sizeof keyed, "{\"%.256s\":1}", name);
  const char *const worse[] = {deep, keyed};
  for (size_t i = 0; i < 2; i++) {
    const roost_rmq_properties bad = {.priority = -1, .headers = roost_slice_text(worse[i])};
    assert_int_equal(
        roost_rmq_write_publish(self->codec, &self->out, 1, &target, &bad, ROOST_SLICE("")),
        ROOST_EINVAL);
  }
  assert_int_equal(roost_rmq_write_consume(self->codec, &self->out, 1, far_too_long,
                                           ROOST_SLICE(""), false, false),
                   ROOST_EINVAL);
  assert_int_equal(self->out.len, 0);
  assert_int_equal(
      roost_rmq_write_publish(self->codec, &self->out, 1, &target, &none, ROOST_SLICE("")), 0);
}

/* Checks the bytes of the frame just written, without its type, channel, size and end. */
static void expect_payload(codec_test *self, int status, const char *bytes, size_t size) {
  assert_int_equal(status, 0);
  assert_int_equal(self->out.len, size + 8);
  assert_memory_equal(self->out.ptr + 7, bytes, size);
  roost_buffer_clear(&self->out);
}

#define EXPECT_PAYLOAD(call, bytes) expect_payload(self, call, bytes, sizeof(bytes) - 1)

static void test_methods(void **state) {
  codec_test *self = *state;
  roost_rmq_codec *codec = self->codec;
  roost_buffer *out = &self->out;
  const roost_slice q = ROOST_SLICE("q");
  const roost_slice t = ROOST_SLICE("t");
  EXPECT_PAYLOAD(roost_rmq_write_tune_ok(codec, out, 2, 131072, 60),
                 "\0\x0a\0\x1f\0\2\0\2\0\0\0\x3c");
  EXPECT_PAYLOAD(roost_rmq_write_open(codec, out, ROOST_SLICE("/")), "\0\x0a\0\x28\1/\0\0");
  EXPECT_PAYLOAD(roost_rmq_write_close(codec, out, 200, ROOST_SLICE("bye")),
                 "\0\x0a\0\x32\0\xc8\3bye\0\0\0\0");
  EXPECT_PAYLOAD(roost_rmq_write_close_ok(codec, out), "\0\x0a\0\x33");
  EXPECT_PAYLOAD(roost_rmq_write_channel_open(codec, out, 1), "\0\x14\0\x0a\0");
  EXPECT_PAYLOAD(roost_rmq_write_channel_close_ok(codec, out, 1), "\0\x14\0\x29");
  EXPECT_PAYLOAD(roost_rmq_write_flow_ok(codec, out, 1, true), "\0\x14\0\x15\1");
  EXPECT_PAYLOAD(roost_rmq_write_confirm_select(codec, out, 1), "\0\x55\0\x0a\0");
  const roost_rmq_declare exchange = {
      .name = ROOST_SLICE("e"), .type = ROOST_SLICE("topic"), .durable = true};
  EXPECT_PAYLOAD(roost_rmq_write_exchange_declare(codec, out, 1, &exchange),
                 "\0\x28\0\x0a\0\0\1e\5topic\2\0\0\0\0");
  const roost_rmq_declare queue = {
      .name = q, .exclusive = true, .auto_delete = true, .arguments = ROOST_SLICE("{\"x\":1}")};
  EXPECT_PAYLOAD(roost_rmq_write_queue_declare(codec, out, 1, &queue),
                 "\0\x32\0\x0a\0\0\1q\x0c\0\0\0\7\1xI\0\0\0\1");
  EXPECT_PAYLOAD(roost_rmq_write_bind(codec, out, 1, q, ROOST_SLICE("e"), ROOST_SLICE("k")),
                 "\0\x32\0\x14\0\0\1q\1e\1k\0\0\0\0\0");
  EXPECT_PAYLOAD(roost_rmq_write_unbind(codec, out, 1, q, ROOST_SLICE("e"), ROOST_SLICE("k")),
                 "\0\x32\0\x32\0\0\1q\1e\1k\0\0\0\0");
  EXPECT_PAYLOAD(roost_rmq_write_qos(codec, out, 1, 10, true), "\0\x3c\0\x0a\0\0\0\0\0\x0a\1");
  EXPECT_PAYLOAD(roost_rmq_write_consume(codec, out, 1, q, t, true, false),
                 "\0\x3c\0\x14\0\0\1q\1t\2\0\0\0\0");
  EXPECT_PAYLOAD(roost_rmq_write_cancel(codec, out, 1, t), "\0\x3c\0\x1e\1t\0");
  EXPECT_PAYLOAD(roost_rmq_write_cancel_ok(codec, out, 1, t), "\0\x3c\0\x1f\1t");
  EXPECT_PAYLOAD(roost_rmq_write_ack(codec, out, 1, 5, true), "\0\x3c\0\x50\0\0\0\0\0\0\0\5\1");
  EXPECT_PAYLOAD(roost_rmq_write_nack(codec, out, 1, 5, true), "\0\x3c\0\x78\0\0\0\0\0\0\0\5\2");
}

static void test_opening(void **state) {
  codec_test *self = *state;
  assert_int_equal(roost_rmq_write_protocol(&self->out), 0);
  assert_int_equal(self->out.len, 8);
  assert_memory_equal(self->out.ptr, "AMQP\0\0\x09\1", 8);
  roost_buffer_clear(&self->out);
  assert_int_equal(roost_rmq_write_heartbeat(&self->out), 0);
  assert_int_equal(self->out.len, 8);
  assert_memory_equal(self->out.ptr, "\x08\0\0\0\0\0\0\xce", 8);
  roost_buffer_clear(&self->out);
  assert_int_equal(roost_rmq_write_start_ok(self->codec, &self->out, ROOST_SLICE("me"),
                                            ROOST_SLICE("secret"), ROOST_SLICE("host")),
                   0);
  static const char plain[] = "\5PLAIN\0\0\0\x0a\0me\0secret\5en_US\xce";
  const size_t size = sizeof plain - 1;
  assert_memory_equal(self->out.ptr + self->out.len - size, plain, size);
}

/* ------------------------------------------------------------------------- memory ------------ */

/* Every allocation of ours fails once; nothing leaks, and nothing is half written. */
static void test_no_memory(void **state) {
  (void)state;
  const roost_rmq_properties properties = {.priority = -1, .headers = ROOST_SLICE("{\"a\":1}")};
  const roost_rmq_target target = {ROOST_SLICE(""), ROOST_SLICE("q"), false};
  roost_buffer in = rmq_fields();
  rmq_delivery(&in, 7, "one frame's body", "r", "c");
  const size_t half = in.len / 2;
  roost_alloc_probe probe;
  bool done = false;
  for (size_t refuse = 0; !done; refuse++) {
    roost_rmq_codec *codec;
    roost_rmq_event event;
    const char *why;
    roost_alloc_probe_init(&probe);
    probe.refuse_after = refuse;
    if (roost_rmq_codec_new(&codec, &probe.alloc, MOST_BODY) != 0)
      continue;
    roost_slice first = {in.ptr, half};
    roost_slice second = {in.ptr + half, in.len - half};
    int status = roost_rmq_read(codec, &first, &event, &why);
    if (status == 0)
      status = roost_rmq_read(codec, &second, &event, &why);
    assert_true(status == 1 || status == ROOST_ENOMEM);
    if (status == ROOST_ENOMEM)
      assert_string_equal(why, "out of memory");
    roost_buffer out;
    roost_buffer_init(&out, &probe.alloc);
    int written = roost_rmq_write_publish(codec, &out, 1, &target, &properties, ROOST_SLICE("b"));
    assert_true(written == 0 || (written == ROOST_ENOMEM && out.len == 0));
    written = written != 0 ? written
                           : roost_rmq_write_start_ok(codec, &out, ROOST_SLICE("u"),
                                                      ROOST_SLICE("p"), ROOST_SLICE("n"));
    done = status == 1 && written == 0;
    roost_buffer_deinit(&out);
    roost_rmq_codec_free(codec);
    assert_int_equal(probe.bytes, 0);
  }
  roost_buffer_deinit(&in);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(test_connection_methods),
      TEST(test_channel_methods),
      TEST(test_queue_methods),
      TEST(test_delivery),
      TEST(test_byte_by_byte),
      TEST(test_several_in_one),
      TEST(test_body_in_frames),
      TEST(test_too_large),
      TEST(test_returned),
      TEST(test_headers),
      TEST(test_broken_frames),
      TEST(test_broken_contents),
      TEST(test_deep_headers),
      TEST(test_broken_tables),
      TEST(test_publish),
      TEST(test_split_bodies),
      TEST(test_large_tables),
      TEST(test_refused),
      TEST(test_methods),
      TEST(test_opening),
      TEST(test_no_memory),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
