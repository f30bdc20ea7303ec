/* A route that can be reached is what it resolves to, and no other is; normalising and resolving
 * agree on what isn't text; wildcards match at least themselves. */
#include "fuzz.h"
#include "wire/json.h"
#include "wire/pattern.h"

/* Resolves the text as a peer sends it, quoted. False where it can't be quoted. */
static bool resolve_text(roost_buffer *route, roost_slice text, int *status) {
  roost_buffer quoted;
  roost_buffer_init(&quoted, roost_alloc_default());
  bool is_utf8 = roost_utf8_valid_prefix(text) == text.len;
  if (is_utf8) {
    PROMISE(roost_json_write_string(&quoted, text) == 0);
    *status = roost_pattern_resolve(route, roost_buffer_slice(&quoted));
    PROMISE(*status == 0 || *status == 1);
  }
  roost_buffer_deinit(&quoted);
  return is_utf8;
}

static void check_reachable(roost_slice text) {
  roost_buffer route;
  int status;
  roost_buffer_init(&route, roost_alloc_default());
  if (resolve_text(&route, text, &status)) {
    bool is_same = status == 1 && roost_slice_equal(roost_buffer_slice(&route), text);
    PROMISE(is_same == roost_pattern_reachable(text));
  }
  roost_buffer_deinit(&route);
}

static void check_json(roost_slice json) {
  roost_buffer resolved;
  roost_buffer normalised;
  const char *why = NULL;
  roost_buffer_init(&resolved, roost_alloc_default());
  roost_buffer_init(&normalised, roost_alloc_default());
  int status = roost_pattern_resolve(&resolved, json);
  int normal = roost_pattern_normalise(&normalised, json, &why);
  PROMISE((status == ROOST_EPROTO) == (roost_json_validate(json) != 0));
  PROMISE((normal == ROOST_EPROTO) == (status == ROOST_EPROTO));
  PROMISE((normal == ROOST_EINVAL) == (why != NULL));
  PROMISE(status == 1 || resolved.len == 0);
  PROMISE(normal == 1 || normalised.len == 0);
  if (status == 1)
    check_reachable(roost_buffer_slice(&resolved));
  /* A number that is infinite is null on its way through JSON. */
  bool is_infinite = normal == 1 && normalised.len > 0 &&
                     memmem(normalised.ptr, normalised.len, "Infinity", 8) != NULL;
  if (normal == 1 && !is_infinite && json.ptr[0] == '{')
    PROMISE(status == 1 && fuzz_same(&resolved, &normalised));
  roost_buffer_deinit(&resolved);
  roost_buffer_deinit(&normalised);
}

static void check_wildcards(roost_slice text) {
  const char *line = memchr(text.ptr, '\n', text.len);
  roost_slice route = text;
  if (line != NULL) {
    route = roost_slice_of(line + 1, text.len - (size_t)(line + 1 - text.ptr));
    text.len = (size_t)(line - text.ptr);
  }
  bool matches = roost_pattern_matches(text, route);
  if (!roost_pattern_is_wildcard(text))
    PROMISE(matches == roost_slice_equal(text, route));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  roost_buffer text;
  if (size == 0)
    return 0;
  fuzz_text(&text, data, size);
  check_json(roost_buffer_slice(&text));
  check_reachable(roost_buffer_slice(&text));
  check_wildcards(roost_buffer_slice(&text));
  roost_buffer_deinit(&text);
  return 0;
}
