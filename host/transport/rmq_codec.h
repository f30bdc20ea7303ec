/*
 * transport/rmq_codec.h - AMQP 0-9-1 as RabbitMQ speaks it: bytes to events, methods to bytes.
 *
 * Start reading at roost_rmq_read. Frame: a type, a channel, a length, so many bytes, an end mark;
 * none is larger than frame_max. Method: one frame with a command or its answer. Content: what a
 * delivery or a returned message consists of, a method, a header with its properties, and its body
 * in as many frames as it takes; told of as one event. Table: AMQP's map, here the text of a JSON
 * object. librabbitmq encodes and decodes methods, properties and tables; frames are told apart
 * here, since what it has for that holds buffers of its own and trusts the lengths it is sent.
 * No I/O. One thread at a time.
 */
#ifndef ROOST_TRANSPORT_RMQ_CODEC_H
#define ROOST_TRANSPORT_RMQ_CODEC_H

#include "core/buffer.h"

#define ROOST_RMQ_FRAME_MIN 4096   /* which any peer takes */
#define ROOST_RMQ_FRAME_MAX 131072 /* which we take, and RabbitMQ's own default */
#define ROOST_RMQ_SHORT_MAX 255    /* bytes of a name, a key or a property */

typedef struct roost_rmq_codec roost_rmq_codec;

/* What the broker said. In brackets what the event holds of it. */
typedef enum roost_rmq_kind {
  ROOST_RMQ_HEARTBEAT,
  ROOST_RMQ_START,   /* it takes our protocol [text: mechanisms, separated by spaces] */
  ROOST_RMQ_SECURE,  /* it wants more than name and password */
  ROOST_RMQ_TUNE,    /* [channel_max, frame_max, heartbeat_s] */
  ROOST_RMQ_OPEN_OK, /* the connection is there */
  ROOST_RMQ_CLOSE,   /* it ends the connection [code, text] */
  ROOST_RMQ_CLOSE_OK,
  ROOST_RMQ_BLOCKED, /* it takes no messages for now [text: why] */
  ROOST_RMQ_UNBLOCKED,
  ROOST_RMQ_CHANNEL_OPEN_OK,
  ROOST_RMQ_CHANNEL_FLOW, /* [active] */
  ROOST_RMQ_CHANNEL_CLOSE,
  ROOST_RMQ_CHANNEL_CLOSE_OK,
  ROOST_RMQ_EXCHANGE_OK,
  ROOST_RMQ_QUEUE_OK, /* [text: its name] */
  ROOST_RMQ_BIND_OK,
  ROOST_RMQ_UNBIND_OK,
  ROOST_RMQ_QOS_OK,
  ROOST_RMQ_CONSUME_OK, /* [text: the consumer's tag] */
  ROOST_RMQ_CANCEL,     /* the broker ends a consumer, as where its queue is gone [text: tag] */
  ROOST_RMQ_CANCEL_OK,
  ROOST_RMQ_CONFIRM_OK, /* messages will be confirmed */
  ROOST_RMQ_ACK,        /* a message of ours is safe [tag, multiple] */
  ROOST_RMQ_NACK,       /* it is not [tag, multiple] */
  ROOST_RMQ_DELIVERY,   /* a message [tag, redelivered, content] */
  ROOST_RMQ_RETURNED,   /* one of ours that found no queue [code, text, content] */
  ROOST_RMQ_OTHER       /* nothing we asked for */
} roost_rmq_kind;

/* What stands beside a message's body. Texts whose ptr is NULL, and numbers that are 0 where not
 * said otherwise, are missing. */
typedef struct roost_rmq_properties {
  roost_slice content_type;
  roost_slice content_encoding;
  roost_slice headers; /* text of a JSON object */
  roost_slice correlation_id;
  roost_slice reply_to;
  roost_slice expiration; /* milliseconds, digits */
  roost_slice message_id;
  roost_slice type;
  roost_slice user_id;
  roost_slice app_id;
  uint64_t timestamp;    /* seconds since 1970 */
  uint8_t delivery_mode; /* 1: it lives in memory, 2: it outlives the broker */
  int16_t priority;      /* -1: missing */
} roost_rmq_properties;

typedef struct roost_rmq_content {
  roost_slice consumer_tag; /* of a delivery */
  roost_slice exchange;
  roost_slice routing_key;
  roost_rmq_properties properties;
  roost_slice body;
  bool is_too_large; /* the body is, and was thrown away */
} roost_rmq_content;

/* Its texts are borrowed until the next call of roost_rmq_read. */
typedef struct roost_rmq_event {
  roost_rmq_kind kind;
  uint16_t channel;
  uint16_t code; /* why it ends: 320 to 541 */
  uint16_t channel_max;
  uint16_t heartbeat_s;
  uint32_t frame_max;
  uint64_t tag;
  bool multiple; /* all messages up to that tag */
  bool redelivered;
  bool active;
  bool wants_answer; /* of CANCEL */
  roost_slice text;
  roost_rmq_content content;
} roost_rmq_event;

/* A codec of one connection, which takes bodies of up to max_body_bytes. ENOMEM. */
int roost_rmq_codec_new(roost_rmq_codec **out, const roost_alloc *alloc, size_t max_body_bytes);
void roost_rmq_codec_free(roost_rmq_codec *codec);

/* Takes bytes from the front of *input. 1: an event; 0: all was taken, more is needed; EPROTO
 * (*why is a fixed text) or ENOMEM: the connection is to be ended. */
int roost_rmq_read(roost_rmq_codec *codec, roost_slice *input, roost_rmq_event *event,
                   const char **why);

/* Frames that are written are no larger, from now on; 4096 until then. The reader takes any up to
 * ROOST_RMQ_FRAME_MAX. */
void roost_rmq_set_frame_max(roost_rmq_codec *codec, size_t bytes);

/* Bytes of memory it holds, librabbitmq's own small ones aside. */
size_t roost_rmq_codec_memory(const roost_rmq_codec *codec);

/* The writers append whole frames to out. ENOMEM; EINVAL: a name is longer than 255 bytes, a table
 * is not the text of an object or nests deeper than 32, or the method is larger than a frame may
 * be; nothing was appended then. */

/* The eight bytes a connection begins with. */
int roost_rmq_write_protocol(roost_buffer *out);
int roost_rmq_write_heartbeat(roost_buffer *out);

/* Name and password by SASL PLAIN; name is what the broker's pages show the connection as. */
int roost_rmq_write_start_ok(roost_rmq_codec *codec, roost_buffer *out, roost_slice user,
                             roost_slice password, roost_slice name);
int roost_rmq_write_tune_ok(roost_rmq_codec *codec, roost_buffer *out, uint16_t channel_max,
                            uint32_t frame_max, uint16_t heartbeat_s);
int roost_rmq_write_open(roost_rmq_codec *codec, roost_buffer *out, roost_slice vhost);
int roost_rmq_write_close(roost_rmq_codec *codec, roost_buffer *out, uint16_t code,
                          roost_slice text);
int roost_rmq_write_close_ok(roost_rmq_codec *codec, roost_buffer *out);

int roost_rmq_write_channel_open(roost_rmq_codec *codec, roost_buffer *out, uint16_t channel);
int roost_rmq_write_channel_close(roost_rmq_codec *codec, roost_buffer *out, uint16_t channel);
int roost_rmq_write_channel_close_ok(roost_rmq_codec *codec, roost_buffer *out, uint16_t channel);
int roost_rmq_write_flow_ok(roost_rmq_codec *codec, roost_buffer *out, uint16_t channel,
                            bool active);
int roost_rmq_write_confirm_select(roost_rmq_codec *codec, roost_buffer *out, uint16_t channel);

/* What an exchange or a queue is declared as. */
typedef struct roost_rmq_declare {
  roost_slice name;
  roost_slice type; /* of an exchange */
  bool passive;     /* it must be there already */
  bool durable;
  bool exclusive; /* of a queue: for this connection alone */
  bool auto_delete;
  roost_slice arguments; /* a table; NULL: none */
} roost_rmq_declare;

int roost_rmq_write_exchange_declare(roost_rmq_codec *codec, roost_buffer *out, uint16_t channel,
                                     const roost_rmq_declare *exchange);
int roost_rmq_write_queue_declare(roost_rmq_codec *codec, roost_buffer *out, uint16_t channel,
                                  const roost_rmq_declare *queue);
int roost_rmq_write_bind(roost_rmq_codec *codec, roost_buffer *out, uint16_t channel,
                         roost_slice queue, roost_slice exchange, roost_slice key);
int roost_rmq_write_unbind(roost_rmq_codec *codec, roost_buffer *out, uint16_t channel,
                           roost_slice queue, roost_slice exchange, roost_slice key);

/* At most so many messages unacknowledged per consumer (all: of the channel); 0: no limit. */
int roost_rmq_write_qos(roost_rmq_codec *codec, roost_buffer *out, uint16_t channel, uint16_t count,
                        bool all);
int roost_rmq_write_consume(roost_rmq_codec *codec, roost_buffer *out, uint16_t channel,
                            roost_slice queue, roost_slice tag, bool no_ack, bool exclusive);
int roost_rmq_write_cancel(roost_rmq_codec *codec, roost_buffer *out, uint16_t channel,
                           roost_slice tag);
int roost_rmq_write_cancel_ok(roost_rmq_codec *codec, roost_buffer *out, uint16_t channel,
                              roost_slice tag);
int roost_rmq_write_ack(roost_rmq_codec *codec, roost_buffer *out, uint16_t channel, uint64_t tag,
                        bool multiple);
int roost_rmq_write_nack(roost_rmq_codec *codec, roost_buffer *out, uint16_t channel, uint64_t tag,
                         bool requeue);

/* Where a message goes. */
typedef struct roost_rmq_target {
  roost_slice exchange;    /* "": the default one, whose keys are queues' names */
  roost_slice routing_key; /* or the queue */
  bool mandatory;          /* it comes back where no queue takes it */
} roost_rmq_target;

/* A message: its method, its header, and its body in frames of at most frame_max. */
int roost_rmq_write_publish(roost_rmq_codec *codec, roost_buffer *out, uint16_t channel,
                            const roost_rmq_target *target, const roost_rmq_properties *properties,
                            roost_slice body);

#endif
