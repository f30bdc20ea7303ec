#include "transport/codec.h"

#include "transport/tcp_test.h"

/* A codec whose write turns a packet into what the test says, and whose read swallows a $. */
typedef struct test_codec {
  roost_codec codec;
  const char *body; /* NULL: it fails; "=": the packet itself */
  size_t body_len;
  unsigned failures; /* so many first fail */
} test_codec;

static int test_write(roost_codec *base, roost_slice packet, roost_buffer *body) {
  test_codec *self = (test_codec *)base;
  base->why = "serializer: no";
  if (self->body == NULL || (self->failures > 0 && self->failures-- > 0))
    return ROOST_ESCRIPT;
  return *self->body == '=' ? roost_buffer_append_slice(body, packet)
                            : roost_buffer_append(body, self->body, self->body_len);
}

static int test_read(roost_codec *base, roost_slice body, roost_buffer *packet) {
  base->why = "deserializer: no";
  if (body.len == 0 || body.ptr[0] != '$')
    return ROOST_ESCRIPT;
  return roost_buffer_append(packet, body.ptr + 1, body.len - 1);
}

static test_codec codec_of(const char *body) {
  return (test_codec){.codec = {.read = test_read, .write = test_write, .takes_bytes = true},
                      .body = body,
                      .body_len = body != NULL ? strlen(body) : 0};
}

/* Writes the packet "12" with a codec into a frame after another; what the frame ends up as. */
static int write_in(roost_framing framing, test_codec *codec, roost_buffer *out) {
  roost_frame_mark mark;
  roost_buffer_init(out, roost_alloc_default());
  assert_int_equal(roost_buffer_append(out, "before", 6), 0);
  assert_int_equal(roost_frame_begin(out, &mark, framing, 1), 0);
  assert_int_equal(roost_buffer_append(out, "12", 2), 0);
  roost_buffer body;
  roost_buffer_init(&body, roost_alloc_default());
  const int status = roost_codec_write(codec != NULL ? &codec->codec : NULL, out, &mark, &body);
  roost_buffer_deinit(&body);
  if (status == 0)
    assert_true(roost_frame_end(out, &mark) >= 0);
  else
    roost_frame_undo(out, &mark);
  return status;
}

static void the_body_is_replaced(void **state) {
  static const struct {
    roost_framing framing;
    const char *body;
    size_t len;
    const char *frame; /* NULL: it does not fit */
    size_t frame_len;
  } rows[] = {
      {ROOST_FRAMING_NEST, "longer than it was", 18, "before18#longer than it was", 27},
      {ROOST_FRAMING_NEST, "x", 1, "before1#x", 9},
      {ROOST_FRAMING_NEST, "\xc3\xa9", 2, "before1#\xc3\xa9", 10},
      {ROOST_FRAMING_NEST, "\xff", 1, NULL, 0},
      {ROOST_FRAMING_NEST, "a\nb", 3, "before3#a\nb", 11},
      {ROOST_FRAMING_NDJSON, "\xff\r", 2, "before\xff\r\n", 9},
      {ROOST_FRAMING_NDJSON, "a\nb", 3, NULL, 0},
      {ROOST_FRAMING_LENGTH32, "\xff\n\0", 3, "before\0\0\0\3\xff\n\0", 13},
      {ROOST_FRAMING_LENGTH32, "", 0, NULL, 0},
  };
  (void)state;
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    roost_buffer out;
    test_codec codec = codec_of(rows[i].body);
    codec.body_len = rows[i].len;
    const int status = write_in(rows[i].framing, &codec, &out);
    assert_int_equal(status, rows[i].frame != NULL ? 0 : ROOST_ESCRIPT);
    const roost_slice frame = rows[i].frame != NULL
                                  ? (roost_slice){rows[i].frame, rows[i].frame_len}
                                  : ROOST_SLICE("before");
    if (!roost_slice_equal(roost_buffer_slice(&out), frame))
      fail_msg("row %zu: %.*s", i, (int)out.len, out.ptr);
    roost_buffer_deinit(&out);
  }
}

static void without_a_codec_nothing_happens(void **state) {
  roost_buffer out;
  test_codec codec = codec_of("x");
  (void)state;
  assert_int_equal(write_in(ROOST_FRAMING_NEST, NULL, &out), 0);
  assert_true(roost_slice_equal(roost_buffer_slice(&out), ROOST_SLICE("before2#12")));
  roost_buffer_deinit(&out);
  codec.codec.write = NULL;
  assert_int_equal(write_in(ROOST_FRAMING_NEST, &codec, &out), 0);
  assert_true(roost_slice_equal(roost_buffer_slice(&out), ROOST_SLICE("before2#12")));
  roost_buffer_deinit(&out);
}

static void start(tcp_test *self, test_codec *codec, roost_framing framing) {
  tcp_init(self);
  self->config.framing = framing;
  assert_int_equal(roost_tcp_server_new(&self->server, self->test.loop, &self->config, self->log,
                                        &tcp_sink, self),
                   0);
  self->server->codec = &codec->codec;
  tcp_hand_over(self);
  tcp_connect(self, &self->peer);
}

static void expect(tcp_test *self, const char *text) {
  roost_buffer expected;
  roost_buffer_init(&expected, roost_alloc_default());
  assert_int_equal(roost_buffer_append(&expected, text, strlen(text)), 0);
  tcp_expect_bytes(self, &self->peer, &expected);
  roost_buffer_deinit(&expected);
}

static void a_session_speaks_through_it(void **state) {
  static tcp_test self;
  test_codec codec = codec_of("=");
  (void)state;
  start(&self, &codec, ROOST_FRAMING_NDJSON);
  net_write(self.peer.conn, "${\"pattern\":\"echo\",\"data\":1,\"id\":2}\n");
  expect(&self, "{\"response\":1,\"isDisposed\":true,\"id\":2}\n");
  codec = codec_of("other");
  net_write(self.peer.conn, "${\"pattern\":\"echo\",\"data\":1,\"id\":2}\n"
                            "${\"pattern\":\"none\",\"data\":1,\"id\":2}\n");
  expect(&self, "other\nother\n");
  tcp_expect_silence(&self);
  net_write(self.peer.conn, "{\"pattern\":\"echo\",\"data\":1,\"id\":2}\n");
  NET_TEST_UNTIL(&self.test, self.peer.eofs > 0);
  tcp_expect_lines(&self, 1,
                   "bad frame, connection closed\" server=public peer=memory:0 "
                   "err=\"deserializer: no\"");
  tcp_deinit(&self);
}

static void a_reply_it_does_not_take_is_masked(void **state) {
  static tcp_test self;
  test_codec codec = codec_of("=");
  static const char masked[] = "{\"err\":{\"status\":\"error\",\"message\":\"Internal server "
                               "error\"},\"isDisposed\":true,\"id\":2}\n";
  (void)state;
  start(&self, &codec, ROOST_FRAMING_NDJSON);
  codec.failures = 1;
  net_write(self.peer.conn, "${\"pattern\":\"echo\",\"data\":1,\"id\":2}\n");
  expect(&self, masked);
  tcp_expect_lines(&self, 1,
                   "a reply cannot be sent\" server=public peer=memory:0 "
                   "err=\"serializer: no\"");
  codec.failures = 1;
  net_write(self.peer.conn, "${\"pattern\":\"none\",\"data\":1,\"id\":2}\n");
  expect(&self, masked);
  tcp_expect_lines(&self, 1, "a reply cannot be sent");
  codec.body = NULL; /* nothing at all */
  net_write(self.peer.conn, "${\"pattern\":\"echo\",\"data\":1,\"id\":2}\n");
  net_test_turns(&self.test, 5);
  assert_int_equal(self.peer.bytes.len, 0);
  tcp_expect_lines(&self, 2, "a reply cannot be sent");
  tcp_deinit(&self);
}

/* As Nest does: the others of the stream still go out. */
static void an_item_it_does_not_take_is_left_out(void **state) {
  static tcp_test self;
  test_codec codec = codec_of("=");
  (void)state;
  start(&self, &codec, ROOST_FRAMING_NDJSON);
  net_write(self.peer.conn, "${\"pattern\":\"stream\",\"data\":1,\"id\":2}\n");
  NET_TEST_UNTIL(&self.test, self.held_count == 1);
  roost_origin *origin = self.held[0].origin;
  for (int i = 0; i < 2; i++) {
    codec.failures = i == 0;
    roost_buffer *out = origin->ops->reply_begin(origin, ROOST_REPLY_ITEM);
    assert_int_equal(roost_buffer_append_byte(out, (char)('0' + i)), 0);
    assert_int_equal(origin->ops->reply_end(origin, ROOST_REPLY_ITEM, ROOST_SLICE("2")),
                     i == 0 ? ROOST_ESCRIPT : 0);
  }
  expect(&self, "{\"response\":1,\"id\":2}\n");
  (void)tcp_answer(&self, 0, "3");
  tcp_deinit(&self);
}

static void bytes_come_as_they_are(void **state) {
  static tcp_test self;
  test_codec codec = codec_of("=");
  (void)state;
  start(&self, &codec, ROOST_FRAMING_LENGTH32);
  /* not UTF-8: the codec is given it, and what it makes of it is not a packet */
  assert_int_equal(roost_buffer_append(roost_conn_out(self.peer.conn), "\0\0\0\2$\xff", 6), 0);
  roost_conn_dirty(self.peer.conn);
  NET_TEST_UNTIL(&self.test, self.peer.eofs > 0);
  tcp_expect_lines(&self, 1, "err=\"Could not parse JSON\"");
  tcp_deinit(&self);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_body_is_replaced),
      cmocka_unit_test(without_a_codec_nothing_happens),
      cmocka_unit_test(a_session_speaks_through_it),
      cmocka_unit_test(a_reply_it_does_not_take_is_masked),
      cmocka_unit_test(an_item_it_does_not_take_is_left_out),
      cmocka_unit_test(bytes_come_as_they_are),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
