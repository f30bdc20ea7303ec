/*
 * bind/serializer.h - the modules that serializer and deserializer name, in a Lua state of their
 * own.
 *
 * Start reading at roost_serializers_get. Codec: what a transport is handed down for a pair of
 * modules (transport/transport.h). A module is a table with serialize(packet) -> value or
 * encode(packet) -> text, and deserialize(value, channel) -> packet or decode(text) -> packet. Its
 * state has Lua's libraries and of the API what turns values into JSON; nothing in it may wait.
 * One per worker, made when a codec is first asked for; it owns the codecs. The worker's thread.
 */
#ifndef ROOST_BIND_SERIALIZER_H
#define ROOST_BIND_SERIALIZER_H

#include "core/log.h"
#include "service/pending.h"
#include "vm/vm.h"

typedef struct roost_serializers roost_serializers;

typedef struct roost_serializers_config {
  const roost_alloc *alloc;
  roost_runner *runner;
  roost_wheel *wheel;
  size_t memory_limit;     /* of their state; 0: none */
  uint64_t cpu_limit_ms;   /* of one message, or of loading a module; 0: none */
  roost_log *log;          /* of print */
  const char *working_dir; /* for lua/?.lua */
  const char *services;    /* folder with lib/?.lua, absolute or below working_dir; NULL: none */
} roost_serializers_config;

/* config is copied, its texts borrowed. ENOMEM. */
int roost_serializers_new(roost_serializers **out, const roost_serializers_config *config);

/* Nobody may use its codecs any more. NULL is allowed. */
void roost_serializers_free(roost_serializers *self);

/* The codec of two modules; either name may be NULL: JSON as always. ESCRIPT: error has what is
 * wrong, beginning with the key: "serializer: module 'x' not found"; ENOMEM. */
int roost_serializers_get(roost_codec **out, roost_serializers *self, const char *serializer,
                          const char *deserializer, roost_buffer *error);

/* The same, NULL where neither is named; *self is made of config where it is NULL. What is wrong
 * is logged where error is NULL. ESCRIPT, ENOMEM. */
int roost_serializers_find(roost_codec **out, roost_serializers **self,
                           const roost_serializers_config *config, const char *serializer,
                           const char *deserializer, roost_buffer *error);

#endif
