#include "net/watch.h"

#include <string.h>
#include <sys/stat.h>

#include "core/slice.h"
#include "net/loop_internal.h"

typedef struct folder {
  uv_fs_event_t handle;
  roost_list link; /* in watch->folders */
  roost_watch *watch;
  char *path;      /* owned */
  uint64_t device; /* which folder it is that has this path */
  uint64_t inode;
  bool is_wanted;
  bool is_doubtful; /* something happened to itself: perhaps it has gone */
} folder;

struct roost_watch {
  roost_loop *loop;
  void (*fn)(void *ud);
  void *ud; /* handed to fn */
  roost_list folders;
};

/* Editors make files of other names beside the one they save. */
static bool is_of_interest(const char *name) {
  if (name == NULL)
    return true;
  const char *ending = strrchr(name, '.');
  return name[0] != '.' && (ending == NULL || strcmp(ending, ".lua") == 0);
}

/* What happens to the folder itself comes under its own name. One that has gone is watched no more,
 * though another one of its path may have got its inode. */
static bool is_itself(const folder *self, const char *name) {
  const char *slash = strrchr(self->path, '/');
  return name == NULL || strcmp(slash != NULL ? slash + 1 : self->path, name) == 0;
}

static void on_event(uv_fs_event_t *handle, const char *name, int events, int status) {
  folder *self = handle->data;
  (void)events;
  (void)status;
  roost_loop_touch(self->watch->loop);
  self->is_doubtful |= is_itself(self, name);
  if (is_of_interest(name))
    self->watch->fn(self->watch->ud);
}

static void on_closed(uv_handle_t *handle) {
  folder *self = handle->data;
  roost_loop *loop = ROOST_LIST_ENTRY(handle->loop, roost_loop, uv);
  loop->pending--;
  roost_alloc_put_text(loop->alloc, self->path);
  roost_alloc_put(loop->alloc, self, sizeof *self);
}

static void close_folder(folder *self) {
  roost_list_remove(&self->link);
  uv_close((uv_handle_t *)&self->handle, on_closed);
}

static int open_folder(roost_watch *watch, const char *path, const struct stat *info) {
  roost_loop *loop = watch->loop;
  folder *self = roost_alloc_get(loop->alloc, sizeof *self);
  if (self == NULL)
    return ROOST_ENOMEM;
  self->path = roost_alloc_text(loop->alloc, roost_slice_text(path));
  if (self->path == NULL || uv_fs_event_init(&loop->uv, &self->handle) != 0) {
    roost_alloc_put_text(loop->alloc, self->path);
    roost_alloc_put(loop->alloc, self, sizeof *self);
    return ROOST_ENOMEM;
  }
  self->watch = watch;
  self->device = (uint64_t)info->st_dev;
  self->inode = (uint64_t)info->st_ino;
  self->is_wanted = true;
  self->handle.data = self;
  loop->pending++;
  roost_list_append(&watch->folders, &self->link);
  if (uv_fs_event_start(&self->handle, on_event, path, 0) == 0)
    return 1;
  close_folder(self);
  return ROOST_ESYSTEM;
}

static folder *find(const roost_watch *watch, const char *path, const struct stat *info) {
  for (roost_list *at = watch->folders.next; at != &watch->folders; at = at->next) {
    folder *self = ROOST_LIST_ENTRY(at, folder, link);
    if (!self->is_doubtful && strcmp(self->path, path) == 0 &&
        self->device == (uint64_t)info->st_dev && self->inode == (uint64_t)info->st_ino)
      return self;
  }
  return NULL;
}

static int want(roost_watch *watch, const char *path) {
  struct stat info;
  if (stat(path, &info) != 0 || !S_ISDIR(info.st_mode))
    return 0;
  folder *known = find(watch, path, &info);
  if (known == NULL)
    return open_folder(watch, path, &info);
  known->is_wanted = true;
  return 0;
}

static void close_unwanted(roost_watch *watch) {
  roost_list *at = watch->folders.next;
  while (at != &watch->folders) {
    folder *self = ROOST_LIST_ENTRY(at, folder, link);
    at = at->next;
    if (!self->is_wanted)
      close_folder(self);
    self->is_wanted = false;
  }
}

int roost_watch_set(roost_watch *watch, const char *const *folders, size_t count) {
  int result = 0;
  for (size_t i = 0; i < count; i++) {
    const int status = want(watch, folders[i]);
    if (status < 0 || (status > 0 && result == 0))
      result = status;
  }
  close_unwanted(watch);
  return result;
}

int roost_watch_open(roost_watch **out, roost_loop *loop, void (*fn)(void *ud), void *ud) {
  roost_watch *watch = roost_alloc_get(loop->alloc, sizeof *watch);
  *out = watch;
  if (watch == NULL)
    return ROOST_ENOMEM;
  watch->loop = loop;
  watch->fn = fn;
  watch->ud = ud;
  roost_list_init(&watch->folders);
  return 0;
}

void roost_watch_close(roost_watch *watch) {
  if (watch == NULL)
    return;
  while (!roost_list_empty(&watch->folders))
    close_folder(ROOST_LIST_ENTRY(watch->folders.next, folder, link));
  roost_alloc_put(watch->loop->alloc, watch, sizeof *watch);
}
