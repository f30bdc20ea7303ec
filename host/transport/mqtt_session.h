/*
 * transport/mqtt_session.h - a connection to an MQTT broker, from dialling to CONNACK and on: what
 * servers and clients of that transport share.
 *
 * Start reading at roost_mqtt_session_connect. Session: dialler, version, what the broker allows,
 * keep-alive, packet identifiers. Carry: bytes that were read but whose turn has not come: at most
 * ROOST_MQTT_PACKETS packets are handed on a turn, and none while the owner has blocked it. The
 * owner's, who is told by its ops and may close or deinit it in any of them. The loop's thread.
 */
#ifndef ROOST_TRANSPORT_MQTT_SESSION_H
#define ROOST_TRANSPORT_MQTT_SESSION_H

#include "transport/link.h"
#include "transport/mqtt.h"
#include "wire/mqtt.h"

#define ROOST_MQTT_PACKETS 64 /* handed on in a turn */

typedef struct roost_mqtt_session roost_mqtt_session;

typedef struct roost_mqtt_session_ops {
  /* The broker has taken us; present: it knows our session of before. */
  void (*on_up)(void *ud, bool present);
  void (*on_publish)(void *ud, const roost_mqtt_packet *packet);
  /* What answers a packet of ours, and PUBREL. */
  void (*on_answer)(void *ud, const roost_mqtt_packet *packet);
  void (*on_writable)(void *ud);
  /* As roost_link_ops.on_closed; ECONNECT also where the broker has refused us. */
  void (*on_down)(void *ud, int status, const char *why);
} roost_mqtt_session_ops;

typedef enum roost_mqtt_state {
  ROOST_MQTT_DOWN,
  ROOST_MQTT_DIALLING,
  ROOST_MQTT_GREETING, /* CONNECT is sent */
  ROOST_MQTT_UP,
  ROOST_MQTT_ENDING /* DISCONNECT is sent, and the broker has not closed yet */
} roost_mqtt_state;

typedef struct roost_mqtt_session_config {
  const roost_mqtt_options *options; /* borrowed */
  size_t max_buffer_size;            /* larger packets are not read */
  size_t max_send_buffer_size;       /* 0: no limit */
  uint16_t receive_maximum;          /* QoS 1 and 2 messages that we take at a time */
  roost_conn_counters *counters;     /* of bytes; borrowed; NULL: none */
} roost_mqtt_session_config;

struct roost_mqtt_session {
  roost_mqtt_session_config config;
  roost_dialer dialer;
  roost_loop *loop;
  const roost_mqtt_session_ops *ops; /* borrowed */
  void *ud;                          /* handed to ops */
  roost_mqtt_state state;
  uint8_t level;            /* spoken now, or next */
  char *client_id;          /* owned */
  roost_mqtt_limits limits; /* of the broker; its client_id is not to be used */
  roost_timer timer;        /* until CONNACK, then of the keep-alive */
  uint64_t interval_ms;     /* of the keep-alive; 0: none */
  bool heard;               /* something came since the last beat */
  bool sent;                /* something was sent since then */
  bool pinged;              /* a PINGREQ is not answered yet */
  bool blocked;             /* by the owner */
  bool is_broken;           /* something that had to be sent was not: it ends in a later turn */
  roost_buffer carry;
  size_t carried;         /* bytes of carry already taken */
  roost_loop_hook resume; /* goes on with what was carried over */
  uint16_t last_id;
  uint64_t *ids; /* a bit per packet identifier in use */
};

/* Nothing is connected yet. EINVAL: an option is no text; ENOMEM, ESYSTEM. */
int roost_mqtt_session_init(roost_mqtt_session *session, roost_loop *loop,
                            const roost_mqtt_session_config *config,
                            const roost_mqtt_session_ops *ops, void *ud);
void roost_mqtt_session_deinit(roost_mqtt_session *session);

/* on_up or on_down follows, in a later turn. ENOMEM, EINVAL: nothing follows. */
int roost_mqtt_session_connect(roost_mqtt_session *session);

/* Says DISCONNECT where it is up and lets go; what was handed over is still sent. No on_down
 * follows. */
void roost_mqtt_session_close(roost_mqtt_session *session);

/* The same in good order: what comes is read and thrown away until the broker has closed, since one
 * that cannot write what it has may not read what it was sent. on_down follows, soon and in a later
 * turn. False: it was not up, and nothing follows. */
bool roost_mqtt_session_end(roost_mqtt_session *session);

/* Ends the connection at once; on_down follows before it returns. */
void roost_mqtt_session_fail(roost_mqtt_session *session, int status, const char *why);

/* Where packets are appended while it is up, and to be called after that. */
roost_buffer *roost_mqtt_session_out(const roost_mqtt_session *session);
void roost_mqtt_session_sent(roost_mqtt_session *session);

/* Has what was written sent; where status is one, a packet that had to be written was not, and the
 * connection is ended in a later turn. */
void roost_mqtt_session_check(roost_mqtt_session *session, int status);

/* Keeps what comes from being handed on; and lets it, in a later turn. */
void roost_mqtt_session_block(roost_mqtt_session *session, bool blocked);

/* A packet identifier nobody uses; 0: all are in use. */
uint16_t roost_mqtt_session_take_id(roost_mqtt_session *session);
void roost_mqtt_session_give_id(roost_mqtt_session *session, uint16_t id);

#endif
