/*
 * wire/nats_headers.h - a NATS message's header lines, and the JSON object they are for handlers.
 *
 * Block: "NATS/1.0", where the server answers in somebody's place a status after it (" 503"),
 * the lines "Name: value", an empty line; each ends with CR LF. As JSON an object of texts, in
 * the order of the lines; a name that comes several times has a list of them.
 * No I/O; any thread.
 */
#ifndef ROOST_WIRE_NATS_HEADERS_H
#define ROOST_WIRE_NATS_HEADERS_H

#include "core/buffer.h"

#define ROOST_NATS_HEADERS_MAX 256 /* lines that a message may have */

typedef struct roost_nats_headers {
  unsigned status;    /* 0: none */
  roost_slice reason; /* after it; may be empty */
  roost_slice lines;  /* not read yet */
} roost_nats_headers;

/* Begins to read. EPROTO: not a block. */
int roost_nats_headers_open(roost_nats_headers *headers, roost_slice block);

/* The next line, borrowed; false at the end. What has no colon is passed over. */
bool roost_nats_headers_next(roost_nats_headers *headers, roost_slice *name, roost_slice *value);

/* The first value of that name, in letters as sent; ptr NULL where there is none. */
roost_slice roost_nats_header(roost_slice block, roost_slice name);

/* Appends the object; what is not UTF-8 is repaired. EPROTO: not a block, or too many lines;
 * ENOMEM. Nothing is appended then. */
int roost_nats_headers_to_json(roost_buffer *out, roost_slice block);

/* Appends the line. EINVAL: name or value can't stand in one; ENOMEM. */
int roost_nats_headers_write(roost_buffer *out, roost_slice name, roost_slice value);

/* Appends lines for the members of a JSON object: texts as they are, other values as their JSON
 * text, lists one line each, null none. Members that except, an object too, has are left out
 * (ptr NULL: there is none). EPROTO: not an object; EINVAL: a name or a value can't stand in a
 * header, and *why (fixed) says which; ENOMEM. */
int roost_nats_headers_from_json(roost_buffer *out, roost_slice json, roost_slice except,
                                 const char **why);

#endif
