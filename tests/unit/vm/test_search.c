#include "vm_test.h"

#include "vm/search.h"

static void expect(vm_test *self, const char *text, const char *needle) {
  roost_slice within = {text, strlen(text)};
  const char *found = roost_search(self->vm->lua, within, (roost_slice){needle, strlen(needle)});
  assert_ptr_equal(found, strstr(text, needle));
}

static void it_finds_what_is_there(void **state) {
  (void)state;
  vm_test self;
  vm_test_init(&self);
  expect(&self, "text", "");
  expect(&self, "", "");
  expect(&self, "", "x");
  expect(&self, "text", "text");
  expect(&self, "text", "texts");
  expect(&self, "text", "xt");
  expect(&self, "text", "t");
  expect(&self, "ttttttx", "tx");
  expect(&self, "a text in a test", "test");
  assert_null(roost_search(self.vm->lua, (roost_slice){"text", 3}, (roost_slice){"xt", 2}));
  vm_test_deinit(&self);
}

/* Needles of each length at each place of a text in which they nearly occur everywhere, beyond the
 * number of places that are tried one by one and the bytes that are gone through at once. */
static void it_finds_what_nearly_occurs_often(void **state) {
  (void)state;
  enum { LEN = 3 << 20 };
  static const size_t lengths[] = {1, 2, 40, 255, 256, 257, 300, 65536, 65537, 200000};
  static const size_t places[] = {0, 31, 32, 33, 64, 1000, (1 << 20) - 2, (1 << 20) + 40, 2500000};
  vm_test self;
  char *text = malloc(LEN + 1);
  assert_non_null(text);
  vm_test_init(&self);
  memset(text, 'a', LEN);
  text[LEN] = '\0';
  for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
    for (size_t j = 0; j < sizeof places / sizeof places[0]; j++) {
      if (lengths[i] > 65536 && places[j] > 64)
        continue; /* right, but quadratic */
      size_t last = places[j] + lengths[i] - 1;
      char *needle = malloc(lengths[i]); /* of its own, so that a read past its end is found */
      assert_non_null(needle);
      text[last] = 'b';
      memcpy(needle, text + places[j], lengths[i]);
      assert_ptr_equal(
          roost_search(self.vm->lua, (roost_slice){text, LEN}, (roost_slice){needle, lengths[i]}),
          text + places[j]);
      assert_null(
          roost_search(self.vm->lua, (roost_slice){text, last}, (roost_slice){needle, lengths[i]}));
      text[last] = 'a';
      free(needle);
    }
  }
  free(text);
  vm_test_deinit(&self);
}

static void long_texts_are_compared_whole(void **state) {
  (void)state;
  enum { LEN = 3 << 20 };
  vm_test self;
  char *a = calloc(1, LEN);
  char *b = calloc(1, LEN);
  assert_true(a != NULL && b != NULL);
  vm_test_init(&self);
  assert_true(roost_search_same(self.vm->lua, a, b, 0));
  assert_true(roost_search_same(self.vm->lua, a, b, LEN));
  b[LEN - 1] = 1;
  assert_false(roost_search_same(self.vm->lua, a, b, LEN));
  assert_true(roost_search_same(self.vm->lua, a, b, LEN - 1));
  b[255] = 1;
  assert_false(roost_search_same(self.vm->lua, a, b, 256));
  assert_false(roost_search_same(self.vm->lua, a, b, 257));
  free(a);
  free(b);
  vm_test_deinit(&self);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(it_finds_what_is_there),
      cmocka_unit_test(it_finds_what_nearly_occurs_often),
      cmocka_unit_test(long_texts_are_compared_whole),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
