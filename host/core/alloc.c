#include "core/alloc.h"

#include <stdlib.h>
#include <string.h>

static void *libc_resize(void *ud, void *ptr, size_t old_size, size_t new_size) {
  (void)ud;
  (void)old_size;
  if (new_size == 0) {
    free(ptr);
    return NULL;
  }
  return realloc(ptr, new_size);
}

const roost_alloc *roost_alloc_default(void) {
  static const roost_alloc libc_alloc = {libc_resize, NULL};
  return &libc_alloc;
}

static void *refuse(void *ud, void *ptr, size_t old_size, size_t new_size) {
  (void)ud;
  (void)ptr;
  (void)old_size;
  (void)new_size;
  return NULL;
}

const roost_alloc *roost_alloc_none(void) {
  static const roost_alloc none = {refuse, NULL};
  return &none;
}

void *roost_alloc_get(const roost_alloc *alloc, size_t size) {
  void *ptr = alloc->resize(alloc->ud, NULL, 0, size);
  if (ptr != NULL)
    memset(ptr, 0, size);
  return ptr;
}

void *roost_alloc_resize(const roost_alloc *alloc, void *ptr, size_t old_size, size_t new_size) {
  return alloc->resize(alloc->ud, ptr, old_size, new_size);
}

void roost_alloc_put(const roost_alloc *alloc, void *ptr, size_t size) {
  if (ptr != NULL)
    alloc->resize(alloc->ud, ptr, size, 0);
}

char *roost_alloc_text(const roost_alloc *alloc, roost_slice text) {
  /* Cut at a NUL inside: roost_alloc_put_text finds the size by strlen. */
  const size_t len = text.len > 0 ? strnlen(text.ptr, text.len) : 0;
  char *copy = alloc->resize(alloc->ud, NULL, 0, len + 1);
  if (copy == NULL)
    return NULL;
  if (len > 0)
    memcpy(copy, text.ptr, len);
  copy[len] = '\0';
  return copy;
}

void roost_alloc_put_text(const roost_alloc *alloc, char *text) {
  if (text != NULL)
    roost_alloc_put(alloc, text, strlen(text) + 1);
}
