#include "watchdog_signal.h"

#include <signal.h>
#include <string.h>

#include "vm/vm.h"
#include "vm/watchdog.h"

#define SIGNALS 65 /* numbers of signals end at 64 */

typedef struct slot {
  size_t users;
  struct sigaction before; /* of our handler */
} slot;

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER; /* guards users */
static slot slots[SIGNALS];

/* Runners of this thread. The model makes it safe to read in a handler. */
static _Thread_local roost_runner *own __attribute__((tls_model("initial-exec")));

/* ------------------------------------------------------------------------- the handler ------- */

static bool is_own(const roost_runner *runner) {
  for (const roost_runner *at = own; at != NULL; at = at->neighbour)
    if (at == runner)
      return true;
  return false;
}

static void tell_name(roost_runner *runner, uint64_t sequence) {
  const roost_frame *top = atomic_load_explicit(&runner->top, memory_order_relaxed);
  memset(runner->name, 0, sizeof runner->name);
  if (top != NULL)
    memcpy(runner->name, top->vm->name, sizeof runner->name);
  atomic_store_explicit(&runner->told, sequence, memory_order_release);
}

/* What the watchdog wants of the run that goes on; a number that is another run's means nothing. */
static void serve(roost_runner *runner) {
  const uint64_t sequence = atomic_load_explicit(&runner->sequence, memory_order_relaxed);
  const bool asked = atomic_load_explicit(&runner->ask, memory_order_acquire) == sequence;
  const bool ended = atomic_load_explicit(&runner->end, memory_order_acquire) == sequence;
  if ((sequence & 1) == 0)
    return;
  if ((asked || ended) && atomic_load_explicit(&runner->told, memory_order_relaxed) != sequence)
    tell_name(runner, sequence);
  if (ended && !roost_runner_fired(runner))
    roost_watchdog_fire(runner);
}

static void pass_on(int number, siginfo_t *info, void *context) {
  const struct sigaction *before = &slots[number].before;
  if (before->sa_flags & SA_SIGINFO)
    before->sa_sigaction(number, info, context);
  else if (before->sa_handler != SIG_DFL && before->sa_handler != SIG_IGN)
    before->sa_handler(number);
}

static void on_signal(int number, siginfo_t *info, void *context) {
  if (info->si_code == SI_QUEUE && is_own(info->si_value.sival_ptr))
    serve(info->si_value.sival_ptr);
  else
    pass_on(number, info, context);
}

/* ------------------------------------------------------------------------- installing -------- */

static int install(int number) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_sigaction = on_signal;
  action.sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK;
  sigemptyset(&action.sa_mask);
  return sigaction(number, &action, &slots[number].before) == 0 ? 0 : ROOST_EINVAL;
}

int roost_watchdog_signal_install(int number) {
  if (number <= 0 || number >= SIGNALS)
    return ROOST_EINVAL;
  pthread_mutex_lock(&mutex);
  const int status = slots[number].users == 0 ? install(number) : 0;
  if (status == 0)
    slots[number].users++;
  pthread_mutex_unlock(&mutex);
  return status;
}

void roost_watchdog_signal_uninstall(int number) {
  struct sigaction now;
  pthread_mutex_lock(&mutex);
  if (--slots[number].users == 0 && sigaction(number, NULL, &now) == 0 &&
      (now.sa_flags & SA_SIGINFO) && now.sa_sigaction == on_signal)
    sigaction(number, &slots[number].before, NULL);
  pthread_mutex_unlock(&mutex);
}

/* ------------------------------------------------------------------------- threads ----------- */

static bool set_blocked(int number, bool blocked) {
  sigset_t set;
  sigset_t before;
  sigemptyset(&set);
  sigaddset(&set, number);
  pthread_sigmask(blocked ? SIG_BLOCK : SIG_UNBLOCK, &set, &before);
  return sigismember(&before, number) == 1;
}

bool roost_watchdog_signal_enter(int number, roost_runner *runner) {
  runner->neighbour = own;
  atomic_signal_fence(memory_order_seq_cst);
  own = runner;
  return set_blocked(number, false);
}

void roost_watchdog_signal_leave(int number, roost_runner *runner, bool was_blocked) {
  roost_runner **at = &own;
  while (*at != NULL && *at != runner)
    at = &(*at)->neighbour;
  if (*at != NULL)
    *at = (*at)->neighbour;
  if (was_blocked && own == NULL)
    set_blocked(number, true);
}

void roost_watchdog_signal_send(int number, pthread_t thread, roost_runner *runner) {
  (void)pthread_sigqueue(thread, number, (union sigval){.sival_ptr = runner});
}
