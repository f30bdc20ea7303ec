/*
 * scan.h - a look at the files of a host's services: which are there, and which have changed.
 *
 * Made on the worker's thread with copies of what it needs, run as a job on another, read on the
 * worker's again. Owned by its maker.
 */
#ifndef ROOST_SCAN_H
#define ROOST_SCAN_H

#include "config/problems.h"
#include "config/settings.h"
#include "service/discover.h"
#include "service/dispatch.h"

typedef struct roost_scan_service {
  char *name;
  roost_files files; /* as they were when it was loaded */
  char *path;        /* of its main file */
  bool is_changed;   /* one of them is another now */
  bool is_wanted;    /* it lies in what the configuration names */
  bool is_there;     /* as is its main file */
} roost_scan_service;

typedef struct roost_scan {
  roost_job job;            /* done is the maker's */
  const roost_alloc *alloc; /* borrowed */
  char *working_dir;        /* relative paths start here */
  char **paths;             /* of the configuration's services */
  size_t path_count;
  roost_scan_service *services; /* those that are known */
  size_t service_count;
  roost_found_list found;
  roost_problems problems; /* with finding them */
  roost_buffer folders;    /* in those of the configuration, each path with a NUL after it */
  void *ud;                /* the maker's */
} roost_scan;

/* services: the configuration's, NULL-terminated. ENOMEM. */
int roost_scan_new(roost_scan **out, const roost_alloc *alloc, const roost_dispatch *dispatch,
                   const char *const *services, const char *working_dir);

/* NULL is allowed. Not while the job runs. */
void roost_scan_free(roost_scan *scan);

#endif
