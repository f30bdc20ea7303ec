/*
 * running.h - the host that runs with a configuration already, as its admin socket tells.
 *
 * The struct is the caller's. Blocks the calling thread, for a second at most. One thread.
 */
#ifndef ROOST_RUNNING_H
#define ROOST_RUNNING_H

#include "config/settings.h"
#include "core/buffer.h"

typedef struct roost_running {
  bool answers;       /* there is one */
  roost_buffer bytes; /* its answer */
  roost_slice status; /* JSON text in them; empty: none */
} roost_running;

/* Asks at settings->admin_socket. ENOMEM; that nobody answers is no failure. */
int roost_running_find(roost_running *running, const roost_alloc *alloc,
                       const roost_settings *settings, const char *working_dir);

void roost_running_deinit(roost_running *running);

/* Whether one of its listeners has this port. */
bool roost_running_holds(const roost_running *running, uint16_t port);

#endif
