/*
 * core/files.h - which files something was made from, and whether they are still as they were.
 *
 * A file is known by what its folder says of it: device, inode, size, rights and time of change.
 * One that was changed just before it was read counts as changed until it is read again: two
 * changes within a tick of the file system's clock look alike. A list belongs to one thread at a
 * time.
 */
#ifndef ROOST_CORE_FILES_H
#define ROOST_CORE_FILES_H

#include <stdint.h>
#include <sys/stat.h>

#include "core/alloc.h"

typedef struct roost_file {
  char *path;      /* owned */
  uint64_t device; /* 0: it could not be read */
  uint64_t inode;
  uint64_t size;
  uint32_t mode;       /* rights and type */
  uint64_t changed_ns; /* since 1970 */
  bool fresh;          /* changed just before it was read */
} roost_file;

typedef struct roost_files {
  roost_file *items;
  size_t count;
  size_t cap;
  const roost_alloc *alloc; /* borrowed */
} roost_files;

void roost_files_init(roost_files *files, const roost_alloc *alloc);
void roost_files_deinit(roost_files *files);

/* Notes a file as info shows it, or, where info is NULL, as one that could not be read; the first
 * note of a path stays. ENOMEM. */
int roost_files_add(roost_files *files, const char *path, const struct stat *info);

/* Appends all of from. ENOMEM. */
int roost_files_copy(roost_files *files, const roost_files *from);

/* The first file that is not as it was noted; NULL: none. Reads the file system. */
const char *roost_files_changed(const roost_files *files);

#endif
