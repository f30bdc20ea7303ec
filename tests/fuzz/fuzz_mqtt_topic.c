/* A filter matches a topic as Nest's loop over their levels says. The input is a filter, a newline
 * and a topic. */
#include "fuzz.h"
#include "wire/mqtt.h"

#define LEVELS 64

static size_t split(roost_slice *levels, roost_slice text) {
  size_t count = 0;
  size_t start = 0;
  for (size_t at = 0; at <= text.len; at++) {
    if (at < text.len && text.ptr[at] != '/')
      continue;
    PROMISE(count < LEVELS);
    levels[count++] = roost_slice_of(text.ptr + start, at - start);
    start = at + 1;
  }
  return count;
}

static bool begins(roost_slice level, char byte) {
  return level.len > 0 && level.ptr[0] == byte;
}

static bool matches(roost_slice filter, roost_slice topic) {
  roost_slice wanted[LEVELS];
  roost_slice levels[LEVELS];
  const size_t wanted_count = split(wanted, filter);
  const size_t count = split(levels, topic);
  for (size_t i = 0; i < wanted_count; i++) {
    const bool has_level = i < count && levels[i].len > 0;
    if (i < count && !has_level && wanted[i].len == 0)
      continue;
    if (!has_level && !begins(wanted[i], '#'))
      return false;
    if (begins(wanted[i], '#'))
      return i == wanted_count - 1;
    if (!begins(wanted[i], '+') && !roost_slice_equal(wanted[i], levels[i]))
      return false;
  }
  return wanted_count == count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  const char *text = (const char *)data;
  const char *newline = size > 0 && size < LEVELS ? memchr(text, '\n', size) : NULL;
  if (newline == NULL)
    return 0;
  const roost_slice filter = roost_slice_of(text, (size_t)(newline - text));
  const roost_slice topic = roost_slice_of(newline + 1, size - filter.len - 1);
  const bool is_valid = roost_mqtt_filter_is_valid(filter) && roost_mqtt_topic_is_valid(topic);
  const bool found = roost_mqtt_filter_matches(filter, topic);
  const roost_slice plain = roost_mqtt_filter_unshared(filter);
  if (!is_valid)
    return 0;
  PROMISE(found == matches(plain, topic));
  PROMISE(roost_mqtt_filter_is_wildcard(plain) || found == roost_slice_equal(plain, topic));
  return 0;
}
