/* fuzz.h - what the fuzz targets share: a broken promise aborts. */
#ifndef ROOST_TESTS_FUZZ_H
#define ROOST_TESTS_FUZZ_H

#include <stdlib.h>

#include "core/buffer.h"
#include "core/slice.h"
#include "wire/utf8.h"

#define PROMISE(condition)                                                                         \
  do {                                                                                             \
    if (!(condition))                                                                              \
      abort();                                                                                     \
  } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Fills text with the input, made valid UTF-8, in memory of its own. */
static inline void fuzz_text(roost_buffer *text, const uint8_t *data, size_t size) {
  roost_buffer_init(text, roost_alloc_default());
  PROMISE(roost_utf8_repair(text, roost_slice_of((const char *)data, size)) == 0);
  roost_buffer_trim(text, text->len); /* so that a read past the end is found */
}

static inline bool fuzz_same(const roost_buffer *a, const roost_buffer *b) {
  return roost_slice_equal(roost_buffer_slice(a), roost_buffer_slice(b));
}

#endif
