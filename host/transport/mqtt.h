/*
 * transport/mqtt.h - services behind an MQTT broker, and clients of such services.
 *
 * A request goes to the topic that is its route, its replies come on "<topic>/reply"; bodies are
 * Nest's packets. Options: what the configuration says of one server or client; texts are owned by
 * it and outlive both.
 */
#ifndef ROOST_TRANSPORT_MQTT_H
#define ROOST_TRANSPORT_MQTT_H

#include "transport/transport.h"

/* What follows a topic in that of its replies. */
#define ROOST_MQTT_REPLY_SUFFIX "/reply"

typedef struct roost_mqtt_pair {
  const char *name;
  const char *value;
} roost_mqtt_pair;

typedef struct roost_mqtt_options {
  roost_broker broker;       /* first */
  const char *username;      /* NULL: the URL's */
  const char *password;      /* NULL: the URL's */
  const char *client_id;     /* NULL: one nobody else has */
  bool clean;                /* the broker keeps nothing for us while we are away */
  uint16_t keepalive;        /* in seconds, as MQTT has it; 0: none */
  uint16_t qos;              /* of subscriptions that say none */
  uint16_t protocol_version; /* 4 or 5; 0: 5, and 4 where the broker doesn't know that */
  const roost_mqtt_pair *user_properties; /* of what a client sends, but for its metadata */
  size_t user_property_count;
} roost_mqtt_options;

/* As roost_transport.open_server and new_client; config->options is a roost_mqtt_options. */
int roost_mqtt_server_open(roost_server **out, roost_loop *loop, const roost_server_config *config,
                           roost_log *log, const roost_sink_ops *sink, void *sink_ud,
                           const char **why);
int roost_mqtt_client_new(roost_client **out, roost_loop *loop, const roost_client_config *config,
                          const roost_client_sink *sink, void *sink_ud);

/* For tests: as roost_client_set_dial, before start. */
void roost_mqtt_server_set_dial(roost_server *server, roost_dial_fn *fn, void *ud);

#endif
