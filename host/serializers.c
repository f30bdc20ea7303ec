/*
 * The serializers of a worker's servers and clients: found, and loaded with the configuration.
 */
#include <stdio.h>

#include "worker.h"

static roost_serializers_config config_of(const roost_worker *worker) {
  return (roost_serializers_config){.alloc = worker->config.alloc,
                                    .runner = worker->runner,
                                    .wheel = roost_loop_wheel(worker->loop),
                                    .memory_limit = worker->limits.service.memory_bytes,
                                    .cpu_limit_ms = worker->limits.service.cpu_ms,
                                    .log = worker->config.log,
                                    .working_dir = worker->config.working_dir,
                                    .services = worker->services};
}

static int find(roost_codec **out, roost_worker *worker, const char *serializer,
                const char *deserializer, roost_buffer *error) {
  const roost_serializers_config config = config_of(worker);
  return roost_serializers_find(out, &worker->serializers, &config, serializer, deserializer,
                                error);
}

int roost_worker_find_codec(roost_codec **out, roost_worker *worker, const char *serializer,
                            const char *deserializer) {
  return find(out, worker, serializer, deserializer, NULL);
}

static int load_codec(roost_worker *worker, const char *serializer, const char *deserializer,
                      const char *entry, roost_problems *problems) {
  roost_buffer error;
  roost_codec *codec;
  roost_buffer_init(&error, worker->config.alloc);
  int status = find(&codec, worker, serializer, deserializer, &error);
  if (status == ROOST_ESCRIPT) {
    roost_problems_add(problems, ROOST_PROBLEM_ERROR, "%s.%.*s", entry, (int)error.len, error.ptr);
    status = ROOST_ECONFIG;
  }
  roost_buffer_deinit(&error);
  return status;
}

int roost_worker_load_serializers(roost_worker *worker, const roost_settings *settings,
                                  roost_problems *problems) {
  char entry[512];
  int first = 0;
  for (size_t i = 0; i < settings->server_count; i++) {
    const roost_server_config *server = &settings->servers[i];
    snprintf(entry, sizeof entry, "%s: servers[%zu]", settings->file, i + 1);
    const int status =
        load_codec(worker, server->serializer, server->deserializer, entry, problems);
    first = first == 0 ? status : first;
  }
  for (size_t i = 0; i < settings->client_count; i++) {
    const roost_client_config *client = &settings->clients[i];
    snprintf(entry, sizeof entry, "%s: clients.%s", settings->file, client->name);
    const int status =
        load_codec(worker, client->serializer, client->deserializer, entry, problems);
    first = first == 0 ? status : first;
  }
  return first;
}
