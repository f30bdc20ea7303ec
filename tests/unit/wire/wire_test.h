/* wire_test.h - what the tests of wire/ share: slices of literals, text held against text. */
#ifndef ROOST_TESTS_WIRE_TEST_H
#define ROOST_TESTS_WIRE_TEST_H

#include "alloc_probe.h"
#include "core/buffer.h"
#include "core/slice.h"

#define ROWS(table) (sizeof(table) / sizeof((table)[0]))

/* A buffer whose allocator can be made to refuse. */
typedef struct fixture {
  roost_alloc_probe probe;
  roost_buffer out;
} fixture;

static inline int set_up(void **state) {
  fixture *f = malloc(sizeof *f);
  assert_non_null(f);
  roost_alloc_probe_init(&f->probe);
  roost_buffer_init(&f->out, &f->probe.alloc);
  *state = f;
  return 0;
}

static inline int tear_down(void **state) {
  fixture *f = *state;
  roost_buffer_deinit(&f->out);
  assert_int_equal(f->probe.bytes, 0);
  free(f);
  return 0;
}

static inline void assert_slice(roost_slice slice, const char *text, size_t len) {
  if (slice.len != len || memcmp(slice.len > 0 ? slice.ptr : "", text, len) != 0)
    print_error("got \"%.*s\", expected \"%.*s\"\n", (int)slice.len, slice.ptr, (int)len, text);
  assert_int_equal(slice.len, len);
  if (len > 0)
    assert_memory_equal(slice.ptr, text, len);
}

static inline void assert_text(roost_slice slice, const char *text) {
  assert_slice(slice, text, strlen(text));
}

/* A copy in memory of exactly its size, so that a read past its end is found. */
static inline roost_slice exact_copy(roost_slice text) {
  char *copy = malloc(text.len > 0 ? text.len : 1);
  assert_non_null(copy);
  if (text.len > 0)
    memcpy(copy, text.ptr, text.len);
  return (roost_slice){copy, text.len};
}

static inline void free_copy(roost_slice copy) {
  free((void *)(uintptr_t)copy.ptr);
}

#endif
