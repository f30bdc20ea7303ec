#include "core/files.h"

#include <string.h>
#include <time.h>

#include "core/slice.h"

#define NS_PER_S UINT64_C(1000000000)
#define FRESH_NS UINT64_C(20000000)

void roost_files_init(roost_files *files, const roost_alloc *alloc) {
  *files = (roost_files){.alloc = alloc};
}

void roost_files_deinit(roost_files *files) {
  for (size_t i = 0; i < files->count; i++)
    roost_alloc_put_text(files->alloc, files->items[i].path);
  roost_alloc_put(files->alloc, files->items, files->cap * sizeof *files->items);
  roost_files_init(files, files->alloc);
}

static uint64_t ns_of(struct timespec moment) {
  return (uint64_t)moment.tv_sec * NS_PER_S + (uint64_t)moment.tv_nsec;
}

static roost_file describe(const struct stat *info) {
  struct timespec now;
  if (info == NULL)
    return (roost_file){0};
  clock_gettime(CLOCK_REALTIME, &now);
  const uint64_t changed_ns = ns_of(info->st_mtim);
  return (roost_file){.device = (uint64_t)info->st_dev,
                      .inode = (uint64_t)info->st_ino,
                      .size = (uint64_t)info->st_size,
                      .mode = (uint32_t)info->st_mode,
                      .changed_ns = changed_ns,
                      .fresh = ns_of(now) < changed_ns + FRESH_NS};
}

static const roost_file *find(const roost_files *files, const char *path) {
  for (size_t i = 0; i < files->count; i++)
    if (strcmp(files->items[i].path, path) == 0)
      return &files->items[i];
  return NULL;
}

static int append(roost_files *files, const char *path, const roost_file *noted) {
  if (find(files, path) != NULL)
    return 0;
  if (files->count == files->cap) {
    const size_t cap = files->cap ? 2 * files->cap : 4;
    roost_file *grown = roost_alloc_resize(files->alloc, files->items, files->cap * sizeof *grown,
                                           cap * sizeof *grown);
    if (grown == NULL)
      return ROOST_ENOMEM;
    files->items = grown;
    files->cap = cap;
  }
  roost_file added = *noted;
  added.path = roost_alloc_text(files->alloc, roost_slice_text(path));
  if (added.path == NULL)
    return ROOST_ENOMEM;
  files->items[files->count++] = added;
  return 0;
}

int roost_files_add(roost_files *files, const char *path, const struct stat *info) {
  const roost_file noted = describe(info);
  return append(files, path, &noted);
}

int roost_files_copy(roost_files *files, const roost_files *from) {
  int status = 0;
  for (size_t i = 0; i < from->count && status == 0; i++)
    status = append(files, from->items[i].path, &from->items[i]);
  return status;
}

static bool is_changed(const roost_file *noted) {
  struct stat info;
  const roost_file now = describe(stat(noted->path, &info) == 0 ? &info : NULL);
  return noted->fresh || now.device != noted->device || now.inode != noted->inode ||
         now.size != noted->size || now.mode != noted->mode || now.changed_ns != noted->changed_ns;
}

const char *roost_files_changed(const roost_files *files) {
  for (size_t i = 0; i < files->count; i++)
    if (is_changed(&files->items[i]))
      return files->items[i].path;
  return NULL;
}
