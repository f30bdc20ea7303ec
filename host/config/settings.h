/*
 * config/settings.h - a configuration file, read, checked, and with every default filled in.
 *
 * Start reading at roost_settings_load. The rows of what a file may hold stand in schema.c, how
 * they are checked in keys.c, how the file is run in script.c.
 * roost_settings owns everything it points at until roost_settings_free. Times are milliseconds,
 * sizes bytes. One thread at a time; constant once loaded.
 */
#ifndef ROOST_CONFIG_SETTINGS_H
#define ROOST_CONFIG_SETTINGS_H

#include "config/arena.h"
#include "config/problems.h"
#include "core/log.h"
#include "transport/transport.h"

/* What happens to the host when a worker is stuck in code that cannot be stopped. */
typedef enum roost_stuck { ROOST_STUCK_LOG, ROOST_STUCK_ABORT } roost_stuck;

typedef struct roost_limits {
  uint64_t request_timeout; /* bounds the wait for the next reply; 0: none */
  size_t buffer_memory;     /* of all connections' buffers */
  size_t store_memory;      /* of roost.store */
  size_t service_memory;    /* of one service's state; 0: none */
  uint64_t handler_cpu;     /* CPU time between two waits; 0: no limit */
  roost_stuck stuck;
} roost_limits;

typedef struct roost_reload {
  bool watch;             /* services are reloaded when their files change */
  uint64_t debounce;      /* quiet time before that */
  uint64_t drain_timeout; /* for calls of an old generation, and of the host when it stops */
  uint64_t start_timeout; /* for a main chunk and on_start */
} roost_reload;

/* What an option of a service is where the file does not say: as limits has it. */
#define ROOST_SERVICE_UNSET ((uint64_t)INT64_MIN)

typedef struct roost_service_options {
  const char *name; /* of the service */
  bool sandbox;     /* its code is not trusted: see vm/sandbox.h */
  uint64_t memory;  /* bytes of its state; or UNSET */
  uint64_t cpu;     /* as limits.handler_cpu; or UNSET */
} roost_service_options;

typedef struct roost_settings {
  const char *file;            /* the configuration's name, as problems call it */
  const char *const *services; /* files and folders, as written; they exist; NULL-terminated */
  uint64_t options_mark;       /* the same for all that has the same service_options */
  roost_service_options *service_options; /* in no order */
  size_t service_option_count;
  uint32_t workers; /* 0: one per core */
  bool wildcards;   /* for the local transport */
  roost_server_config *servers;
  size_t server_count;
  roost_client_config *clients;
  size_t client_count;
  roost_limits limits;
  roost_reload reload;
  roost_log_level log_level;
  roost_log_format log_format;
  const char *admin_socket; /* path; NULL: none */
  bool admin_socket_given;  /* it was set */
  const char *admin_http;   /* host:port; NULL: none */
  bool admin_http_given;
  const char *admin_http_host; /* the same in parts; loopback */
  uint16_t admin_http_port;    /* 0: any free one */
  roost_arena arena;           /* holds all of the above */
} roost_settings;

/* One key set from outside the file. */
typedef struct roost_override {
  const char *key;   /* dotted: "limits.store_memory", "servers.1.port" (or "servers[1].port") */
  const char *value; /* a Lua literal, or text where it is none */
  bool plain;        /* true: always text */
} roost_override;

typedef struct roost_settings_source {
  const char *path;                /* NULL: the configuration compiled in */
  const char *text;                /* what is read instead of path, then only its name; or NULL */
  const char *working_dir;         /* relative paths start here; NULL: where the process is */
  const roost_override *overrides; /* applied in order, after the file has run */
  size_t override_count;
  bool only_clients; /* all else in the file is ignored, and is as it is by default */
} roost_settings_source;

/* Reads and checks; all that is wrong goes into problems, warnings too. The texts of source need
 * not outlive the call. Errors, with *out NULL: ECONFIG (problems has errors), ENOMEM. */
int roost_settings_load(roost_settings **out, const roost_alloc *alloc,
                        const roost_settings_source *source, roost_problems *problems);

/* NULL is allowed. */
void roost_settings_free(roost_settings *settings);

/* The options of a service; NULL: the file has none for it. Borrowed from settings. */
const roost_service_options *roost_settings_service(const roost_settings *settings,
                                                    const char *name);

/* True for localhost, 127.0.0.0/8 and ::1. */
bool roost_is_loopback(const char *host);

#endif
