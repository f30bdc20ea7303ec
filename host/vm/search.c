#include "vm/search.h"

#include <lua.h>
#include <string.h>

#include "vm/steps.h"

/* Bytes that are gone through without a look at the watchdog. */
#define PART_BYTES ((size_t)ROOST_STEPS_PER_POLL * ROOST_STEPS_BYTES)

/* memchr is the fastest while it stops at few places that turn out to be none. */
#define FALSE_STARTS_MAX 32

/* What memmem is asked to find; of a longer needle, its beginning. */
#define NEEDLE_BYTES_MAX ((size_t)65536)

/* So few bytes are compared in what a step may take. */
#define UNCOUNTED_BYTES 256

static inline bool same(roost_vm *vm, lua_State *lua, const char *a, const char *b, size_t len) {
  if (len <= UNCOUNTED_BYTES)
    return memcmp(a, b, len) == 0;
  while (len > 0) {
    size_t part = len < PART_BYTES ? len : PART_BYTES;
    roost_steps_spend_bytes(vm, lua, part);
    if (memcmp(a, b, part) != 0)
      return false;
    a += part;
    b += part;
    len -= part;
  }
  return true;
}

static const char *find_byte(roost_vm *vm, lua_State *lua, const char *at, const char *end,
                             char byte) {
  const char *found = memchr(at, byte, (size_t)(end - at));
  const char *stop = found != NULL ? found : end;
  roost_steps_spend_bytes(vm, lua, (size_t)(stop - at));
  return found;
}

/* Where needle, of at most NEEDLE_BYTES_MAX, begins below end; what is compared may lie behind. */
static const char *find_short(roost_vm *vm, lua_State *lua, const char *at, const char *end,
                              roost_slice needle) {
  while (at < end) {
    size_t part = (size_t)(end - at) < PART_BYTES ? (size_t)(end - at) : PART_BYTES;
    const char *found = memmem(at, part + needle.len - 1, needle.ptr, needle.len);
    roost_steps_spend_bytes(vm, lua, found != NULL ? (size_t)(found - at) : part);
    if (found != NULL)
      return found;
    at += part;
  }
  return NULL;
}

const char *roost_search(lua_State *lua, roost_slice text, roost_slice needle) {
  roost_vm *vm = roost_vm_of(lua);
  if (needle.len == 0)
    return text.ptr;
  if (needle.len > text.len)
    return NULL;
  const char *at = text.ptr;
  const char *end = text.ptr + (text.len - needle.len) + 1; /* it begins before this */
  roost_slice head = {needle.ptr, needle.len < NEEDLE_BYTES_MAX ? needle.len : NEEDLE_BYTES_MAX};
  for (size_t tries = 0;; tries++) {
    const char *start = tries < FALSE_STARTS_MAX ? find_byte(vm, lua, at, end, *needle.ptr)
                                                 : find_short(vm, lua, at, end, head);
    if (start == NULL)
      return NULL;
    if (same(vm, lua, start + 1, needle.ptr + 1, needle.len - 1))
      return start;
    at = start + 1;
  }
}

bool roost_search_same(lua_State *lua, const char *a, const char *b, size_t len) {
  return same(roost_vm_of(lua), lua, a, b, len);
}
