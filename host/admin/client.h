/*
 * admin/client.h - one HTTP request to a host's admin socket, for the command line and for check.
 *
 * Blocks the calling thread, for timeout_ms at most. Any thread but the control thread.
 */
#ifndef ROOST_ADMIN_CLIENT_H
#define ROOST_ADMIN_CLIENT_H

#include "core/buffer.h"

typedef struct roost_admin_reply {
  int code;         /* of HTTP: 200, 404 ... */
  roost_slice body; /* borrowed from the bytes that were read */
} roost_admin_reply;

/* Sends "METHOD TARGET" and reads the answer into *bytes, an empty buffer of the caller's, from
 * which *reply borrows. *why is a fixed text on failure. ECONNECT: nobody answers at path;
 * ETIMEDOUT; EPROTO: what answered is no host, or has left; EINVAL, ESYSTEM, ENOMEM. */
int roost_admin_request(roost_admin_reply *reply, roost_buffer *bytes, const char *working_dir,
                        const char *path, const char *method, const char *target,
                        uint32_t timeout_ms, const char **why);

/* Reads a whole HTTP/1 answer, as it is when the connection has ended. EPROTO. */
int roost_admin_reply_read(roost_admin_reply *reply, roost_slice bytes);

#endif
