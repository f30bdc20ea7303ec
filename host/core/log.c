#include "core/log.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/uio.h>

#include "core/log_format.h"
#include "core/slice.h"

#define MAX_LINES      4096
#define MAX_PER_SECOND 10

/* A line in the queue: this header, then its text, in one piece of memory. */
typedef struct queued {
  struct queued *next;
  size_t cap; /* of the memory */
  size_t len; /* of the text */
  roost_log_level level;
} queued;

_Static_assert(sizeof(queued) <= ROOST_LOG_HEADER_BYTES, "the header must fit the room for it");

/* The lines of one kind in the second that last had one. */
typedef struct kind_limit {
  uint64_t second;
  unsigned written;
  uint64_t suppressed;
} kind_limit;

struct roost_log {
  const roost_alloc *alloc; /* borrowed */
  const roost_clock *clock; /* borrowed */
  roost_log_fn *fn;         /* NULL: stderr */
  void *ud;                 /* of fn */
  atomic_int level;         /* lines below it are not made */
  atomic_int format;        /* of new lines */
  atomic_uint_fast64_t dropped;
  uint64_t told;         /* of those dropped, how many a line has told of; writer's thread */
  pthread_mutex_t mutex; /* guards what follows */
  queued *first;
  queued **last;               /* where the next line is linked */
  size_t lines;                /* in the queue */
  size_t bytes;                /* of memory in the queue */
  void (*on_filled)(void *ud); /* NULL: nobody wants to know */
  void *on_filled_ud;
  kind_limit limits[ROOST_LOG_KINDS];
};

static void write_stderr(void *ud, roost_log_level level, roost_slice line) {
  (void)ud;
  (void)level;
  char newline = '\n';
  struct iovec parts[2] = {{(void *)(uintptr_t)line.ptr, line.len}, {&newline, 1}};
  size_t left = line.len + 1;
  while (left > 0) {
    const ssize_t n = writev(2, parts, 2);
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0)
      return; /* nobody reads it, and there is nowhere to say so */
    left -= (size_t)n;
    const size_t of_line = (size_t)n < parts[0].iov_len ? (size_t)n : parts[0].iov_len;
    parts[0].iov_base = (char *)parts[0].iov_base + of_line;
    parts[0].iov_len -= of_line;
  }
}

int roost_log_new(roost_log **out, const roost_alloc *alloc, const roost_clock *clock,
                  roost_log_fn *fn, void *ud) {
  *out = NULL;
  roost_log *log = roost_alloc_get(alloc, sizeof *log);
  if (log == NULL)
    return ROOST_ENOMEM;
  log->alloc = alloc;
  log->clock = clock;
  log->fn = fn != NULL ? fn : write_stderr;
  log->ud = ud;
  log->last = &log->first;
  atomic_init(&log->level, ROOST_LOG_INFO);
  atomic_init(&log->format, ROOST_LOG_LOGFMT);
  atomic_init(&log->dropped, 0);
  if (pthread_mutex_init(&log->mutex, NULL) != 0) {
    roost_alloc_put(alloc, log, sizeof *log);
    return ROOST_ENOMEM;
  }
  *out = log;
  return 0;
}

void roost_log_free(roost_log *log) {
  if (log == NULL)
    return;
  roost_log_drain(log);
  pthread_mutex_destroy(&log->mutex);
  roost_alloc_put(log->alloc, log, sizeof *log);
}

void roost_log_set_level(roost_log *log, roost_log_level level) {
  atomic_store_explicit(&log->level, (int)level, memory_order_relaxed);
}

void roost_log_set_format(roost_log *log, roost_log_format format) {
  atomic_store_explicit(&log->format, (int)format, memory_order_relaxed);
}

bool roost_log_enabled(const roost_log *log, roost_log_level level) {
  return (int)level >= atomic_load_explicit(&log->level, memory_order_relaxed);
}

uint64_t roost_log_dropped(const roost_log *log) {
  return atomic_load_explicit(&log->dropped, memory_order_relaxed);
}

bool roost_log_limited(roost_log *log, roost_log_kind kind) {
  static const char *const names[ROOST_LOG_KINDS] = {[ROOST_LOG_KIND_FRAME] = "frame",
                                                     [ROOST_LOG_KIND_LIMIT] = "limit",
                                                     [ROOST_LOG_KIND_UNHANDLED] = "unhandled",
                                                     [ROOST_LOG_KIND_HANDLER] = "handler",
                                                     [ROOST_LOG_KIND_TIMEOUT] = "timeout",
                                                     [ROOST_LOG_KIND_ACCEPT] = "accept",
                                                     [ROOST_LOG_KIND_FOREIGN] = "foreign",
                                                     [ROOST_LOG_KIND_DENIED] = "denied",
                                                     [ROOST_LOG_KIND_TLS] = "tls",
                                                     [ROOST_LOG_KIND_BROKER] = "broker"};
  const uint64_t second = roost_clock_now_us(log->clock) / 1000000;
  uint64_t suppressed = 0;
  pthread_mutex_lock(&log->mutex);
  kind_limit *limit = &log->limits[kind];
  if (limit->second != second) {
    suppressed = limit->suppressed;
    *limit = (kind_limit){.second = second};
  }
  const bool allowed = limit->written < MAX_PER_SECOND;
  if (allowed)
    limit->written++;
  else
    limit->suppressed++;
  pthread_mutex_unlock(&log->mutex);
  if (suppressed > 0) {
    roost_log_line line;
    roost_log_begin(&line, log, ROOST_LOG_WARN, ROOST_SLICE("similar lines were suppressed"));
    roost_log_text(&line, "kind", roost_slice_text(names[kind]));
    roost_log_integer(&line, "suppressed", (int64_t)suppressed);
    roost_log_end(&line);
  }
  return allowed;
}

void roost_log_begin(roost_log_line *line, roost_log *log, roost_log_level level, roost_slice msg) {
  *line = (roost_log_line){.level = level};
  if (!roost_log_enabled(log, level))
    return;
  line->log = log;
  line->format = (roost_log_format)atomic_load_explicit(&log->format, memory_order_relaxed);
  roost_buffer_init(&line->text, log->alloc);
  line->status = roost_buffer_reserve(&line->text, ROOST_LOG_HEADER_BYTES + 192);
  if (line->status == 0)
    roost_log_format_begin(line, roost_clock_wall_us(log->clock), msg);
}

/* Links a finished line's memory into the queue, which owns it from now on. */
static bool enqueue(roost_log *log, queued *entry) {
  pthread_mutex_lock(&log->mutex);
  const bool room = log->lines < MAX_LINES && entry->cap <= ROOST_LOG_QUEUE_BYTES - log->bytes;
  if (room) {
    *log->last = entry;
    log->last = &entry->next;
    log->bytes += entry->cap;
    if (log->lines++ == 0 && log->on_filled != NULL)
      log->on_filled(log->on_filled_ud);
  }
  pthread_mutex_unlock(&log->mutex);
  return room;
}

void roost_log_end(roost_log_line *line) {
  roost_log *log = line->log;
  if (log == NULL)
    return;
  line->log = NULL;
  roost_log_format_end(line);
  if (line->status == 0) {
    queued *entry = (queued *)(void *)line->text.ptr;
    *entry = (queued){.cap = line->text.cap,
                      .len = line->text.len - ROOST_LOG_HEADER_BYTES,
                      .level = line->level};
    if (enqueue(log, entry))
      return;
  }
  atomic_fetch_add_explicit(&log->dropped, 1, memory_order_relaxed);
  roost_buffer_deinit(&line->text);
}

void roost_log_say(roost_log *log, roost_log_level level, const char *msg) {
  roost_log_line line;
  roost_log_begin(&line, log, level, roost_slice_text(msg));
  roost_log_end(&line);
}

void roost_log_on_filled(roost_log *log, void (*fn)(void *ud), void *ud) {
  pthread_mutex_lock(&log->mutex);
  log->on_filled = fn;
  log->on_filled_ud = ud;
  if (fn != NULL && log->first != NULL)
    fn(ud);
  pthread_mutex_unlock(&log->mutex);
}

static queued *take_all(roost_log *log) {
  pthread_mutex_lock(&log->mutex);
  queued *first = log->first;
  log->first = NULL;
  log->last = &log->first;
  log->lines = 0;
  log->bytes = 0;
  pthread_mutex_unlock(&log->mutex);
  return first;
}

static void write_all(roost_log *log) {
  for (queued *entry = take_all(log), *next; entry != NULL; entry = next) {
    next = entry->next;
    const char *text = (const char *)entry + ROOST_LOG_HEADER_BYTES;
    log->fn(log->ud, entry->level, roost_slice_of(text, entry->len));
    roost_alloc_put(log->alloc, entry, entry->cap);
  }
}

/* Written at once, past the queue, which may be full again: a notice that is lost would be counted
 * among what it tells of. */
static void tell_lost(roost_log *log, uint64_t dropped) {
  roost_log_line line;
  roost_log_begin(&line, log, ROOST_LOG_ERROR, ROOST_SLICE("log lines were lost"));
  roost_log_integer(&line, "lost", (int64_t)(dropped - log->told));
  if (line.log == NULL)
    return;
  roost_log_format_end(&line);
  if (line.status == 0) {
    log->fn(log->ud, line.level,
            roost_slice_of(line.text.ptr + ROOST_LOG_HEADER_BYTES,
                           line.text.len - ROOST_LOG_HEADER_BYTES));
    log->told = dropped;
  }
  roost_buffer_deinit(&line.text);
}

void roost_log_drain(roost_log *log) {
  write_all(log);
  const uint64_t dropped = roost_log_dropped(log);
  if (dropped != log->told)
    tell_lost(log, dropped);
}
