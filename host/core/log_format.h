/*
 * core/log_format.h - how the text of a log line begins and ends; only for log.c.
 *
 * The fields between are appended by the functions of log.h. A line's text starts with room for
 * the header under which the queue links it, so that queueing neither copies nor allocates.
 */
#ifndef ROOST_CORE_LOG_FORMAT_H
#define ROOST_CORE_LOG_FORMAT_H

#include "core/log.h"

#define ROOST_LOG_HEADER_BYTES 32

/* Of the lines that wait to be written. */
#define ROOST_LOG_QUEUE_BYTES ((size_t)1 << 20)

/* Appends the room, then ts, level and msg; line->format and level are set, its text is empty. */
void roost_log_format_begin(roost_log_line *line, uint64_t wall_us, roost_slice msg);

void roost_log_format_end(roost_log_line *line);

#endif
