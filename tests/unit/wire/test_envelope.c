#include "wire/envelope.h"
#include "wire/json.h"
#include "wire_test.h"

/* Expected members; NULL for a missing one. */
typedef struct request_row {
  const char *text;
  int status;
  const char *pattern;
  const char *data;
  const char *id;
  const char *metadata;
} request_row;

static const request_row requests[] = {
    {"{\"pattern\":{\"cmd\":\"sum\"},\"data\":[1,2,3],\"id\":\"3dcf\"}", 1, "{\"cmd\":\"sum\"}",
     "[1,2,3]", "\"3dcf\"", NULL},
    {"{\"pattern\":\"e\",\"data\":{}}", 1, "\"e\"", "{}", NULL, NULL},
    {" \t\r\n{ \"id\" : 7 ,\n\"data\" : \"x\" , \"pattern\" : 1 } ", 1, "1", "\"x\"", "7", NULL},
    {"{\"pattern\":1,\"data\":2,\"metadata\":{\"a\":[]},\"id\":null}", 1, "1", "2", "null",
     "{\"a\":[]}"},
    {"{\"pa\\u0074tern\":\"p\",\"\\u0064\\u0061\\u0074\\u0061\":1,\"i\\u0064\":\"\"}", 1, "\"p\"",
     "1", "\"\"", NULL},
    {"{\"pattern\":1,\"data\":2,\"pattern\":3,\"data\":4,\"id\":5,\"id\":6}", 1, "3", "4", "6",
     NULL},
    {"{\"data\":[\"]\\\"\",{\"}\":\"\\\\\"}]}", 1, NULL, "[\"]\\\"\",{\"}\":\"\\\\\"}]", NULL,
     NULL},
    {"{\"data\":null,\"id\":\"x\"}", 1, NULL, "null", "\"x\"", NULL},
    {"{\"pattern\":null}", 1, "null", NULL, NULL, NULL},
    {"{\"data\":-1.5e3}", 1, NULL, "-1.5e3", NULL, NULL},
    {"{\"extra\":{\"data\":1},\"Data\":1,\"pattern \":2,\"data\":3}", 1, NULL, "3", NULL, NULL},
    {"{\"pattern\":\"p\",\"data\":0,\"id\":\"\\\"}\"}", 1, "\"p\"", "0", "\"\\\"}\"", NULL},
    {"{\"pattern\":\"p\",\"data\":0,\"id\":1}", 1, "\"p\"", "0", "1", NULL},
    {"{\"pattern\":\"p\",\"data\":0,\"id\":\"1\",\"data\":2}", 1, "\"p\"", "2", "\"1\"", NULL},
    /* what pattern and data hold is for their reader to refuse */
    {"{\"data\":1,\"pattern\":[1,]}", 1, "[1,]", "1", NULL, NULL},
    {"{\"data\":[1,],\"id\":1}", 1, NULL, "[1,]", "1", NULL},
    {"{\"data\":[}}", 1, NULL, "[}", NULL, NULL},
    {"{\"data\":nope}", 1, NULL, "nope", NULL, NULL},
    /* valid, but not for a handler */
    {"{\"id\":\"x\"}", 0, NULL, NULL, "\"x\"", NULL},
    {"{}", 0, NULL, NULL, NULL, NULL},
    {"[{\"data\":1}]", 0, NULL, NULL, NULL, NULL},
    {"null", 0, NULL, NULL, NULL, NULL},
    {" 12 ", 0, NULL, NULL, NULL, NULL},
    {"\"pattern\"", 0, NULL, NULL, NULL, NULL},
    /* not JSON */
    {"", ROOST_EPROTO, NULL, NULL, NULL, NULL},
    {"{", ROOST_EPROTO, NULL, NULL, NULL, NULL},
    {"[1,]", ROOST_EPROTO, NULL, NULL, NULL, NULL},
    {"{\"data\":1", ROOST_EPROTO, NULL, NULL, NULL, NULL},
    {"{\"data\":1}}", ROOST_EPROTO, NULL, NULL, NULL, NULL},
    {"{\"data\":1} x", ROOST_EPROTO, NULL, NULL, NULL, NULL},
    {"{\"data\":1,}", ROOST_EPROTO, NULL, NULL, NULL, NULL},
    {"{\"data\":}", ROOST_EPROTO, NULL, NULL, NULL, NULL},
    {"{\"data\":,\"id\":1}", ROOST_EPROTO, NULL, NULL, NULL, NULL},
    {"{\"data\"}", ROOST_EPROTO, NULL, NULL, NULL, NULL},
    {"{\"data\":1 \"id\":2}", ROOST_EPROTO, NULL, NULL, NULL, NULL},
    {"{\"data\":[1}", ROOST_EPROTO, NULL, NULL, NULL, NULL},
    {"{\"data\":\"a\nb\"}", ROOST_EPROTO, NULL, NULL, NULL, NULL},
    {"{\"pattern\":[1,],\"pattern\":2}", ROOST_EPROTO, NULL, NULL, NULL, NULL},
    {"{\"pattern\":1,\"data\":2,\"id\":\"a\\\"}", ROOST_EPROTO, NULL, NULL, NULL, NULL},
    {"{\"pattern\":1,\"data\":2,\"id\":\"a\"", ROOST_EPROTO, NULL, NULL, NULL, NULL},
    {"{\"pattern\":1,\"data\":2,\"id\":\"a\"}}", ROOST_EPROTO, NULL, NULL, NULL, NULL},
    {"{\"pattern\":1,\"data\":2,\"id\":}", ROOST_EPROTO, NULL, NULL, NULL, NULL},
    {"{\"pattern\":,\"data\":2,\"id\":\"a\"}", ROOST_EPROTO, NULL, NULL, NULL, NULL},
    {"{\"data\":1,\"id\":01}", ROOST_EPROTO, NULL, NULL, NULL, NULL},
    {"{\"data\":1,\"metadata\":tru}", ROOST_EPROTO, NULL, NULL, NULL, NULL},
    {"{\"data\":1,\"other\":[1}}", ROOST_EPROTO, NULL, NULL, NULL, NULL},
    {"{\"data\":[1,],\"data\":1}", ROOST_EPROTO, NULL, NULL, NULL, NULL},
};

static void assert_member(roost_slice member, const char *expected, roost_slice whole) {
  if (expected == NULL) {
    assert_null(member.ptr);
    return;
  }
  assert_non_null(member.ptr);
  assert_true(member.ptr >= whole.ptr && member.ptr + member.len <= whole.ptr + whole.len);
  assert_text(member, expected);
}

static void reads_requests_and_events(void **state) {
  (void)state;
  for (size_t i = 0; i < ROWS(requests); i++) {
    const request_row *row = &requests[i];
    roost_slice text = exact_copy(roost_slice_text(row->text));
    roost_message message;
    int status = roost_envelope_read(&message, text);
    if (status != row->status)
      print_error("text %s\n", row->text);
    assert_int_equal(status, row->status);
    if (status == 1) {
      assert_member(message.pattern, row->pattern, text);
      assert_member(message.data, row->data, text);
      assert_member(message.id, row->id, text);
      assert_member(message.metadata, row->metadata, text);
      assert_int_equal(message.format, ROOST_FORMAT_JSON);
      assert_int_equal(roost_message_is_event(&message), row->id == NULL);
    }
    free_copy(text);
  }
}

/* What peers write in one way is read in one go; a space behind it must change nothing. */
static void reads_the_usual_request_as_any_other(void **state) {
  fixture *f = *state;
  for (size_t i = 0; i < ROWS(requests); i++) {
    roost_slice text = roost_slice_text(requests[i].text);
    roost_message message;
    roost_message spaced;
    roost_buffer_clear(&f->out);
    assert_int_equal(roost_buffer_append_slice(&f->out, text), 0);
    assert_int_equal(roost_buffer_append_byte(&f->out, ' '), 0);
    int status = roost_envelope_read(&message, text);
    assert_int_equal(roost_envelope_read(&spaced, roost_buffer_slice(&f->out)), status);
    if (status != 1)
      continue;
    assert_true(roost_slice_equal(spaced.pattern, message.pattern));
    assert_true(roost_slice_equal(spaced.data, message.data));
    assert_true(roost_slice_equal(spaced.id, message.id));
    assert_int_equal(spaced.id.ptr == NULL, message.id.ptr == NULL);
  }
}

static void refuses_every_prefix(void **state) {
  (void)state;
  roost_slice whole =
      ROOST_SLICE("{\"pattern\":{\"a\":\"b\\n\"},\"data\":[1,{\"c\":\"\\\"\"}],\"id\":\"1\"}");
  for (size_t len = 0; len < whole.len; len++) {
    roost_message message;
    roost_reply reply;
    roost_slice part = exact_copy((roost_slice){whole.ptr, len});
    assert_int_equal(roost_envelope_read(&message, part), ROOST_EPROTO);
    assert_int_equal(roost_envelope_read_reply(&reply, part), ROOST_EPROTO);
    free_copy(part);
  }
}

/* Each member may hold a value nested 1000 deep, and none 1001. */
static void limits_the_depth_of_values(void **state) {
  fixture *f = *state;
  static const char *const members[] = {"pattern", "data", "id", "metadata", "other", "response"};
  for (size_t i = 0; i < ROWS(members); i++) {
    for (int extra = 0; extra < 2; extra++) {
      roost_buffer_clear(&f->out);
      assert_int_equal(roost_buffer_append(&f->out, "{\"data\":0,\"", 11), 0);
      assert_int_equal(roost_buffer_append_slice(&f->out, roost_slice_text(members[i])), 0);
      assert_int_equal(roost_buffer_append(&f->out, "\":", 2), 0);
      for (int n = 0; n < 2 * (ROOST_JSON_DEPTH_MAX + extra); n++)
        assert_int_equal(
            roost_buffer_append_byte(&f->out, n < ROOST_JSON_DEPTH_MAX + extra ? '[' : ']'), 0);
      assert_int_equal(roost_buffer_append_byte(&f->out, '}'), 0);
      roost_message message;
      roost_reply reply;
      int status = roost_envelope_read(&message, roost_buffer_slice(&f->out));
      if (status == 1 && (roost_json_validate(message.data) != 0 ||
                          (i == 0 && roost_json_validate(message.pattern) != 0)))
        status = ROOST_EPROTO;
      assert_int_equal(status, extra ? ROOST_EPROTO : 1);
      assert_int_equal(roost_envelope_read_reply(&reply, roost_buffer_slice(&f->out)),
                       extra ? ROOST_EPROTO : 1);
    }
  }
}

typedef struct reply_row {
  const char *text;
  int status;
  const char *response;
  const char *err;
  const char *id;
  bool last;
  bool foreign;
} reply_row;

static const reply_row replies[] = {
    {"{\"response\":1,\"id\":\"a\"}", 1, "1", NULL, "\"a\"", false, false},
    {"{\"response\":[1],\"isDisposed\":true,\"id\":\"a\"}", 1, "[1]", NULL, "\"a\"", true, false},
    {"{\"isDisposed\":true,\"id\":\"a\"}", 1, NULL, NULL, "\"a\"", true, false},
    {"{\"id\":\"a\"}", 1, NULL, NULL, "\"a\"", false, false},
    {"{\"err\":{\"message\":\"m\"},\"isDisposed\":true,\"id\":\"a\"}", 1, NULL,
     "{\"message\":\"m\"}", "\"a\"", true, false},
    {"{\"err\":\"x\",\"response\":1,\"id\":\"a\"}", 1, "1", "\"x\"", "\"a\"", true, false},
    {"{\"id\":\"a\",\"status\":\"error\",\"err\":\"none\"}", 1, NULL, "\"none\"", "\"a\"", true,
     false},
    {"{\"err\":null,\"response\":1,\"id\":\"a\"}", 1, "1", NULL, "\"a\"", false, false},
    {"{\"err\":\"\",\"response\":1,\"isDisposed\":true,\"id\":\"a\"}", 1, "1", NULL, "\"a\"", true,
     false},
    {"{\"err\":0,\"id\":\"a\"}", 1, NULL, NULL, "\"a\"", false, false},
    {"{\"err\":-0.0e5,\"id\":\"a\"}", 1, NULL, NULL, "\"a\"", false, false},
    {"{\"err\":1e-999,\"id\":\"a\"}", 1, NULL, NULL, "\"a\"", false, false},
    {"{\"err\":0.5,\"id\":\"a\"}", 1, NULL, "0.5", "\"a\"", true, false},
    {"{\"err\":false,\"id\":\"a\"}", 1, NULL, NULL, "\"a\"", false, false},
    {"{\"err\":[],\"id\":\"a\"}", 1, NULL, "[]", "\"a\"", true, false},
    {"{\"response\":null,\"isDisposed\":1,\"id\":\"a\"}", 1, "null", NULL, "\"a\"", true, false},
    {"{\"response\":1,\"isDisposed\":false,\"id\":\"a\"}", 1, "1", NULL, "\"a\"", false, false},
    {"{\"response\":1,\"isDisposed\":\"\",\"id\":\"a\"}", 1, "1", NULL, "\"a\"", false, false},
    {"{\"response\":1,\"isDisposed\":{},\"id\":\"a\"}", 1, "1", NULL, "\"a\"", true, false},
    {"{\"re\\u0073ponse\":1,\"id\":\"a\"}", 1, "1", NULL, "\"a\"", false, false},
    {"{\"response\":1,\"metadata\":{},\"id\":\"a\"}", 1,
     "{\"response\":1,\"metadata\":{},\"id\":\"a\"}", NULL, "\"a\"", true, true},
    {"{\"err\":1,\"x\":2}", 1, "{\"err\":1,\"x\":2}", NULL, NULL, true, true},
    {"{}", 1, "{}", NULL, NULL, true, true},
    {"[1]", 1, "[1]", NULL, NULL, true, true},
    {"12", 0, NULL, NULL, NULL, false, false},
    {"\"x\"", 0, NULL, NULL, NULL, false, false},
    {"{\"response\":[1,],\"id\":1}", ROOST_EPROTO, NULL, NULL, NULL, false, false},
    {"{\"response\":1", ROOST_EPROTO, NULL, NULL, NULL, false, false},
    {"{\"x\":[1,}", ROOST_EPROTO, NULL, NULL, NULL, false, false},
    {"nope", ROOST_EPROTO, NULL, NULL, NULL, false, false},
};

static void reads_replies(void **state) {
  (void)state;
  for (size_t i = 0; i < ROWS(replies); i++) {
    const reply_row *row = &replies[i];
    roost_slice text = exact_copy(roost_slice_text(row->text));
    roost_reply reply;
    int status = roost_envelope_read_reply(&reply, text);
    if (status != row->status)
      print_error("text %s\n", row->text);
    assert_int_equal(status, row->status);
    if (status == 1) {
      assert_member(reply.response, row->response, text);
      assert_member(reply.err, row->err, text);
      assert_member(reply.id, row->id, text);
      assert_int_equal(reply.last, row->last);
      assert_int_equal(reply.foreign, row->foreign);
    }
    free_copy(text);
  }
}

static void write_reply(roost_buffer *out, roost_reply_kind kind, const char *value) {
  roost_buffer_clear(out);
  assert_int_equal(roost_envelope_reply_begin(out, kind), 0);
  assert_int_equal(roost_buffer_append_slice(out, roost_slice_text(value)), 0);
  assert_int_equal(roost_envelope_reply_end(out, kind, ROOST_SLICE("\"a\"")), 0);
}

static void writes_replies_in_nests_order(void **state) {
  fixture *f = *state;
  write_reply(&f->out, ROOST_REPLY_ITEM, "1");
  assert_text(roost_buffer_slice(&f->out), "{\"response\":1,\"id\":\"a\"}");
  write_reply(&f->out, ROOST_REPLY_LAST, "[]");
  assert_text(roost_buffer_slice(&f->out), "{\"response\":[],\"isDisposed\":true,\"id\":\"a\"}");
  write_reply(&f->out, ROOST_REPLY_END, "");
  assert_text(roost_buffer_slice(&f->out), "{\"isDisposed\":true,\"id\":\"a\"}");
  write_reply(&f->out, ROOST_REPLY_ERROR, "{}");
  assert_text(roost_buffer_slice(&f->out), "{\"err\":{},\"isDisposed\":true,\"id\":\"a\"}");
  roost_buffer_clear(&f->out);
  assert_int_equal(roost_envelope_write_unhandled(&f->out, ROOST_SLICE("7")), 0);
  assert_text(
      roost_buffer_slice(&f->out),
      "{\"id\":7,\"status\":\"error\",\"err\":\"There is no matching message handler defined in "
      "the remote service.\"}");
}

static void writes_requests_in_nests_order(void **state) {
  fixture *f = *state;
  roost_message message = {.pattern = ROOST_SLICE("\"p\""), .data = ROOST_SLICE("1")};
  assert_int_equal(roost_envelope_write_request(&f->out, &message), 0);
  assert_text(roost_buffer_slice(&f->out), "{\"pattern\":\"p\",\"data\":1}");
  message.id = ROOST_SLICE("\"x\"");
  roost_buffer_clear(&f->out);
  assert_int_equal(roost_envelope_write_request(&f->out, &message), 0);
  assert_text(roost_buffer_slice(&f->out), "{\"pattern\":\"p\",\"data\":1,\"id\":\"x\"}");
  message.metadata = ROOST_SLICE("{}");
  roost_buffer_clear(&f->out);
  assert_int_equal(roost_envelope_write_request(&f->out, &message), 0);
  assert_text(roost_buffer_slice(&f->out),
              "{\"pattern\":\"p\",\"data\":1,\"metadata\":{},\"id\":\"x\"}");
}

static void writing_reports_no_memory(void **state) {
  fixture *f = *state;
  roost_message message = {.pattern = ROOST_SLICE("1"), .data = ROOST_SLICE("1")};
  f->probe.refuse_after = 0;
  assert_int_equal(roost_envelope_reply_begin(&f->out, ROOST_REPLY_ITEM), ROOST_ENOMEM);
  assert_int_equal(roost_envelope_reply_end(&f->out, ROOST_REPLY_ITEM, ROOST_SLICE("1")),
                   ROOST_ENOMEM);
  assert_int_equal(roost_envelope_write_unhandled(&f->out, ROOST_SLICE("1")), ROOST_ENOMEM);
  assert_int_equal(roost_envelope_write_request(&f->out, &message), ROOST_ENOMEM);
  assert_int_equal(f->out.len, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(reads_requests_and_events),
      cmocka_unit_test_setup_teardown(reads_the_usual_request_as_any_other, set_up, tear_down),
      cmocka_unit_test(refuses_every_prefix),
      cmocka_unit_test_setup_teardown(limits_the_depth_of_values, set_up, tear_down),
      cmocka_unit_test(reads_replies),
      cmocka_unit_test_setup_teardown(writes_replies_in_nests_order, set_up, tear_down),
      cmocka_unit_test_setup_teardown(writes_requests_in_nests_order, set_up, tear_down),
      cmocka_unit_test_setup_teardown(writing_reports_no_memory, set_up, tear_down),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
