#include "service/handler.h"

#include "wire/pattern.h"

static int copy_text(char **to, const roost_alloc *alloc, const char *text) {
  *to = text != NULL ? roost_alloc_text(alloc, roost_slice_text(text)) : NULL;
  return text != NULL && *to == NULL ? ROOST_ENOMEM : 0;
}

static int copy(roost_handler *handler, const roost_alloc *alloc, const roost_handler *from) {
  handler->wildcard = roost_pattern_is_wildcard(roost_buffer_slice(&handler->route));
  handler->qos = from->qos;
  const int status = copy_text(&handler->transport, alloc, from->transport);
  return status == 0 ? copy_text(&handler->queue, alloc, from->queue) : status;
}

int roost_handler_new(roost_handler **out, const roost_alloc *alloc, const roost_handler *from,
                      roost_slice pattern, const char **why) {
  roost_handler *handler = roost_alloc_get(alloc, sizeof *handler);
  *out = NULL;
  *why = "out of memory";
  if (handler == NULL)
    return ROOST_ENOMEM;
  *handler = *from;
  handler->transport = handler->queue = NULL;
  roost_list_init(&handler->link);
  roost_buffer_init(&handler->route, alloc);
  int status = roost_pattern_normalise(&handler->route, pattern, why);
  if (status == 0) {
    *why = "a pattern is text, a number or an object";
    status = ROOST_EINVAL;
  } else if (status > 0) {
    status = copy(handler, alloc, from);
  }
  if (status != 0)
    roost_handler_free(alloc, handler);
  else
    *out = handler;
  return status;
}

static bool is_alike(const roost_handler *handler, roost_slice route, bool event) {
  return handler->event == event && roost_slice_equal(roost_buffer_slice(&handler->route), route);
}

size_t roost_handler_ordinal(const roost_list *owners, const roost_handler *of) {
  size_t ordinal = 0;
  for (const roost_list *at = owners->next; at != owners && at != &of->link; at = at->next)
    ordinal += is_alike(ROOST_LIST_ENTRY(at, const roost_handler, link),
                        roost_buffer_slice(&of->route), of->event);
  return ordinal;
}

int roost_handler_copy(roost_handler **out, const roost_alloc *alloc, const roost_handler *of,
                       const roost_list *owners) {
  roost_handler *handler = roost_alloc_get(alloc, sizeof *handler);
  *out = handler;
  if (handler == NULL)
    return ROOST_ENOMEM;
  *handler = (roost_handler){
      .event = of->event, .forwards = true, .ordinal = roost_handler_ordinal(owners, of)};
  roost_list_init(&handler->link);
  roost_buffer_init(&handler->route, alloc);
  int status = roost_buffer_append_slice(&handler->route, roost_buffer_slice(&of->route));
  if (status == 0)
    status = copy(handler, alloc, of);
  if (status == 0)
    return 0;
  roost_handler_free(alloc, handler);
  *out = NULL;
  return status;
}

const roost_handler *roost_handler_find(const roost_list *owners, roost_slice route, bool event,
                                        size_t ordinal) {
  for (const roost_list *at = owners->next; at != owners; at = at->next) {
    const roost_handler *handler = ROOST_LIST_ENTRY(at, const roost_handler, link);
    if (is_alike(handler, route, event) && ordinal-- == 0)
      return handler;
  }
  return NULL;
}

void roost_handler_free(const roost_alloc *alloc, roost_handler *handler) {
  roost_list_remove(&handler->link);
  roost_buffer_deinit(&handler->route);
  roost_alloc_put_text(alloc, handler->transport);
  roost_alloc_put_text(alloc, handler->queue);
  roost_alloc_put(alloc, handler, sizeof *handler);
}
