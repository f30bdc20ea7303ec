#include "wire/nats.h"
#include "wire_test.h"

#define LARGEST 40

typedef struct reading {
  fixture *f;
  roost_nats_reader reader;
} reading;

static int start(void **state) {
  reading *r = malloc(sizeof *r);
  void *f;
  assert_non_null(r);
  (void)set_up(&f);
  r->f = f;
  roost_nats_reader_init(&r->reader, &r->f->probe.alloc, LARGEST);
  *state = r;
  return 0;
}

static int end(void **state) {
  reading *r = *state;
  void *f = r->f;
  roost_nats_reader_deinit(&r->reader);
  free(r);
  return tear_down(&f);
}

static void restart(reading *r) {
  roost_nats_reader_deinit(&r->reader);
  roost_nats_reader_init(&r->reader, &r->f->probe.alloc, LARGEST);
  roost_buffer_clear(&r->f->out);
}

/* One line of text per operation, to be held against what is expected. */
static void describe(roost_buffer *out, const roost_nats_op *op) {
  static const char *const names[] = {"info", "message", "ping", "pong", "ok", "error"};
  assert_int_equal(roost_buffer_printf(out, "%s", names[op->kind]), 0);
  if (op->kind == ROOST_NATS_MESSAGE)
    assert_int_equal(
        roost_buffer_printf(out, " %.*s %d", (int)op->subject.len, op->subject.ptr, (int)op->sid),
        0);
  if (op->reply.ptr != NULL)
    assert_int_equal(roost_buffer_printf(out, " to %.*s", (int)op->reply.len, op->reply.ptr), 0);
  if (op->block.ptr != NULL)
    assert_int_equal(roost_buffer_printf(out, " {%.*s}", (int)op->block.len, op->block.ptr), 0);
  if (op->oversize)
    assert_int_equal(roost_buffer_printf(out, " of %d", (int)op->size), 0);
  else if (op->payload.len > 0)
    assert_int_equal(roost_buffer_printf(out, " [%.*s]", (int)op->payload.len, op->payload.ptr), 0);
  assert_int_equal(roost_buffer_append_byte(out, '\n'), 0);
}

static int read_chunks(reading *r, roost_slice input, size_t chunk) {
  int status = 0;
  while (input.len > 0 && status >= 0) {
    const roost_slice piece =
        exact_copy((roost_slice){input.ptr, chunk < input.len ? chunk : input.len});
    roost_slice rest = piece;
    roost_nats_op op;
    input.ptr += piece.len;
    input.len -= piece.len;
    while ((status = roost_nats_read(&r->reader, &rest, &op)) == 1)
      describe(&r->f->out, &op);
    if (status == 0)
      assert_int_equal(rest.len, 0);
    free_copy(piece);
  }
  return status;
}

static void check(reading *r, roost_slice input, const char *text, int status) {
  for (size_t chunk = 1; chunk <= input.len; chunk++) {
    restart(r);
    const int last = read_chunks(r, input, chunk);
    if (last != status)
      print_error("\"%.*s\" in pieces of %zu\n", (int)input.len, input.ptr, chunk);
    assert_int_equal(last, status);
    assert_text(roost_buffer_slice(&r->f->out), text);
    if (status < 0)
      assert_non_null(r->reader.error);
  }
}

static const struct {
  const char *input;
  const char *text;
  int status;
} rows[] = {
    {"PING\r\nPONG\r\n+OK\r\n", "ping\npong\nok\n", 0},
    {"ping\r\nPong\n", "ping\npong\n", 0},
    {"INFO {\"a\":1}\r\n", "info [{\"a\":1}]\n", 0},
    {"INFO \t {\"a\":1} \r\n", "info [{\"a\":1}]\n", 0},
    {"-ERR 'Unknown Protocol Operation'\r\n", "error [Unknown Protocol Operation]\n", 0},
    {"-ERR 'it's'\r\n", "error [it's]\n", 0},
    {"-ERR plain\r\n", "error [plain]\n", 0},
    {"-ERR\r\n", "error\n", 0},
    {"MSG a.b 7 5\r\nhello\r\n", "message a.b 7 [hello]\n", 0},
    {"msg\ta.b\t 7   in.box\t5 \r\nhello\r\nPING\r\n", "message a.b 7 to in.box [hello]\nping\n",
     0},
    {"MSG a 1 0\r\n\r\n", "message a 1\n", 0},
    {"MSG {\"cmd\":\"sum\"} 1 x 2\r\n\r\n\r\n", "message {\"cmd\":\"sum\"} 1 to x [\r\n]\n", 0},
    {"HMSG a 1 12 15\r\nNATS/1.0\r\n\r\nabc\r\n", "message a 1 {NATS/1.0\r\n\r\n} [abc]\n", 0},
    {"HMSG a 1 x 12 12\r\nNATS/1.0\r\n\r\n\r\n", "message a 1 to x {NATS/1.0\r\n\r\n}\n", 0},
    {"HMSG a 1 0 3\r\nabc\r\n", "message a 1 [abc]\n", 0},
    {"MSG a 1 41\r\n0123456789012345678901234567890123456789!\r\nPING\r\n",
     "message a 1 of 41\nping\n", 0},
    {"MSG a 1 40\r\n0123456789012345678901234567890123456789\r\nPING\r\n",
     "message a 1 [0123456789012345678901234567890123456789]\nping\n", 0},
    {"MSG a 1 r 999999999999999999\r\nxyz", "", 0},
    {"MSG a 1 5\r\nhello", "", 0},
    {"MSG a 1 5\r\nhelloxx", "", ROOST_EPROTO},
    {"MSG a 1 5\r\nhello\n\nPING\r\n", "", ROOST_EPROTO},
    {"MSG a 1\r\n", "", ROOST_EPROTO},
    {"MSG a 1 r 5 5\r\n", "", ROOST_EPROTO},
    {"MSG a x 5\r\n", "", ROOST_EPROTO},
    {"MSG a 1 -5\r\n", "", ROOST_EPROTO},
    {"MSG a 1 1234567890123456789\r\n", "", ROOST_EPROTO},
    {"HMSG a 1 5\r\n", "", ROOST_EPROTO},
    {"HMSG a 1 6 5\r\n", "", ROOST_EPROTO},
    {"HMSG a 1 r x 5 6\r\n", "", ROOST_EPROTO},
    {"HMSG a 1 r 5 6 7 8 9\r\n", "", ROOST_EPROTO},
    {"PINGS\r\n", "", ROOST_EPROTO},
    {"\r\n", "", ROOST_EPROTO},
    {"HTTP/1.1 400 Bad Request\r\n", "", ROOST_EPROTO},
};

static void reads_every_row_however_it_is_cut(void **state) {
  reading *r = *state;
  for (size_t i = 0; i < ROWS(rows); i++)
    check(r, roost_slice_text(rows[i].input), rows[i].text, rows[i].status);
}

static void any_bytes_are_a_payload(void **state) {
  reading *r = *state;
  roost_nats_op op;
  roost_slice input = {"MSG a 1 4\r\n\0\xff\r\n\r\nPING\r\n", 23};
  assert_int_equal(roost_nats_read(&r->reader, &input, &op), 1);
  assert_slice(op.payload, "\0\xff\r\n", 4);
  assert_int_equal(roost_nats_read(&r->reader, &input, &op), 1);
  assert_int_equal(op.kind, ROOST_NATS_PING);
}

static void a_whole_message_is_borrowed_and_costs_no_memory(void **state) {
  reading *r = *state;
  roost_nats_op op;
  roost_slice input = ROOST_SLICE("MSG a 1 r 2\r\nhi\r\nMSG");
  const char *bytes = input.ptr;
  assert_int_equal(roost_nats_read(&r->reader, &input, &op), 1);
  assert_ptr_equal(op.subject.ptr, bytes + 4);
  assert_ptr_equal(op.payload.ptr, bytes + 13);
  assert_int_equal(r->f->probe.asked, 0);
  assert_int_equal(roost_nats_reader_memory(&r->reader), 0);
}

static void what_was_gathered_is_given_back(void **state) {
  reading *r = *state;
  roost_nats_op op;
  roost_nats_reader_deinit(&r->reader);
  roost_nats_reader_init(&r->reader, &r->f->probe.alloc, 100000);
  roost_slice line = ROOST_SLICE("MSG a 1 50000\r\n");
  assert_int_equal(roost_nats_read(&r->reader, &line, &op), 0);
  assert_true(roost_nats_reader_memory(&r->reader) < 1000); /* what was declared is not believed */
  for (size_t sent = 0; sent < 50000; sent += 1000) {
    char bytes[1000];
    memset(bytes, 'x', sizeof bytes);
    roost_slice piece = {bytes, sizeof bytes};
    assert_int_equal(roost_nats_read(&r->reader, &piece, &op), 0);
  }
  roost_slice last = ROOST_SLICE("\r\nPING\r\n");
  assert_int_equal(roost_nats_read(&r->reader, &last, &op), 1);
  assert_int_equal(op.payload.len, 50000);
  assert_int_equal(roost_nats_read(&r->reader, &last, &op), 1);
  assert_int_equal(op.kind, ROOST_NATS_PING);
  assert_int_equal(roost_nats_reader_memory(&r->reader), 0);
}

static void what_is_too_large_is_thrown_away_as_it_comes(void **state) {
  reading *r = *state;
  roost_nats_op op;
  roost_slice line = ROOST_SLICE("MSG a 1 reply 1000000\r\n");
  assert_int_equal(roost_nats_read(&r->reader, &line, &op), 0);
  char bytes[1000];
  memset(bytes, 'x', sizeof bytes);
  for (size_t sent = 0; sent < 1000000; sent += sizeof bytes) {
    roost_slice piece = {bytes, sizeof bytes};
    assert_int_equal(roost_nats_read(&r->reader, &piece, &op), 0);
    assert_true(roost_nats_reader_memory(&r->reader) < 1000);
  }
  roost_slice last = ROOST_SLICE("\r\n");
  assert_int_equal(roost_nats_read(&r->reader, &last, &op), 1);
  assert_true(op.oversize);
  assert_int_equal(op.size, 1000000);
  assert_text(op.reply, "reply");
}

static void a_line_without_end_is_refused(void **state) {
  reading *r = *state;
  roost_nats_op op;
  char bytes[4096];
  memset(bytes, 'x', sizeof bytes);
  int status = 0;
  size_t sent = 0;
  for (; status == 0 && sent < 1000000; sent += sizeof bytes) {
    roost_slice piece = {bytes, sizeof bytes};
    status = roost_nats_read(&r->reader, &piece, &op);
  }
  assert_int_equal(status, ROOST_EFULL);
  assert_in_range(sent, ROOST_NATS_LINE_MAX, ROOST_NATS_LINE_MAX + 4096);
  roost_slice more = ROOST_SLICE("PING\r\n");
  assert_int_equal(roost_nats_read(&r->reader, &more, &op), ROOST_EFULL); /* it is done */
}

static void survives_a_refusing_allocator(void **state) {
  reading *r = *state;
  const roost_slice input = ROOST_SLICE("HMSG a 1 12 15\r\nNATS/1.0\r\n\r\nabc\r\n");
  for (size_t n = 0; n < 3; n++) {
    roost_nats_reader reader;
    roost_nats_op op;
    int status = 0;
    roost_nats_reader_init(&reader, &r->f->probe.alloc, LARGEST);
    r->f->probe.refuse_after = n;
    for (size_t i = 0; i < input.len && status == 0; i++) {
      roost_slice piece = {input.ptr + i, 1};
      status = roost_nats_read(&reader, &piece, &op);
    }
    assert_true(status == 1 || status == ROOST_ENOMEM);
    assert_true(status == ROOST_ENOMEM || n > 0);
    roost_nats_reader_deinit(&reader);
    r->f->probe.refuse_after = ROOST_ALLOC_PROBE_NEVER;
  }
}

/* --------------------------------------------------------------------- INFO ------------------ */

static void info_says_what_the_server_can(void **state) {
  (void)state;
  roost_nats_info info;
  roost_slice url;
  assert_int_equal(
      roost_nats_info_read(
          &info, ROOST_SLICE("{\"server_id\":\"N\",\"version\":\"2.9.10\",\"go\":{\"x\":[1]},"
                             "\"max_payload\":1048576,\"headers\":true,\"jetstream\":true,"
                             "\"auth_required\":true,\"tls_required\":true,\"tls_available\":true,"
                             "\"ldm\":true,\"nonce\":\"abc\",\"connect_urls\":[\"10.0.0.1:4222\", "
                             "\"[::1]:4223\",\"\"]}")),
      0);
  assert_int_equal(info.max_payload, 1048576);
  assert_text(info.version, "2.9.10");
  assert_text(info.nonce, "abc");
  assert_true(info.headers && info.jetstream && info.auth_required && info.tls_required);
  assert_true(info.tls_available && info.lame_duck);
  assert_true(roost_nats_info_url(&info.urls, &url));
  assert_text(url, "10.0.0.1:4222");
  assert_true(roost_nats_info_url(&info.urls, &url));
  assert_text(url, "[::1]:4223");
  assert_false(roost_nats_info_url(&info.urls, &url));
  assert_false(roost_nats_info_url(&info.urls, &url));
}

static void what_is_no_info_is_refused(void **state) {
  (void)state;
  roost_nats_info info;
  roost_slice url;
  static const char *const bad[] = {"",
                                    "[]",
                                    "{",
                                    "{\"a\":1}x",
                                    "{\"headers\":1}",
                                    "{\"nonce\":1}",
                                    "{\"max_payload\":-1}",
                                    "{\"max_payload\":\"1\"}",
                                    "{\"x\":\"\xff\"}",
                                    "{\"connect_urls\":[}"};
  for (size_t i = 0; i < ROWS(bad); i++)
    assert_int_equal(roost_nats_info_read(&info, roost_slice_text(bad[i])), ROOST_EPROTO);
  assert_int_equal(roost_nats_info_read(&info, ROOST_SLICE("{}")), 0);
  assert_false(roost_nats_info_url(&info.urls, &url));
  assert_false(info.headers);
  assert_int_equal(roost_nats_info_read(&info, ROOST_SLICE("{\"connect_urls\":7}")), 0);
  assert_false(roost_nats_info_url(&info.urls, &url));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(reads_every_row_however_it_is_cut, start, end),
      cmocka_unit_test_setup_teardown(any_bytes_are_a_payload, start, end),
      cmocka_unit_test_setup_teardown(a_whole_message_is_borrowed_and_costs_no_memory, start, end),
      cmocka_unit_test_setup_teardown(what_was_gathered_is_given_back, start, end),
      cmocka_unit_test_setup_teardown(what_is_too_large_is_thrown_away_as_it_comes, start, end),
      cmocka_unit_test_setup_teardown(a_line_without_end_is_refused, start, end),
      cmocka_unit_test_setup_teardown(survives_a_refusing_allocator, start, end),
      cmocka_unit_test(info_says_what_the_server_can),
      cmocka_unit_test(what_is_no_info_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
