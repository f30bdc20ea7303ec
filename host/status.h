/*
 * status.h - a report as the JSON text that status shows. Any thread.
 */
#ifndef ROOST_STATUS_H
#define ROOST_STATUS_H

#include "report.h"

/* What is known of the host besides its workers' reports. */
typedef struct roost_status_facts {
  const char *config; /* the configuration's name; NULL: there is none */
  uint64_t uptime_ms;
  uint32_t workers;
  bool stuck; /* the report is the last one there was, or missing: the worker does not answer */
} roost_status_facts;

/* Appends one JSON object: the host's, with servers, services, clients and store. report NULL:
 * there never was one. ENOMEM. */
int roost_status_write(roost_buffer *out, const roost_report *report,
                       const roost_status_facts *facts);

/* Appends the JSON object of one service, its name in it. ENOMEM. */
int roost_status_write_service(roost_buffer *out, const roost_report *report,
                               const roost_report_service *service);

/* Memory of the process that is resident, in bytes; 0: unknown. */
uint64_t roost_status_memory_bytes(void);

/* "starting", "running" or "draining". */
const char *roost_status_state(const roost_report *report);

#endif
