/*
 * transport/rmq_codec_internal.h - for the files of the RabbitMQ codec alone.
 *
 * Pool: librabbitmq's memory for what it decodes, and for what is kept of a content until its body
 * is there; it is taken back as a whole. What librabbitmq decodes points into the frame it came in.
 */
#ifndef ROOST_TRANSPORT_RMQ_CODEC_INTERNAL_H
#define ROOST_TRANSPORT_RMQ_CODEC_INTERNAL_H

#include <amqp.h>
#include <amqp_framing.h>

#include "transport/rmq_codec.h"

#define ROOST_RMQ_FRAME_HEADER  7  /* type, channel, length */
#define ROOST_RMQ_FRAME_AROUND  8  /* that and the end mark */
#define ROOST_RMQ_TABLE_DEPTH   32 /* tables and arrays that nest in one another */
#define ROOST_RMQ_POOL_PAGE     4096
#define ROOST_RMQ_POOL_PAGES    16     /* kept for what comes next */
#define ROOST_RMQ_KEEP_BYTES    65536  /* of a buffer, for what comes next */
#define ROOST_RMQ_CLASS_CONTENT 0x003C /* "basic", whose methods have content */

/* How far a content has come. */
typedef enum roost_rmq_stage {
  ROOST_RMQ_NO_CONTENT,
  ROOST_RMQ_HEADER_NEXT,
  ROOST_RMQ_BODY_NEXT
} roost_rmq_stage;

struct roost_rmq_codec {
  const roost_alloc *alloc;
  size_t max_body;  /* bytes */
  size_t frame_max; /* of frames that are written */
  amqp_pool_t pool;
  amqp_pool_t tables;    /* of those being written; empty between calls */
  roost_buffer frame;    /* one that has not come whole, or the one last told of */
  roost_buffer headers;  /* text of those of the content */
  roost_buffer body;     /* of the content, where it takes several frames */
  roost_rmq_event event; /* of the content under way */
  roost_rmq_stage stage; /* of the content under way */
  uint64_t body_left;    /* bytes of its body still to come */
  roost_rmq_event *told; /* where the call of read that is running puts its event */
  const char *why;       /* of its failure */
  bool is_frame_done;    /* frame may be forgotten */
  bool is_body_done;     /* and body, headers and pool */
};

static inline roost_slice roost_rmq_slice(amqp_bytes_t bytes) {
  return (roost_slice){bytes.bytes, bytes.len};
}

/* librabbitmq reads only, but has no const. */
static inline amqp_bytes_t roost_rmq_bytes(roost_slice slice) {
  return (amqp_bytes_t){slice.len, (void *)(uintptr_t)slice.ptr};
}

/* What a failure of librabbitmq's is to us, where its input, or else ours, was wrong. */
static inline int roost_rmq_status(int status, int wrong) {
  return status == AMQP_STATUS_NO_MEMORY ? ROOST_ENOMEM : status < 0 ? wrong : 0;
}

/* Whether the table that encoded begins with, its length and all, stays in there and nests no
 * deeper than it may: librabbitmq's own recursion has no end. */
bool roost_rmq_table_is_sound(roost_slice encoded);

/* Appends the text of the JSON object that table is: texts that are not UTF-8 repaired, bytes as
 * Node prints a Buffer, times and decimals as amqplib gives them. ENOMEM. */
int roost_rmq_table_read(roost_buffer *out, const amqp_table_t *table);

/* Makes a table, in the pool, of the text of a JSON object; ptr NULL: an empty one. ENOMEM, EINVAL.
 */
int roost_rmq_table_make(amqp_table_t *table, amqp_pool_t *pool, roost_slice json);

#endif
