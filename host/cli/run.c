/* The host as a program: the first embedder, and like any other it uses roost.h alone. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/args.h"
#include "cli/config.h"
#include "cli/manager.h"
#include "roost.h"

#define EXIT_SECOND_SIGNAL 130
#define START_POLL_MS      1000

/* What the thread that waits for signals needs; lives on the main thread's stack. */
typedef struct watcher {
  roost_host *host; /* NULL: it is done, and nothing is posted to it */
  sigset_t signals;
  pthread_t thread;
  pthread_mutex_t mutex; /* guards host */
  atomic_bool over;      /* leave at the next signal */
} watcher;

static void stop(void *ud, roost_host *host) {
  (void)ud;
  roost_manager_tell("STOPPING=1\nSTATUS=draining");
  roost_host_stop(host);
}

/* The host's thread says it: that it can is what the manager wants to know. */
static void say_alive(void *ud, roost_host *host) {
  (void)ud;
  (void)host;
  roost_manager_tell("WATCHDOG=1");
}

/* What goes wrong is in the log. */
static void reload(void *ud, roost_host *host) {
  (void)ud;
  (void)roost_host_reload_config(host);
}

/* 0: for now there is none, but it is time to say that the host is alive; -1: it is over. */
static int next_signal(const watcher *w, uint64_t alive_ms) {
  const struct timespec wait = {.tv_sec = (time_t)(alive_ms / 1000),
                                .tv_nsec = (long)(alive_ms % 1000) * 1000000};
  int number;
  do
    number = alive_ms > 0 ? sigtimedwait(&w->signals, NULL, &wait) : sigwaitinfo(&w->signals, NULL);
  while (number < 0 && errno == EINTR);
  if (atomic_load(&w->over) || (number < 0 && errno != EAGAIN))
    return -1;
  return number < 0 ? 0 : number;
}

static int post(watcher *w, roost_post_fn *fn) {
  pthread_mutex_lock(&w->mutex);
  const int status = w->host != NULL ? roost_host_post(w->host, fn, NULL) : 0;
  pthread_mutex_unlock(&w->mutex);
  return status;
}

static void *wait_for_signals(void *ud) {
  watcher *w = ud;
  const uint64_t alive_ms = roost_manager_watchdog_ms();
  bool stopping = false;
  for (;;) {
    const int number = next_signal(w, alive_ms);
    if (number < 0)
      return NULL;
    if (number == 0) {
      (void)post(w, say_alive); /* else it is said next time */
    } else if (number == SIGHUP) {
      if (post(w, reload) != 0)
        fputs("roost run: SIGHUP ignored: out of memory\n", stderr);
    } else if (stopping) {
      _exit(EXIT_SECOND_SIGNAL);
    } else {
      stopping = true;
      if (post(w, stop) != 0)
        _exit(ROOST_EXIT_FAILED);
    }
  }
}

/* Blocks the signals here, and so in every thread made from now on, the host's too. */
static void block_signals(watcher *w) {
  sigemptyset(&w->signals);
  sigaddset(&w->signals, SIGTERM);
  sigaddset(&w->signals, SIGINT);
  sigaddset(&w->signals, SIGHUP);
  pthread_sigmask(SIG_BLOCK, &w->signals, NULL);
}

/* To free a host may take long, or for ever where a configuration's own code never ends: a second
 * signal still counts then. */
static void free_host(watcher *w) {
  pthread_mutex_lock(&w->mutex);
  roost_host *host = w->host;
  w->host = NULL;
  pthread_mutex_unlock(&w->mutex);
  roost_host_free(host);
}

static void end_watcher(watcher *w) {
  atomic_store(&w->over, true);
  pthread_kill(w->thread, SIGHUP);
  pthread_join(w->thread, NULL);
}

static int fail(const roost_host *host) {
  fprintf(stderr, "roost run: %s\n", roost_host_error(host));
  return ROOST_EXIT_FAILED;
}

/* Loads and runs until the drain is over. */
static int run_host(roost_host *host, const roost_cli_config *given) {
  for (size_t i = 0; i < given->set_count; i++)
    if (roost_host_set(host, given->sets[i].key, given->sets[i].value) != 0)
      return fail(host);
  if (roost_manager_listen(host) != 0 || roost_host_load_config(host, given->path) != 0)
    return fail(host);
  int status = 1;
  while (status == 1 && roost_host_state(host) < ROOST_STATE_RUNNING)
    status = roost_host_poll(host, START_POLL_MS);
  if (status == 1)
    roost_manager_tell("READY=1\nSTATUS=running");
  if (status < 0 || roost_host_run(host) != 0)
    return fail(host);
  return ROOST_EXIT_OK;
}

static int run(const roost_command *command, int argc, char **argv) {
  roost_cli_config given;
  bool go_on;
  int code = roost_cli_config_read(&given, command, argc, argv, &go_on);
  if (!go_on)
    return code;
  watcher w = {.mutex = PTHREAD_MUTEX_INITIALIZER};
  roost_config config;
  block_signals(&w);
  roost_config_init(&config);
  config.watchdog_signal = SIGRTMIN + 3;
  config.log = roost_manager_log();
  const int status = roost_host_new(&w.host, &config);
  if (status != 0) {
    fprintf(stderr, "roost run: %s\n", roost_host_error(NULL));
    code = ROOST_EXIT_FAILED;
  } else if (pthread_create(&w.thread, NULL, wait_for_signals, &w) != 0) {
    fputs("roost run: no thread for signals\n", stderr);
    code = ROOST_EXIT_FAILED;
  } else {
    code = run_host(w.host, &given);
    free_host(&w);
    end_watcher(&w);
  }
  free_host(&w);
  roost_cli_config_free(&given);
  return code;
}

const roost_command roost_command_run = {
    .name = "run",
    .summary = "start a host",
    .help =
        "Usage: roost run [-C DIR] [--set KEY=VALUE]... [CONFIG]\n"
        "\n"
        "Starts a host with the configuration CONFIG. Without one it takes config/host.lua if "
        "that\n"
        "exists, else the one compiled in: the services in ./services, on 127.0.0.1:3000.\n"
        "The log goes to stderr.\n"
        "\n"
        "  -C DIR           work in DIR: relative paths start there, CONFIG's too\n"
        "  --set KEY=VALUE  set one key of the configuration; KEY is dotted (servers.1.port),\n"
        "                   VALUE a Lua literal or plain text; may be given several times\n"
        "\n"
        "SIGTERM and SIGINT end it in good order: it stops accepting and reading, lets what runs\n"
        "finish, and exits with 0. A second one ends it at once, with 130. SIGHUP has it read its\n"
        "configuration again and reload services of which a file has changed: it takes services,\n"
        "service_options, clients, limits, log, reload, and of each listener allow, rate and\n"
        "certificates; other changes need a restart, and the log says so.\n"
        "It exits with 1 if the configuration is wrong, a service cannot be loaded, or a listener\n"
        "cannot be bound; roost check says more about all three.\n",
    .run = run};
