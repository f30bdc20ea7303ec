/*
 * transport/kafka_settings.h - what librdkafka is to be told: names and values, as it has them.
 *
 * Owned by whoever made them. One thread at a time.
 */
#ifndef ROOST_TRANSPORT_KAFKA_SETTINGS_H
#define ROOST_TRANSPORT_KAFKA_SETTINGS_H

#include "core/buffer.h"

typedef struct roost_kafka_settings {
  roost_buffer text; /* name, NUL, value, NUL, and so on */
  int status;        /* ENOMEM: something is missing */
} roost_kafka_settings;

void roost_kafka_settings_init(roost_kafka_settings *settings, const roost_alloc *alloc);
void roost_kafka_settings_deinit(roost_kafka_settings *settings);

/* Adds one; a later one of the same name counts. */
void roost_kafka_settings_add(roost_kafka_settings *settings, const char *name, roost_slice value);
void roost_kafka_settings_text(roost_kafka_settings *settings, const char *name, const char *value);
void roost_kafka_settings_integer(roost_kafka_settings *settings, const char *name, int64_t value);

/* Adds all of another. */
void roost_kafka_settings_append(roost_kafka_settings *settings, const roost_kafka_settings *other);

/* Walks them: start with *at = 0; false at the end. */
bool roost_kafka_settings_next(const roost_kafka_settings *settings, size_t *at, const char **name,
                               const char **value);

#endif
