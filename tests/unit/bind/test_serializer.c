#include "bind/serializer.h"

#include <sys/stat.h>

#include "alloc_probe.h"
#include "core/slice.h"

typedef struct fixture {
  roost_alloc_probe probe;
  roost_clock clock;
  roost_wheel wheel;
  roost_runner runner;
  roost_log *log;
  char lines[2048];
  char folder[64];
  roost_serializers *serializers;
  roost_buffer error;
  roost_buffer out;
} fixture;

static void on_line(void *ud, roost_log_level level, roost_slice line) {
  fixture *self = ud;
  const size_t len = strlen(self->lines);
  (void)level;
  snprintf(self->lines + len, sizeof self->lines - len, "%.*s\n", (int)line.len, line.ptr);
}

static void write_module(const fixture *self, const char *name, const char *text) {
  char path[128];
  snprintf(path, sizeof path, "%s/lib/%s.lua", self->folder, name);
  FILE *file = fopen(path, "w");
  assert_non_null(file);
  fputs(text, file);
  fclose(file);
}

static int make(fixture *self) {
  const roost_serializers_config config = {.alloc = &self->probe.alloc,
                                           .runner = &self->runner,
                                           .wheel = &self->wheel,
                                           .log = self->log,
                                           .working_dir = "/nowhere",
                                           .services = self->folder};
  return roost_serializers_new(&self->serializers, &config);
}

static int set_up(void **state) {
  char path[128];
  fixture *self = calloc(1, sizeof *self);
  roost_alloc_probe_init(&self->probe);
  self->clock = (roost_clock){.fake = true, .now_us = 1000000};
  roost_wheel_init(&self->wheel, 1000);
  roost_runner_init(&self->runner);
  assert_int_equal(roost_log_new(&self->log, roost_alloc_default(), &self->clock, on_line, self),
                   0);
  strcpy(self->folder, "/tmp/roost-serializer-XXXXXX");
  assert_non_null(mkdtemp(self->folder));
  snprintf(path, sizeof path, "%s/lib", self->folder);
  assert_int_equal(mkdir(path, 0700), 0);
  roost_buffer_init(&self->error, roost_alloc_default());
  roost_buffer_init(&self->out, roost_alloc_default());
  assert_int_equal(make(self), 0);
  *state = self;
  return 0;
}

static int tear_down(void **state) {
  fixture *self = *state;
  char command[128];
  roost_serializers_free(self->serializers);
  assert_int_equal(self->probe.bytes, 0);
  roost_log_free(self->log);
  roost_buffer_deinit(&self->error);
  roost_buffer_deinit(&self->out);
  snprintf(command, sizeof command, "rm -r '%s'", self->folder);
  assert_int_equal(system(command), 0);
  free(self);
  return 0;
}

static roost_codec *get(fixture *self, const char *serializer, const char *deserializer) {
  roost_codec *codec;
  const int status =
      roost_serializers_get(&codec, self->serializers, serializer, deserializer, &self->error);
  if (status != 0)
    fail_msg("%.*s", (int)self->error.len, self->error.ptr);
  return codec;
}

static void expect_out(fixture *self, const char *text) {
  if (!roost_slice_equal(roost_buffer_slice(&self->out), roost_slice_text(text)))
    fail_msg("got %.*s, not %s", (int)self->out.len, self->out.ptr, text);
  roost_buffer_clear(&self->out);
}

static void expect_written(fixture *self, roost_codec *codec, const char *packet,
                           const char *text) {
  const int status = codec->write(codec, roost_slice_text(packet), &self->out);
  if (status != 0)
    fail_msg("%s: %s", packet, codec->why);
  expect_out(self, text);
}

static void expect_read(fixture *self, roost_codec *codec, const char *body, const char *packet) {
  const int status = codec->read(codec, roost_slice_text(body), &self->out);
  if (status != 0)
    fail_msg("%s: %s", body, codec->why);
  expect_out(self, packet);
}

static void values_and_bytes(void **state) {
  fixture *self = *state;
  write_module(self, "values",
               "return { serialize = function(p) return { p.id, p.response } end, "
               "deserialize = function(v, channel) return { pattern = v[1], data = "
               "v[2], id = channel } end }");
  write_module(self, "bytes",
               "return { encode = function(p) return '<' .. p.response .. '>' end, "
               "decode = function(text) return { pattern = text:sub(2, -2) } end }");
  roost_codec *codec = get(self, "values", "values");
  assert_false(codec->takes_bytes);
  expect_written(self, codec, "{\"response\":{\"a\":[]},\"id\":\"x\"}", "[\"x\",{\"a\":[]}]");
  expect_read(self, codec, "[\"p\"]", "{\"pattern\":\"p\"}");
  codec = get(self, "bytes", "bytes");
  assert_true(codec->takes_bytes);
  expect_written(self, codec, "{\"response\":\"\\u00ff\"}", "<\xc3\xbf>");
  expect_read(self, codec, "<p>", "{\"pattern\":\"p\"}");
}

static void either_alone(void **state) {
  fixture *self = *state;
  write_module(self, "half",
               "return { encode = function() return 'x' end, decode = function() "
               "return {} end, serialize = 5 }");
  roost_codec *codec = get(self, "half", NULL);
  assert_null(codec->read);
  assert_false(codec->takes_bytes);
  expect_written(self, codec, "{}", "x");
  codec = get(self, NULL, "half");
  assert_null(codec->write);
  assert_true(codec->takes_bytes);
}

static void lua_cjson_is_one(void **state) {
  fixture *self = *state;
  roost_codec *codec = get(self, "cjson", "cjson");
  expect_written(self, codec, "{\"response\":[1,\"\xc3\xa9\",null]}",
                 "{\"response\":[1,\"\xc3\xa9\",null]}");
  expect_read(self, codec, "{\"pattern\":null}", "{\"pattern\":null}");
}

static void a_pair_is_made_once(void **state) {
  fixture *self = *state;
  write_module(self, "counted",
               "count = (count or 0) + 1 return { encode = function() return "
               "tostring(count) end }");
  roost_codec *codec = get(self, "counted", NULL);
  assert_ptr_equal(codec, get(self, "counted", NULL));
  expect_written(self, get(self, "counted", "cjson"), "{}", "1"); /* one state, one module */
}

static void modules_have_json_and_print(void **state) {
  fixture *self = *state;
  write_module(self, "api",
               "local roost = require 'roost' local cjson = require 'cjson'\n"
               "return { serialize = function(p) print('took', p.id)\n"
               "assert(cjson.null == roost.null and p.none == roost.null)\n"
               "return { roost.array {}, roost.bytes 'a', "
               "roost.json.encode(roost.json.decode '[1]') } end }");
  expect_written(self, get(self, "api", NULL), "{\"id\":7,\"none\":null}",
                 "[[],{\"type\":\"Buffer\",\"data\":[97]},\"[1]\"]");
  roost_log_drain(self->log);
  assert_non_null(strstr(self->lines, "level=info msg=\"took\\t7\""));
}

static void what_is_raised_is_said(void **state) {
  static const char *const rows[][2] = {
      {"error('no')", "serializer: lib/bad.lua:1: no"},
      {"error({ name = 'X' })", "serializer: {\"name\":\"X\"}"},
      {"error(setmetatable({}, { __tostring = function() return 'shown' end }))",
       "serializer: shown"},
      {"return nil", "serializer: serialize returned nothing"},
      {"return print", "serializer: what serialize returned: a function cannot be sent"},
      {"return '\\xff'", "serializer: what serialize returned: text is not UTF-8"},
      {"coroutine.yield()", "serializer: attempt to yield from outside a coroutine"},
      {"return ('x'):rep(1e10)", "serializer: "},
  };
  fixture *self = *state;
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    char name[16];
    char text[256];
    snprintf(name, sizeof name, "bad%zu", i);
    snprintf(text, sizeof text, "return { serialize = function() %s end }", rows[i][0]);
    write_module(self, name, text);
    roost_codec *codec = get(self, name, NULL);
    const int status = codec->write(codec, ROOST_SLICE("{}"), &self->out);
    if (i + 1 < sizeof rows / sizeof rows[0])
      assert_int_equal(status, ROOST_ESCRIPT);
    else
      assert_true(status == ROOST_ESCRIPT || status == ROOST_ENOMEM);
    const char *expected = i == 0 ? "serializer: lib/bad0.lua:1: no" : rows[i][1];
    if (strstr(codec->why, expected) != codec->why)
      fail_msg("%s: %s", rows[i][0], codec->why);
    roost_buffer_clear(&self->out);
  }
}

static void bytes_that_are_none(void **state) {
  fixture *self = *state;
  write_module(self, "odd",
               "return { encode = function() return { 1 } end, decode = function() "
               "error 'no' end }");
  roost_codec *codec = get(self, "odd", "odd");
  assert_int_equal(codec->write(codec, ROOST_SLICE("{}"), &self->out), ROOST_ESCRIPT);
  assert_string_equal(codec->why, "serializer: encode returned a table, not text");
  assert_int_equal(codec->read(codec, ROOST_SLICE("{}"), &self->out), ROOST_ESCRIPT);
  assert_string_equal(codec->why, "deserializer: lib/odd.lua:1: no");
  write_module(self, "plain", "return { deserialize = function(v) return v end }");
  codec = get(self, NULL, "plain");
  assert_int_equal(codec->read(codec, ROOST_SLICE("{nonsense"), &self->out), ROOST_ESCRIPT);
  assert_non_null(strstr(codec->why, "deserializer: not JSON: "));
}

static void modules_that_cannot_be_loaded(void **state) {
  static const struct {
    const char *text; /* NULL: there is no file */
    const char *expected;
  } rows[] = {
      {NULL, "serializer: module 'gone' not found"},
      {"return {", "serializer: lib/gone.lua:1: "},
      {"error 'at once'", "serializer: lib/gone.lua:1: at once"},
      {"return 5", "serializer: module 'gone' returned a number, not a table"},
      {"return {}", "serializer: module 'gone' has neither serialize nor encode"},
  };
  fixture *self = *state;
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    roost_codec *codec;
    roost_serializers_free(self->serializers);
    assert_int_equal(make(self), 0);
    if (rows[i].text != NULL)
      write_module(self, "gone", rows[i].text);
    assert_int_equal(roost_serializers_get(&codec, self->serializers, "gone", NULL, &self->error),
                     ROOST_ESCRIPT);
    assert_null(codec);
    assert_int_equal(roost_buffer_append_byte(&self->error, '\0'), 0);
    if (strstr(self->error.ptr, rows[i].expected) == NULL)
      fail_msg("%s", self->error.ptr);
    roost_buffer_clear(&self->error);
  }
}

static void out_of_memory_anywhere(void **state) {
  fixture *self = *state;
  write_module(self, "small", "return { serialize = function(p) return { p } end }");
  for (size_t n = 0;; n++) {
    roost_codec *codec = NULL;
    roost_serializers_free(self->serializers);
    self->serializers = NULL;
    roost_buffer_clear(&self->error);
    self->probe.refuse_after = n;
    int status = make(self);
    if (status == 0)
      status = roost_serializers_get(&codec, self->serializers, "small", NULL, &self->error);
    if (status == 0)
      status = codec->write(codec, ROOST_SLICE("{\"a\":1}"), &self->out);
    self->probe.refuse_after = ROOST_ALLOC_PROBE_NEVER;
    if (status == 0)
      break;
    if (status != ROOST_ENOMEM && status != ROOST_ESCRIPT) /* require tells it as an error */
      fail_msg("%s", roost_status_name(status));
    roost_buffer_clear(&self->out);
  }
  expect_out(self, "[{\"a\":1}]");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(values_and_bytes, set_up, tear_down),
      cmocka_unit_test_setup_teardown(either_alone, set_up, tear_down),
      cmocka_unit_test_setup_teardown(lua_cjson_is_one, set_up, tear_down),
      cmocka_unit_test_setup_teardown(a_pair_is_made_once, set_up, tear_down),
      cmocka_unit_test_setup_teardown(modules_have_json_and_print, set_up, tear_down),
      cmocka_unit_test_setup_teardown(what_is_raised_is_said, set_up, tear_down),
      cmocka_unit_test_setup_teardown(bytes_that_are_none, set_up, tear_down),
      cmocka_unit_test_setup_teardown(modules_that_cannot_be_loaded, set_up, tear_down),
      cmocka_unit_test_setup_teardown(out_of_memory_anywhere, set_up, tear_down),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
