/*
 * usage_probe.h - stands in for what prints: keeps the last usage error.
 */
#ifndef ROOST_TESTS_USAGE_PROBE_H
#define ROOST_TESTS_USAGE_PROBE_H

#include "alloc_probe.h"
#include "cli/cli.h"

static char usage_error[512];
static unsigned helps; /* how often help was asked for */

int roost_usage_error(const roost_command *command, const char *format, ...) {
  va_list args;
  (void)command;
  va_start(args, format);
  vsnprintf(usage_error, sizeof usage_error, format, args);
  va_end(args);
  return ROOST_EXIT_USAGE;
}

int roost_help_command(const roost_command *command) {
  (void)command;
  helps++;
  return ROOST_EXIT_OK;
}

#endif
