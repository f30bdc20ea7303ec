#include "transport/rmq_confirm.h"

#include "alloc_probe.h"

#include "core/slice.h"

typedef struct confirm_test {
  roost_alloc_probe probe;
  roost_rmq_confirms confirms;
} confirm_test;

static int setup(void **state) {
  confirm_test *self = calloc(1, sizeof *self);
  assert_non_null(self);
  roost_alloc_probe_init(&self->probe);
  roost_rmq_confirms_init(&self->confirms, &self->probe.alloc);
  *state = self;
  return 0;
}

static int teardown(void **state) {
  confirm_test *self = *state;
  roost_rmq_confirms_deinit(&self->confirms);
  assert_int_equal(self->probe.bytes, 0);
  free(self);
  return 0;
}

/* id NULL: nobody waits for it. */
static void add(confirm_test *self, const char *id) {
  if (id != NULL)
    assert_int_equal(roost_rmq_confirms_reserve(&self->confirms), 0);
  roost_rmq_confirms_add(&self->confirms, roost_slice_text(id));
}

/* Checks which are told of, one after the other. */
static void expect(confirm_test *self, uint64_t tag, bool multiple, const char *ids) {
  char id[ROOST_RMQ_CONFIRM_ID];
  char all[64] = "";
  roost_slice text;
  while (roost_rmq_confirms_take(&self->confirms, tag, multiple, id, &text))
    snprintf(all + strlen(all), sizeof all - strlen(all), "%.*s ", (int)text.len, text.ptr);
  assert_string_equal(all, ids);
}

static void test_order(void **state) {
  confirm_test *self = *state;
  expect(self, 1, false, "");
  static const char *const ids[] = {"a", NULL, "c", "d", NULL, "f", "g"};
  for (size_t i = 0; i < 7; i++)
    add(self, ids[i]);
  expect(self, 3, false, "c ");
  expect(self, 3, false, "");
  expect(self, 2, false, "");
  expect(self, 4, true, "a d ");
  expect(self, 5, true, "");
  expect(self, 100, false, "");
  expect(self, 100, true, "f g ");
  add(self, "h");
  expect(self, 8, false, "h ");
}

static void test_a_new_channel(void **state) {
  confirm_test *self = *state;
  add(self, "a");
  add(self, "b");
  expect(self, 1, false, "a ");
  roost_rmq_confirms_clear(&self->confirms);
  expect(self, 2, true, "");
  add(self, "c");
  expect(self, 1, false, "c ");
}

/* Ids longer than any are nobody's. */
static void test_long_ids(void **state) {
  confirm_test *self = *state;
  add(self, "0123456789012345678901234567890123456789");
  add(self, "b");
  expect(self, 2, true, "b ");
}

/* Memory is given back while the last of many is awaited, and afterwards. */
static void test_many(void **state) {
  confirm_test *self = *state;
  for (unsigned round = 0; round < 100; round++) {
    for (unsigned i = 0; i < 1000; i++)
      add(self, "x");
    char id[ROOST_RMQ_CONFIRM_ID];
    roost_slice text;
    unsigned told = 0;
    const uint64_t last = self->confirms.last;
    for (uint64_t tag = last - 999; tag < last; tag += 3) /* not in order */
      told += roost_rmq_confirms_take(&self->confirms, tag, false, id, &text);
    while (roost_rmq_confirms_take(&self->confirms, last, true, id, &text))
      told++;
    assert_int_equal(told, 1000);
    assert_true(self->probe.bytes <= 4096);
  }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {TEST(test_order), TEST(test_a_new_channel),
                                     TEST(test_long_ids), TEST(test_many)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
