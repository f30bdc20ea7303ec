/*
 * admin/pages.h - what is asked for and what is said; no sockets, no HTTP library.
 *
 * Target: the page that a URL names, with the service's name where there is one.
 */
#ifndef ROOST_ADMIN_PAGES_H
#define ROOST_ADMIN_PAGES_H

#include "core/buffer.h"
#include "report.h"
#include "status.h"

#define ROOST_PAGE_DEAD_MS 5000 /* of a worker: so long without an answer is no life */

typedef enum roost_page {
  ROOST_PAGE_NONE,
  ROOST_PAGE_LIVE,
  ROOST_PAGE_READY,
  ROOST_PAGE_STATUS,
  ROOST_PAGE_METRICS,
  ROOST_PAGE_SERVICE, /* one service's part of the status */
  ROOST_PAGE_RELOAD   /* of one service, or of all */
} roost_page;

typedef struct roost_page_target {
  roost_page page;
  const char *service; /* borrowed from the URL; NULL: none */
} roost_page_target;

typedef struct roost_page_answer {
  unsigned code;     /* of HTTP */
  const char *type;  /* content type */
  const char *allow; /* methods, where code is 405; else NULL */
  roost_buffer body;
} roost_page_answer;

/* url is the path, unescaped, without a query. Any thread, as all that follow. */
roost_page_target roost_page_find(const char *url);

/* Refuses what cannot be: true, with the answer filled in, for a page that is not there, or a
 * method it does not have. local: it came by the unix socket, which alone has reload. *status:
 * ENOMEM. */
bool roost_page_refuse(roost_page_answer *answer, const roost_page_target *target,
                       const char *method, bool local, int *status);

/* Fills in the page, which is not reload. report NULL: there never was one. stuck_ms: how long the
 * worker has not answered. ENOMEM. */
int roost_page_write(roost_page_answer *answer, const roost_page_target *target,
                     const roost_report *report, const roost_status_facts *facts,
                     uint64_t stuck_ms);

/* Fills in a line of text. ENOMEM. */
int roost_page_say(roost_page_answer *answer, unsigned code, const char *text);

#endif
