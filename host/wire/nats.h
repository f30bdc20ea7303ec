/*
 * wire/nats.h - what a NATS server sends to a client, read; and what a client sends, written.
 *
 * Operation: one line of the protocol (INFO, MSG, HMSG, PING, PONG, +OK, -ERR), for MSG and HMSG
 * with the bytes behind it. Subject: where a message is published to. Reply: the subject its
 * answer is wanted at. Sid: our number of the subscription it came by. Block: the header lines
 * of a message, from "NATS/1.0" to the empty line.
 * Start reading at roost_nats_read. Reading is resumable at any byte. An operation that lies whole
 * in the input is borrowed from it, without a copy; one that comes in pieces is gathered in the
 * reader's own buffer, which grows with what arrived, never by a size that was declared. What a
 * message has besides its payload: wire/nats_headers.h. One thread at a time; no I/O.
 */
#ifndef ROOST_WIRE_NATS_H
#define ROOST_WIRE_NATS_H

#include "core/buffer.h"

#define ROOST_NATS_LINE_MAX     65536 /* bytes of a line that a server sends; INFO's are long */
#define ROOST_NATS_SUBJECT_MAX  2048  /* of a subject we send: a server takes lines up to 4,096 */
#define ROOST_NATS_PAYLOAD_MAX  99999999 /* what a message's size has room for */
#define ROOST_NATS_NO_RESPONDER 503      /* status of the answer that says nobody is subscribed */

typedef enum roost_nats_kind {
  ROOST_NATS_INFO,
  ROOST_NATS_MESSAGE, /* MSG or HMSG */
  ROOST_NATS_PING,
  ROOST_NATS_PONG,
  ROOST_NATS_OK,
  ROOST_NATS_ERROR
} roost_nats_kind;

/* Slices are borrowed from the input or the reader, until its next call. */
typedef struct roost_nats_op {
  roost_nats_kind kind;
  uint64_t sid;        /* MESSAGE, as the rest but payload */
  roost_slice subject; /* not empty */
  roost_slice reply;   /* ptr NULL: no answer is wanted */
  roost_slice block;   /* ptr NULL: it has none */
  roost_slice payload; /* any bytes; of INFO its JSON text; of ERROR what stands in the quotes */
  uint64_t size;       /* of block and payload together */
  bool oversize;       /* over the reader's limit: block and payload were thrown away */
} roost_nats_op;

typedef struct roost_nats_reader {
  size_t max_bytes;  /* of a message's block and payload together; larger ones are thrown away */
  roost_buffer held; /* of the unfinished operation: its line with the newline, then the rest */
  size_t line_bytes; /* of the line that was read, with its newline; 0: it is not whole yet */
  uint64_t left;     /* bytes still missing after it */
  bool skips;        /* those are thrown away */
  bool delivered;    /* held is the operation last returned: forget it at the next read */
  int failure;       /* the negative return, given again by every later call */
  const char *error; /* fixed text of what was wrong, after a negative return */
} roost_nats_reader;

void roost_nats_reader_init(roost_nats_reader *reader, const roost_alloc *alloc, size_t max_bytes);
void roost_nats_reader_deinit(roost_nats_reader *reader);

/* Takes bytes from the front of *input until an operation is whole. Returns 1 and it; 0 when all
 * input is used up and more is needed; or an error after which the reader is done: EPROTO, EFULL
 * (a line over ROOST_NATS_LINE_MAX), ENOMEM. */
int roost_nats_read(roost_nats_reader *reader, roost_slice *input, roost_nats_op *op);

/* Bytes of memory the reader holds. */
size_t roost_nats_reader_memory(const roost_nats_reader *reader);

/* ------------------------------------------------------------------------- INFO -------------- */

/* Texts are borrowed from INFO's, as they stand between their quotes; ptr NULL: missing. */
typedef struct roost_nats_info {
  uint64_t max_payload; /* 0: not said */
  roost_slice version;  /* the server's */
  roost_slice nonce;    /* to be signed */
  roost_slice urls;     /* the JSON text of connect_urls; see roost_nats_info_url */
  bool headers;         /* it knows HPUB */
  bool jetstream;
  bool auth_required;
  bool tls_required;
  bool tls_available;
  bool lame_duck; /* it is about to go: connect to another */
} roost_nats_info;

/* Unknown members are passed over. EPROTO: not a JSON object, or a member of the wrong type. */
int roost_nats_info_read(roost_nats_info *info, roost_slice json);

/* Takes the next of info's urls, "HOST:PORT", from *urls; false at the end. */
bool roost_nats_info_url(roost_slice *urls, roost_slice *url);

/* ------------------------------------------------------------------------- writing ----------- */

/* Who we say we are. Texts with ptr NULL are left out. */
typedef struct roost_nats_connect {
  roost_slice name;
  roost_slice version; /* ours */
  roost_slice user;
  roost_slice pass;
  roost_slice token;
  roost_slice jwt;
  roost_slice nkey;      /* public key, where there is no jwt */
  roost_slice signature; /* of the nonce, base64url */
  bool tls;              /* the connection has TLS */
  bool no_echo;          /* what we publish need not come back to us */
} roost_nats_connect;

/* All writers append whole operations. ENOMEM, EINVAL (a text that is not UTF-8). */
int roost_nats_write_connect(roost_buffer *out, const roost_nats_connect *connect);

/* queue.len 0: none. The subject and the queue must be good, see below. */
int roost_nats_write_sub(roost_buffer *out, roost_slice subject, roost_slice queue, uint64_t sid);

/* After after messages more, counted from the SUB on; 0: now. */
int roost_nats_write_unsub(roost_buffer *out, uint64_t sid, uint64_t after);

int roost_nats_write_ping(roost_buffer *out);
int roost_nats_write_pong(roost_buffer *out);

/* Whether text may stand as a subject or a queue in a line: not empty, not too long, and without
 * white space or control characters. */
bool roost_nats_subject_good(roost_slice text);

/* A message written in place: begin; where has_block was said headers (wire/nats_headers.h), then
 * body; the payload appended; then end or undo. */
typedef struct roost_nats_mark {
  size_t at;      /* where the line starts */
  size_t sizes;   /* where its sizes stand, as many blanks until end */
  size_t content; /* where the line ends: block and payload begin */
  size_t payload; /* where the payload begins */
  bool has_block; /* HPUB */
} roost_nats_mark;

/* reply.ptr NULL: no answer is wanted. ENOMEM: nothing is appended. */
int roost_nats_pub_begin(roost_buffer *out, roost_nats_mark *mark, roost_slice subject,
                         roost_slice reply, bool has_block);

/* Ends the block. ENOMEM. */
int roost_nats_pub_body(roost_buffer *out, roost_nats_mark *mark);

/* Bytes of block and payload so far. */
static inline size_t roost_nats_pub_size(const roost_buffer *out, const roost_nats_mark *mark) {
  return out->len - mark->content;
}

/* With the message taken back: ENOMEM, EFULL (over ROOST_NATS_PAYLOAD_MAX). */
int roost_nats_pub_end(roost_buffer *out, const roost_nats_mark *mark);

/* Takes back everything since begin. */
void roost_nats_pub_undo(roost_buffer *out, const roost_nats_mark *mark);

#endif
