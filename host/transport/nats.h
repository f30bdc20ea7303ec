/*
 * transport/nats.h - what an entry of the configuration says of a NATS server or a client of one.
 * Filled by config/nats.c; texts are owned by the configuration.
 */
#ifndef ROOST_TRANSPORT_NATS_H
#define ROOST_TRANSPORT_NATS_H

#include "transport/transport.h"

typedef struct roost_nats_options {
  roost_broker broker;      /* first: a roost_nats_options is a roost_broker */
  const char *queue;        /* group of all its subscriptions; NULL: none */
  const char *headers;      /* client: of whatever is sent, a JSON object; NULL: none */
  const char *user;         /* NULL: the URL's */
  const char *pass;         /* likewise */
  const char *token;        /* NULL: none */
  const char *creds;        /* a file's path, or its text; NULL: none */
  const char *dir;          /* a relative path starts here; NULL: where the process is */
  const char *inbox_prefix; /* replies come to subjects that begin so; NULL: "_INBOX" */
  bool graceful_shutdown;   /* server: a drain waits for what runs for grace_period_ms at most */
  uint64_t grace_period_ms;
  const char *durable;  /* server: events are kept in a stream for this name; NULL: they aren't */
  uint64_t ack_wait_ms; /* without a sign of life, before an event is given to another host */
  unsigned max_deliver; /* times that an event is tried */
  const char *dead_letter; /* subject of those that have failed so often; NULL: the log */
} roost_nats_options;

/* Whether text can be a subject, a queue or the start of an inbox. Any thread. */
bool roost_nats_text_good(const char *text);

/* What is wrong with headers, a JSON object; a fixed text, or NULL. Any thread. */
const char *roost_nats_headers_problem(const char *json, const roost_alloc *alloc);

#endif
