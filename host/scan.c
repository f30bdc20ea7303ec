#include "scan.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/slice.h"

static char *own(const roost_scan *scan, const char *text) {
  return roost_alloc_text(scan->alloc, roost_slice_text(text));
}

/* ------------------------------------------------------------------------- on another thread - */

static void on_found(void *ud, bool error, const char *text) {
  roost_problems_add(ud, error ? ROOST_PROBLEM_ERROR : ROOST_PROBLEM_WARNING, "%s", text);
}

static void find_services(roost_scan *scan) {
  for (size_t i = 0; i < scan->path_count; i++) {
    const int status =
        roost_found_add(&scan->found, scan->working_dir, scan->paths[i], on_found, &scan->problems);
    if (status == ROOST_ENOENT)
      roost_problems_add(&scan->problems, ROOST_PROBLEM_ERROR,
                         "services: %s: no such file or folder", scan->paths[i]);
    else if (status != 0)
      scan->problems.status = status;
  }
}

static void add_folder(roost_scan *scan, const char *parent, const char *name) {
  const size_t before = scan->folders.len;
  struct stat info;
  if (name[0] == '.' || roost_buffer_printf(&scan->folders, "%s/%s%c", parent, name, '\0') != 0)
    return;
  if (stat(scan->folders.ptr + before, &info) != 0 || !S_ISDIR(info.st_mode))
    scan->folders.len = before;
}

static int full_path(const roost_scan *scan, const char *given, roost_buffer *path) {
  roost_buffer_clear(path);
  return *given == '/' ? roost_buffer_printf(path, "%s%c", given, '\0')
                       : roost_buffer_printf(path, "%s/%s%c", scan->working_dir, given, '\0');
}

/* Folders that hold no service yet may come to hold one. */
static void find_folders(roost_scan *scan) {
  roost_buffer path;
  roost_buffer_init(&path, scan->alloc);
  for (size_t i = 0; i < scan->path_count; i++) {
    const int status = full_path(scan, scan->paths[i], &path);
    DIR *dir = status == 0 ? opendir(path.ptr) : NULL;
    const struct dirent *entry;
    while (dir != NULL && (entry = readdir(dir)) != NULL)
      add_folder(scan, path.ptr, entry->d_name);
    if (dir != NULL)
      closedir(dir);
  }
  roost_buffer_deinit(&path);
}

/* Whether path is what a path of the configuration's names, or lies in it. A path that cannot be
 * looked up may be any. */
static bool is_in(const char *path, const char *given) {
  char *real = realpath(given, NULL);
  const size_t len = real != NULL ? strlen(real) : 0;
  const bool found =
      real == NULL || (strncmp(path, real, len) == 0 && (path[len] == '/' || path[len] == '\0'));
  free(real);
  return found;
}

static void find_unwanted(roost_scan *scan) {
  roost_buffer given;
  roost_buffer_init(&given, scan->alloc);
  for (size_t i = 0; i < scan->path_count; i++) {
    if (full_path(scan, scan->paths[i], &given) != 0)
      break;
    for (size_t at = 0; at < scan->service_count; at++)
      scan->services[at].is_wanted |= is_in(scan->services[at].path, given.ptr);
  }
  roost_buffer_deinit(&given);
}

static void run(roost_job *job, roost_runner *runner) {
  roost_scan *scan = ROOST_LIST_ENTRY(job, roost_scan, job);
  (void)runner;
  find_services(scan);
  find_folders(scan);
  find_unwanted(scan);
  for (size_t i = 0; i < scan->service_count; i++) {
    roost_scan_service *service = &scan->services[i];
    service->is_there = service->is_wanted && access(service->path, F_OK) == 0;
    service->is_changed = roost_files_changed(&service->files) != NULL;
  }
}

/* ------------------------------------------------------------------------- making ------------ */

static int copy_paths(roost_scan *scan, const char *const *services) {
  size_t count = 0;
  while (services[count] != NULL)
    count++;
  if (count == 0)
    return 0;
  scan->paths = roost_alloc_get(scan->alloc, count * sizeof *scan->paths);
  if (scan->paths == NULL)
    return ROOST_ENOMEM;
  scan->path_count = count;
  for (size_t i = 0; i < count; i++)
    if ((scan->paths[i] = own(scan, services[i])) == NULL)
      return ROOST_ENOMEM;
  return 0;
}

static int copy_services(roost_scan *scan, const roost_dispatch *dispatch) {
  const size_t count = dispatch->service_count;
  if (count == 0)
    return 0;
  scan->services = roost_alloc_get(scan->alloc, count * sizeof *scan->services);
  if (scan->services == NULL)
    return ROOST_ENOMEM;
  scan->service_count = count;
  for (size_t i = 0; i < count; i++)
    roost_files_init(&scan->services[i].files, scan->alloc);
  for (size_t i = 0; i < count; i++) {
    const roost_service *from = dispatch->services[i];
    roost_scan_service *to = &scan->services[i];
    to->name = own(scan, from->name);
    to->path = own(scan, from->source.path);
    if (to->name == NULL || to->path == NULL || roost_files_copy(&to->files, &from->files) != 0)
      return ROOST_ENOMEM;
  }
  return 0;
}

int roost_scan_new(roost_scan **out, const roost_alloc *alloc, const roost_dispatch *dispatch,
                   const char *const *services, const char *working_dir) {
  roost_scan *scan = roost_alloc_get(alloc, sizeof *scan);
  *out = NULL;
  if (scan == NULL)
    return ROOST_ENOMEM;
  scan->alloc = alloc;
  scan->job.run = run;
  roost_found_init(&scan->found, alloc);
  roost_problems_init(&scan->problems, alloc);
  roost_buffer_init(&scan->folders, alloc);
  scan->working_dir = own(scan, working_dir);
  int status = scan->working_dir != NULL ? copy_paths(scan, services) : ROOST_ENOMEM;
  if (status == 0)
    status = copy_services(scan, dispatch);
  if (status != 0) {
    roost_scan_free(scan);
    return status;
  }
  *out = scan;
  return 0;
}

void roost_scan_free(roost_scan *scan) {
  if (scan == NULL)
    return;
  const roost_alloc *alloc = scan->alloc;
  for (size_t i = 0; i < scan->path_count; i++)
    roost_alloc_put_text(alloc, scan->paths[i]);
  roost_alloc_put(alloc, scan->paths, scan->path_count * sizeof *scan->paths);
  for (size_t i = 0; i < scan->service_count; i++) {
    roost_alloc_put_text(alloc, scan->services[i].name);
    roost_alloc_put_text(alloc, scan->services[i].path);
    roost_files_deinit(&scan->services[i].files);
  }
  roost_alloc_put(alloc, scan->services, scan->service_count * sizeof *scan->services);
  roost_found_deinit(&scan->found);
  roost_problems_deinit(&scan->problems);
  roost_buffer_deinit(&scan->folders);
  roost_alloc_put_text(alloc, scan->working_dir);
  roost_alloc_put(alloc, scan, sizeof *scan);
}
