/*
 * roost.h - embed a Roost host: a C event loop that runs services written in Lua.
 *
 * The shortest useful program:
 *
 *     roost_config cfg;
 *     roost_host *host;
 *     roost_config_init(&cfg);
 *     if (roost_host_new(&host, &cfg) != 0) return 1;
 *     if (roost_host_load_config(host, "config/host.lua") != 0 || roost_host_run(host) != 0)
 *       fprintf(stderr, "%s\n", roost_host_error(host));
 *     roost_host_free(host);
 *
 * Threads. A host belongs to the thread that made it: every function takes that thread, unless its
 * comment names another. Handlers, replies and posted functions run on it too, inside
 * roost_host_run or roost_host_poll; handlers inside roost_request and roost_emit to "local", too.
 * Hosts share nothing: a process may have several.
 * Workers. Where the configuration says workers = N, that thread drives the first; the others have
 * threads of their own, from roost_host_load_config on, and pass on to it what a C handler is for.
 * The first one accepts, and leads reloads and the drain, so that a host is still to be polled.
 * Signals. The library installs no signal handler, but for roost_config.watchdog_signal where that
 * is set; while run or poll is inside, SIGPIPE is blocked on the calling thread. It writes nothing
 * to stdout, and to stderr only where roost_config.log is NULL; it never ends the process, but
 * where a configuration says limits.stuck = "abort". Units. Times are milliseconds unless a name
 * says otherwise, sizes are bytes. Errors. Functions return 0 (or a value that is not negative) or
 * one of ROOST_E...; roost_host_error has the text. NULL where a comment does not allow it is
 * ROOST_EINVAL, or does nothing: false, 0 and an empty slice where a function returns no status
 * (roost_host_state: failed).
 */
#ifndef ROOST_H
#define ROOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define ROOST_API __attribute__((visibility("default")))
#else
#define ROOST_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

#define ROOST_VERSION_MAJOR 0
#define ROOST_VERSION_MINOR 1
#define ROOST_VERSION_PATCH 0

/* ------------------------------------------------------------------------- status codes ------ */

enum {
  ROOST_OK = 0,
  ROOST_ENOMEM = -1,       /* the allocator refused */
  ROOST_EINVAL = -2,       /* an argument or a value is wrong */
  ROOST_ECONFIG = -3,      /* the configuration is wrong; the text names file and key */
  ROOST_ESCRIPT = -4,      /* a script could not be loaded or raised an error */
  ROOST_EPROTO = -5,       /* bytes that are not the protocol's */
  ROOST_EFULL = -6,        /* a limit is reached */
  ROOST_ETIMEDOUT = -7,    /* the deadline is over */
  ROOST_EGONE = -8,        /* the other side has left */
  ROOST_ENOENT = -9,       /* no such file, service, pattern or client */
  ROOST_ESTATE = -10,      /* not now: the host is in the wrong state for this */
  ROOST_ECONNECT = -11,    /* a connection could not be made */
  ROOST_ESYSTEM = -12,     /* the operating system refused; the text says what */
  ROOST_EREMOTE = -13,     /* the peer answered with an error */
  ROOST_EUNSUPPORTED = -14 /* not in this build */
};

/* The name of a status code, as "ROOST_ENOMEM"; "ROOST_E?" for an unknown one. Any thread. */
ROOST_API const char *roost_status_name(int status);

/* major * 10000 + minor * 100 + patch of the library that runs. Any thread. */
ROOST_API uint32_t roost_version(void);

/* ------------------------------------------------------------------------- plain types ------- */

/* Borrowed bytes: valid as long as the function that hands them out says, never NUL-terminated. */
typedef struct roost_slice {
  const char *ptr;
  size_t len;
} roost_slice;

/* One memory function. resize(ud, NULL, 0, n) allocates, resize(ud, p, n, 0) frees and returns
 * NULL, anything else moves; NULL with new_size > 0 means refused, and p stays as it was.
 * Called from every thread of the host, several at once. */
typedef struct roost_alloc {
  void *(*resize)(void *ud, void *ptr, size_t old_size, size_t new_size);
  void *ud;
} roost_alloc;

typedef enum roost_log_level {
  ROOST_LOG_DEBUG,
  ROOST_LOG_INFO,
  ROOST_LOG_WARN,
  ROOST_LOG_ERROR
} roost_log_level;

/* Takes one finished line of the log, without its newline. Called from the host's control thread,
 * one call at a time; line is borrowed for the call. */
typedef void roost_log_fn(void *ud, roost_log_level level, roost_slice line);

typedef struct roost_host roost_host; /* owned by who called roost_host_new */
typedef struct roost_call roost_call; /* owned by the host; lives until reply or fail */

/* ------------------------------------------------------------------------- configuration ----- */

/* Filled by roost_config_init, changed at will, copied by roost_host_new. A zero or NULL member
 * means the default named beside it. */
typedef struct roost_config {
  size_t struct_size;      /* set by roost_config_init: which version of this struct it is */
  roost_alloc alloc;       /* resize NULL: the C library's */
  roost_log_fn *log;       /* NULL: lines go to stderr */
  void *log_ud;            /* handed to log */
  const char *services;    /* folder of services; NULL: as the config file says, else none */
  const char *lua_dir;     /* the Lua half of the API; NULL: the one compiled in */
  const char *working_dir; /* what relative paths start at; NULL: the process's */
  int watchdog_signal;     /* 0: none, a count hook instead (Lua runs at half speed); see below */
  size_t memory_limit;     /* bytes the host may hold in all; 0: no limit; see below */
  size_t connection_limit; /* sockets of connections, accepted or dialled; 0: no limit; see below */
} roost_config;

/* memory_limit counts what goes through alloc: everything but what libuv, OpenSSL, the HTTP server
 * of the admin pages and the brokers' libraries allocate by the C library, since their allocators
 * are the process's (some KiB for each worker, 15 KiB for a connection with TLS; for a Kafka entry
 * what it has fetched and not handled yet, at most 16 MiB a partition, and what it has to send; an
 * allocation that librdkafka is refused ends the process). What would exceed it fails as if
 * memory were short: a Lua state collects its garbage and raises a LimitError, a connection ends.
 * Counting costs an atomic addition per allocation.
 *
 * connection_limit: over it, whoever connects is disconnected at once, and counts as denied; a
 * client cannot connect, with EMFILE. Besides these sockets a host holds one descriptor for each
 * listener, three for each worker, up to ten of its own, those of its admin pages, and of files
 * while they are read; libuv keeps two for the process. */

/* watchdog_signal is how code that takes too long (limits.handler_cpu) is stopped at no cost while
 * all is well: the host's threads send it to themselves. It should be one that nothing else in the
 * process uses, as SIGRTMIN + 3. One handler is installed for it per process, with the first host
 * that asks for it, and taken out with the last; signals that are not the library's own are handed
 * to the handler that was there before. The host's own thread must not block it. */

/* Fills cfg with the defaults. Any thread. A program that was built with an older roost.h than the
 * library's sets a smaller struct_size: what it does not know is as by default. */
ROOST_API void roost_config_init(roost_config *cfg);

/* ------------------------------------------------------------------------- the host ---------- */

/* Makes a host and starts its control thread; *out is NULL on failure. The new host is idle: it
 * has no service and no listener. Errors: ENOMEM, EINVAL (struct_size, watchdog_signal), ESYSTEM.
 */
ROOST_API int roost_host_new(roost_host **out, const roost_config *cfg);

/* Ends everything at once (roost_host_stop first, and run or poll until it is drained, to lose
 * nothing) and frees the host. NULL is allowed. Not from inside run or poll. */
ROOST_API void roost_host_free(roost_host *host);

/* Text of the last failure on this host, "" when none; borrowed until the next call on the host.
 * NULL host: why this thread's last roost_host_new that failed made none, as "watchdog_signal: 9
 * cannot be used". */
ROOST_API const char *roost_host_error(const roost_host *host);

/* Sets one configuration key as the command line's --set does: key dotted ("limits.store_memory",
 * "servers.1.port"), no part empty, value a Lua literal or plain text. Takes effect in the next
 * roost_host_load_config. Errors: ENOMEM, EINVAL, ESTATE (already loaded). */
ROOST_API int roost_host_set(roost_host *host, const char *key, const char *value);

/* Reads the file (NULL: the configuration compiled in), loads the services and binds every
 * listener; nothing is accepted before run or poll. Once per host. Errors: ECONFIG, ESCRIPT,
 * ESYSTEM (a listener), ENOMEM, ESTATE. */
ROOST_API int roost_host_load_config(roost_host *host, const char *path);

/* Begins to load a service anew, or all (NULL), aside: while that goes on, and when the new code is
 * refused, the old goes on. The outcome is in the log and the stats. Between or inside run and
 * poll. ROOST_ENOENT, ROOST_ESTATE: the host is not running. */
ROOST_API int roost_host_reload(roost_host *host, const char *service);

/* Begins what roost run does at SIGHUP: reads the configuration again, aside, and takes from it
 * services, service_options, clients, limits, log, reload, and of each listener allow, rate and
 * certificates; reloads the services of which a file has changed. Nobody is disconnected. What has
 * changed besides needs a restart, and the log says so; a configuration with an error changes
 * nothing, and the log says what is wrong. Also from inside a handler or a posted function. Errors:
 * ESTATE (no configuration is loaded), ENOMEM. */
ROOST_API int roost_host_reload_config(roost_host *host);

/* Adds a listener, as "tcp://127.0.0.1:0". Errors: EINVAL (a URL that is not tcp://HOST:PORT: other
 * schemes, as tls, too; a host that is not loopback), ESTATE (the host is stopping, has stopped or
 * failed), ESYSTEM, ENOMEM. */
ROOST_API int roost_host_listen(roost_host *host, const char *url);

/* Hands over a socket that listens already (of a service manager, or of the program that this one
 * takes the place of): a listener of the configuration, or of roost_host_listen, on the address
 * that it is bound to takes it instead of binding one. The host owns it from success on, and closes
 * it when it is freed where no listener has taken it. When the host is stopped, connections that
 * wait there to be accepted are left to whoever else has the socket. Before load_config and listen;
 * 16 at most.
 * Errors: EINVAL (no TCP socket that listens), EFULL, ESTATE (loaded already). */
ROOST_API int roost_host_inherit(roost_host *host, int descriptor);

/* The port that listener number server (from 0, in the order they were made) is bound to.
 * Errors: ENOENT. */
ROOST_API int roost_host_port(const roost_host *host, size_t server);

/* Names a client, as one entry of the configuration's clients with that url does ("tcp://h:p",
 * "tls://h:p", ...), for roost_request and for roost.client(name) of services. A client of the
 * configuration with that name goes before. Before or after load_config; services that name it
 * while they load want it before. Nothing is connected before it is used. Errors: EINVAL (name,
 * url), ESTATE (there is one of that name), ENOMEM. */
ROOST_API int roost_host_connect(roost_host *host, const char *name, const char *url);

/* Runs until the host is drained; 0 then. Errors: ESTATE (inside run or poll already), ESYSTEM. */
ROOST_API int roost_host_run(roost_host *host);

/* Does what is due, waiting up to timeout_ms for it (0 never blocks): a game's tick.
 * Returns 1 while the host runs, 0 once it is drained. Errors as run. */
ROOST_API int roost_host_poll(roost_host *host, uint32_t timeout_ms);

/* Bounds the work of each poll from the next on to about us microseconds; the rest is done by the
 * polls that follow: connections take turns, tasks and replies keep their order. 0 (the default):
 * no bound. A message that is being handled, a task until it waits, is never cut short, and of each
 * kind one is done in any case: keep handlers short; replies that came from a socket in one read
 * are handed over together. roost_host_run knows no bound. */
ROOST_API int roost_host_poll_budget(roost_host *host, uint32_t us);

/* A descriptor that is readable when poll has something to do; owned by the host. */
ROOST_API int roost_host_fd(const roost_host *host);

/* Milliseconds until a timer is due (the descriptor does not tell of timers), -1 when there is
 * none. Ask after every poll. */
ROOST_API int roost_host_timeout(const roost_host *host);

typedef enum roost_state {
  ROOST_STATE_IDLE,     /* not run or polled yet */
  ROOST_STATE_STARTING, /* services' on_start runs */
  ROOST_STATE_RUNNING,  /* listeners accept */
  ROOST_STATE_DRAINING,
  ROOST_STATE_DRAINED,
  ROOST_STATE_FAILED /* a service could not start: run and poll say so */
} roost_state;

/* What the host is doing; changes inside run and poll, and by roost_host_stop. */
ROOST_API roost_state roost_host_state(const roost_host *host);

/* Starts the drain: accepting and reading stop, what runs may finish, each service's on_stop is
 * called. May be called again. Also from inside a handler or a posted function. What came by
 * "local" is waited for only as far as a service does so: not a C handler that answers
 * roost_request later, nor a roost_request that is not answered yet. Such a request ends with EGONE
 * in roost_host_free; poll or run until its last reply before stopping where that matters. */
ROOST_API int roost_host_stop(roost_host *host);

/* Called on the host's thread; see roost_host_post. */
typedef void roost_post_fn(void *ud, roost_host *host);

/* Has fn called on the host's thread, soon; posted functions run in order. ANY THREAD, while the
 * host lives. What is still queued when the host is freed is not run. Errors: EINVAL (no function),
 * ENOMEM. */
ROOST_API int roost_host_post(roost_host *host, roost_post_fn *fn, void *ud);

/* Counters since the host was made, of all listeners and services together. */
typedef struct roost_stats {
  size_t struct_size;    /* set by the caller: sizeof(roost_stats) */
  uint64_t connections;  /* open now */
  uint64_t accepted;     /* in all */
  uint64_t denied;       /* turned away by a limit */
  uint64_t bytes_in;     /* read from peers */
  uint64_t bytes_out;    /* written to peers */
  uint64_t requests;     /* dispatched to a handler */
  uint64_t events;       /* dispatched to a handler */
  uint64_t unhandled;    /* no handler for the pattern */
  uint64_t errors;       /* answered with an error, or an event's handler raised */
  uint64_t timeouts;     /* ended by their deadline */
  uint64_t in_flight;    /* running now */
  uint64_t services;     /* live now */
  uint64_t memory_bytes; /* held by all Lua states now */
  uint64_t log_dropped;  /* log lines lost because the queue was full */
  uint64_t reloads;      /* of services, that have taken over */
  uint64_t refused;      /* reloads that have not, the old code went on */
  uint64_t held_bytes;   /* memory that memory_limit counts; 0 where there is no limit */
} roost_stats;

ROOST_API void roost_host_stats(const roost_host *host, roost_stats *out);

/* ------------------------------------------------------------------------- C handlers -------- */

/* Called on the host's thread for each request or event; must not block. Inside run or poll, and
 * inside roost_request and roost_emit where they send to "local". */
typedef void roost_handler_fn(void *ud, roost_call *call);

/* Adds a C handler to the table that Lua handlers are in. pattern is JSON text
 * ("{\"cmd\":\"sum\"}") or plain text ("sum"). Before or after load_config. Errors: EINVAL
 * (pattern), ENOMEM. "" is a pattern as any other text. */
ROOST_API int roost_host_handle(roost_host *host, const char *pattern, roost_handler_fn *fn,
                                void *ud);

/* The pattern as it came, JSON text; borrowed until reply or fail. */
ROOST_API roost_slice roost_call_pattern(const roost_call *call);

/* The data as it came, valid JSON text ("null" when there was none); borrowed until the handler
 * returns: copy it to keep it. */
ROOST_API roost_slice roost_call_data(const roost_call *call);

/* True where no reply is wanted. An event's call ends when its handler returns. */
ROOST_API bool roost_call_is_event(const roost_call *call);

/* Sends one reply, more to come. data is JSON text, copied, trusted to be valid.
 * Returns 0, or ROOST_EFULL when it was taken but the caller's buffer is over half full: go on
 * when less is queued. Errors: ENOMEM, EGONE (the caller left), ETIMEDOUT (answered already). */
ROOST_API int roost_call_push(roost_call *call, roost_slice data);

/* Sends the last reply and ends the call: now or later, the call must not be used after it.
 * An empty slice means no value. Errors as push, EFULL excepted; the call ends all the same. */
ROOST_API int roost_call_reply(roost_call *call, roost_slice data);

/* Answers {"status":"error","message":message} and ends the call; a message that is not UTF-8 is
 * answered as "Internal server error". Errors as reply. */
ROOST_API int roost_call_fail(roost_call *call, const char *message);

/* ------------------------------------------------------------------------- calling others ---- */

/* Told what becomes of a request, on the host's thread, never inside roost_request: with status 0
 * for each reply, where data is JSON text (ptr NULL: JavaScript's undefined) and last says that
 * there will be no more; else once, with last true: EREMOTE (data is the error the peer answered
 * with, JSON text), ETIMEDOUT, ECONNECT, EGONE (the connection ended, or the host is being freed),
 * EFULL, ENOMEM (data is a text that says why). data is borrowed for the call. */
typedef void roost_reply_fn(void *ud, int status, roost_slice data, bool last);

/* Sends a request through the client of that name, "local" for this host's own handlers. pattern
 * and data are JSON text, copied; data with ptr NULL is {}. timeout_ms bounds the wait for each
 * reply; 0: as the client is configured. Unless an error is returned, fn is called until last is
 * true. Errors: EINVAL (not JSON, or no pattern), ENOENT (no such client), EFULL, ESTATE (the host
 * is being freed, or has stopped), ESCRIPT (its serializer raised), ENOMEM, EUNSUPPORTED,
 * ESYSTEM.
 * What goes to "local" may be handled before this returns, by a handler that so runs inside it,
 * where the host is idle too and outside poll's budget: no lock that a handler takes is to be held
 * here. The first request or event to it waits for the next poll. */
ROOST_API int roost_request(roost_host *host, const char *client, roost_slice pattern,
                            roost_slice data, uint32_t timeout_ms, roost_reply_fn *fn, void *ud);

/* Sends an event in the same way. That it was taken does not mean that it arrives: an event that
 * could not be sent is logged. */
ROOST_API int roost_emit(roost_host *host, const char *client, roost_slice pattern,
                         roost_slice data);

/* ------------------------------------------------------------------------- modules ----------- */

/* The arguments and results of a call from Lua; lives as long as the function that is given it. */
typedef struct roost_params roost_params;

/* Called from Lua. 0, or an error status to raise: with the text of roost_raise, else with the
 * status's name. It must not wait, nor call run, poll or free; an exception must not leave it. */
typedef int roost_module_fn(void *ud, roost_params *params);

/* One function of a module. name is a word: 1 to 64 ASCII letters, digits and _, no digit first; no
 * two functions of a module have the same. signature has a letter for each argument, at most 16: b
 * boolean, i integer, n number, s string (bytes), j any value, read as JSON text; ? behind a
 * letter: may be nil or missing. Arguments beyond it are ignored. What does not fit is raised in
 * Lua before fn is called. */
typedef struct roost_function {
  const char *name;      /* NULL ends a list */
  const char *signature; /* NULL: none */
  roost_module_fn *fn;
  void *ud; /* handed to fn */
} roost_function;

/* Offers C functions to services: require(name) gives a table of them, in sandboxes, too. name is a
 * word, as a function's, but none that is taken: roost, cjson, those of Lua's libraries (string,
 * math, package, _G, ...), another module's. functions is copied, ud is not. fn runs on the thread
 * of the worker that the service runs on: the host's own where there is one worker, several at once
 * where there are more. Calls from a service's main chunk are refused in Lua (not before on_start).
 * Before load_config. Errors: EINVAL (a name, a signature, no function), ESTATE (loaded already),
 * ENOMEM. */
ROOST_API int roost_host_module(roost_host *host, const char *name,
                                const roost_function *functions);

/* The argument at a place, from 0; what is missing or of another kind is false, 0 or an empty
 * slice. text and json are borrowed until fn returns. */
ROOST_API bool roost_params_given(const roost_params *params, size_t place);
ROOST_API bool roost_params_boolean(const roost_params *params, size_t place);
ROOST_API int64_t roost_params_integer(const roost_params *params, size_t place);
ROOST_API double roost_params_number(const roost_params *params, size_t place);
ROOST_API roost_slice roost_params_text(const roost_params *params, size_t place);
ROOST_API roost_slice roost_params_json(const roost_params *params, size_t place);

/* Each adds a result, at most 8; text and json are copied, json is JSON text (checked when fn has
 * returned). Errors: EFULL, ENOMEM: to be returned by fn. */
ROOST_API int roost_return_nil(roost_params *params);
ROOST_API int roost_return_boolean(roost_params *params, bool value);
ROOST_API int roost_return_integer(roost_params *params, int64_t value);
ROOST_API int roost_return_number(roost_params *params, double value);
ROOST_API int roost_return_text(roost_params *params, roost_slice value);
ROOST_API int roost_return_json(roost_params *params, roost_slice value);

/* Sets the text of the error that fn then returns, of which 255 bytes are kept; returns ESCRIPT, so
 * that `return roost_raise(params, "no such entity")` does both. */
ROOST_API int roost_raise(roost_params *params, const char *message);

#ifdef __cplusplus
}
#endif

#endif
