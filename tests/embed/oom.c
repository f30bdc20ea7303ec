/*
 * A host's whole life with one allocation refused: the first, the second, and so on until one life
 * needs no more; then the same with all refused from there on. Whatever is refused, nothing is
 * leaked, and what has failed has said so.
 *
 *     oom FOLDER [STRIDE]    FOLDER has echo.lua; of the later points every STRIDE-th (1: all)
 */
#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <roost.h>

#define TURNS      2000
#define FEW_TURNS  12  /* once something was refused: it may be what is waited for */
#define ALL_OF     300 /* of the first points none is left out */
#define MOST_POINT 200000

/* Several threads allocate. */
typedef struct memory {
  pthread_mutex_t mutex;
  size_t bytes;
  long count;    /* allocations so far in this life */
  long refused;  /* which is refused; -1: none */
  bool for_good; /* and all after it */
} memory;

static memory all = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static int turns(void) {
  pthread_mutex_lock(&all.mutex);
  const bool is_refused = all.count > all.refused;
  pthread_mutex_unlock(&all.mutex);
  return is_refused ? FEW_TURNS : TURNS;
}

static void *resize(void *ud, void *ptr, size_t old_size, size_t new_size) {
  memory *self = ud;
  void *moved = NULL;
  pthread_mutex_lock(&self->mutex);
  const long at = new_size > old_size ? self->count++ : -1;
  const bool refuse = at >= 0 && self->refused >= 0 &&
                      (at == self->refused || (self->for_good && at > self->refused));
  if (new_size == 0)
    free(ptr);
  else if (!refuse)
    moved = realloc(ptr, new_size);
  if (new_size == 0 || moved != NULL)
    self->bytes += new_size - old_size;
  pthread_mutex_unlock(&self->mutex);
  return moved;
}

static void quiet(void *ud, roost_log_level level, roost_slice line) {
  (void)ud;
  (void)level;
  (void)line;
}

/* ------------------------------------------------------------------------- one life ---------- */

static void on_echo(void *ud, roost_call *call) {
  (void)ud;
  (void)roost_call_push(call, roost_call_data(call));
  (void)roost_call_reply(call, roost_call_data(call));
}

static int add(void *ud, roost_params *params) {
  (void)ud;
  const roost_slice json = roost_params_json(params, 2);
  int status = roost_return_integer(params, roost_params_integer(params, 0) + 1);
  if (status == 0)
    status = roost_return_text(params, roost_params_text(params, 1));
  return status == 0 ? roost_return_json(params, json) : status;
}

typedef struct outcome {
  int lasts; /* of requests that are over */
  int good;  /* of them */
} outcome;

static void on_reply(void *ud, int status, roost_slice data, bool last) {
  outcome *self = ud;
  (void)data;
  self->lasts += last;
  self->good += last && status == 0;
}

static int dial(int port) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  static const char frame[] = "37#{\"pattern\":\"lua\",\"data\":[1],\"id\":\"1\"}";
  if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0 ||
      send(fd, frame, sizeof frame - 1, MSG_NOSIGNAL) < 0) {
    close(fd);
    return -1;
  }
  return fd;
}

static const roost_slice data = {"[1,{\"a\":\"b\"}]", 13};

/* Requests to the host's own handlers. Whose reply was refused ends with the host. */
static bool ask(roost_host *host) {
  static outcome got;
  int begun = 0;
  got = (outcome){0, 0};
  static const char *const patterns[] = {"c", "lua"};
  for (int i = 0; i < 2; i++)
    begun += roost_request(host, "local", (roost_slice){patterns[i], strlen(patterns[i])}, data, 0,
                           on_reply, &got) == 0;
  (void)roost_emit(host, "local", (roost_slice){"lua", 3}, data);
  for (int i = 0; i < turns() && got.lasts < begun; i++)
    if (roost_host_poll(host, 1) != 1)
      break;
  return got.good == 2;
}

static bool reload(roost_host *host) {
  roost_stats before = {.struct_size = sizeof before};
  roost_stats now = {.struct_size = sizeof now};
  roost_host_stats(host, &before);
  if (roost_host_reload(host, "echo") != 0)
    return false;
  for (int i = 0; i < turns(); i++) {
    if (roost_host_poll(host, 1) != 1)
      return false;
    roost_host_stats(host, &now);
    if (now.reloads > before.reloads || now.refused > before.refused)
      return now.reloads > before.reloads;
  }
  return false;
}

static bool answered(roost_host *host) {
  char byte;
  const int fd = roost_host_port(host, 0) > 0 ? dial(roost_host_port(host, 0)) : -1;
  ssize_t n = -1;
  for (int i = 0; fd >= 0 && i < turns() && n < 0; i++) {
    if (roost_host_poll(host, 1) != 1)
      break;
    n = recv(fd, &byte, 1, MSG_DONTWAIT);
  }
  if (fd >= 0)
    close(fd);
  return n > 0;
}

static bool set_up(roost_host *host) {
  static const roost_function functions[] = {{"add", "is?j", add, NULL}, {NULL, NULL, NULL, NULL}};
  bool fine = roost_host_set(host, "servers.1.port", "0") == 0;
  fine = roost_host_set(host, "admin.socket", "false") == 0 && fine;
  fine = roost_host_set(host, "admin.http", "false") == 0 && fine;
  fine = roost_host_module(host, "count", functions) == 0 && fine;
  fine = roost_host_connect(host, "OTHER", "tcp://127.0.0.1:1") == 0 && fine;
  fine = roost_host_handle(host, "c", on_echo, NULL) == 0 && fine;
  if (!fine && *roost_host_error(host) == '\0')
    return false; /* even the text was refused */
  return roost_host_load_config(host, NULL) == 0 && fine;
}

/* True where all of it worked. */
static bool live(const char *folder) {
  roost_config cfg;
  roost_host *host;
  roost_config_init(&cfg);
  cfg.alloc = (roost_alloc){resize, &all};
  cfg.log = quiet;
  cfg.services = folder;
  all.count = 0;
  if (roost_host_new(&host, &cfg) != 0)
    return false;
  bool fine = set_up(host);
  fine = roost_host_listen(host, "tcp://127.0.0.1:0") == 0 && fine;
  fine = roost_host_poll(host, 0) == 1 && fine;
  if (fine) {
    fine = ask(host);
    fine = answered(host) && fine;
    fine = reload(host) && fine;
    fine = ask(host) && fine;
  }
  (void)roost_host_stop(host);
  for (int i = 0; i < turns() && roost_host_poll(host, 1) == 1; i++)
    ;
  roost_host_free(host);
  return fine;
}

/* How many points there were; -1: something was leaked. */
static long refuse_each(const char *folder, bool for_good, long stride) {
  long lives = 0;
  bool worked = false;
  all.for_good = for_good;
  for (long point = 0; !worked && point < MOST_POINT; point += point < ALL_OF ? 1 : stride) {
    all.refused = point;
    worked = live(folder) && all.count <= point;
    lives++;
    if (all.bytes != 0) {
      fprintf(stderr, "allocation %ld refused%s: %zu bytes leaked\n", point,
              for_good ? ", and all after it" : "", all.bytes);
      return -1;
    }
  }
  printf("%ld lives, each with an allocation refused%s; the last needed %ld\n", lives,
         for_good ? ", and all after it" : "", all.count);
  return worked ? lives : -1;
}

int main(int argc, char **argv) {
  const long stride = argc > 2 ? atol(argv[2]) : 1;
  if (argc < 2 || stride < 1)
    return 2;
  int failed = refuse_each(argv[1], false, stride) < 0;
  failed += refuse_each(argv[1], true, stride) < 0;
  printf("%d passed, %d failed\n", 2 - failed, failed);
  return failed != 0;
}
