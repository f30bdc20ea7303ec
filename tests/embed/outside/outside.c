/* Somebody else's program: a handler in C beside those of Lua services, built with nothing but what
 * is installed. Argument: the folder of services. It prints its port. */
#include <stdio.h>

#include <roost.h>

/* Answers with the data that came. */
static void on_echo(void *ud, roost_call *call) {
  (void)ud;
  roost_call_reply(call, roost_call_data(call));
}

/* Reloads the services. */
static void on_reload(void *ud, roost_call *call) {
  roost_host *host = ud;
  if (roost_host_reload(host, NULL) != 0)
    roost_call_fail(call, roost_host_error(host));
  else
    roost_call_reply(call, (roost_slice){"true", 4});
}

static void on_stop(void *ud, roost_call *call) {
  roost_host_stop(ud);
  roost_call_reply(call, (roost_slice){NULL, 0});
}

static int fail(roost_host *host) {
  fprintf(stderr, "outside: %s\n", roost_host_error(host));
  roost_host_free(host);
  return 1;
}

int main(int argc, char **argv) {
  roost_config cfg;
  roost_host *host;
  roost_config_init(&cfg);
  cfg.services = argc > 1 ? argv[1] : NULL;
  if (roost_host_new(&host, &cfg) != 0)
    return 1;
  if (roost_host_set(host, "servers.1.port", "0") != 0 ||
      roost_host_set(host, "admin.http", "false") != 0 ||
      roost_host_set(host, "admin.socket", "false") != 0 ||
      roost_host_handle(host, "{\"cmd\":\"echo\"}", on_echo, NULL) != 0 ||
      roost_host_handle(host, "reload", on_reload, host) != 0 ||
      roost_host_handle(host, "stop", on_stop, host) != 0 ||
      roost_host_load_config(host, NULL) != 0)
    return fail(host);
  printf("%d\n", roost_host_port(host, 0));
  fflush(stdout);
  if (roost_host_run(host) != 0)
    return fail(host);
  roost_host_free(host);
  return 0;
}
