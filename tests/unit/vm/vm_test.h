/*
 * vm_test.h - one vm on a wheel that the test moves, and scripts that run in it as tasks.
 *
 *     vm_test self;
 *     vm_test_init(&self);
 *     vm_job job;
 *     vm_job_start(&job, &self, "sleep(10) return 1 + 1");
 *     vm_test_advance(&self, 10);
 *     assert_string_equal(job.result, "2");
 *     vm_test_deinit(&self);
 *
 * A script has Lua's libraries, sleep(ms), wait() (until vm_test_wake_all), null, and log(...),
 * which appends to self.log. Owned by the test, as are the jobs.
 */
#ifndef ROOST_TESTS_VM_TEST_H
#define ROOST_TESTS_VM_TEST_H

#include "alloc_probe.h"

#include <lauxlib.h>
#include <lua.h>

#include "vm/error.h"
#include "vm/task.h"
#include "vm/value.h"
#include "vm/vm.h"

typedef struct vm_test {
  roost_alloc_probe probe;
  roost_runner runner;
  roost_wheel wheel;
  roost_vm *vm;
  roost_list waiters;    /* of wait() */
  uint64_t cpu_limit_ms; /* of the vm to be opened */
  char log[4096];        /* what scripts logged, a ; after each */
} vm_test;

typedef struct vm_job {
  vm_test *test;
  const char *code;
  roost_task *task;  /* NULL: it has ended */
  int ended;         /* how often ended was called */
  bool reset;        /* what it was told */
  bool failed;       /* fail was called */
  char result[4096]; /* what it returned, or the error; as tostring shows it, with commas */
  char trace[4096];  /* of the error */
} vm_job;

/* --------------------------------------------------------------------- for scripts ----------- */

static inline int vm_test_resumed(lua_State *lua, int status, lua_KContext context) {
  (void)status;
  (void)context;
  roost_task_resumed(lua);
  lua_pushliteral(lua, "slept");
  return 1;
}

static inline int vm_test_sleep(lua_State *lua) {
  return roost_task_wait(lua, (uint64_t)luaL_checkinteger(lua, 1), 0, vm_test_resumed);
}

static inline int vm_test_wait(lua_State *lua) {
  vm_test *self = roost_vm_of(lua)->owner;
  return roost_task_wait_in(lua, &self->waiters, 0, vm_test_resumed);
}

static inline void vm_test_join(lua_State *lua, int first, int last, char *out, size_t size) {
  size_t len = 0;
  out[0] = '\0';
  for (int i = first; i <= last; i++) {
    len += (size_t)snprintf(out + len, size - len, "%s%s", i > first ? "," : "",
                            luaL_tolstring(lua, i, NULL));
    lua_pop(lua, 1);
    if (len >= size)
      len = size - 1;
  }
}

static inline int vm_test_log(lua_State *lua) {
  vm_test *self = roost_vm_of(lua)->owner;
  char text[256];
  vm_test_join(lua, 1, lua_gettop(lua), text, sizeof text);
  assert_true(strlen(self->log) + strlen(text) + 2 < sizeof self->log);
  strcat(self->log, text);
  strcat(self->log, ";");
  return 0;
}

static inline int vm_test_open(lua_State *lua) {
  roost_vm_open_libraries(lua);
  lua_register(lua, "sleep", vm_test_sleep);
  lua_register(lua, "wait", vm_test_wait);
  lua_register(lua, "log", vm_test_log);
  roost_value_push_null(lua);
  lua_setglobal(lua, "null");
  return 0;
}

/* --------------------------------------------------------------------- the vm ---------------- */

/* 0, or the status that opening it failed with. */
static inline int vm_test_try_open(vm_test *self, size_t memory_limit) {
  const roost_vm_config config = {.alloc = &self->probe.alloc,
                                  .runner = &self->runner,
                                  .wheel = &self->wheel,
                                  .memory_limit = memory_limit,
                                  .cpu_limit_ms = self->cpu_limit_ms,
                                  .name = "test",
                                  .owner = self};
  int status = roost_vm_open(&self->vm, &config);
  if (status != 0)
    return status;
  lua_pushcfunction(self->vm->lua, vm_test_open);
  status = lua_pcall(self->vm->lua, 0, 0, 0);
  if (status == LUA_OK)
    return 0;
  assert_int_equal(status, LUA_ERRMEM);
  roost_vm_close(self->vm);
  self->vm = NULL;
  return ROOST_ENOMEM;
}

static inline void vm_test_prepare(vm_test *self) {
  memset(self, 0, sizeof *self);
  roost_alloc_probe_init(&self->probe);
  roost_runner_init(&self->runner);
  roost_wheel_init(&self->wheel, 1000);
  roost_list_init(&self->waiters);
}

static inline void vm_test_init(vm_test *self) {
  vm_test_prepare(self);
  assert_int_equal(vm_test_try_open(self, 0), 0);
  roost_vm_go_live(self->vm);
}

static inline void vm_test_deinit(vm_test *self) {
  roost_vm_close(self->vm);
  assert_int_equal(self->probe.bytes, 0);
  assert_int_equal(self->wheel.count, 0);
}

/* As a turn of the loop: until nothing is ready. */
static inline void vm_test_turn(vm_test *self) {
  while (roost_runner_turn(&self->runner, UINT64_MAX))
    ;
}

static inline void vm_test_advance(vm_test *self, uint64_t ms) {
  for (; ms > 0; ms--) { /* tasks run each millisecond, as a loop would have it */
    roost_wheel_advance(&self->wheel, self->wheel.now_ms + 1);
    vm_test_turn(self);
  }
}

static inline void vm_test_wake_all(vm_test *self) {
  roost_task_wake_all(&self->waiters);
  vm_test_turn(self);
}

/* --------------------------------------------------------------------- jobs ------------------ */

static inline int vm_job_begin(lua_State *lua, void *ud) {
  vm_job *job = ud;
  if (luaL_loadbuffer(lua, job->code, strlen(job->code), "@test.lua") != LUA_OK)
    lua_error(lua);
  return 0;
}

static inline int vm_job_finish(lua_State *lua, void *ud, int count) {
  vm_job *job = ud;
  int top = lua_gettop(lua);
  vm_test_join(lua, top - count + 1, top, job->result, sizeof job->result);
  return -1;
}

static inline int vm_job_fail(lua_State *lua, void *ud) {
  vm_job *job = ud;
  const roost_buffer *trace = &roost_vm_of(lua)->trace;
  job->failed = true;
  vm_test_join(lua, lua_gettop(lua), lua_gettop(lua), job->result, sizeof job->result);
  snprintf(job->trace, sizeof job->trace, "%.*s", (int)trace->len, trace->len ? trace->ptr : "");
  return -1;
}

static inline void vm_job_ended(void *ud, bool reset) {
  vm_job *job = ud;
  job->ended++;
  job->reset = reset;
  job->task = NULL;
}

static const roost_task_ops vm_job_ops = {
    .begin = vm_job_begin, .finish = vm_job_finish, .fail = vm_job_fail, .ended = vm_job_ended};
static const roost_task_ops vm_job_early_ops = {.begin = vm_job_begin,
                                                .finish = vm_job_finish,
                                                .fail = vm_job_fail,
                                                .ended = vm_job_ended,
                                                .early = true};

static inline int vm_job_try(vm_job *job, vm_test *self, const char *code,
                             const roost_task_ops *ops) {
  *job = (vm_job){.test = self, .code = code};
  return roost_task_start(&job->task, self->vm, ops, job, NULL);
}

static inline void vm_job_start(vm_job *job, vm_test *self, const char *code) {
  assert_int_equal(vm_job_try(job, self, code, &vm_job_ops), 0);
}

/* Runs a script that does not wait, or waits at most ms. */
static inline void vm_job_run(vm_job *job, vm_test *self, uint64_t ms, const char *code) {
  vm_job_start(job, self, code);
  vm_test_advance(self, ms);
  assert_int_equal(job->ended, 1);
}

/* Its result, or its error. */
static inline void vm_test_expect(vm_test *self, const char *code, const char *result) {
  vm_job job;
  vm_job_run(&job, self, 100, code);
  if (strcmp(job.result, result) != 0)
    print_error("in: %s\n", code);
  assert_string_equal(job.result, result);
}

#endif
