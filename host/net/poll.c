#include "net/poll.h"

#include "net/loop_internal.h"

struct roost_poll {
  uv_poll_t handle;
  roost_list link; /* in loop->polls */
  roost_loop *loop;
  void (*fn)(void *ud);
  void *ud; /* handed to fn */
};

static void on_ready(uv_poll_t *handle, int status, int events) {
  const roost_poll *poll = handle->data;
  (void)status;
  (void)events;
  roost_loop_touch(poll->loop);
  poll->fn(poll->ud);
}

static void on_closed(uv_handle_t *handle) {
  roost_poll *poll = handle->data;
  poll->loop->pending--;
  roost_alloc_put(poll->loop->alloc, poll, sizeof *poll);
}

int roost_poll_open(roost_poll **out, roost_loop *loop, int descriptor, void (*fn)(void *ud),
                    void *ud) {
  *out = NULL;
  roost_poll *poll = roost_alloc_get(loop->alloc, sizeof *poll);
  if (poll == NULL)
    return ROOST_ENOMEM;
  poll->loop = loop;
  poll->fn = fn;
  poll->ud = ud;
  if (uv_poll_init(&loop->uv, &poll->handle, descriptor) != 0) {
    roost_alloc_put(loop->alloc, poll, sizeof *poll);
    return ROOST_ESYSTEM;
  }
  poll->handle.data = poll;
  uv_poll_start(&poll->handle, UV_READABLE, on_ready);
  loop->pending++;
  roost_list_append(&loop->polls, &poll->link);
  *out = poll;
  return 0;
}

void roost_poll_close(roost_poll *poll) {
  if (poll == NULL)
    return;
  roost_list_remove(&poll->link);
  uv_close((uv_handle_t *)&poll->handle, on_closed);
}

void roost_poll_close_all(roost_loop *loop) {
  while (!roost_list_empty(&loop->polls))
    roost_poll_close(ROOST_LIST_ENTRY(loop->polls.next, roost_poll, link));
}
