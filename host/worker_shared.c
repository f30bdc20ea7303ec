/*
 * The servers of a worker for which another worker accepts.
 */
#include "worker_internal.h"

struct roost_server_copy {
  roost_server_copy *next;
  roost_server_config config;    /* the worker's own: what changes in it is changed on its thread */
  const roost_server_config *of; /* the other worker's */
};

static int open_shared(roost_server **out, roost_worker *worker, const roost_server_config *config,
                       roost_gate *gate, const void *how, const char **why) {
  const roost_address *address = how;
  (void)why;
  return roost_tcp_server_open_shared(out, worker->loop, config, address, worker->config.log,
                                      &roost_dispatch_sink, gate);
}

int roost_worker_listen_shared(roost_worker *worker, const roost_server_config *config,
                               const roost_address *address, roost_tls_context *tls) {
  const char *why;
  roost_server_copy *copy = roost_alloc_get(worker->config.alloc, sizeof *copy);
  if (copy == NULL)
    return ROOST_ENOMEM;
  copy->config = *config;
  copy->of = config;
  copy->next = worker->copies;
  worker->copies = copy;
  const int status = roost_worker_place_server(worker, &copy->config, open_shared, address, &why);
  if (status == 0)
    roost_worker_begin_server(worker, tls);
  return status;
}

static roost_server *server_of(const roost_worker *worker, const roost_server_config *config) {
  for (size_t i = 0; i < worker->server_count; i++)
    if (worker->servers[i]->config == config)
      return worker->servers[i];
  return NULL;
}

void roost_worker_change_shared(roost_worker *worker, const roost_server_config *of,
                                const roost_server_config *wanted, roost_tls_context *tls) {
  for (roost_server_copy *at = worker->copies; at != NULL; at = at->next) {
    if (at->of != of)
      continue;
    at->config.allow = wanted->allow;
    at->config.rate = wanted->rate;
    roost_server *server = server_of(worker, &at->config);
    if (server != NULL && tls != NULL && at->config.tls != NULL)
      server->ops->secure(server, tls);
  }
}

const roost_server_config *roost_worker_first_config(const roost_worker *worker,
                                                     const roost_worker *first,
                                                     const roost_server_config *config) {
  for (const roost_server_copy *at = worker->copies; at != NULL; at = at->next)
    if (&at->config == config)
      return at->of;
  return &first->local_config;
}

void roost_worker_free_copies(roost_worker *worker) {
  while (worker->copies != NULL) {
    roost_server_copy *copy = worker->copies;
    worker->copies = copy->next;
    roost_alloc_put(worker->config.alloc, copy, sizeof *copy);
  }
}
