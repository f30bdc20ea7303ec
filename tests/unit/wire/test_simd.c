#include "wire/simd.h"
#include "wire_test.h"

typedef const char *scan_fn(const char *at, const char *end);
typedef bool stop_fn(uint8_t byte);

static bool is_special(uint8_t byte) {
  return byte < 0x20 || byte == '"' || byte == '\\';
}

static bool is_not_plain(uint8_t byte) {
  return is_special(byte) || byte >= 0x80;
}

static bool is_not_ascii(uint8_t byte) {
  return byte >= 0x80;
}

static bool is_bracket(uint8_t byte) {
  return strchr("\"[]{}", byte) != NULL && byte != 0;
}

/* Each byte at each place of each length, in memory of exactly that length. */
static void check_scan(scan_fn *fast, scan_fn *portable, stop_fn *stops) {
  for (size_t len = 0; len <= 40; len++) {
    roost_slice text = exact_copy((roost_slice){"....,,,,....,,,,....,,,,....,,,,....,,,,", len});
    char *bytes = (char *)(uintptr_t)text.ptr;
    const char *end = bytes + len;
    assert_ptr_equal(fast(bytes, end), end);
    assert_ptr_equal(portable(bytes, end), end);
    for (size_t at = 0; at < len; at++) {
      char before = bytes[at];
      for (int byte = 0; byte < 256; byte++) {
        bytes[at] = (char)byte;
        const char *expected = stops((uint8_t)byte) ? bytes + at : end;
        assert_ptr_equal(fast(bytes, end), expected);
        assert_ptr_equal(portable(bytes, end), expected);
      }
      bytes[at] = before;
    }
    free_copy(text);
  }
}

static void scans_agree(void **state) {
  (void)state;
  check_scan(roost_scan_special, roost_scan_special_portable, is_special);
  check_scan(roost_scan_plain, roost_scan_plain_portable, is_not_plain);
  check_scan(roost_scan_ascii, roost_scan_ascii_portable, is_not_ascii);
  check_scan(roost_scan_bracket, roost_scan_bracket_portable, is_bracket);
}

/* The short scan with any part of the bytes before it at hand. */
static void the_short_scan_agrees(void **state) {
  (void)state;
  static const char special[] = {'"', '\\', 0x1F, 0, 'x', (char)0xA2};
  for (size_t len = 0; len <= 40; len++) {
    roost_slice text = exact_copy((roost_slice){"....,,,,....,,,,....,,,,....,,,,....,,,,", len});
    char *bytes = (char *)(uintptr_t)text.ptr;
    for (size_t start = 0; start <= len; start++) {
      for (size_t place = 0; place < len; place++) {
        char before = bytes[place];
        bytes[place] = special[(start + place) % sizeof special];
        const char *expected = roost_scan_short_portable(bytes, bytes + start, bytes + len);
        assert_ptr_equal(roost_scan_short(bytes, bytes + start, bytes + len), expected);
        assert_ptr_equal(roost_scan_short(bytes + start, bytes + start, bytes + len), expected);
        bytes[place] = before;
      }
    }
    free_copy(text);
  }
}

/* Several stops at once: the first counts, whatever follows it. */
static void scans_stop_at_the_first(void **state) {
  (void)state;
  uint32_t random = 1;
  char bytes[64];
  const char *end = bytes + sizeof bytes;
  for (int round = 0; round < 20000; round++) {
    for (size_t i = 0; i < sizeof bytes; i++) {
      random = random * 1664525 + 1013904223;
      bytes[i] = (char)(random >> 24 < 230 ? 'a' + (random >> 16 & 15) : random >> 8);
    }
    const char *at = bytes + round % 20;
    assert_ptr_equal(roost_scan_special(at, end), roost_scan_special_portable(at, end));
    assert_ptr_equal(roost_scan_plain(at, end), roost_scan_plain_portable(at, end));
    assert_ptr_equal(roost_scan_ascii(at, end), roost_scan_ascii_portable(at, end));
    assert_ptr_equal(roost_scan_bracket(at, end), roost_scan_bracket_portable(at, end));
    assert_int_equal(roost_count_utf16(at, end), roost_count_utf16_portable(at, end));
  }
}

/* Arrays that end, or do not, at each place around the blocks' ends; any bytes before them. */
static void counts_of_elements_agree(void **state) {
  (void)state;
  static const char often[] = "1,,\"\"a ,]1,\"x,2,[{\\3";
  uint32_t random = 1;
  for (int round = 0; round < 60000; round++) {
    char bytes[48];
    const size_t len = (size_t)round % (sizeof bytes + 1);
    const size_t letters = sizeof often - 1 - (size_t)(round / 49 % 4); /* with what is seldom */
    for (size_t i = 0; i < len; i++) {
      random = random * 1664525 + 1013904223;
      bytes[i] = often[(random >> 8) % letters];
    }
    const roost_slice text = exact_copy((roost_slice){bytes, len});
    const char *at = text.ptr + (len > 0 ? random % (len + 1) : 0);
    const char *end = text.ptr + len;
    const unsigned expected = roost_count_elements_portable(text.ptr, at, end);
    assert_int_equal(roost_count_elements(text.ptr, at, end), expected);
    assert_int_equal(roost_count_elements(at, at, end), expected);
    free_copy(text);
  }
  const roost_slice list = ROOST_SLICE("\"a,b\",2,\"]\",4]");
  assert_int_equal(roost_count_elements(list.ptr, list.ptr, list.ptr + list.len), 4);
}

/* More blocks than a per-byte counter could hold. */
static void counts_long_text(void **state) {
  (void)state;
  enum { CHARACTERS = 20000 };
  char *text = malloc((size_t)CHARACTERS * 4);
  assert_non_null(text);
  for (size_t i = 0; i < CHARACTERS; i++)
    memcpy(text + 4 * i, "\xF0\x9F\x98\x80", 4);
  assert_int_equal(roost_count_utf16(text, text + (size_t)CHARACTERS * 4), 2 * CHARACTERS);
  memset(text, 'x', (size_t)CHARACTERS * 4);
  assert_int_equal(roost_count_utf16(text, text + (size_t)CHARACTERS * 4), 4 * CHARACTERS);
  free(text);
}

typedef size_t copy_fn(char *to, const char *at, size_t len);

/* All of a plain text is copied; else less than what is before the first byte that is not plain,
 * and that rightly. */
static void check_copy(copy_fn *copy) {
  for (size_t len = 0; len <= 40; len++) {
    roost_slice text = exact_copy((roost_slice){"abcdefghijklmnopqrstuvwxyz0123456789.,;:", len});
    char *bytes = (char *)(uintptr_t)text.ptr;
    char *to = malloc(len + 1);
    assert_non_null(to);
    for (size_t at = 0; at <= len; at++) {
      for (int byte = 0; byte < 256; byte += at < len ? 1 : 256) {
        char before = at < len ? bytes[at] : 0;
        bool plain = at == len || !is_not_plain((uint8_t)byte);
        if (at < len)
          bytes[at] = (char)byte;
        to[len] = '!';
        size_t copied = copy(to, bytes, len);
        assert_true(plain ? copied == len : copied <= at);
        assert_memory_equal(to, bytes, copied);
        assert_int_equal(to[len], '!');
        if (at < len)
          bytes[at] = before;
      }
    }
    free(to);
    free_copy(text);
  }
}

static void copies_what_is_plain(void **state) {
  (void)state;
  check_copy(roost_copy_plain);
  check_copy(roost_copy_plain_portable);
}

static void reads_digits_of_a_word(void **state) {
  (void)state;
  for (unsigned count = 0; count <= 8; count++) {
    for (int other = 0; other < 256; other++) {
      char text[] = "90817263";
      uint64_t word;
      if (count < 8 && (other < '0' || other > '9'))
        text[count] = (char)other;
      else if (count < 8)
        continue;
      memcpy(&word, text, 8);
      assert_int_equal(roost_word_digits(word), count);
      text[count] = '\0';
      if (count > 0)
        assert_int_equal(roost_word_number(word, count), atoi(text));
    }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(scans_agree),
      cmocka_unit_test(the_short_scan_agrees),
      cmocka_unit_test(scans_stop_at_the_first),
      cmocka_unit_test(counts_of_elements_agree),
      cmocka_unit_test(counts_long_text),
      cmocka_unit_test(copies_what_is_plain),
      cmocka_unit_test(reads_digits_of_a_word),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
