/*
 * Two hosts at a time, made, used and freed again and again: nothing of them stays in the process.
 *
 *     lives FOLDER [TIMES [KIB]]    FOLDER has echo.lua; KIB: what may be resident more in the end
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <roost.h>

/* Entries of a folder of /proc/self: open descriptors, threads. */
static int count(const char *path) {
  int entries = 0;
  DIR *dir = opendir(path);
  while (dir != NULL && readdir(dir) != NULL)
    entries++;
  if (dir != NULL)
    closedir(dir);
  return entries;
}

static long resident_kib(void) {
  long pages = 0;
  long resident = 0;
  FILE *file = fopen("/proc/self/statm", "r");
  if (file == NULL || fscanf(file, "%ld %ld", &pages, &resident) != 2)
    resident = -1;
  if (file != NULL)
    fclose(file);
  return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

static void quiet(void *ud, roost_log_level level, roost_slice line) {
  (void)ud;
  (void)level;
  (void)line;
}

static void on_reply(void *ud, int status, roost_slice data, bool last) {
  int *open = ud;
  if (last)
    *open = status == 0 && data.len == 1 && *data.ptr == '1' ? 0 : -1;
}

static roost_host *start(const char *folder) {
  roost_config cfg;
  roost_host *host;
  roost_config_init(&cfg);
  cfg.log = quiet;
  cfg.services = folder;
  if (roost_host_new(&host, &cfg) != 0)
    return NULL;
  if (roost_host_set(host, "servers.1.port", "0") != 0 ||
      roost_host_set(host, "admin.socket", "false") != 0 ||
      roost_host_set(host, "admin.http", "false") != 0 || roost_host_load_config(host, NULL) != 0) {
    fprintf(stderr, "lives: %s\n", roost_host_error(host));
    roost_host_free(host);
    return NULL;
  }
  return host;
}

/* The first of them is asked, drained or not; both are freed. */
static int live(const char *folder, int number) {
  roost_host *hosts[2] = {start(folder), start(folder)};
  int open = hosts[0] == NULL || hosts[1] == NULL ? -1 : 1;
  if (open > 0 && (roost_host_poll(hosts[0], 0) != 1 || roost_host_poll(hosts[1], 0) != 1 ||
                   roost_request(hosts[0], "local", (roost_slice){"lua", 3}, (roost_slice){"1", 1},
                                 0, on_reply, &open) != 0))
    open = -1;
  while (open > 0)
    if (roost_host_poll(hosts[0], 10) != 1)
      open = -1;
  if (open == 0 && number % 2 == 0) {
    roost_host_stop(hosts[0]);
    open = roost_host_run(hosts[0]);
  }
  roost_host_free(hosts[number % 2]);
  roost_host_free(hosts[1 - number % 2]);
  return open;
}

int main(int argc, char **argv) {
  const int times = argc > 2 ? atoi(argv[2]) : 1000;
  const int first = times / 10; /* by then whatever the C library keeps is there */
  const long slack_kib = argc > 3 ? atol(argv[3]) : 4096;
  int descriptors = 0;
  int threads = 0;
  long kib = 0;
  int failed = argc < 2 || times < 10;
  for (int i = 0; i < times && !failed; i++) {
    failed = live(argv[1], i) != 0;
    if (i != first)
      continue;
    descriptors = count("/proc/self/fd");
    threads = count("/proc/self/task");
    kib = resident_kib();
  }
  printf("%d times two hosts: descriptors %d -> %d, threads %d -> %d, resident %ld -> %ld KiB\n",
         times, descriptors, count("/proc/self/fd"), threads, count("/proc/self/task"), kib,
         resident_kib());
  failed = failed || count("/proc/self/fd") != descriptors || count("/proc/self/task") != threads ||
           resident_kib() > kib + slack_kib;
  printf("%d passed, %d failed\n", !failed, failed);
  return failed;
}
