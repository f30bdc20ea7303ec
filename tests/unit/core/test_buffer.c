#include "alloc_probe.h"
#include "core/buffer.h"
#include "core/slice.h"

typedef struct fixture {
  roost_alloc_probe probe;
  roost_buffer buffer;
} fixture;

static int set_up(void **state) {
  fixture *f = malloc(sizeof *f);
  roost_alloc_probe_init(&f->probe);
  roost_buffer_init(&f->buffer, &f->probe.alloc);
  *state = f;
  return 0;
}

static int tear_down(void **state) {
  fixture *f = *state;
  roost_buffer_deinit(&f->buffer);
  assert_int_equal(f->probe.bytes, 0);
  free(f);
  return 0;
}

static void assert_holds(const roost_buffer *buffer, const char *text) {
  assert_int_equal(buffer->len, strlen(text));
  assert_memory_equal(buffer->ptr, text, buffer->len);
}

static void appends(void **state) {
  roost_buffer *buffer = &((fixture *)*state)->buffer;
  assert_int_equal(roost_buffer_append(buffer, NULL, 0), 0);
  assert_int_equal(buffer->len, 0);
  assert_int_equal(roost_buffer_append(buffer, "ab", 2), 0);
  assert_int_equal(roost_buffer_append_byte(buffer, 'c'), 0);
  assert_int_equal(roost_buffer_append_slice(buffer, ROOST_SLICE("de")), 0);
  assert_holds(buffer, "abcde");
  roost_buffer_clear(buffer);
  assert_int_equal(buffer->len, 0);
}

static void appending_is_linear(void **state) {
  fixture *f = *state;
  for (int i = 0; i < 1000000; i++)
    assert_int_equal(roost_buffer_append_byte(&f->buffer, (char)i), 0);
  assert_int_equal(f->buffer.len, 1000000);
  assert_true(f->probe.asked <= 20);
  for (int i = 0; i < 1000000; i += 9973)
    assert_int_equal(f->buffer.ptr[i], (char)i);
}

static void consumes_from_the_front(void **state) {
  roost_buffer *buffer = &((fixture *)*state)->buffer;
  roost_buffer_consume(buffer, 0);
  roost_buffer_append(buffer, "abcdef", 6);
  roost_buffer_consume(buffer, 2);
  assert_holds(buffer, "cdef");
  roost_buffer_consume(buffer, 0);
  assert_holds(buffer, "cdef");
  roost_buffer_consume(buffer, 4);
  assert_int_equal(buffer->len, 0);
}

static void trims_what_is_not_in_use(void **state) {
  fixture *f = *state;
  roost_buffer *buffer = &f->buffer;
  roost_buffer_reserve(buffer, 100000);
  roost_buffer_append(buffer, "abc", 3);
  roost_buffer_trim(buffer, 2); /* more is in use */
  assert_true(buffer->cap >= 100000);
  roost_buffer_trim(buffer, 64);
  assert_int_equal(buffer->cap, 64);
  assert_holds(buffer, "abc");
  roost_buffer_trim(buffer, 1000);
  assert_int_equal(buffer->cap, 64);
  roost_buffer_clear(buffer);
  roost_buffer_trim(buffer, 0);
  assert_int_equal(f->probe.bytes, 0);
  assert_int_equal(roost_buffer_append_byte(buffer, 'x'), 0);
  assert_holds(buffer, "x");
}

static void prints(void **state) {
  roost_buffer *buffer = &((fixture *)*state)->buffer;
  char expected[400];
  assert_int_equal(roost_buffer_printf(buffer, "%d-%s", 7, "x"), 0);
  assert_holds(buffer, "7-x");
  /* Across every relation between the room left and what is printed. */
  for (int width = 0; width < 200; width++) {
    roost_buffer_deinit(buffer);
    roost_buffer_append(buffer, "0123456789012345678901234567890123456789", 40);
    assert_int_equal(roost_buffer_printf(buffer, "%*d", width, 5), 0);
    snprintf(expected, sizeof expected, "0123456789012345678901234567890123456789%*d", width, 5);
    assert_holds(buffer, expected);
  }
}

static void refusal_leaves_it_as_it_was(void **state) {
  fixture *f = *state;
  roost_buffer *buffer = &f->buffer;
  roost_buffer_append(buffer, "abc", 3);
  f->probe.refuse_after = 0;
  assert_int_equal(roost_buffer_reserve(buffer, 1000), ROOST_ENOMEM);
  assert_int_equal(roost_buffer_append(buffer, buffer, sizeof *buffer * 2), ROOST_ENOMEM);
  assert_int_equal(roost_buffer_printf(buffer, "%100d", 1), ROOST_ENOMEM);
  while (buffer->len < buffer->cap)
    assert_int_equal(roost_buffer_append_byte(buffer, 'x'), 0);
  assert_int_equal(roost_buffer_append_byte(buffer, 'y'), ROOST_ENOMEM);
  assert_memory_equal(buffer->ptr, "abcx", 4);
}

static void absurd_sizes_are_refused(void **state) {
  roost_buffer *buffer = &((fixture *)*state)->buffer;
  roost_buffer_append(buffer, "abc", 3);
  assert_int_equal(roost_buffer_reserve(buffer, SIZE_MAX), ROOST_ENOMEM);
  assert_int_equal(roost_buffer_reserve(buffer, SIZE_MAX - 2), ROOST_ENOMEM);
  assert_holds(buffer, "abc");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(appends),
      TEST(appending_is_linear),
      TEST(consumes_from_the_front),
      TEST(trims_what_is_not_in_use),
      TEST(prints),
      TEST(refusal_leaves_it_as_it_was),
      TEST(absurd_sizes_are_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
