/*
 * status.h - what a worker is doing, as the JSON text that status shows.
 */
#ifndef ROOST_STATUS_H
#define ROOST_STATUS_H

#include "worker.h"

/* Appends one JSON object: version, state, servers, services, store. ENOMEM. The worker's thread.
 */
int roost_status_write(const roost_worker *worker, roost_buffer *out);

#endif
