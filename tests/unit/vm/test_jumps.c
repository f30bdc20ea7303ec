#include "alloc_probe.h"

#include "vm/jumps.h"

/* The count must not depend on where the pieces end. */
static size_t count(const char *text, size_t len) {
  roost_jumps whole;
  roost_jumps_init(&whole);
  roost_jumps_scan(&whole, (roost_slice){text, len});
  for (size_t part = 1; part < len && part < 8; part++) {
    roost_jumps pieces;
    roost_jumps_init(&pieces);
    for (size_t at = 0; at < len; at += part)
      roost_jumps_scan(&pieces, (roost_slice){text + at, part < len - at ? part : len - at});
    assert_int_equal(pieces.count, whole.count);
  }
  return whole.count;
}

static void expect(size_t expected, const char *text) {
  size_t got = count(text, strlen(text));
  if (got != expected)
    fail_msg("%s: %zu", text, got);
}

static void words_are_counted(void **state) {
  (void)state;
  expect(0, "");
  expect(0, "x = 1");
  expect(1, "goto a ");
  expect(1, "break;");
  expect(2, "goto goto ");
  expect(3, "break;goto\tx;break\n");
  expect(1, "a.b=c goto(x)");
  expect(0, "goto1 = gotox + xgoto + _break + break_ + brea k + GOTO + breaks ");
  expect(0, "1goto ");
}

static void words_in_strings_and_comments_are_not(void **state) {
  (void)state;
  expect(1, "x = 'break ' break ");
  expect(1, "x = \"break '\" break ");
  expect(1, "x = 'it\\'s a break ' break ");
  expect(1, "x = '\\\\' break ");
  expect(0, "-- break \n");
  expect(1, "-- break \n break ");
  expect(1, "-- break \r break ");
  expect(1, "--[[ break \n break ]] break ");
  expect(1, "--[==[ break ]=] break ]==] break ");
  expect(0, "--[==[ break ]=] break ");
  expect(1, "--[=x break \n break ");
  expect(1, "--[\n break ");
  expect(1, "x = [[ break ]] break ");
  expect(1, "x = [=[ break ]] ]=] break ");
  expect(1, "x = [=[ break ]]=] break ");
  expect(2, "x[break ] = [=break ");
  expect(1, "x - break ");
  expect(1, "x -'break ' break ");
}

static void bytecode_has_no_words(void **state) {
  (void)state;
  expect(0, "\x1bLua break ");
  expect(1, " \x1bLua break ");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(words_are_counted),
      cmocka_unit_test(words_in_strings_and_comments_are_not),
      cmocka_unit_test(bytecode_has_no_words),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
