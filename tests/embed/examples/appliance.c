/*
 * An appliance: a small process that must not die for long, nor grow.
 *
 *     appliance FOLDER     FOLDER has host.lua and services/, and is only read
 *
 * One process watches over another, which is the host: should that end by itself it is started
 * anew, ever more slowly. The host may hold 24 MiB and 64 connections. Services read the sensors by
 * the module "sensors". Code that takes too long is ended by a signal of the watchdog; where even
 * that does not help, limits.stuck = "abort" of host.lua ends the process, and the first one starts
 * another. SIGTERM ends both in good order. The first line on stdout is the port, and each later
 * one, too.
 */
#define _GNU_SOURCE /* where -std=c11 is said */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <roost.h>

#define MEMORY_BYTES  ((size_t)24 << 20)
#define CONNECTIONS   64
#define FIRST_WAIT_MS 50
#define LAST_WAIT_MS  5000

/* ------------------------------------------------------------------------- sensors ----------- */

static const char *const names[] = {"temperature", "pressure"};
static double values[] = {21.5, 1013.25};

/* sensors.read(name) -> number */
static int read_sensor(void *ud, roost_params *params) {
  const roost_slice name = roost_params_text(params, 0);
  (void)ud;
  for (size_t i = 0; i < 2; i++)
    if (name.len == strlen(names[i]) && memcmp(name.ptr, names[i], name.len) == 0)
      return roost_return_number(params, values[i]);
  return roost_raise(params, "no such sensor");
}

/* sensors.calibrate({ name = offset, ... }): any table comes as JSON */
static int calibrate(void *ud, roost_params *params) {
  const roost_slice offsets = roost_params_json(params, 0);
  char text[256];
  (void)ud;
  if (offsets.len >= sizeof text)
    return roost_raise(params, "too long");
  memcpy(text, offsets.ptr, offsets.len);
  text[offsets.len] = '\0';
  for (size_t i = 0; i < 2; i++) {
    const char *at = strstr(text, names[i]);
    if (at != NULL)
      values[i] += strtod(at + strlen(names[i]) + 2, NULL);
  }
  return roost_return_boolean(params, true);
}

/* ------------------------------------------------------------------------- the host ---------- */

static void on_crash(void *ud, roost_call *call) {
  (void)ud;
  (void)call;
  raise(SIGKILL); /* as a defect would, or the kernel where memory is short */
}

static void on_memory(void *ud, roost_call *call) {
  roost_stats stats = {.struct_size = sizeof stats};
  char text[32];
  roost_host_stats(ud, &stats);
  const int len = snprintf(text, sizeof text, "%llu", (unsigned long long)stats.held_bytes);
  roost_call_reply(call, (roost_slice){text, (size_t)len});
}

static int fail(roost_host *host) {
  fprintf(stderr, "appliance: %s\n", roost_host_error(host));
  roost_host_free(host);
  return 1;
}

static void stop(void *ud, roost_host *host) {
  (void)ud;
  roost_host_stop(host);
}

static int run_host(const char *folder) {
  static const roost_function functions[] = {{"read", "s", read_sensor, NULL},
                                             {"calibrate", "j", calibrate, NULL},
                                             {NULL, NULL, NULL, NULL}};
  roost_config cfg;
  roost_host *host;
  sigset_t set;
  int number = 0;
  roost_config_init(&cfg);
  cfg.working_dir = folder;
  cfg.memory_limit = MEMORY_BYTES;
  cfg.connection_limit = CONNECTIONS;
  cfg.watchdog_signal = SIGRTMIN + 4;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigprocmask(SIG_BLOCK, &set, NULL); /* in the host's threads, too: it is waited for here */
  if (roost_host_new(&host, &cfg) != 0)
    return fail(NULL);
  if (roost_host_module(host, "sensors", functions) != 0 ||
      roost_host_handle(host, "crash", on_crash, NULL) != 0 ||
      roost_host_handle(host, "memory", on_memory, host) != 0 ||
      roost_host_load_config(host, "host.lua") != 0)
    return fail(host);
  printf("%d\n", roost_host_port(host, 0));
  fflush(stdout);
  const struct timespec at_once = {0, 0};
  int status;
  do {
    status = roost_host_poll(host, 100);
    if (number == 0 && (number = sigtimedwait(&set, NULL, &at_once)) == SIGTERM)
      roost_host_post(host, stop, NULL);
    number = number > 0 ? number : 0;
  } while (status == 1);
  if (status < 0)
    return fail(host);
  roost_host_free(host);
  return 0;
}

/* ------------------------------------------------------------------------- the watch --------- */

static volatile sig_atomic_t child;
static volatile sig_atomic_t ending;

static void on_term(int number) {
  ending = 1;
  if (child > 0)
    kill(child, number);
}

static void wait_ms(long ms) {
  const struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
  nanosleep(&time, NULL);
}

int main(int argc, char **argv) {
  long pause_ms = FIRST_WAIT_MS;
  if (argc < 2)
    return 2;
  struct sigaction action = {.sa_handler = on_term};
  sigaction(SIGTERM, &action, NULL);
  while (!ending) {
    int status = 0;
    const pid_t parent = getpid();
    const pid_t pid = fork();
    if (pid == 0) {
      signal(SIGTERM, SIG_DFL);
      prctl(PR_SET_PDEATHSIG, SIGKILL); /* it is not to outlive who watches over it */
      return getppid() == parent ? run_host(argv[1]) : 1;
    }
    child = pid;
    if (ending && pid > 0)
      kill(pid, SIGTERM);
    while (pid > 0 && waitpid(pid, &status, 0) < 0)
      ;
    child = 0;
    if (pid > 0 && WIFEXITED(status))
      return WEXITSTATUS(status); /* it has said why */
    fprintf(stderr, "appliance: the host ended by signal %d, the next starts in %ld ms\n",
            WTERMSIG(status), pause_ms);
    if (!ending)
      wait_ms(pause_ms);
    pause_ms = pause_ms * 2 < LAST_WAIT_MS ? pause_ms * 2 : LAST_WAIT_MS;
  }
  return 0;
}
