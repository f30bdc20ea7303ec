/*
 * wire/message.h - the decoded envelope: what a transport hands on and what a reply looks like.
 *
 * Every slice is borrowed from the frame it was read from and dies when the function it was given
 * to returns. Slices with ptr NULL stand for members that were missing.
 */
#ifndef ROOST_WIRE_MESSAGE_H
#define ROOST_WIRE_MESSAGE_H

#include "core/buffer.h"

/* How data is written. */
typedef enum roost_format {
  ROOST_FORMAT_JSON,  /* JSON text, not yet validated unless said */
  ROOST_FORMAT_PACKED /* values copied between two Lua states of this host */
} roost_format;

typedef struct roost_message {
  roost_format format;  /* of data */
  roost_slice pattern;  /* NOT validated: who resolves it does */
  roost_slice data;     /* NOT validated: who decodes it does, or who skips it */
  roost_slice id;       /* JSON text, validated; missing makes it an event */
  roost_slice metadata; /* JSON text, validated */
  roost_slice options;  /* of one that is sent: JSON text, an object; see client.lua */
  roost_slice confirm;  /* of an event that is sent to a client that confirms: as an id */
  /* The registered route that the message came by, where the transport knows (a broker's
   * subscription); missing: the pattern says it. */
  roost_slice route;
} roost_message;

/* A message that came as the answer to one of our requests. */
typedef struct roost_reply {
  roost_format format;  /* of response */
  roost_slice id;       /* JSON text, validated */
  roost_slice response; /* JSON text, validated; or packed */
  roost_slice err;      /* JSON text, validated; missing also where it was falsy */
  bool last;            /* isDisposed was truthy, or err is there */
  bool foreign;         /* not an envelope: the whole text is a value, and the last one */
} roost_reply;

/* What one reply frame carries. */
typedef enum roost_reply_kind {
  ROOST_REPLY_ITEM, /* a value, more to come */
  ROOST_REPLY_VOID, /* an item that is undefined, more to come */
  ROOST_REPLY_LAST, /* a value, the last */
  ROOST_REPLY_END,  /* no value, the end */
  ROOST_REPLY_ERROR /* an error, the end */
} roost_reply_kind;

/* Appends what an error that is no handler's own tells the caller, as Nest puts it:
 * {"status":"error","message":TEXT}. ENOMEM, EINVAL (text is not UTF-8). Any thread. */
int roost_message_write_error(roost_buffer *out, roost_slice text);

/* The text where the caller is to learn nothing more. */
#define ROOST_INTERNAL_ERROR "Internal server error"

static inline bool roost_message_is_event(const roost_message *message) {
  return message->id.ptr == NULL;
}

#endif
