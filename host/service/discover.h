/*
 * service/discover.h - finds the services of a folder.
 *
 * services/NAME.lua or services/NAME/init.lua; not *_spec.lua, not names beginning with . or _, not
 * lib/. No Lua, no I/O but reading folders. Any thread.
 */
#ifndef ROOST_SERVICE_DISCOVER_H
#define ROOST_SERVICE_DISCOVER_H

#include "core/buffer.h"

typedef struct roost_found {
  char *name; /* of the service */
  char *root; /* the services folder, absolute */
  char *path; /* of its main file, absolute */
} roost_found;

typedef struct roost_found_list {
  roost_found *items; /* owned with their texts; by place in the configuration, then by name */
  size_t count;
  size_t cap;
  const roost_alloc *alloc; /* borrowed */
} roost_found_list;

/* What is wrong goes to report, a line each; error: false is a warning. */
typedef void roost_found_report(void *ud, bool error, const char *text);

void roost_found_init(roost_found_list *list, const roost_alloc *alloc);
void roost_found_deinit(roost_found_list *list);

/* Adds copies of all that is in another list. ENOMEM. */
int roost_found_copy(roost_found_list *list, const roost_found_list *from);

/* Takes one out; those after it move up. */
void roost_found_remove(roost_found_list *list, size_t index);

/* Adds what path (a folder, or one service's file or folder) holds; it is taken from base where it
 * is relative. Returns 0 also where problems were reported; ENOENT where path does not exist
 * (not reported), ENOMEM. */
int roost_found_add(roost_found_list *list, const char *base, const char *path,
                    roost_found_report *report, void *ud);

#endif
