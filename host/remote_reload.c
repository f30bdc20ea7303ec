#include "remote_reload.h"

#include "core/slice.h"
#include "wire/json.h"

struct roost_remote_reload {
  roost_remote_reload_config config;
  roost_list errands; /* the control thread's */
  bool closed;        /* the worker's */
};

typedef struct errand {
  roost_list link; /* in remote->errands */
  roost_remote_reload *remote;
  char *service;        /* owned; NULL: all */
  roost_loop_job there; /* to the worker */
  roost_loop_job back;  /* to the control thread */
  roost_buffer json;    /* the outcome */
  void (*done)(void *done_ud, roost_slice json);
  void *done_ud;
} errand;

static void errand_free(errand *self) {
  const roost_alloc *alloc = self->remote->config.alloc;
  roost_list_remove(&self->link);
  roost_buffer_deinit(&self->json);
  roost_alloc_put_text(alloc, self->service);
  roost_alloc_put(alloc, self, sizeof *self);
}

/* On the control thread. */
static void on_back(void *ud) {
  errand *self = ud;
  self->done(self->done_ud, roost_buffer_slice(&self->json));
  errand_free(self);
}

/* ------------------------------------------------------------------------- on the worker ----- */

static void go_back(errand *self) {
  roost_loop_post_job(roost_control_loop(self->remote->config.control), &self->back);
}

static void on_done(void *ud, roost_slice json) {
  errand *self = ud;
  if (roost_buffer_append_slice(&self->json, json) != 0)
    roost_buffer_clear(&self->json);
  go_back(self);
}

/* The outcome where nothing was begun. Where memory is short even for that it is empty. */
static void refuse(errand *self, const char *why) {
  roost_buffer *json = &self->json;
  int status = roost_buffer_append_slice(json, ROOST_SLICE("[{\"service\":"));
  if (status == 0)
    status = roost_json_write_string(json, roost_slice_text(self->service ? self->service : "all"));
  if (status == 0)
    status = roost_buffer_printf(json, ",\"from\":0,\"to\":0,\"refused\":\"%s\"}]", why);
  if (status != 0)
    roost_buffer_clear(json);
  go_back(self);
}

static void on_there(void *ud) {
  errand *self = ud;
  const roost_remote_reload *remote = self->remote;
  const int status =
      remote->closed ? ROOST_ESTATE
                     : roost_reloads_request(remote->config.reloads, self->service, on_done, self);
  if (status != 0)
    refuse(self, status == ROOST_ESTATE ? "the host is not running" : "out of memory");
}

/* ------------------------------------------------------------------------- on the control thread
 */

int roost_remote_reload_start(void *ud, const char *service,
                              void (*done)(void *done_ud, roost_slice json), void *done_ud) {
  roost_remote_reload *remote = ud;
  const roost_alloc *alloc = remote->config.alloc;
  errand *self = roost_alloc_get(alloc, sizeof *self);
  if (self == NULL)
    return ROOST_ENOMEM;
  *self = (errand){.remote = remote, .done = done, .done_ud = done_ud};
  self->there = (roost_loop_job){.fn = on_there, .ud = self};
  self->back = (roost_loop_job){.fn = on_back, .ud = self};
  roost_buffer_init(&self->json, alloc);
  roost_list_append(&remote->errands, &self->link);
  if (service != NULL) {
    self->service = roost_alloc_text(alloc, roost_slice_text(service));
    if (self->service == NULL) {
      errand_free(self);
      return ROOST_ENOMEM;
    }
  }
  roost_loop_post_job(remote->config.worker->loop, &self->there);
  return 0;
}

/* ------------------------------------------------------------------------- life -------------- */

int roost_remote_reload_new(roost_remote_reload **out, const roost_remote_reload_config *config) {
  roost_remote_reload *remote = roost_alloc_get(config->alloc, sizeof *remote);
  *out = remote;
  if (remote == NULL)
    return ROOST_ENOMEM;
  remote->config = *config;
  roost_list_init(&remote->errands);
  return 0;
}

void roost_remote_reload_close(roost_remote_reload *remote) {
  if (remote != NULL)
    remote->closed = true;
}

void roost_remote_reload_free(roost_remote_reload *remote) {
  if (remote == NULL)
    return;
  while (!roost_list_empty(&remote->errands))
    errand_free(ROOST_LIST_ENTRY(remote->errands.next, errand, link));
  roost_alloc_put(remote->config.alloc, remote, sizeof *remote);
}
