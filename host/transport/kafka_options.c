/* What librdkafka is told: names and values are its own (its CONFIGURATION.md). */
#include <stdio.h>
#include <string.h>

#include "core/slice.h"
#include "transport/kafka.h"

const char *const roost_kafka_mechanisms[] = {"plain", "scram-sha-256", "scram-sha-512", NULL};
const char *const roost_kafka_compressions[] = {"none", "gzip", "snappy", "lz4", "zstd", NULL};

#define COMMIT_MS       250
#define WAIT_MS         100
#define FETCH_BYTES     10485760
#define MESSAGE_MS      30000
#define RECONNECT_MS    2000    /* at most, between two attempts */
#define LONGEST_DELAY   3600000 /* as librdkafka has it */
#define METADATA_MS     10000   /* until new topics and partitions are noticed */
#define PREFETCH_KBYTES "16384" /* records fetched before they are wanted */
#define SMALLEST_QUEUE  1048576 /* librdkafka takes no less */
#define LARGEST_MESSAGE 1000000000

/* ------------------------------------------------------------------------- where, and who ---- */

static bool has_port(const char *place) {
  const char *colon = strrchr(place, ':');
  return colon != NULL && strchr(colon, ']') == NULL;
}

static void add_place(roost_buffer *list, roost_kafka_settings *settings, const char *host,
                      unsigned port) {
  const char *before = list->len > 0 ? "," : "";
  const bool is_ipv6 = strchr(host, ':') != NULL && host[0] != '[';
  const int status =
      port == 0 ? roost_buffer_printf(list, "%s%s%s", before, host, has_port(host) ? "" : ":9092")
                : roost_buffer_printf(list, is_ipv6 ? "%s[%s]:%u" : "%s%s:%u", before, host, port);
  if (status != 0)
    settings->status = status;
}

static void set_brokers(roost_kafka_settings *settings, const roost_kafka_options *options) {
  roost_buffer list;
  roost_buffer_init(&list, settings->text.alloc);
  for (size_t i = 0; options->brokers != NULL && options->brokers[i] != NULL; i++)
    add_place(&list, settings, options->brokers[i], 0);
  if (list.len == 0) {
    add_place(&list, settings, options->broker.endpoint.host, options->broker.endpoint.port);
    for (size_t i = 0; i < options->broker.other_count; i++)
      add_place(&list, settings, options->broker.others[i].host, options->broker.others[i].port);
  }
  roost_kafka_settings_add(settings, "bootstrap.servers", roost_buffer_slice(&list));
  roost_buffer_deinit(&list);
}

/* An id with what keeps servers and clients of one name apart. */
static void set_id(roost_kafka_settings *settings, const char *name, const char *id,
                   const char *postfix, bool is_server) {
  char text[512];
  if (postfix == NULL)
    postfix = is_server ? "-server" : "-client";
  snprintf(text, sizeof text, "%s%s", id, postfix);
  roost_kafka_settings_text(settings, name, text);
}

/* ------------------------------------------------------------------------- TLS and SASL ------ */

static void set_pem(roost_kafka_settings *settings, const char *name, const char *dir,
                    const char *value) {
  char key[64];
  char path[4096];
  if (strstr(value, "-----BEGIN") != NULL) {
    snprintf(key, sizeof key, "%s.pem", name);
    roost_kafka_settings_text(settings, key, value);
    return;
  }
  snprintf(key, sizeof key, "%s.location", name);
  if (dir != NULL && value[0] != '/')
    snprintf(path, sizeof path, "%s/%s", dir, value);
  else
    snprintf(path, sizeof path, "%s", value);
  roost_kafka_settings_text(settings, key, path);
}

static void set_tls(roost_kafka_settings *settings, const roost_tls_config *tls) {
  if (tls->ca != NULL && tls->ca[0] != NULL)
    set_pem(settings, "ssl.ca", tls->dir, tls->ca[0]);
  if (tls->cert != NULL)
    set_pem(settings, "ssl.certificate", tls->dir, tls->cert);
  if (tls->key != NULL)
    set_pem(settings, "ssl.key", tls->dir, tls->key);
  if (tls->passphrase != NULL)
    roost_kafka_settings_text(settings, "ssl.key.password", tls->passphrase);
  if (tls->ciphers != NULL)
    roost_kafka_settings_text(settings, "ssl.cipher.suites", tls->ciphers);
  roost_kafka_settings_text(settings, "enable.ssl.certificate.verification",
                            tls->insecure ? "false" : "true");
  roost_kafka_settings_text(settings, "ssl.endpoint.identification.algorithm",
                            tls->insecure ? "none" : "https");
}

static void set_security(roost_kafka_settings *settings, const roost_kafka_options *options) {
  static const char *const sasl_names[] = {"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"};
  const roost_tls_config *tls = options->ssl != NULL ? options->ssl : options->broker.tls;
  const char *user = options->sasl_username != NULL ? options->sasl_username : options->broker.user;
  const char *password =
      options->sasl_password != NULL ? options->sasl_password : options->broker.password;
  roost_kafka_settings_text(settings, "security.protocol",
                            user != NULL ? (tls != NULL ? "sasl_ssl" : "sasl_plaintext")
                                         : (tls != NULL ? "ssl" : "plaintext"));
  if (tls != NULL)
    set_tls(settings, tls);
  if (user == NULL)
    return;
  roost_kafka_settings_text(settings, "sasl.mechanisms", sasl_names[options->sasl_mechanism]);
  roost_kafka_settings_text(settings, "sasl.username", user);
  roost_kafka_settings_text(settings, "sasl.password", password != NULL ? password : "");
}

/* ------------------------------------------------------------------------- both halves ------- */

static void set_common(roost_kafka_settings *settings, const roost_kafka_options *options,
                       bool is_server) {
  set_brokers(settings, options);
  set_id(settings, "client.id", options->client_id != NULL ? options->client_id : "roost",
         options->postfix_id, is_server);
  set_security(settings, options);
  roost_kafka_settings_integer(settings, "reconnect.backoff.max.ms", RECONNECT_MS);
  roost_kafka_settings_integer(settings, "topic.metadata.refresh.interval.ms", METADATA_MS);
  roost_kafka_settings_text(settings, "socket.keepalive.enable", "true");
  roost_kafka_settings_text(settings, "socket.nagle.disable", "true");
  roost_kafka_settings_text(settings, "allow.auto.create.topics",
                            options->topic_creation ? "true" : "false");
}

static int64_t at_least(size_t value, int64_t least) {
  return value > (size_t)least ? (int64_t)value : least;
}

static int64_t at_most(int64_t value, int64_t most) {
  return value < most ? value : most;
}

void roost_kafka_producer_settings(roost_kafka_settings *settings,
                                   const roost_kafka_options *options, bool is_server,
                                   size_t max_send_bytes) {
  set_common(settings, options, is_server);
  roost_kafka_settings_text(settings, "linger.ms", "0");
  roost_kafka_settings_text(settings, "sticky.partitioning.linger.ms", "0");
  roost_kafka_settings_text(settings, "partitioner", "murmur2_random"); /* as kafkajs and Java */
  roost_kafka_settings_integer(settings, "message.timeout.ms",
                               options->message_timeout > 0 ? (int64_t)options->message_timeout
                                                            : MESSAGE_MS);
  roost_kafka_settings_integer(settings, "request.required.acks", options->acks);
  roost_kafka_settings_text(settings, "compression.type",
                            roost_kafka_compressions[options->compression]);
  if (options->idempotent)
    roost_kafka_settings_text(settings, "enable.idempotence", "true");
  if (max_send_bytes == 0)
    return;
  const int64_t bytes = at_least(max_send_bytes, SMALLEST_QUEUE);
  roost_kafka_settings_integer(settings, "queue.buffering.max.kbytes",
                               at_most(bytes / 1024, INT32_MAX));
  roost_kafka_settings_integer(settings, "message.max.bytes", at_most(bytes, LARGEST_MESSAGE));
}

static void set_times(roost_kafka_settings *settings, const roost_kafka_options *options) {
  if (options->session_timeout > 0)
    roost_kafka_settings_integer(settings, "session.timeout.ms", (int64_t)options->session_timeout);
  if (options->heartbeat_interval > 0)
    roost_kafka_settings_integer(settings, "heartbeat.interval.ms",
                                 (int64_t)options->heartbeat_interval);
  roost_kafka_settings_integer(settings, "fetch.wait.max.ms",
                               options->max_wait_time > 0 ? (int64_t)options->max_wait_time
                                                          : WAIT_MS);
  roost_kafka_settings_integer(settings, "auto.commit.interval.ms",
                               options->commit_interval > 0 ? (int64_t)options->commit_interval
                                                            : COMMIT_MS);
}

void roost_kafka_consumer_settings(roost_kafka_settings *settings,
                                   const roost_kafka_options *options, bool is_server,
                                   size_t max_message_bytes) {
  const int64_t fetch = options->max_bytes > 0 ? (int64_t)options->max_bytes : FETCH_BYTES;
  const int64_t largest = at_least(max_message_bytes, fetch) + 1024;
  set_common(settings, options, is_server);
  set_id(settings, "group.id", options->group_id != NULL ? options->group_id : "roost-group",
         options->postfix_id, is_server);
  set_times(settings, options);
  roost_kafka_settings_integer(settings, "fetch.max.bytes", fetch);
  roost_kafka_settings_integer(settings, "receive.message.max.bytes", at_most(largest, INT32_MAX));
  if (options->max_bytes_per_partition > 0)
    roost_kafka_settings_integer(settings, "fetch.message.max.bytes",
                                 at_most((int64_t)options->max_bytes_per_partition, fetch));
  roost_kafka_settings_text(settings, "queued.max.messages.kbytes", PREFETCH_KBYTES);
  roost_kafka_settings_text(settings, "fetch.error.backoff.ms", "100");
  roost_kafka_settings_text(settings, "partition.assignment.strategy", "roundrobin,range");
  roost_kafka_settings_text(settings, "auto.offset.reset",
                            is_server && options->from_beginning ? "earliest" : "latest");
  roost_kafka_settings_text(settings, "enable.partition.eof", "true");
  roost_kafka_settings_text(settings, "enable.auto.offset.store", "false");
}

void roost_kafka_retry_settings(roost_kafka_settings *settings, uint64_t delay_ms) {
  const int64_t delay = delay_ms < LONGEST_DELAY ? (int64_t)delay_ms : LONGEST_DELAY;
  roost_kafka_settings_integer(settings, "reconnect.backoff.ms", delay);
  if (delay > RECONNECT_MS)
    roost_kafka_settings_integer(settings, "reconnect.backoff.max.ms", delay);
}
