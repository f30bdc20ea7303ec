#include "wire/number.h"

#include <locale.h>

#include "wire_test.h"

typedef struct row {
  const char *text;
  double value;
} row;

static const row readings[] = {
    {"0.0", 0.0},
    {"0e99999999999999999999999", 0.0},
    {"0.000", 0.0},
    {"0.1", 0.1},
    {"1.5", 1.5},
    {"123.456e-2", 1.23456},
    {"1e22", 1e22},
    {"1e23", 1e23},
    {"9007199254740993.0", 9007199254740992.0},
    {"9007199254740993.00000000000000000000000000000000000001", 9007199254740994.0},
    {"9007199254740992.99999999999999999999999999999999999999", 9007199254740992.0},
    {"1.7976931348623157e308", 1.7976931348623157e308},
    {"1.7976931348623158e308", 1.7976931348623157e308},
    {"2.2250738585072011e-308", 2.2250738585072011e-308},
    {"2.2250738585072014e-308", 2.2250738585072014e-308},
    {"4.9406564584124654e-324", 5e-324},
    {"2.4703282292062328e-324", 5e-324},
    {"2.4703282292062327e-324", 0.0},
    {"1e-400", 0.0},
    {"100000000000000000000000000000e-29", 1.0},
    {"0.00000000000000000000000000001e29", 1.0},
    {"1e-99999999999999999999999", 0.0},
};

static void check_reading(roost_slice text, double expected) {
  roost_number number;
  roost_slice copy = exact_copy(text);
  assert_ptr_equal(roost_number_read(&number, copy.ptr, copy.ptr + copy.len), copy.ptr + copy.len);
  assert_false(number.is_integer);
  if (memcmp(&number.number, &expected, sizeof expected) != 0)
    print_error("\"%.*s\" read as %.17g\n", (int)text.len, text.ptr, number.number);
  assert_memory_equal(&number.number, &expected, sizeof expected);
  free_copy(copy);
}

static void reads_to_the_nearest_double(void **state) {
  (void)state;
  for (size_t i = 0; i < ROWS(readings); i++) {
    char negative[128];
    check_reading(roost_slice_text(readings[i].text), readings[i].value);
    snprintf(negative, sizeof negative, "-%s", readings[i].text);
    check_reading(roost_slice_text(negative), -readings[i].value);
  }
}

/* Just above and just below the middle of two doubles, decided by the last of very many digits. */
static void reads_any_number_of_digits(void **state) {
  (void)state;
  static const char middle[] = "9007199254740993.";
  enum { ZEROS = 5000 };
  char text[sizeof middle + ZEROS + 1];
  memcpy(text, middle, sizeof middle - 1);
  memset(text + sizeof middle - 1, '0', ZEROS);
  size_t len = sizeof middle - 1 + ZEROS;
  check_reading((roost_slice){text, len}, 9007199254740992.0);
  text[len] = '1';
  check_reading((roost_slice){text, len + 1}, 9007199254740994.0);

  memset(text, '0', ZEROS);
  text[1] = '.';
  memcpy(text + ZEROS, "15e5000", 7);
  check_reading((roost_slice){text, ZEROS + 7}, 15.0);
}

static void stops_after_the_number(void **state) {
  (void)state;
  roost_number number;
  roost_slice text = ROOST_SLICE("12,");
  assert_ptr_equal(roost_number_read(&number, text.ptr, text.ptr + text.len), text.ptr + 2);
  assert_true(number.is_integer);
  assert_int_equal(number.integer, 12);
}

static const row printings[] = {
    {"0", 0.0},
    {"0", -0.0},
    {"1", 1.0},
    {"-1.5", -1.5},
    {"0.1", 0.1},
    {"0.30000000000000004", 0.1 + 0.2},
    {"123456.789", 123456.789},
    {"9007199254740992", 9007199254740992.0},
    {"9007199254740994", 9007199254740994.0},
    {"100000000000000000000", 1e20},
    {"123456789012345680000", 123456789012345678901.0},
    {"1e+21", 1e21},
    {"1.5e+300", 1.5e300},
    {"1.7976931348623157e+308", 1.7976931348623157e308},
    {"0.000001", 1e-6},
    {"0.00000123", 1.23e-6},
    {"1e-7", 1e-7},
    {"-1.5e-7", -1.5e-7},
    {"5e-324", 5e-324},
    {"2.2250738585072014e-308", 2.2250738585072014e-308},
    {"5.684341886080802e-14", 5.684341886080801486968994140625e-14}, /* 2^-44 */
    {"9.5367431640625e-7", 9.5367431640625e-7},                      /* 2^-20 */
};

static void prints_as_javascript(void **state) {
  (void)state;
  for (size_t i = 0; i < ROWS(printings); i++) {
    char text[ROOST_NUMBER_TEXT_MAX];
    assert_text((roost_slice){text, roost_number_print_double(text, printings[i].value)},
                printings[i].text);
  }
}

static void prints_integers(void **state) {
  (void)state;
  char text[ROOST_NUMBER_TEXT_MAX];
  assert_text((roost_slice){text, roost_number_print_integer(text, INT64_MIN)},
              "-9223372036854775808");
  assert_text((roost_slice){text, roost_number_print_integer(text, INT64_MAX)},
              "9223372036854775807");
  int64_t power = 1;
  for (int digits = 1; digits <= 18; digits++, power *= 10) {
    char expected[32];
    for (int64_t off = -1; off <= 1; off++) {
      snprintf(expected, sizeof expected, "%lld", (long long)(power + off));
      assert_text((roost_slice){text, roost_number_print_integer(text, power + off)}, expected);
    }
  }
}

/* The C library's shortest %.*e that reads back tells the digits; also of what lies just beside. */
static void prints_the_shortest_digits(void **state) {
  (void)state;
  for (long count = 1; count < 3000000; count = count * 11 / 10 + 1) {
    for (int off = -1; off <= 1; off++) {
      double value = (double)count / 1000;
      uint64_t bits;
      memcpy(&bits, &value, sizeof bits);
      bits += (uint64_t)(int64_t)off;
      memcpy(&value, &bits, sizeof value);
      char expected[40];
      int digits = 0;
      do
        snprintf(expected, sizeof expected, "%.*e", digits++, value);
      while (strtod(expected, NULL) != value);
      char text[ROOST_NUMBER_TEXT_MAX + 1];
      size_t len = roost_number_print_double(text, value);
      text[len] = '\0';
      assert_true(strtod(text, NULL) == value);
      size_t printed = 0;
      for (const char *at = text; *at != '\0' && *at != 'e'; at++)
        printed += *at >= '0' && *at <= '9' && (printed > 0 || *at != '0');
      if (strchr(text, '.') != NULL)
        assert_int_equal(printed, digits);
    }
  }
}

/* What is printed reads back as the same bits, whatever they are. */
static void reads_back_what_it_prints(void **state) {
  (void)state;
  uint64_t bits = 88172645463325252u;
  for (int i = 0; i < 200000; i++) {
    bits ^= bits << 13;
    bits ^= bits >> 7;
    bits ^= bits << 17;
    double value;
    memcpy(&value, &bits, sizeof value);
    if (value - value != 0)
      continue;
    char text[ROOST_NUMBER_TEXT_MAX];
    size_t len = roost_number_print_double(text, value);
    roost_number number;
    assert_true(len <= sizeof text);
    assert_ptr_equal(roost_number_read(&number, text, text + len), text + len);
    double read = number.is_integer ? (double)number.integer : number.number;
    assert_memory_equal(&read, &value, sizeof value);
  }
}

/* A locale with a decimal comma changes nothing, where the machine has one. */
static void does_not_ask_the_locale(void **state) {
  (void)state;
  if (setlocale(LC_ALL, "de_DE.UTF-8") == NULL)
    (void)setlocale(LC_ALL, "fr_FR.UTF-8");
  check_reading(ROOST_SLICE("2.2250738585072011e-308"), 2.2250738585072011e-308);
  char text[ROOST_NUMBER_TEXT_MAX];
  assert_text((roost_slice){text, roost_number_print_double(text, 1.5)}, "1.5");
  (void)setlocale(LC_ALL, "C");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(reads_to_the_nearest_double),
      cmocka_unit_test(reads_any_number_of_digits),
      cmocka_unit_test(stops_after_the_number),
      cmocka_unit_test(prints_as_javascript),
      cmocka_unit_test(prints_integers),
      cmocka_unit_test(prints_the_shortest_digits),
      cmocka_unit_test(reads_back_what_it_prints),
      cmocka_unit_test(does_not_ask_the_locale),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
