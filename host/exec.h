/*
 * exec.h - one Lua program on a loop of its own: roost exec, and the ground of roost test.
 *
 * Start reading at roost_exec_run. It owns the loop, the clock, the program's state, and the hosts
 * that the program makes by roost.testing, which share loop and clock. With the real clock the loop
 * sleeps as any does; a fake one moves on to the next timer when nothing else is left to happen.
 * One thread.
 */
#ifndef ROOST_EXEC_H
#define ROOST_EXEC_H

#include "bind/program.h"
#include "bind/serializer.h"
#include "config/settings.h"
#include "control.h"
#include "net/loop.h"

typedef struct roost_exec_config {
  const char *path;   /* of the program; NULL: module is run */
  const char *module; /* of the Lua half */
  char *const *args;  /* for the program */
  size_t arg_count;
  size_t words_before; /* arg[-1] and so on; args[-1] is the file, and they lie before it */
  void (*print)(void *ud, roost_slice text); /* takes what print says */
  void (*exit)(void *ud, int code);          /* os.exit: ends the process */
  void *ud;                                  /* handed to both */
} roost_exec_config;

typedef struct roost_exec {
  const roost_alloc *alloc;
  const roost_exec_config *config; /* borrowed */
  roost_clock clock;
  roost_log *log; /* the program's own lines; to stderr */
  roost_control *control;
  roost_loop *loop;
  roost_runner runner;
  roost_loop_hook flush; /* each turn: ready tasks */
  roost_store *store;    /* the program's own */
  roost_dispatch *dispatch;
  roost_serializers *serializers; /* of clients; NULL: none was named yet */
  roost_settings
      *settings; /* of config/host.lua, for its clients; NULL: not looked at yet, or none */
  bool looked_for_settings;
  roost_program program;
  char *working_dir;
  roost_list hosts;        /* roost_test_host.link */
  roost_list settlers;     /* tasks that wait until nothing is left but timers */
  uint64_t guard_until_us; /* real time: a test fails then; 0: no such time */
  bool closes_host;        /* the main chunk waits for a host's end, which the guard cuts short */
  bool quiet;              /* nothing was left to do after the last turn */
} roost_exec;

/* Runs the program until its main chunk and every task of it are over, or nothing can happen any
 * more. error gets what it raised, with the traceback, or what the system refused.
 * ESCRIPT, ENOMEM, ESYSTEM. */
int roost_exec_run(const roost_alloc *alloc, const roost_exec_config *config, roost_buffer *error);

/* Microseconds since the guard's time was over; 0: it is not. */
uint64_t roost_exec_late_us(const roost_exec *exec);

#endif
