/*
 * core/log.h - log lines: built by whoever has something to say, written by the control thread.
 *
 * Start reading at roost_log_begin. A line is begun, given fields in the order they shall stand,
 * and ended, which puts it into a bounded queue (4,096 lines, 1 MiB); it is lost, and counted, when
 * the queue is full or memory is short, and a later line says how many were. The control thread
 * is told by roost_log_on_filled, and writes with roost_log_drain. The log owns the lines in its
 * queue.
 * Format: logfmt (ts=… level=… msg="…" key=value) or JSON, one line each; ts is UTC with
 * milliseconds. In logfmt a value is quoted where it is empty or has a space, a quote, =, or a
 * control character (escaped as \n, \t, \", \\, \xHH); bytes that are not UTF-8 count as control
 * characters, in JSON they become U+FFFD.
 * Kind: a number of the caller's for lines that a peer can cause; at most 10 a second of each.
 */
#ifndef ROOST_CORE_LOG_H
#define ROOST_CORE_LOG_H

#include "core/buffer.h"
#include "core/clock.h"

typedef struct roost_log roost_log;

typedef enum roost_log_format { ROOST_LOG_LOGFMT, ROOST_LOG_JSON } roost_log_format;

/* What a peer can cause, for roost_log_limited. */
typedef enum roost_log_kind {
  ROOST_LOG_KIND_FRAME,     /* bytes that are not the protocol's */
  ROOST_LOG_KIND_LIMIT,     /* a connection closed or refused by a limit */
  ROOST_LOG_KIND_UNHANDLED, /* no handler for the pattern */
  ROOST_LOG_KIND_HANDLER,   /* a handler raised an error */
  ROOST_LOG_KIND_TIMEOUT,   /* a call ran out of time */
  ROOST_LOG_KIND_ACCEPT,    /* accepting failed */
  ROOST_LOG_KIND_FOREIGN,   /* a message with neither pattern nor data */
  ROOST_LOG_KIND_DENIED,    /* a message that no rule permits */
  ROOST_LOG_KIND_TLS,       /* a handshake failed */
  ROOST_LOG_KIND_BROKER,    /* what a broker's library has to say */
  ROOST_LOG_KINDS
} roost_log_kind;

typedef struct roost_log_line {
  roost_log *log; /* NULL: below the level; every call on the line does nothing */
  roost_log_level level;
  roost_log_format format;
  roost_buffer text; /* room for the queue's header, then what is written so far */
  int status;        /* first ENOMEM */
} roost_log_line;

/* fn NULL writes to stderr. clock is borrowed. ENOMEM. */
int roost_log_new(roost_log **out, const roost_alloc *alloc, const roost_clock *clock,
                  roost_log_fn *fn, void *ud);

/* Writes what is queued, then frees. No other thread may use it any more. */
void roost_log_free(roost_log *log);

/* Any thread. */
void roost_log_set_level(roost_log *log, roost_log_level level);
void roost_log_set_format(roost_log *log, roost_log_format format);
bool roost_log_enabled(const roost_log *log, roost_log_level level);

/* True where one more line of this kind may be written this second; counts those that may not, and
 * the first call in a later second has a line of its own say how many. Any thread. */
bool roost_log_limited(roost_log *log, roost_log_kind kind);

/* Begins a line on the caller's stack; end it always. Any thread; a line is one thread's. */
void roost_log_begin(roost_log_line *line, roost_log *log, roost_log_level level, roost_slice msg);
void roost_log_text(roost_log_line *line, const char *key, roost_slice value);
void roost_log_integer(roost_log_line *line, const char *key, int64_t value);

/* Fields named by a script come after ours: keys are taken as they are but for spaces, quotes,
 * =, control characters and what is not UTF-8 (they become _); a name of ours gets _ appended.
 * json is a valid JSON text without newlines. */
void roost_log_user_text(roost_log_line *line, roost_slice key, roost_slice value);
void roost_log_user_literal(roost_log_line *line, roost_slice key, roost_slice json);
void roost_log_end(roost_log_line *line);

/* begin and end in one, without fields. */
void roost_log_say(roost_log *log, roost_log_level level, const char *msg);

/* Has fn called whenever the queue is no longer empty, and now if it is not: on the thread that
 * logged, so it only wakes whoever writes, and does not log. NULL: nobody is called any more; once
 * that has returned, nobody is inside fn. Any thread. */
void roost_log_on_filled(roost_log *log, void (*fn)(void *ud), void *ud);

/* Writes all that is queued. The control thread; another one only before that is there, or after.
 */
void roost_log_drain(roost_log *log);

/* Lines lost so far. Any thread. */
uint64_t roost_log_dropped(const roost_log *log);

#endif
