/*
 * What the other workers have of a handler that only the first one has: one that forwards.
 */
#include "service/dispatch.h"

int roost_dispatch_add_forward(roost_dispatch *dispatch, const roost_handler *of,
                               const roost_list *owners) {
  const roost_dispatch_config *config = &dispatch->config;
  roost_handler *handler;
  int status = roost_handler_copy(&handler, config->alloc, of, owners);
  if (status != 0)
    return status;
  handler->fn = config->forward;
  handler->ud = config->forward_ud;
  roost_list_append(&dispatch->handlers, &handler->link);
  status = roost_dispatch_rebuild(dispatch, NULL, NULL);
  if (status != 0)
    roost_handler_free(config->alloc, handler);
  return status;
}

static int add_remote(roost_generation *generation, const roost_handler *of,
                      const roost_list *handlers) {
  const roost_dispatch_config *config = &generation->dispatch->config;
  roost_handler *own;
  const int status = roost_handler_copy(&own, config->alloc, of, handlers);
  if (status != 0)
    return status;
  own->generation = generation;
  own->fn = config->forward;
  own->ud = config->forward_ud;
  roost_list_append(&generation->handlers, &own->link);
  return 0;
}

int roost_generation_remote(roost_generation **out, roost_service *service,
                            const roost_list *handlers) {
  roost_generation *generation;
  int status = roost_generation_new(&generation, service);
  *out = generation;
  if (status != 0)
    return status;
  generation->remote = true;
  for (const roost_list *at = handlers->next; at != handlers && status == 0; at = at->next)
    status = add_remote(generation, ROOST_LIST_ENTRY(at, const roost_handler, link), handlers);
  if (status == 0)
    return 0;
  roost_generation_free(generation);
  *out = NULL;
  return status;
}
