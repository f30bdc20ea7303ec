#include "wire/json.h"

#include <math.h>

#include "wire_test.h"

/* The tokens of a text, a letter each; E stands for an error, then all ends. */
static void read_letters(char *letters, size_t room, roost_slice text) {
  static const char names[] = {
      [ROOST_JSON_ERROR] = 'E',     [ROOST_JSON_END] = '.',       [ROOST_JSON_NULL] = 'n',
      [ROOST_JSON_FALSE] = 'f',     [ROOST_JSON_TRUE] = 't',      [ROOST_JSON_INTEGER] = 'i',
      [ROOST_JSON_DOUBLE] = 'd',    [ROOST_JSON_STRING] = 's',    [ROOST_JSON_KEY] = 'k',
      [ROOST_JSON_ARRAY] = '[',     [ROOST_JSON_ARRAY_END] = ']', [ROOST_JSON_OBJECT] = '{',
      [ROOST_JSON_OBJECT_END] = '}'};
  roost_json_reader reader;
  roost_json_token token;
  roost_json_type type;
  size_t len = 0;
  roost_json_reader_init(&reader, text);
  do {
    type = roost_json_next(&reader, &token);
    assert_true(len + 1 < room);
    letters[len++] = names[type];
  } while (type != ROOST_JSON_END && type != ROOST_JSON_ERROR);
  letters[len] = '\0';
  assert_true(reader.at >= reader.start && reader.at <= reader.end);
  assert_int_equal(reader.error != NULL, type == ROOST_JSON_ERROR);
  assert_int_equal(roost_json_next(&reader, &token), type);
}

typedef struct row {
  const char *text;
  const char *letters;
} row;

static const row accepted[] = {
    {"null", "n."},
    {" \t\r\n true \t\r\n ", "t."},
    {"false", "f."},
    {"0", "i."},
    {"-0", "d."},
    {"12", "i."},
    {"1.5", "d."},
    {"1e3", "d."},
    {"\"\"", "s."},
    {"[]", "[]."},
    {"{}", "{}."},
    {"[ ]", "[]."},
    {"{ }", "{}."},
    {"[{},[],[{}]]", "[{}[][{}]]."},
    {"[1,null , \"a\"]", "[ins]."},
    {"{\"a\":1 , \"b\" : {\"c\":[true]}}", "{kik{k[t]}}."},
    {"{\"\":0}", "{ki}."},
    {"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\uD83D\\uDE00\\ud800\"", "s."},
    {"\"\x7F\xC3\xA9\xE2\x80\xA8\xF0\x9F\x98\x80\"", "s."},
};

static const row refused[] = {
    {"", "E"},
    {" ", "E"},
    {"nul", "E"},
    {"nulll", "nE"},
    {"True", "E"},
    {"NaN", "E"},
    {"Infinity", "E"},
    {"-Infinity", "E"},
    {"undefined", "E"},
    {"'a'", "E"},
    {"01", "E"},
    {"-01", "E"},
    {"00", "E"},
    {"1.", "E"},
    {".5", "E"},
    {"-.5", "E"},
    {"+1", "E"},
    {"-", "E"},
    {"--1", "E"},
    {"1e", "E"},
    {"1e+", "E"},
    {"1.e1", "E"},
    {"1.5.5", "dE"},
    {"0x10", "iE"},
    {"1 2", "iE"},
    {"\"", "E"},
    {"\"a", "E"},
    {"\"\\", "E"},
    {"\"\\\"", "E"},
    {"\"\\x\"", "E"},
    {"\"\\u12g4\"", "E"},
    {"\"\\u123", "E"},
    {"\"\\u123\"", "E"},
    {"\"a\nb\"", "E"},
    {"\"a\tb\"", "E"},
    {"\"\x1F\"", "E"},
    {"[", "[E"},
    {"]", "E"},
    {"[1", "[iE"},
    {"[1,", "[iE"},
    {"[1,]", "[iE"},
    {"[,1]", "[E"},
    {"[1 2]", "[iE"},
    {"[1}", "[iE"},
    {"[1]]", "[i]E"},
    {"{", "{E"},
    {"}", "E"},
    {"{1:2}", "{E"},
    {"{a:1}", "{E"},
    {"{\"a\"", "{E"},
    {"{\"a\"}", "{E"},
    {"{\"a\" 1}", "{E"},
    {"{\"a\":}", "{kE"},
    {"{\"a\":1", "{kiE"},
    {"{\"a\":1,}", "{kiE"},
    {"{\"a\":1]", "{kiE"},
    {"{,}", "{E"},
    {"{\"a\":1,,\"b\":2}", "{kiE"},
    {"{\"a\":1}{}", "{ki}E"},
    {"[1]/**/", "[i]E"},
    {"// x\n1", "E"},
    {"\xEF\xBB\xBF"
     "1",
     "E"},
    {"\xC2\xA0"
     "1",
     "E"},
    {"\f1", "E"},
    {"\v1", "E"},
};

static void check_rows(const row *rows, size_t count, int status) {
  for (size_t i = 0; i < count; i++) {
    char letters[64];
    roost_slice text = exact_copy(roost_slice_text(rows[i].text));
    read_letters(letters, sizeof letters, text);
    if (strcmp(letters, rows[i].letters) != 0)
      print_error("text \"%s\"\n", rows[i].text);
    assert_string_equal(letters, rows[i].letters);
    assert_int_equal(roost_json_validate(text), status);
    free_copy(text);
  }
}

static void accepts_what_the_standard_does(void **state) {
  (void)state;
  check_rows(accepted, ROWS(accepted), 0);
}

static void refuses_what_the_standard_does(void **state) {
  (void)state;
  check_rows(refused, ROWS(refused), ROOST_EPROTO);
  assert_int_equal(roost_json_validate((roost_slice){NULL, 0}), ROOST_EPROTO);
  assert_int_equal(roost_json_validate(ROOST_SLICE("1\0")), ROOST_EPROTO);
  assert_int_equal(roost_json_validate(ROOST_SLICE("\"a\0b\"")), ROOST_EPROTO);
}

/* No prefix of a container or string is a whole text, and none is read past its end. */
static void refuses_every_prefix(void **state) {
  (void)state;
  roost_slice whole =
      ROOST_SLICE("{\"abc\":[1.5e3,null,true,false,\"x\\u00e9\\n\",-12,{}],\"\":0}");
  assert_int_equal(roost_json_validate(whole), 0);
  for (size_t len = 0; len < whole.len; len++) {
    roost_slice part = exact_copy((roost_slice){whole.ptr, len});
    assert_int_equal(roost_json_validate(part), ROOST_EPROTO);
    free_copy(part);
  }
}

static void check_integer(const char *text, int64_t expected) {
  roost_json_reader reader;
  roost_json_token token;
  roost_json_reader_init(&reader, roost_slice_text(text));
  assert_int_equal(roost_json_next(&reader, &token), ROOST_JSON_INTEGER);
  assert_true(token.integer == expected);
}

static void check_double(const char *text, double expected) {
  roost_json_reader reader;
  roost_json_token token;
  roost_json_reader_init(&reader, roost_slice_text(text));
  assert_int_equal(roost_json_next(&reader, &token), ROOST_JSON_DOUBLE);
  assert_memory_equal(&token.number, &expected, sizeof expected);
}

static void tells_integers_from_doubles(void **state) {
  (void)state;
  check_integer("0", 0);
  check_integer("-1", -1);
  check_integer("9007199254740993", 9007199254740993);
  check_integer("999999999999999999", 999999999999999999);
  check_integer("1000000000000000000", 1000000000000000000);
  check_integer("9223372036854775807", INT64_MAX);
  check_integer("-9223372036854775808", INT64_MIN);
  check_double("9223372036854775808", 9223372036854775808.0);
  check_double("-9223372036854775809", -9223372036854775808.0);
  check_double("18446744073709551616", 18446744073709551616.0);
  check_double("-0", -0.0);
  check_double("1.0", 1.0);
  check_double("1e2", 100.0);
  check_double("1E-2", 0.01);
  check_double("5e-324", 5e-324);
  check_double("1e400", (double)INFINITY);
  check_double("-1e400", (double)-INFINITY);
}

static void hands_out_text_between_quotes(void **state) {
  (void)state;
  roost_json_reader reader;
  roost_json_token token;
  roost_json_reader_init(&reader, ROOST_SLICE("{\"k\\n\":\"v\"}"));
  assert_int_equal(roost_json_next(&reader, &token), ROOST_JSON_OBJECT);
  assert_int_equal(roost_json_next(&reader, &token), ROOST_JSON_KEY);
  assert_text(token.text, "k\\n");
  assert_true(token.escaped);
  assert_int_equal(roost_json_next(&reader, &token), ROOST_JSON_STRING);
  assert_text(token.text, "v");
  assert_false(token.escaped);
}

/* depth arrays (or objects) inside each other, with a 1 in the innermost. */
static roost_slice nest(size_t depth, bool is_object) {
  const char *open = is_object ? "{\"\":" : "[";
  size_t width = strlen(open);
  char *text = malloc(depth * (width + 1) + 1);
  assert_non_null(text);
  for (size_t i = 0; i < depth; i++)
    memcpy(text + i * width, open, width);
  text[depth * width] = '1';
  memset(text + depth * width + 1, is_object ? '}' : ']', depth);
  return (roost_slice){text, depth * (width + 1) + 1};
}

static void limits_the_depth(void **state) {
  (void)state;
  for (int is_object = 0; is_object < 2; is_object++) {
    roost_slice allowed = nest(ROOST_JSON_DEPTH_MAX, is_object != 0);
    roost_slice too_deep = nest(ROOST_JSON_DEPTH_MAX + 1, is_object != 0);
    assert_int_equal(roost_json_validate(allowed), 0);
    assert_int_equal(roost_json_validate(too_deep), ROOST_EPROTO);
    free_copy(allowed);
    free_copy(too_deep);
  }
}

static void next_is(roost_json_reader *reader, roost_json_type type) {
  roost_json_token token;
  assert_int_equal(roost_json_next(reader, &token), type);
}

static void skips_containers_and_values(void **state) {
  (void)state;
  roost_json_reader reader;
  roost_json_reader_init(&reader,
                         ROOST_SLICE("{\"a\":[1,{\"b\":[]}],\"c\":7,\"d\":[[],2],\"e\":{}}"));
  next_is(&reader, ROOST_JSON_OBJECT);
  next_is(&reader, ROOST_JSON_KEY);
  assert_int_equal(roost_json_skip(&reader), 0); /* the array of a */
  next_is(&reader, ROOST_JSON_KEY);
  assert_int_equal(roost_json_skip(&reader), 0); /* the 7 of c */
  next_is(&reader, ROOST_JSON_KEY);
  next_is(&reader, ROOST_JSON_ARRAY);
  assert_int_equal(roost_json_skip(&reader), 0); /* what is in d */
  next_is(&reader, ROOST_JSON_KEY);
  next_is(&reader, ROOST_JSON_OBJECT);
  assert_int_equal(roost_json_skip(&reader), 0); /* nothing in e */
  next_is(&reader, ROOST_JSON_OBJECT_END);
  next_is(&reader, ROOST_JSON_END);

  roost_json_reader_init(&reader, ROOST_SLICE("[[1,[2}]]"));
  next_is(&reader, ROOST_JSON_ARRAY);
  assert_int_equal(roost_json_skip(&reader), ROOST_EPROTO);
  next_is(&reader, ROOST_JSON_ERROR);
}

static void takes_values_as_text(void **state) {
  (void)state;
  static const char *const values[] = {
      "1", "-1.5e3", "null", "\"a\\\"}\"", "[1, {\"b\":\"]\"}]", "{}", "{ \"x\\\\\" : [] }"};
  for (size_t i = 0; i < ROWS(values); i++) {
    char text[128];
    snprintf(text, sizeof text, "{\"a\" : %s , \"b\":0}", values[i]);
    roost_slice copy = exact_copy(roost_slice_text(text));
    roost_json_reader reader;
    roost_slice value;
    roost_json_reader_init(&reader, copy);
    assert_int_equal(roost_json_take(&reader, &value), 0);
    assert_slice(value, copy.ptr, copy.len);
    next_is(&reader, ROOST_JSON_END);
    roost_json_reader_init(&reader, copy);
    next_is(&reader, ROOST_JSON_OBJECT);
    next_is(&reader, ROOST_JSON_KEY);
    assert_int_equal(roost_json_take(&reader, &value), 0);
    assert_text(value, values[i]);
    next_is(&reader, ROOST_JSON_KEY);
    assert_int_equal(roost_json_take(&reader, &value), 0);
    assert_text(value, "0");
    assert_int_equal(roost_json_take(&reader, &value), ROOST_EPROTO); /* no value follows */
    next_is(&reader, ROOST_JSON_OBJECT_END);
    next_is(&reader, ROOST_JSON_END);
    free_copy(copy);
  }
}

static void take_and_skip_fail_for_good(void **state) {
  (void)state;
  static const char *const texts[] = {"{\"a\":", "{\"a\":[1", "{\"a\":x", "{\"a\":[1,]}"};
  for (size_t i = 0; i < ROWS(texts); i++) {
    for (int skip = 0; skip < 2; skip++) {
      roost_json_reader reader;
      roost_slice value;
      roost_json_reader_init(&reader, roost_slice_text(texts[i]));
      next_is(&reader, ROOST_JSON_OBJECT);
      next_is(&reader, ROOST_JSON_KEY);
      assert_int_equal(skip ? roost_json_skip(&reader) : roost_json_take(&reader, &value),
                       ROOST_EPROTO);
      assert_non_null(reader.error);
      next_is(&reader, ROOST_JSON_ERROR);
      assert_int_equal(roost_json_take(&reader, &value), ROOST_EPROTO);
      assert_int_equal(roost_json_skip(&reader), ROOST_EPROTO);
    }
  }
}

/* What is skipped counts from the outermost container, what is taken from itself. */
static void limits_the_depth_of_what_it_passes(void **state) {
  (void)state;
  for (size_t depth = ROOST_JSON_DEPTH_MAX - 1; depth <= ROOST_JSON_DEPTH_MAX + 1; depth++) {
    char text[2 * ROOST_JSON_DEPTH_MAX + 32];
    roost_slice nested = nest(depth, false);
    int len = snprintf(text, sizeof text, "{\"a\":%.*s}", (int)nested.len, nested.ptr);
    roost_json_reader reader;
    roost_slice value;
    roost_json_reader_init(&reader, (roost_slice){text, (size_t)len});
    next_is(&reader, ROOST_JSON_OBJECT);
    next_is(&reader, ROOST_JSON_KEY);
    roost_json_reader other = reader;
    assert_int_equal(roost_json_skip(&reader), depth < ROOST_JSON_DEPTH_MAX ? 0 : ROOST_EPROTO);
    assert_int_equal(roost_json_take(&other, &value),
                     depth <= ROOST_JSON_DEPTH_MAX ? 0 : ROOST_EPROTO);
    free_copy(nested);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(accepts_what_the_standard_does),
      cmocka_unit_test(refuses_what_the_standard_does),
      cmocka_unit_test(refuses_every_prefix),
      cmocka_unit_test(tells_integers_from_doubles),
      cmocka_unit_test(hands_out_text_between_quotes),
      cmocka_unit_test(limits_the_depth),
      cmocka_unit_test(skips_containers_and_values),
      cmocka_unit_test(takes_values_as_text),
      cmocka_unit_test(take_and_skip_fail_for_good),
      cmocka_unit_test(limits_the_depth_of_what_it_passes),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
