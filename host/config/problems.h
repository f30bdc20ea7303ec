/*
 * config/problems.h - what is wrong with a configuration or a service, all of it at once.
 *
 * Start reading at roost_problems_add. The list owns its texts; it is the caller's and freed with
 * roost_problems_deinit. One thread at a time.
 */
#ifndef ROOST_CONFIG_PROBLEMS_H
#define ROOST_CONFIG_PROBLEMS_H

#include "core/alloc.h"

typedef enum roost_severity {
  ROOST_PROBLEM_WARNING, /* said, and gone on with */
  ROOST_PROBLEM_ERROR    /* nothing is started */
} roost_severity;

typedef struct roost_problem {
  roost_severity severity;
  char *text; /* one line, names the file and the line or key */
} roost_problem;

typedef struct roost_problems {
  roost_problem *items;     /* in the order they were found */
  size_t count;             /* of items */
  size_t cap;               /* room in items */
  size_t errors;            /* how many of them are errors */
  int status;               /* ENOMEM where one could not be kept */
  const roost_alloc *alloc; /* borrowed */
} roost_problems;

void roost_problems_init(roost_problems *problems, const roost_alloc *alloc);
void roost_problems_deinit(roost_problems *problems);

/* printf into one more problem; newlines in it become spaces. */
void roost_problems_add(roost_problems *problems, roost_severity severity, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
