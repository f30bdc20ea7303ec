/*
 * The transports of this build: one line for each. ROOST_HAVE_... are set where a broker's files
 * are built (CMakeLists.txt here).
 */
#include <string.h>

#include "transport/transport.h"

static const roost_transport tcp = {.name = "tcp",
                                    .open_server = roost_tcp_server_open,
                                    .new_client = roost_tcp_client_new,
                                    .listens = true};

extern const roost_transport roost_nats_transport, roost_redis_transport, roost_mqtt_transport,
    roost_rmq_transport, roost_kafka_transport;

const roost_transport *const roost_transports[] = {&tcp,
#ifdef ROOST_HAVE_NATS
                                                   &roost_nats_transport,
#endif
#ifdef ROOST_HAVE_REDIS
                                                   &roost_redis_transport,
#endif
#ifdef ROOST_HAVE_MQTT
                                                   &roost_mqtt_transport,
#endif
#ifdef ROOST_HAVE_RMQ
                                                   &roost_rmq_transport,
#endif
#ifdef ROOST_HAVE_KAFKA
                                                   &roost_kafka_transport,
#endif
                                                   NULL};

const roost_transport *roost_transport_find(const char *name) {
  for (size_t i = 0; roost_transports[i] != NULL; i++)
    if (strcmp(roost_transports[i]->name, name) == 0)
      return roost_transports[i];
  return NULL;
}
