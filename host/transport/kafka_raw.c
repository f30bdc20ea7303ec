/* Records of a pair: what came, and what is sent. */
#include "core/slice.h"
#include "transport/kafka_pair_internal.h"

/* ------------------------------------------------------------------------- what came --------- */

void roost_kafka_raw_free(roost_kafka_raw *raw) {
  if (raw != NULL)
    rd_kafka_message_destroy(raw);
}

size_t roost_kafka_raw_bytes(const roost_kafka_raw *raw) {
  return raw->len + raw->key_len;
}

roost_kafka_place roost_kafka_raw_place(const roost_kafka_raw *raw) {
  return (roost_kafka_place){rd_kafka_topic_name(raw->rkt), raw->partition, raw->offset};
}

static roost_slice bytes_of(const void *ptr, size_t len) {
  return roost_slice_of(ptr, ptr != NULL ? len : 0);
}

roost_slice roost_kafka_raw_value(const roost_kafka_raw *raw) {
  return bytes_of(raw->payload, raw->len);
}

bool roost_kafka_raw_header(const roost_kafka_raw *raw, const char *name, roost_slice *value) {
  rd_kafka_headers_t *headers;
  const void *bytes;
  size_t len;
  if (rd_kafka_message_headers(raw, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR ||
      rd_kafka_header_get_last(headers, name, &bytes, &len) != RD_KAFKA_RESP_ERR_NO_ERROR)
    return false;
  *value = bytes_of(bytes, len);
  return true;
}

static int copy_headers(const roost_kafka_raw *raw, roost_buffer *out) {
  rd_kafka_headers_t *headers;
  const char *name;
  const void *bytes;
  size_t len;
  if (rd_kafka_message_headers(raw, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR)
    return 0;
  for (size_t i = 0;
       rd_kafka_header_get_all(headers, i, &name, &bytes, &len) == RD_KAFKA_RESP_ERR_NO_ERROR;
       i++) {
    const roost_kafka_header header = {roost_slice_text(name), bytes_of(bytes, len)};
    if (roost_buffer_append(out, &header, sizeof header) != 0)
      return ROOST_ENOMEM;
  }
  return 0;
}

int roost_kafka_raw_facts(const roost_kafka_raw *raw, roost_kafka_facts *facts,
                          roost_buffer *headers) {
  rd_kafka_timestamp_type_t type;
  roost_buffer_clear(headers);
  if (copy_headers(raw, headers) != 0)
    return ROOST_ENOMEM;
  *facts = (roost_kafka_facts){.topic = roost_slice_text(rd_kafka_topic_name(raw->rkt)),
                               .partition = raw->partition,
                               .offset = raw->offset,
                               .timestamp = rd_kafka_message_timestamp(raw, &type),
                               .key = bytes_of(raw->key, raw->key_len),
                               .headers = (const roost_kafka_header *)(void *)headers->ptr,
                               .header_count = headers->len / sizeof(roost_kafka_header)};
  return 0;
}

/* ------------------------------------------------------------------------- what is sent ------ */

enum { longest_topic = 249 }; /* as brokers have it */

static rd_kafka_headers_t *headers_of(const roost_kafka_record *record) {
  const size_t count = roost_kafka_record_header_count(record);
  rd_kafka_headers_t *headers = rd_kafka_headers_new(count);
  for (size_t i = 0; i < count && headers != NULL; i++) {
    const roost_kafka_header header = roost_kafka_record_header(record, i);
    if (rd_kafka_header_add(headers, header.name.ptr, (ssize_t)header.name.len, header.value.ptr,
                            (ssize_t)header.value.len) != RD_KAFKA_RESP_ERR_NO_ERROR) {
      rd_kafka_headers_destroy(headers);
      return NULL;
    }
  }
  return headers;
}

static int status_of(rd_kafka_resp_err_t err) {
  switch (err) {
  case RD_KAFKA_RESP_ERR_NO_ERROR:
    return 0;
  case RD_KAFKA_RESP_ERR__QUEUE_FULL:
  case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
    return ROOST_EFULL;
  case RD_KAFKA_RESP_ERR__INVALID_ARG:
  case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
  case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
  case RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION:
    return ROOST_EINVAL;
  default:
    return ROOST_ESYSTEM;
  }
}

int roost_kafka_pair_produce(roost_kafka_pair *pair, roost_slice topic,
                             const roost_kafka_record *record, void *opaque) {
  char name[longest_topic + 1];
  if (topic.len == 0 || topic.len > longest_topic)
    return ROOST_EINVAL;
  memcpy(name, topic.ptr, topic.len);
  name[topic.len] = '\0';
  rd_kafka_headers_t *headers = headers_of(record);
  if (headers == NULL)
    return ROOST_ENOMEM;
  const roost_slice value = roost_kafka_record_slice(record, record->value);
  const roost_slice key = roost_kafka_record_slice(record, record->key);
  const rd_kafka_resp_err_t err = rd_kafka_producev(
      pair->producer, RD_KAFKA_V_TOPIC(name), RD_KAFKA_V_PARTITION(record->partition),
      RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
      RD_KAFKA_V_VALUE((void *)(uintptr_t)value.ptr, value.len), RD_KAFKA_V_KEY(key.ptr, key.len),
      RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_OPAQUE(opaque), RD_KAFKA_V_END);
  if (err != RD_KAFKA_RESP_ERR_NO_ERROR) {
    rd_kafka_headers_destroy(headers);
    return status_of(err);
  }
  pair->queued_bytes += value.len + key.len;
  if (pair->max_send_bytes > 0 && pair->queued_bytes > pair->max_send_bytes / 2)
    pair->is_crowded = true;
  return 0;
}

void roost_kafka_pair_on_delivered(rd_kafka_t *rk, const rd_kafka_message_t *raw, void *opaque) {
  roost_kafka_pair *pair = opaque;
  const size_t bytes = roost_kafka_raw_bytes(raw);
  (void)rk;
  pair->queued_bytes -= bytes < pair->queued_bytes ? bytes : pair->queued_bytes;
  if (pair->ops != NULL && pair->ops->on_delivered != NULL)
    pair->ops->on_delivered(pair->ud, raw->_private, raw,
                            raw->err == RD_KAFKA_RESP_ERR_NO_ERROR ? NULL
                                                                   : rd_kafka_err2str(raw->err));
}
