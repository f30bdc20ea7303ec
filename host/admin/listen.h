/*
 * admin/listen.h - the sockets on which the admin pages are served, and the way to reach them.
 *
 * A listening socket returned here is non-blocking, and the caller's. Any thread.
 */
#ifndef ROOST_ADMIN_LISTEN_H
#define ROOST_ADMIN_LISTEN_H

#include "core/buffer.h"

/* Listens on a unix socket that only its owner may connect to. working_dir is where a relative path
 * starts (NULL: where the process is), the folder is made. A socket that nobody answers at is
 * replaced. On failure *why is a fixed text. ESTATE: somebody answers there; ESYSTEM, EINVAL,
 * ENOMEM.
 */
int roost_admin_listen_socket(int *out, const char *working_dir, const char *path,
                              const char **why);

/* Whether a socket can have that name; nothing is made. *why as above. EINVAL (something else has
 * it, too), ENOMEM; ESYSTEM: its folder cannot be opened, perhaps since it is not there yet. */
int roost_admin_check_socket(const char *working_dir, const char *path, const char **why);

/* Removes the file of a socket that is closed now, unless somebody else answers there. */
void roost_admin_unlink_socket(const char *working_dir, const char *path);

/* Connects to one; *out is non-blocking, and the caller's. *why as above. ECONNECT, EINVAL,
 * ESYSTEM, ENOMEM. */
int roost_admin_connect_socket(int *out, const char *working_dir, const char *path,
                               const char **why);

/* Listens on a loopback address; *port becomes the one that was bound. ESTATE: it is taken;
 * ESYSTEM, EINVAL. */
int roost_admin_listen_http(int *out, const char *host, uint16_t *port, const char **why);

#endif
