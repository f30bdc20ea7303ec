#include "admin/pages.h"

#include <string.h>

#include "core/slice.h"
#include "metrics.h"

#define TYPE_JSON "application/json"
#define TYPE_TEXT "text/plain; charset=utf-8"

/* ------------------------------------------------------------------------- which ------------- */

roost_page_target roost_page_find(const char *url) {
  static const struct {
    const char *url;
    roost_page page;
    bool named; /* a name follows */
  } pages[] = {{"/live", ROOST_PAGE_LIVE, false},        {"/ready", ROOST_PAGE_READY, false},
               {"/status", ROOST_PAGE_STATUS, false},    {"/metrics", ROOST_PAGE_METRICS, false},
               {"/services/", ROOST_PAGE_SERVICE, true}, {"/reload", ROOST_PAGE_RELOAD, false},
               {"/reload/", ROOST_PAGE_RELOAD, true}};
  for (size_t i = 0; i < sizeof pages / sizeof pages[0]; i++) {
    const size_t len = strlen(pages[i].url);
    const bool found = strncmp(url, pages[i].url, len) == 0;
    if (found && (url[len] != '\0') == pages[i].named)
      return (roost_page_target){pages[i].page, pages[i].named ? url + len : NULL};
  }
  return (roost_page_target){ROOST_PAGE_NONE, NULL};
}

int roost_page_say(roost_page_answer *answer, unsigned code, const char *text) {
  answer->code = code;
  answer->type = TYPE_TEXT;
  int status = roost_buffer_append_slice(&answer->body, roost_slice_text(text));
  if (status == 0)
    status = roost_buffer_append_byte(&answer->body, '\n');
  return status;
}

bool roost_page_refuse(roost_page_answer *answer, const roost_page_target *target,
                       const char *method, bool local, int *status) {
  *status = 0;
  if (target->page == ROOST_PAGE_NONE) {
    *status = roost_page_say(answer, 404,
                             "not found; there are /live /ready /status /metrics /services/NAME "
                             "and, on the socket, POST /reload[/NAME]");
    return true;
  }
  const bool reloads = target->page == ROOST_PAGE_RELOAD;
  if (reloads && !local) {
    *status = roost_page_say(answer, 404, "reload is on the unix socket only");
    return true;
  }
  const bool fits = reloads ? strcmp(method, "POST") == 0
                            : strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;
  if (fits)
    return false;
  answer->allow = reloads ? "POST" : "GET, HEAD";
  *status = roost_page_say(answer, 405, reloads ? "POST only" : "GET only");
  return true;
}

/* ------------------------------------------------------------------------- what it says ------ */

static int write_service(roost_page_answer *answer, const roost_report *report, const char *name) {
  const roost_report_service *service =
      report != NULL ? roost_report_find(report, roost_slice_text(name)) : NULL;
  if (service == NULL)
    return roost_page_say(answer, report != NULL ? 404 : 503,
                          report != NULL ? "there is no service of that name" : "starting");
  return roost_status_write_service(&answer->body, report, service);
}

static int write_ready(roost_page_answer *answer, const roost_report *report) {
  const char *state = roost_status_state(report);
  const bool ready = strcmp(state, "running") == 0;
  return roost_page_say(answer, ready ? 200 : 503, ready ? "ready" : state);
}

int roost_page_write(roost_page_answer *answer, const roost_page_target *target,
                     const roost_report *report, const roost_status_facts *facts,
                     uint64_t stuck_ms) {
  answer->code = 200;
  answer->type = TYPE_JSON;
  switch (target->page) {
  case ROOST_PAGE_LIVE:
    return stuck_ms < ROOST_PAGE_DEAD_MS ? roost_page_say(answer, 200, "live")
                                         : roost_page_say(answer, 503, "a worker is stuck");
  case ROOST_PAGE_READY:
    return write_ready(answer, report);
  case ROOST_PAGE_METRICS:
    answer->type = "text/plain; version=0.0.4; charset=utf-8";
    return roost_metrics_write(&answer->body, report, facts);
  case ROOST_PAGE_SERVICE:
    return write_service(answer, report, target->service);
  default:
    return roost_status_write(&answer->body, report, facts);
  }
}
