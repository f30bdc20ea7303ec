#include "wire/mqtt_internal.h"
#include "wire/utf8.h"

static const char share[] = "$share/";

/* Cuts the first level off *rest; the ptr of what is left is NULL after the last. */
static roost_slice cut_level(roost_slice *rest) {
  const char *slash = rest->len > 0 ? memchr(rest->ptr, '/', rest->len) : NULL;
  roost_slice level = *rest;
  if (slash == NULL) {
    *rest = (roost_slice){NULL, 0};
    return level;
  }
  level.len = (size_t)(slash - rest->ptr);
  *rest = roost_slice_of(slash + 1, rest->len - level.len - 1);
  return level;
}

static bool has_byte(roost_slice text, char byte) {
  return text.len > 0 && memchr(text.ptr, byte, text.len) != NULL;
}

bool roost_mqtt_is_string(roost_slice text) {
  return text.len <= ROOST_MQTT_STRING_MAX && !has_byte(text, '\0') &&
         roost_utf8_valid_prefix(text) == text.len;
}

static bool has_wildcard(roost_slice text) {
  return has_byte(text, '+') || has_byte(text, '#');
}

static bool is_one(roost_slice level, char byte) {
  return level.len == 1 && level.ptr[0] == byte;
}

bool roost_mqtt_topic_is_valid(roost_slice topic) {
  return topic.len > 0 && roost_mqtt_is_string(topic) && !has_wildcard(topic);
}

bool roost_mqtt_filter_is_shared(roost_slice filter) {
  return filter.len >= sizeof share - 1 && memcmp(filter.ptr, share, sizeof share - 1) == 0;
}

roost_slice roost_mqtt_filter_unshared(roost_slice filter) {
  if (!roost_mqtt_filter_is_shared(filter))
    return filter;
  (void)cut_level(&filter);
  (void)cut_level(&filter);
  return filter;
}

static bool levels_are_valid(roost_slice filter) {
  while (filter.ptr != NULL) {
    const roost_slice level = cut_level(&filter);
    if (has_wildcard(level) && !is_one(level, '+') && !(is_one(level, '#') && filter.ptr == NULL))
      return false;
  }
  return true;
}

bool roost_mqtt_filter_is_valid(roost_slice filter) {
  if (filter.len == 0 || !roost_mqtt_is_string(filter))
    return false;
  if (!roost_mqtt_filter_is_shared(filter))
    return levels_are_valid(filter);
  (void)cut_level(&filter);
  const roost_slice group = cut_level(&filter);
  return group.len > 0 && !has_wildcard(group) && filter.len > 0 && levels_are_valid(filter);
}

bool roost_mqtt_filter_is_wildcard(roost_slice filter) {
  while (filter.ptr != NULL) {
    const roost_slice level = cut_level(&filter);
    if (is_one(level, '+') || is_one(level, '#'))
      return true;
  }
  return false;
}

bool roost_mqtt_filter_matches(roost_slice filter, roost_slice topic) {
  filter = roost_mqtt_filter_unshared(filter);
  while (filter.ptr != NULL) {
    const roost_slice level = cut_level(&filter);
    if (is_one(level, '#'))
      return filter.ptr == NULL;
    if (topic.ptr == NULL)
      return false;
    const roost_slice other = cut_level(&topic);
    if (is_one(level, '+') ? other.len == 0 : !roost_slice_equal(level, other))
      return false;
  }
  return topic.ptr == NULL;
}
