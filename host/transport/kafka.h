/*
 * transport/kafka.h - what a configuration says of a Kafka cluster, and the transport.
 *
 * Topics are the normalised patterns; a route that begins with ^ is a regular expression (POSIX,
 * extended) of topics. Requests, replies and events as WIRE.md has them: the value is the data, the
 * headers say the rest. Start reading at kafka.c for servers, kafka_client.c for clients; what
 * librdkafka is told is in kafka_options.c.
 * Constant; any thread.
 */
#ifndef ROOST_TRANSPORT_KAFKA_H
#define ROOST_TRANSPORT_KAFKA_H

#include "transport/kafka_settings.h"
#include "transport/transport.h"

/* Defaults are librdkafka's or the broker's where 0, NULL or -1 is said to be one. Times in ms,
 * sizes in bytes. */
typedef struct roost_kafka_options {
  roost_broker broker;            /* first; user and password of its URL are meant for SASL */
  const char *const *brokers;     /* HOST[:PORT], NULL-terminated; NULL: the URL's */
  const char *client_id;          /* before the postfix; NULL: "roost" */
  const char *group_id;           /* likewise: "roost-group" */
  const char *postfix_id;         /* NULL: "-server" or "-client" */
  const roost_tls_config *ssl;    /* as broker.tls */
  uint32_t sasl_mechanism;        /* index in roost_kafka_mechanisms */
  const char *sasl_username;      /* NULL: the URL's; none there: no SASL */
  const char *sasl_password;      /* likewise */
  uint64_t session_timeout;       /* of a group's member that says nothing; 0: default */
  uint64_t heartbeat_interval;    /* 0: default */
  uint64_t max_wait_time;         /* of a fetch that finds nothing; 0: ours */
  size_t max_bytes;               /* of one fetch; 0: ours */
  size_t max_bytes_per_partition; /* 0: default */
  uint64_t commit_interval;       /* 0: ours */
  bool topic_creation;            /* brokers are asked to make topics that are missing */
  bool idempotent;                /* the broker drops what a producer has sent twice */
  int32_t acks;                   /* how many brokers must have a record: 0, 1, or -1: all */
  uint32_t compression;           /* index in roost_kafka_compressions */
  uint64_t message_timeout;       /* until a record that can't be sent is given up; 0: ours */
  bool from_beginning;            /* where a group has no offset yet */
  bool producer_only_mode;        /* client: it only emits */
  const char *dead_letter;        /* topic; NULL: what fails is logged, and done with */
} roost_kafka_options;

/* Names, NULL-terminated. */
extern const char *const roost_kafka_mechanisms[];
extern const char *const roost_kafka_compressions[];

extern const roost_transport roost_kafka_transport;

/* A header of ours on the last record of a reply that is no value of its own: Nest's clients take
 * it for null, which ours then do not. */
#define ROOST_KAFKA_BARE_HEADER "kafka_roost-no-value"

/* For the transport's own files: what the two halves of a pair are told. status of either says
 * ENOMEM. */
void roost_kafka_producer_settings(roost_kafka_settings *settings,
                                   const roost_kafka_options *options, bool is_server,
                                   size_t max_send_bytes);
void roost_kafka_consumer_settings(roost_kafka_settings *settings,
                                   const roost_kafka_options *options, bool is_server,
                                   size_t max_message_bytes);

/* The wait before brokers are tried again, which librdkafka doubles itself. */
void roost_kafka_retry_settings(roost_kafka_settings *settings, uint64_t delay_ms);

int roost_kafka_server_open(roost_server **out, roost_loop *loop, const roost_server_config *config,
                            roost_log *log, const roost_sink_ops *sink, void *sink_ud,
                            const char **why);
int roost_kafka_client_new(roost_client **out, roost_loop *loop, const roost_client_config *config,
                           const roost_client_sink *sink, void *sink_ud);

#endif
