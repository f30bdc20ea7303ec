/*
 * admin/admin_internal.h - what the files of admin/ share. Start at admin/admin.h.
 *
 * Door: one listener with its HTTP daemon, which the control loop drives.
 * Exchange: one request and its answer. It is suspended while it waits for a report or a reload;
 * the daemon asks again once it is resumed.
 * The control thread, but for what says otherwise.
 */
#ifndef ROOST_ADMIN_ADMIN_INTERNAL_H
#define ROOST_ADMIN_ADMIN_INTERNAL_H

#include <stdatomic.h>

#include "admin/admin.h"
#include "core/wheel.h"
#include "net/poll.h"
#include "report.h"

struct MHD_Connection;
struct MHD_Daemon;

typedef struct roost_door {
  roost_admin *admin;
  bool local; /* the unix socket */
  int fd;     /* the daemon's, once it is there; -1: not open */
  struct MHD_Daemon *daemon;
  roost_poll *poll;      /* of the daemon's descriptor; NULL: accepting is paused */
  roost_timer timer;     /* what the daemon wants to be called at */
  roost_loop_hook again; /* it has to be called at once */
} roost_door;

typedef enum roost_exchange_state {
  ROOST_EXCHANGE_NEW,
  ROOST_EXCHANGE_WAITING,   /* for a report; suspended */
  ROOST_EXCHANGE_RELOADING, /* suspended */
  ROOST_EXCHANGE_DONE       /* may be answered */
} roost_exchange_state;

typedef struct roost_exchange {
  roost_list link; /* in admin->exchanges */
  roost_admin *admin;
  roost_door *door;
  struct MHD_Connection *connection; /* NULL: it is gone, and only a reload still refers to this */
  roost_exchange_state state;
  uint64_t wants;       /* number of the report it waits for */
  roost_timer patience; /* for it */
  size_t received;      /* bytes of a body, which is ignored */
  bool calling;         /* reload may answer before it returns */
  int failed;           /* why a reload was not begun, or its result not kept */
  roost_buffer json;    /* what a reload said */
} roost_exchange;

/* A worker, towards which there are questions. */
typedef struct roost_asked {
  roost_admin *admin;
  roost_worker *worker;
  bool waiting;         /* asked, and not answered */
  uint64_t since_ms;    /* when */
  uint64_t question;    /* number of the last one */
  uint64_t answered;    /* of the last one that was answered */
  roost_loop_job ask;   /* to the worker */
  roost_loop_job reply; /* and back */
  roost_report *fresh;  /* the worker's until reply, then the control thread's; NULL: none */
  roost_report *report; /* the last one; NULL: none yet */
} roost_asked;

struct roost_admin {
  roost_admin_config config;
  roost_loop *loop; /* the control thread's */
  roost_clock clock;
  uint64_t opened_us;
  uint16_t port;       /* of http */
  roost_door doors[2]; /* socket, http */
  roost_list exchanges;
  atomic_bool closing; /* any thread */

  roost_timer beat;   /* the next question that nobody asked for */
  uint64_t asks;      /* so far: their numbers */
  roost_asked *asked; /* each worker, the first one first; owned */
  size_t asked_count;
};

/* asking.c */

/* ENOMEM. */
int roost_asking_init(roost_admin *admin);
void roost_asking_deinit(roost_admin *admin);

/* Begins to ask once a second. */
void roost_asking_start(roost_admin *admin);
void roost_asking_stop(roost_admin *admin);

/* True where reports that are made from now on will come: the exchange is told by
 * roost_exchange_resume, or is after a quarter of a second. False where a worker is stuck. */
bool roost_asking_wait(roost_exchange *exchange);

/* How long a worker has not answered, the one that has not for longest; 0: nothing is asked. */
uint64_t roost_asking_stuck_ms(const roost_admin *admin);
bool roost_asking_is_stuck(const roost_admin *admin);

/* What all have said last, as one report for the caller to free; NULL in *out: the first has not
 * said anything yet. ENOMEM. */
int roost_asking_report(roost_report **out, const roost_admin *admin);

/* server.c */

/* Lets an exchange that is suspended go on. */
void roost_exchange_resume(roost_exchange *exchange);

/* Makes the daemon of a door whose fd listens; ESYSTEM: then fd is closed. Any thread. */
int roost_door_open(roost_door *door);

/* Begins to serve. ENOMEM, ESYSTEM. */
int roost_door_start(roost_door *door);

/* Ends the listener and its connections. */
void roost_door_close(roost_door *door);

void roost_exchange_free(roost_exchange *exchange);

#endif
