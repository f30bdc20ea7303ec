#include "wire/mqtt.h"
#include "wire_test.h"

static void a_topic_has_no_wildcard(void **state) {
  (void)state;
  static char text[65536];
  memset(text, 'x', sizeof text);
  const char *valid[] = {"a",        "/", "a/b", "a//b", "$SYS/x", " ", "{\"cmd\":\"sum\"}",
                         "\xC3\xA9", NULL};
  const char *invalid[] = {"", "#", "+", "a/#", "a+", "\xff", "\xED\xA0\x80", NULL};
  for (size_t i = 0; valid[i] != NULL; i++)
    assert_true(roost_mqtt_topic_is_valid(roost_slice_text(valid[i])));
  for (size_t i = 0; invalid[i] != NULL; i++)
    assert_false(roost_mqtt_topic_is_valid(roost_slice_text(invalid[i])));
  assert_false(roost_mqtt_topic_is_valid(roost_slice_of("a\0b", 3)));
  assert_false(roost_mqtt_topic_is_valid(roost_slice_of(text, sizeof text)));
  assert_true(roost_mqtt_topic_is_valid(roost_slice_of(text, sizeof text - 1)));
}

static void a_filter_has_wildcards_as_whole_levels(void **state) {
  (void)state;
  const char *valid[] = {"a",         "#",      "+",          "+/+",        "a/#",
                         "/#",        "+/a/#",  "$share/g/a", "$share/g/#", "$share/g//a",
                         "$shared/x", "$SYS/#", NULL};
  const char *invalid[] = {
      "",          "a#",          "#/a",        "a/#/b",       "a+",       "+a/b",
      "a/b+",      "##",          "++",         "$share/",     "$share/g", "$share/g/",
      "$share//a", "$share/g+/a", "$share/#/a", "$share/g/a#", "\xff",     NULL};
  for (size_t i = 0; valid[i] != NULL; i++)
    assert_true(roost_mqtt_filter_is_valid(roost_slice_text(valid[i])));
  for (size_t i = 0; invalid[i] != NULL; i++)
    assert_false(roost_mqtt_filter_is_valid(roost_slice_text(invalid[i])));
}

static void what_is_shared_is_its_filter(void **state) {
  (void)state;
  assert_text(roost_mqtt_filter_unshared(ROOST_SLICE("$share/g/a/b")), "a/b");
  assert_text(roost_mqtt_filter_unshared(ROOST_SLICE("$share/g//b")), "/b");
  assert_text(roost_mqtt_filter_unshared(ROOST_SLICE("$shared/g/a")), "$shared/g/a");
  assert_text(roost_mqtt_filter_unshared(ROOST_SLICE("a/b")), "a/b");
  assert_true(roost_mqtt_filter_is_shared(ROOST_SLICE("$share/g/a/b")));
  assert_false(roost_mqtt_filter_is_shared(ROOST_SLICE("$share")));
  assert_true(roost_mqtt_filter_is_wildcard(ROOST_SLICE("a/+")));
  assert_true(roost_mqtt_filter_is_wildcard(ROOST_SLICE("#")));
  assert_false(roost_mqtt_filter_is_wildcard(ROOST_SLICE("a/b+")));
}

typedef struct row {
  const char *filter;
  const char *topic;
  bool matches;
} row;

/* What Nest answers for each. */
static const row rows[] = {
    {"a", "a", true},
    {"a", "b", false},
    {"a", "a/b", false},
    {"a/b", "a", false},
    {"a/+", "a/b", true},
    {"a/+", "a", false},
    {"a/+", "a/", false},
    {"a/+", "a/b/c", false},
    {"+/b", "a/b", true},
    {"+", "a", true},
    {"+/+", "a/b", true},
    {"a/+/c", "a/b/c", true},
    {"a/+/c", "a//c", false},
    {"h/#", "h", true},
    {"h/#", "h/", true},
    {"h/#", "h/x", true},
    {"h/#", "h/x/y", true},
    {"h/#", "hh/x", false},
    {"#", "a/b/c", true},
    {"#", "a", true},
    {"a/#/c", "a/b/c", false},
    {"/a", "/a", true},
    {"a//b", "a//b", true},
    {"a/", "a", false},
    {"a", "a/", false},
    {"$share/g/a/b", "a/b", true},
    {"$share/g/a/+", "a/b", true},
    {"$share/g/a/#", "a/b/c", true},
    {"$share/g/a", "b", false},
    {"{\"cmd\":\"sum\"}", "{\"cmd\":\"sum\"}", true},
};

static void matches_as_nest_does(void **state) {
  (void)state;
  for (size_t i = 0; i < ROWS(rows); i++) {
    const bool matches = roost_mqtt_filter_matches(roost_slice_text(rows[i].filter),
                                                   roost_slice_text(rows[i].topic));
    if (matches != rows[i].matches)
      print_error("%s and %s\n", rows[i].filter, rows[i].topic);
    assert_int_equal(matches, rows[i].matches);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_topic_has_no_wildcard),
      cmocka_unit_test(a_filter_has_wildcards_as_whole_levels),
      cmocka_unit_test(what_is_shared_is_its_filter),
      cmocka_unit_test(matches_as_nest_does),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
