/*
 * metrics.h - a report in the text format of Prometheus (0.0.4). Any thread.
 */
#ifndef ROOST_METRICS_H
#define ROOST_METRICS_H

#include "report.h"
#include "status.h"

/* Appends the text. report NULL: there never was one. ENOMEM. */
int roost_metrics_write(roost_buffer *out, const roost_report *report,
                        const roost_status_facts *facts);

#endif
