#include "exec.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "net/crypto.h"
#include "testing.h"
#include "testing_host.h"

#define ROUNDS_PER_TURN  16
#define LONGEST_SLEEP_MS 60000
#define LOOK_MS          20 /* for what may come from outside, while a fake clock stands */

static const char nothing_left[] = "waits for what can't come: no timer and no message is left";
static const char took_too_long[] = "the test took longer than 5 s";

/* ------------------------------------------------------------------------- the turns --------- */

/* Tasks that wake each other go on within one turn, but not for ever. */
static void on_flush(void *ud) {
  roost_exec *exec = ud;
  for (int round = 0; round < ROUNDS_PER_TURN && roost_runner_turn(&exec->runner, UINT64_MAX);)
    round++;
}

/* Whether nothing is left to do but to wait for a timer or for something from outside. */
static bool is_quiet(const roost_exec *exec) {
  return roost_list_empty(&exec->runner.ready) && roost_loop_timeout(exec->loop) != 0;
}

uint64_t roost_exec_late_us(const roost_exec *exec) {
  const uint64_t now_us = roost_clock_real_us();
  return exec->guard_until_us == 0 || now_us <= exec->guard_until_us
             ? 0
             : now_us - exec->guard_until_us;
}

static void check_guard(roost_exec *exec) {
  if (exec->program.main != NULL && !exec->closes_host && roost_exec_late_us(exec) > 0)
    roost_task_interrupt(exec->program.main, took_too_long);
}

/* Nothing can happen any more: a main chunk that waits is told so. False where the end is near. */
static bool fail_wait(roost_exec *exec) {
  if (exec->program.main == NULL)
    return false;
  roost_task_interrupt(exec->program.main, nothing_left);
  return true;
}

/* What follows when two turns in a row had nothing to do. False where nothing ever will. */
static bool move_on(roost_exec *exec, uint32_t *sleep_ms) {
  if (!roost_list_empty(&exec->settlers)) {
    roost_task_wake_all(&exec->settlers);
    return true;
  }
  const uint64_t next_ms = roost_wheel_next_ms(roost_loop_wheel(exec->loop));
  const bool listens = roost_loop_listens(exec->loop);
  if (next_ms == UINT64_MAX && !listens)
    return fail_wait(exec);
  if (!exec->clock.fake) {
    *sleep_ms = exec->guard_until_us != 0 ? LOOK_MS : LONGEST_SLEEP_MS;
  } else if (listens) {
    *sleep_ms = LOOK_MS;
  } else {
    const uint64_t now_ms = roost_clock_now_us(&exec->clock) / 1000;
    roost_clock_advance_ms(&exec->clock, next_ms - now_ms);
  }
  return true;
}

static bool waits_in_vain(const roost_vm *vm) {
  for (const roost_list *at = vm->tasks.next; at != &vm->tasks; at = at->next)
    if (!ROOST_LIST_ENTRY(at, const roost_task, link)->background)
      return false;
  return true;
}

static bool is_over(const roost_exec *exec) {
  const roost_program *program = &exec->program;
  return program->over && (program->failed || waits_in_vain(program->generation->vm));
}

static int run(roost_exec *exec) {
  uint32_t sleep_ms = 0;
  while (!is_over(exec)) {
    int status = roost_loop_poll(exec->loop, sleep_ms);
    if (status != 0)
      return status;
    if (exec->program.over)
      roost_test_hosts_close(exec);
    roost_test_hosts_turn(exec);
    check_guard(exec);
    sleep_ms = 0;
    const bool was_quiet = exec->quiet;
    exec->quiet = is_quiet(exec);
    if (exec->quiet && was_quiet && !move_on(exec, &sleep_ms))
      break;
  }
  return exec->program.failed ? ROOST_ESCRIPT : 0;
}

/* ------------------------------------------------------------------------- what it is given -- */

static void on_print(void *ud, roost_slice text) {
  const roost_exec *exec = ud;
  exec->config->print(exec->config->ud, text);
}

static void on_exit_called(void *ud, int code) {
  roost_exec *exec = ud;
  roost_control_stop(exec->control); /* which writes the log */
  exec->control = NULL;
  exec->config->exit(exec->config->ud, code);
}

static const roost_program_ops program_ops = {on_print, on_exit_called, roost_testing_open};

/* ------------------------------------------------------------------------- life -------------- */

static int find_codec(roost_codec **out, roost_exec *exec, const roost_client_config *client) {
  const roost_serializers_config config = {.alloc = exec->alloc,
                                           .runner = &exec->runner,
                                           .wheel = roost_loop_wheel(exec->loop),
                                           .log = exec->log,
                                           .working_dir = exec->working_dir};
  return roost_serializers_find(out, &exec->serializers, &config, client->serializer,
                                client->deserializer, NULL);
}

static int open_client(void *ud, roost_client **out, const roost_client_config *config,
                       const roost_client_sink *sink, void *sink_ud) {
  roost_exec *exec = ud;
  const roost_transport *transport = roost_transport_find(config->transport);
  roost_codec *codec;
  int status = transport != NULL ? find_codec(&codec, exec, config) : ROOST_EUNSUPPORTED;
  if (status == 0)
    status = transport->new_client(out, exec->loop, config, sink, sink_ud);
  if (status == 0)
    (*out)->codec = codec;
  return status;
}

/* Named clients are those of config/host.lua, which is read when one is asked for; what is wrong
 * with it is logged. */
static void read_settings(roost_exec *exec) {
  static const char path[] = "config/host.lua";
  const roost_settings_source source = {
      .path = path, .working_dir = exec->working_dir, .only_clients = true};
  roost_problems problems;
  exec->looked_for_settings = true;
  if (access(path, F_OK) != 0)
    return;
  roost_problems_init(&problems, exec->alloc);
  (void)roost_settings_load(&exec->settings, exec->alloc, &source, &problems);
  for (size_t i = 0; i < problems.count; i++)
    if (problems.items[i].severity == ROOST_PROBLEM_ERROR)
      roost_log_say(exec->log, ROOST_LOG_ERROR, problems.items[i].text);
  roost_problems_deinit(&problems);
}

static const roost_client_config *find_client(void *ud, const char *name) {
  roost_exec *exec = ud;
  if (!exec->looked_for_settings)
    read_settings(exec);
  for (size_t i = 0; exec->settings != NULL && i < exec->settings->client_count; i++)
    if (strcmp(exec->settings->clients[i].name, name) == 0)
      return &exec->settings->clients[i];
  return NULL;
}

static int make_dispatch(roost_exec *exec) {
  const roost_store_config store = {exec->alloc, &exec->clock, roost_random_bytes};
  int status = roost_store_new(&exec->store, &store);
  if (status != 0)
    return status;
  const roost_dispatch_config config = {.alloc = exec->alloc,
                                        .clock = &exec->clock,
                                        .runner = &exec->runner,
                                        .wheel = roost_loop_wheel(exec->loop),
                                        .now_us = roost_loop_now_us(exec->loop),
                                        .log = exec->log,
                                        .binding = &roost_bind_program,
                                        .random_bytes = roost_random_bytes,
                                        .program = &exec->program,
                                        .store = exec->store,
                                        .open_client = open_client,
                                        .open_client_ud = exec,
                                        .other_client = find_client,
                                        .other_client_ud = exec,
                                        .working_dir = exec->working_dir};
  return roost_dispatch_new(&exec->dispatch, &config);
}

static int init(roost_exec *exec, const roost_alloc *alloc, const roost_exec_config *config) {
  *exec = (roost_exec){.alloc = alloc, .config = config};
  exec->program = (roost_program){.path = config->path,
                                  .module = config->module,
                                  .args = config->args,
                                  .arg_count = config->arg_count,
                                  .words_before = config->words_before,
                                  .ops = &program_ops,
                                  .ud = exec};
  roost_buffer_init(&exec->program.error, alloc);
  roost_list_init(&exec->hosts);
  roost_list_init(&exec->settlers);
  roost_runner_init(&exec->runner);
  exec->flush = (roost_loop_hook){.fn = on_flush, .ud = exec};
  roost_list_init(&exec->flush.link);
  exec->working_dir = getcwd(NULL, 0);
  if (exec->working_dir == NULL) {
    (void)roost_buffer_printf(&exec->program.error, "the working directory: %s", strerror(errno));
    return ROOST_ESYSTEM;
  }
  int status = roost_log_new(&exec->log, alloc, &exec->clock, NULL, NULL);
  if (status == 0)
    status = roost_control_start(&exec->control, alloc, exec->log);
  if (status == 0)
    status = roost_loop_new(&exec->loop, alloc, &exec->clock);
  if (status == 0)
    status = make_dispatch(exec);
  if (status == 0)
    roost_loop_add_flush(exec->loop, &exec->flush);
  return status;
}

/* What clients were given before they were closed; each gives up after a while. */
static void send_the_rest(const roost_exec *exec) {
  while (!exec->clock.fake && roost_loop_conn_count(exec->loop) > 0)
    if (roost_loop_poll(exec->loop, LONGEST_SLEEP_MS) != 0)
      return;
}

static void deinit(roost_exec *exec) {
  roost_test_hosts_free(exec);
  roost_loop_remove_hook(&exec->flush);
  roost_dispatch_free(exec->dispatch);
  if (exec->loop != NULL)
    send_the_rest(exec);
  roost_serializers_free(exec->serializers);
  roost_store_free(exec->store);
  roost_settings_free(exec->settings);
  roost_loop_free(exec->loop);
  roost_control_stop(exec->control);
  if (exec->log != NULL)
    roost_log_free(exec->log);
  roost_buffer_deinit(&exec->program.error);
  free(exec->working_dir);
}

/* Each turn of the loop would do it otherwise, which costs more than a small call. */
static void block_pipe_signal(sigset_t *before) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &set, before);
}

int roost_exec_run(const roost_alloc *alloc, const roost_exec_config *config, roost_buffer *error) {
  roost_exec exec;
  roost_buffer root;
  sigset_t signals;
  block_pipe_signal(&signals);
  roost_buffer_init(&root, alloc);
  int status = init(&exec, alloc, config);
  if (status == 0)
    status = roost_buffer_printf(&root, "%s/services", exec.working_dir);
  if (status == 0)
    status = roost_buffer_append_byte(&root, '\0');
  if (status == 0)
    status = roost_program_start(&exec.program, exec.dispatch, root.ptr);
  if (status == 0)
    status = run(&exec);
  if (status != 0)
    (void)roost_buffer_append_slice(error, roost_buffer_slice(&exec.program.error));
  deinit(&exec);
  roost_buffer_deinit(&root);
  pthread_sigmask(SIG_SETMASK, &signals, NULL);
  return status;
}
