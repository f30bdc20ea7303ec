#include "transport/kafka_settings.h"

#include <stdio.h>

#include "core/slice.h"

void roost_kafka_settings_init(roost_kafka_settings *settings, const roost_alloc *alloc) {
  roost_buffer_init(&settings->text, alloc);
  settings->status = 0;
}

void roost_kafka_settings_deinit(roost_kafka_settings *settings) {
  roost_buffer_deinit(&settings->text);
}

void roost_kafka_settings_add(roost_kafka_settings *settings, const char *name, roost_slice value) {
  const size_t before = settings->text.len;
  int status = roost_buffer_append(&settings->text, name, strlen(name) + 1);
  if (status == 0)
    status = roost_buffer_append_slice(&settings->text, value);
  if (status == 0)
    status = roost_buffer_append_byte(&settings->text, '\0');
  if (status == 0)
    return;
  settings->text.len = before;
  settings->status = status;
}

void roost_kafka_settings_text(roost_kafka_settings *settings, const char *name,
                               const char *value) {
  roost_kafka_settings_add(settings, name, roost_slice_text(value));
}

void roost_kafka_settings_integer(roost_kafka_settings *settings, const char *name, int64_t value) {
  char digits[24];
  snprintf(digits, sizeof digits, "%lld", (long long)value);
  roost_kafka_settings_text(settings, name, digits);
}

void roost_kafka_settings_append(roost_kafka_settings *settings,
                                 const roost_kafka_settings *other) {
  const int status = roost_buffer_append_slice(&settings->text, roost_buffer_slice(&other->text));
  if (status != 0 || other->status != 0)
    settings->status = ROOST_ENOMEM;
}

bool roost_kafka_settings_next(const roost_kafka_settings *settings, size_t *at, const char **name,
                               const char **value) {
  if (*at >= settings->text.len)
    return false;
  *name = settings->text.ptr + *at;
  *value = *name + strlen(*name) + 1;
  *at += (size_t)(*value - *name) + strlen(*value) + 1;
  return true;
}
