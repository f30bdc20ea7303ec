#include "service/discover.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/slice.h"

typedef struct search {
  roost_found_list *list;
  roost_found_report *report;
  void *ud;
} search;

void roost_found_init(roost_found_list *list, const roost_alloc *alloc) {
  *list = (roost_found_list){NULL, 0, 0, alloc};
}

static void found_free(const roost_alloc *alloc, roost_found *found) {
  roost_alloc_put_text(alloc, found->name);
  roost_alloc_put_text(alloc, found->root);
  roost_alloc_put_text(alloc, found->path);
}

void roost_found_deinit(roost_found_list *list) {
  for (size_t i = 0; i < list->count; i++)
    found_free(list->alloc, &list->items[i]);
  roost_alloc_put(list->alloc, list->items, list->cap * sizeof *list->items);
  roost_found_init(list, list->alloc);
}

int roost_found_copy(roost_found_list *list, const roost_found_list *from) {
  const size_t cap = list->count + from->count;
  roost_found *grown = roost_alloc_resize(list->alloc, list->items, list->cap * sizeof *grown,
                                          (cap + 1) * sizeof *grown);
  if (grown == NULL)
    return ROOST_ENOMEM;
  list->items = grown;
  list->cap = cap + 1;
  for (size_t i = 0; i < from->count; i++) {
    const roost_found *item = &from->items[i];
    const roost_found copy = {roost_alloc_text(list->alloc, roost_slice_text(item->name)),
                              roost_alloc_text(list->alloc, roost_slice_text(item->root)),
                              roost_alloc_text(list->alloc, roost_slice_text(item->path))};
    list->items[list->count++] = copy;
    if (copy.name == NULL || copy.root == NULL || copy.path == NULL)
      return ROOST_ENOMEM;
  }
  return 0;
}

void roost_found_remove(roost_found_list *list, size_t index) {
  found_free(list->alloc, &list->items[index]);
  list->count--;
  memmove(&list->items[index], &list->items[index + 1],
          (list->count - index) * sizeof *list->items);
}

/* A path put together; NULL when out of memory. */
static char *join(const roost_alloc *alloc, const char *folder, const char *name,
                  const char *ending) {
  roost_buffer text;
  roost_buffer_init(&text, alloc);
  char *path = NULL;
  if (roost_buffer_printf(&text, "%s/%s%s", folder, name, ending) == 0)
    path = roost_alloc_text(alloc, roost_buffer_slice(&text));
  roost_buffer_deinit(&text);
  return path;
}

static bool is_folder(const char *path) {
  struct stat info;
  return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

static bool is_file(const char *path) {
  struct stat info;
  return stat(path, &info) == 0 && !S_ISDIR(info.st_mode);
}

static void say(const search *s, bool error, const char *format, const char *a, const char *b,
                const char *c) {
  roost_buffer text;
  roost_buffer_init(&text, s->list->alloc);
  int status = roost_buffer_append_slice(&text, (roost_slice){NULL, 0});
  const char *parts[] = {a, b, c};
  size_t part = 0;
  for (const char *at = format; *at != '\0' && status == 0; at++)
    status = *at == '@' ? roost_buffer_append_slice(&text, roost_slice_text(parts[part++]))
                        : roost_buffer_append_byte(&text, *at);
  if (status == 0)
    status = roost_buffer_append_byte(&text, '\0');
  s->report(s->ud, error, status == 0 ? text.ptr : "out of memory");
  roost_buffer_deinit(&text);
}

static roost_found *find(const roost_found_list *list, const char *name) {
  for (size_t i = 0; i < list->count; i++)
    if (strcmp(list->items[i].name, name) == 0)
      return &list->items[i];
  return NULL;
}

/* Takes path over. */
static int add(const search *s, roost_slice name, const char *root, char *path) {
  roost_found_list *list = s->list;
  if (path == NULL)
    return ROOST_ENOMEM;
  if (list->count == list->cap) {
    size_t cap = list->cap ? 2 * list->cap : 16;
    roost_found *grown = roost_alloc_resize(list->alloc, list->items, list->cap * sizeof *grown,
                                            cap * sizeof *grown);
    if (grown == NULL) {
      roost_alloc_put_text(list->alloc, path);
      return ROOST_ENOMEM;
    }
    list->items = grown;
    list->cap = cap;
  }
  roost_found found = {roost_alloc_text(list->alloc, name),
                       roost_alloc_text(list->alloc, roost_slice_text(root)), path};
  if (found.name == NULL || found.root == NULL) {
    found_free(list->alloc, &found);
    return ROOST_ENOMEM;
  }
  const roost_found *twin = find(list, found.name);
  if (twin != NULL) {
    say(s, true, "@: a service named \"@\" is there already: @", path, found.name, twin->path);
    found_free(list->alloc, &found);
    return 0;
  }
  list->items[list->count++] = found;
  return 0;
}

static bool ends_with(const char *name, const char *ending) {
  size_t len = strlen(name);
  size_t ending_len = strlen(ending);
  return len > ending_len && strcmp(name + len - ending_len, ending) == 0;
}

static bool is_service_name(const char *name) {
  return name[0] != '.' && name[0] != '_' && strcmp(name, "lib") != 0;
}

/* One file or folder of a services folder; named: the configuration asks for it by its own name, so
 * that passing over it would be a surprise. */
static int add_member(const search *s, const char *root, const char *name, bool named) {
  const roost_alloc *alloc = s->list->alloc;
  if (!named && !is_service_name(name))
    return 0;
  char *path = join(alloc, root, name, "");
  if (path == NULL)
    return ROOST_ENOMEM;
  int status = 0;
  if (is_folder(path)) {
    char *main_file = join(alloc, path, "init", ".lua");
    if (main_file == NULL || is_file(main_file)) {
      status = add(s, roost_slice_text(name), root, main_file);
    } else {
      say(s, false, "@: skipped, it has no init.lua", path, NULL, NULL);
      roost_alloc_put_text(alloc, main_file);
    }
  } else if (ends_with(name, ".lua") && !ends_with(name, "_spec.lua")) {
    status = add(s, roost_slice_of(name, strlen(name) - 4), root, path);
    path = NULL;
  } else if (named) {
    say(s, true, "@: not a service: its name does not end in .lua, or ends in _spec.lua", path,
        NULL, NULL);
  }
  roost_alloc_put_text(alloc, path);
  return status;
}

static int by_name(const struct dirent **a, const struct dirent **b) {
  return strcmp((*a)->d_name, (*b)->d_name);
}

static int add_folder(const search *s, const char *path) {
  struct dirent **names;
  int count = scandir(path, &names, NULL, by_name);
  if (count < 0) {
    say(s, true, "@: @", path, strerror(errno), NULL);
    return 0;
  }
  int status = 0;
  for (int i = 0; i < count; i++) {
    if (status == 0)
      status = add_member(s, path, names[i]->d_name, false);
    free(names[i]);
  }
  free(names);
  return status;
}

/* One service named by its own path: its root is the folder it lies in. */
static int add_one(const search *s, char *path) {
  char *slash = strrchr(path, '/');
  *slash = '\0';
  int status = add_member(s, *path ? path : "/", slash + 1, true);
  *slash = '/';
  return status;
}

static bool is_service_folder(const roost_alloc *alloc, const char *path) {
  char *main_file = join(alloc, path, "init", ".lua");
  bool found = main_file != NULL && is_file(main_file);
  roost_alloc_put_text(alloc, main_file);
  return found;
}

/* The absolute path without links, . and .. */
static int absolute(char **out, const roost_alloc *alloc, const char *base, const char *path) {
  char *joined =
      *path == '/' ? roost_alloc_text(alloc, roost_slice_text(path)) : join(alloc, base, path, "");
  *out = NULL;
  if (joined == NULL)
    return ROOST_ENOMEM;
  char *real = realpath(joined, NULL);
  int status = real != NULL ? 0 : errno == ENOMEM ? ROOST_ENOMEM : ROOST_ENOENT;
  roost_alloc_put_text(alloc, joined);
  if (real == NULL)
    return status;
  *out = roost_alloc_text(alloc, roost_slice_text(real));
  free(real);
  return *out != NULL ? 0 : ROOST_ENOMEM;
}

int roost_found_add(roost_found_list *list, const char *base, const char *path,
                    roost_found_report *report, void *ud) {
  search s = {list, report, ud};
  char *full;
  int status = absolute(&full, list->alloc, base, path);
  if (status != 0)
    return status;
  if (is_folder(full) && !is_service_folder(list->alloc, full))
    status = add_folder(&s, full);
  else
    status = add_one(&s, full);
  roost_alloc_put_text(list->alloc, full);
  return status;
}
