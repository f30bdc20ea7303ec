/*
 * wire/mqtt.h - the packets of an MQTT client, versions 3.1.1 and 5: those a broker sends are read,
 * those a client sends are written.
 *
 * Level: the number that CONNECT has for the version, 4 (3.1.1) or 5. Remaining length: of a packet
 * without its first byte and this number itself. QoS: 0 at most once, 1 at least once (PUBACK), 2
 * exactly once (PUBREC, PUBREL, PUBCOMP). Reason: one byte that says how something went, 0x80 and
 * above that it failed; level 4 has it in CONNACK and SUBACK only. Property: a named value of a
 * packet, level 5. Topic: where a message goes; filter: what is subscribed to, with the wildcards +
 * and #, or "$share/GROUP/FILTER" for one of many.
 * Start reading at roost_mqtt_read. Reading is strict: what a broker must not send is an error, and
 * resumable at any byte. A packet that lies whole in the input is borrowed from it; one that comes
 * in pieces is gathered in the reader's own buffer, which grows with what arrived. A writer that
 * fails leaves out as it was. No I/O; one thread at a time.
 */
#ifndef ROOST_WIRE_MQTT_H
#define ROOST_WIRE_MQTT_H

#include "core/buffer.h"

#define ROOST_MQTT_REMAINING_MAX 268435455u
#define ROOST_MQTT_STRING_MAX    65535u
#define ROOST_MQTT_NUMBER_MAX    268435455u

/* Packets by the number they have on the wire. */
typedef enum roost_mqtt_type {
  ROOST_MQTT_CONNECT = 1,
  ROOST_MQTT_CONNACK,
  ROOST_MQTT_PUBLISH,
  ROOST_MQTT_PUBACK,
  ROOST_MQTT_PUBREC,
  ROOST_MQTT_PUBREL,
  ROOST_MQTT_PUBCOMP,
  ROOST_MQTT_SUBSCRIBE,
  ROOST_MQTT_SUBACK,
  ROOST_MQTT_UNSUBSCRIBE,
  ROOST_MQTT_UNSUBACK,
  ROOST_MQTT_PINGREQ,
  ROOST_MQTT_PINGRESP,
  ROOST_MQTT_DISCONNECT,
  ROOST_MQTT_AUTH
} roost_mqtt_type;

/* The properties that somebody here asks for, by their number on the wire. */
typedef enum roost_mqtt_property_id {
  ROOST_MQTT_RESPONSE_TOPIC = 8,
  ROOST_MQTT_SUBSCRIPTION = 11, /* its identifier */
  ROOST_MQTT_SESSION_EXPIRY = 17,
  ROOST_MQTT_CLIENT_ID = 18,
  ROOST_MQTT_SERVER_KEEP_ALIVE = 19,
  ROOST_MQTT_REASON_STRING = 31,
  ROOST_MQTT_RECEIVE_MAXIMUM = 33,
  ROOST_MQTT_TOPIC_ALIAS = 35,
  ROOST_MQTT_MAXIMUM_QOS = 36,
  ROOST_MQTT_RETAIN_AVAILABLE = 37,
  ROOST_MQTT_USER_PROPERTY = 38,
  ROOST_MQTT_MAXIMUM_PACKET_SIZE = 39,
  ROOST_MQTT_WILDCARD_AVAILABLE = 40,
  ROOST_MQTT_IDENTIFIERS_AVAILABLE = 41,
  ROOST_MQTT_SHARED_AVAILABLE = 42
} roost_mqtt_property_id;

typedef struct roost_mqtt_property {
  uint8_t id;
  uint32_t number;   /* of those that are numbers */
  roost_slice text;  /* a text or bytes; of a user property its name */
  roost_slice value; /* of a user property */
} roost_mqtt_property;

/* A packet that was read. Slices are borrowed until the next read; members that the packet does not
 * have are 0 or empty with ptr NULL. */
typedef struct roost_mqtt_packet {
  roost_mqtt_type type;
  bool dup;               /* PUBLISH: may have been sent before */
  bool retain;            /* PUBLISH: the broker had kept it */
  bool session_present;   /* CONNACK: the broker still knows our subscriptions */
  bool too_large;         /* PUBLISH over the reader's limit: neither properties nor payload */
  uint8_t qos;            /* PUBLISH */
  uint8_t reason;         /* CONNACK, the PUBLISH answers, DISCONNECT, AUTH */
  uint16_t id;            /* of the PUBLISH (0 at QoS 0), SUBSCRIBE or UNSUBSCRIBE it is about */
  roost_slice topic;      /* PUBLISH */
  roost_slice payload;    /* PUBLISH */
  roost_slice reasons;    /* SUBACK and UNSUBACK at level 5: a byte per filter, in their order */
  roost_slice properties; /* validated, for roost_mqtt_property_next */
} roost_mqtt_packet;

/* ------------------------------------------------------------------------- reading ----------- */

typedef struct roost_mqtt_reader {
  uint8_t level;     /* 4 or 5; may be changed between packets */
  bool has_head;     /* first byte and remaining length were read */
  bool delivered;    /* held is the packet last returned: forget it at the next read */
  bool too_large;    /* a PUBLISH over max_bytes: only topic and id are gathered */
  uint8_t head[5];   /* of the unfinished packet */
  uint8_t head_len;  /* bytes of it */
  uint32_t want;     /* bytes of the body that are to be gathered */
  uint32_t skip;     /* bytes to be thrown away before the next packet */
  size_t max_bytes;  /* larger remaining lengths are refused; of a PUBLISH, only its head is read */
  roost_buffer held; /* the unfinished body */
  int failure;       /* the negative return, given again by every later call */
  const char *error; /* fixed text of what was wrong, after a negative return */
} roost_mqtt_reader;

/* alloc is borrowed and outlives the reader. */
void roost_mqtt_reader_init(roost_mqtt_reader *reader, const roost_alloc *alloc, uint8_t level,
                            size_t max_bytes);
void roost_mqtt_reader_deinit(roost_mqtt_reader *reader);

/* Takes bytes from the front of *input until a packet is whole.
 * Returns 1 and the packet; 0 when all input is used up and more is needed; or an error after which
 * the reader is done: EPROTO (not a packet that a broker may send), EFULL (over max_bytes, and not
 * a PUBLISH), ENOMEM. */
int roost_mqtt_read(roost_mqtt_reader *reader, roost_slice *input, roost_mqtt_packet *packet);

/* Bytes of memory the reader holds. */
size_t roost_mqtt_reader_memory(const roost_mqtt_reader *reader);

/* Takes the first property off *rest, which began as a packet's properties; false at their end. */
bool roost_mqtt_property_next(roost_slice *rest, roost_mqtt_property *property);

/* Finds the first property of that kind; false where the packet has none. */
bool roost_mqtt_property_find(const roost_mqtt_packet *packet, roost_mqtt_property_id id,
                              roost_mqtt_property *property);

/* What a broker allows, by its CONNACK; where that is silent, what the protocol says. */
typedef struct roost_mqtt_limits {
  uint16_t receive_maximum;     /* of our QoS 1 and 2 messages it has not answered */
  uint32_t maximum_packet_size; /* whole packets, the first bytes counted */
  uint8_t maximum_qos;
  bool retain_available;
  bool wildcard_available;
  bool shared_available;
  bool identifiers_available; /* of subscriptions */
  bool has_keep_alive;        /* keep_alive_s is to be used instead of ours */
  uint16_t keep_alive_s;
  roost_slice client_id; /* given to us; borrowed from the packet, ptr NULL: ours is used */
} roost_mqtt_limits;

void roost_mqtt_limits_read(roost_mqtt_limits *limits, const roost_mqtt_packet *connack);

/* What a reason means, of CONNACK where is_connack (level 4 has its own numbers there, and a broker
 * of before level 5 refuses that with one of them). */
const char *roost_mqtt_reason_text(uint8_t level, bool is_connack, uint8_t reason);

/* ------------------------------------------------------------------------- writing ----------- */

/* What CONNECT says. Texts that are absent have ptr NULL. */
typedef struct roost_mqtt_connect {
  uint8_t level;
  bool clean;            /* the broker forgets an earlier session; at level 5 also later */
  uint16_t keep_alive_s; /* 0: none */
  roost_slice client_id; /* empty: the broker makes one */
  roost_slice username;
  roost_slice password;
  uint32_t session_expiry_s;    /* level 5, where not clean; UINT32_MAX: never */
  uint16_t receive_maximum;     /* level 5; 0: says nothing */
  uint32_t maximum_packet_size; /* level 5; 0: says nothing */
} roost_mqtt_connect;

/* EINVAL: a text is too long or not UTF-8; ENOMEM. */
int roost_mqtt_write_connect(roost_buffer *out, const roost_mqtt_connect *connect);

/* One filter of a SUBSCRIBE. */
typedef struct roost_mqtt_subscription {
  roost_slice filter;
  uint8_t qos;
  bool no_local; /* level 5, not for shared ones: what this connection publishes isn't sent to it */
} roost_mqtt_subscription;

/* id is not 0, count at least 1, filters are valid. identifier: at level 5 it comes with what is
 * published to these filters; 0: none. EINVAL: too long altogether; ENOMEM. */
int roost_mqtt_write_subscribe(roost_buffer *out, uint8_t level, uint16_t id, uint32_t identifier,
                               const roost_mqtt_subscription *subscriptions, size_t count);
int roost_mqtt_write_unsubscribe(roost_buffer *out, uint8_t level, uint16_t id,
                                 const roost_slice *filters, size_t count);

/* PUBACK, PUBREC, PUBREL or PUBCOMP; the reason is said at level 5, where it is not 0. ENOMEM. */
int roost_mqtt_write_answer(roost_buffer *out, uint8_t level, roost_mqtt_type type, uint16_t id,
                            uint8_t reason);

/* PINGREQ. ENOMEM. */
int roost_mqtt_write_ping(roost_buffer *out);

/* DISCONNECT; the reason as above. ENOMEM. */
int roost_mqtt_write_disconnect(roost_buffer *out, uint8_t level, uint8_t reason);

/* Appends a user property for roost_mqtt_publish.properties. EINVAL: too long or not UTF-8; ENOMEM.
 */
int roost_mqtt_put_user_property(roost_buffer *properties, roost_slice name, roost_slice value);

/* Head of a PUBLISH that is written. */
typedef struct roost_mqtt_publish {
  bool dup;
  bool retain;
  uint8_t qos;
  uint16_t id;            /* not 0 where qos > 0 */
  roost_slice topic;      /* valid */
  roost_slice properties; /* level 5: what roost_mqtt_put_user_property made, or empty */
} roost_mqtt_publish;

typedef struct roost_mqtt_mark {
  size_t at;     /* where the packet starts */
  unsigned head; /* bytes reserved for its first byte and its remaining length */
  uint8_t first; /* that first byte */
} roost_mqtt_mark;

/* Writing in place: begin writes the head, the caller appends the payload, end writes the length
 * and moves the packet where the guess of that length's bytes (1 to 4) was wrong. end returns the
 * bytes used, or with the packet taken back EFULL (longer than max_bytes as a whole, 0: than the
 * protocol can say) or ENOMEM. begin: EINVAL (too long), ENOMEM. */
int roost_mqtt_publish_begin(roost_buffer *out, roost_mqtt_mark *mark, uint8_t level,
                             const roost_mqtt_publish *publish, unsigned length_bytes);
int roost_mqtt_publish_end(roost_buffer *out, const roost_mqtt_mark *mark, size_t max_bytes);

/* Takes back everything since begin. */
void roost_mqtt_publish_undo(roost_buffer *out, const roost_mqtt_mark *mark);

/* ------------------------------------------------------------------------- topics ------------ */

/* UTF-8 of 1 to 65,535 bytes without NUL; a topic has no wildcard, a filter has them as whole
 * levels and # only as the last, "$share/" is followed by a group and a filter. */
bool roost_mqtt_topic_is_valid(roost_slice topic);
bool roost_mqtt_filter_is_valid(roost_slice filter);

/* A filter without "$share/GROUP/"; what has none of that is itself. */
roost_slice roost_mqtt_filter_unshared(roost_slice filter);
bool roost_mqtt_filter_is_shared(roost_slice filter);

/* Whether a level is + or #. */
bool roost_mqtt_filter_is_wildcard(roost_slice filter);

/* Nest's rules for finding the handler of a topic, "$share/GROUP/" aside: + is one level that is
 * not empty, # all that follow, or none. */
bool roost_mqtt_filter_matches(roost_slice filter, roost_slice topic);

#endif
