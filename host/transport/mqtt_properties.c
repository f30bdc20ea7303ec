#include "transport/mqtt_properties.h"

#include "core/slice.h"
#include "wire/json.h"

/* ------------------------------------------------------------------------- reading ----------- */

/* The first user property of rest; false at their end. */
static bool next_user_property(roost_slice *rest, roost_mqtt_property *property) {
  while (roost_mqtt_property_next(rest, property)) {
    if (property->id == ROOST_MQTT_USER_PROPERTY)
      return true;
  }
  return false;
}

static bool has_name(roost_slice rest, size_t before, roost_slice name) {
  roost_mqtt_property property;
  for (size_t i = 0; i < before && next_user_property(&rest, &property); i++) {
    if (roost_slice_equal(property.text, name))
      return true;
  }
  return false;
}

/* Writes the value of the first that has the name, or a list of all of them. */
static int write_values(roost_buffer *out, roost_slice rest, const roost_mqtt_property *first) {
  roost_mqtt_property property;
  size_t count = 0;
  const size_t at = out->len;
  int status = roost_json_write_string(out, first->value);
  while (status == 0 && next_user_property(&rest, &property)) {
    if (!roost_slice_equal(property.text, first->text))
      continue;
    if (count++ == 0) {
      status = roost_buffer_append_byte(out, ' ');
      if (status != 0)
        return status;
      memmove(out->ptr + at + 1, out->ptr + at, out->len - at - 1);
      out->ptr[at] = '[';
    }
    status = roost_buffer_append_byte(out, ',');
    if (status == 0)
      status = roost_json_write_string(out, property.value);
  }
  return status == 0 && count > 0 ? roost_buffer_append_byte(out, ']') : status;
}

int roost_mqtt_read_metadata(roost_buffer *out, const roost_mqtt_packet *packet) {
  roost_mqtt_property property;
  roost_slice rest = packet->properties;
  size_t count = 0;
  int status = 0;
  char before = '{';
  while (status == 0 && next_user_property(&rest, &property)) {
    if (has_name(packet->properties, count++, property.text))
      continue;
    status = roost_json_write_key(out, before, property.text);
    if (status == 0)
      status = write_values(out, rest, &property);
    before = ',';
  }
  if (status == 0 && count > 0)
    status = roost_buffer_append_byte(out, '}');
  return status != 0 ? status : count > 0;
}

/* ------------------------------------------------------------------------- writing ----------- */

/* A text of JSON without its escapes, appended to out. */
static int unescape(roost_buffer *out, const roost_json_token *token) {
  const int status = roost_buffer_reserve(out, token->text.len);
  if (status == 0 && token->text.len > 0)
    out->len += roost_json_unescape(out->ptr + out->len, token->text);
  return status;
}

/* Reads a value of the object; returns 1 and its text in out, 0 where there is none to be sent. */
static int read_value(roost_buffer *out, roost_json_reader *reader, roost_json_token *token) {
  const char *start = reader->at;
  const roost_json_type type = roost_json_next(reader, token);
  int status = 0;
  if (type == ROOST_JSON_NULL)
    return 0;
  if (type == ROOST_JSON_STRING) {
    status = unescape(out, token);
    return status != 0 ? status : 1;
  }
  if (type == ROOST_JSON_OBJECT || type == ROOST_JSON_ARRAY)
    status = roost_json_skip(reader);
  while (start < reader->at && strchr(" :,\t\r\n", *start) != NULL)
    start++;
  if (status == 0)
    status = roost_buffer_append(out, start, (size_t)(reader->at - start));
  return status != 0 ? status : 1;
}

/* Appends name (the first name_len bytes of text) with the value that follows in text. */
static int put_pair(roost_buffer *properties, const roost_buffer *text, size_t name_len) {
  return roost_mqtt_put_user_property(properties, roost_slice_of(text->ptr, name_len),
                                      roost_slice_of(text->ptr + name_len, text->len - name_len));
}

/* Reads and appends one value, or each of a list. */
static int put_values(roost_buffer *properties, roost_buffer *text, roost_json_reader *reader) {
  const size_t name_len = text->len;
  roost_json_reader ahead = *reader;
  roost_json_token token;
  const bool is_list = roost_json_next(&ahead, &token) == ROOST_JSON_ARRAY;
  if (is_list)
    *reader = ahead;
  for (;;) {
    if (is_list) {
      ahead = *reader;
      if (roost_json_next(&ahead, &token) == ROOST_JSON_ARRAY_END) {
        *reader = ahead;
        return 0;
      }
    }
    text->len = name_len;
    int status = read_value(text, reader, &token);
    if (status > 0)
      status = put_pair(properties, text, name_len);
    if (status != 0 || !is_list)
      return status;
  }
}

static int put_object(roost_buffer *properties, roost_buffer *text, roost_slice metadata) {
  roost_json_reader reader;
  roost_json_token token;
  roost_json_reader_init(&reader, metadata);
  if (roost_json_next(&reader, &token) != ROOST_JSON_OBJECT)
    return 0;
  while (roost_json_next(&reader, &token) == ROOST_JSON_KEY) {
    roost_buffer_clear(text);
    int status = unescape(text, &token);
    if (status == 0)
      status = put_values(properties, text, &reader);
    if (status != 0)
      return status;
  }
  return 0;
}

static bool has_key(roost_slice metadata, const char *name) {
  roost_json_reader reader;
  roost_json_token token;
  if (metadata.ptr == NULL)
    return false;
  roost_json_reader_init(&reader, metadata);
  if (roost_json_next(&reader, &token) != ROOST_JSON_OBJECT)
    return false;
  while (roost_json_next(&reader, &token) == ROOST_JSON_KEY) {
    if (!token.escaped && roost_slice_equal(token.text, roost_slice_text(name)))
      return true;
    if (roost_json_skip(&reader) != 0)
      return false;
  }
  return false;
}

int roost_mqtt_write_metadata(roost_buffer *properties, const roost_mqtt_options *options,
                              roost_slice metadata) {
  roost_buffer text;
  int status = 0;
  for (size_t i = 0; i < options->user_property_count && status == 0; i++) {
    const roost_mqtt_pair *pair = &options->user_properties[i];
    if (!has_key(metadata, pair->name))
      status = roost_mqtt_put_user_property(properties, roost_slice_text(pair->name),
                                            roost_slice_text(pair->value));
  }
  if (status != 0 || metadata.ptr == NULL)
    return status;
  roost_buffer_init(&text, properties->alloc);
  status = put_object(properties, &text, metadata);
  roost_buffer_deinit(&text);
  return status;
}

/* ------------------------------------------------------------------------- options ----------- */

static const char *take_qos(roost_mqtt_publish *publish, const roost_mqtt_limits *limits,
                            roost_json_type type, const roost_json_token *token) {
  const bool is_whole = type == ROOST_JSON_INTEGER;
  if (!is_whole || token->integer < 0 || token->integer > 2)
    return "qos is 0, 1 or 2";
  publish->qos = (uint8_t)token->integer;
  return publish->qos > limits->maximum_qos ? "the broker does not take messages of that QoS"
                                            : NULL;
}

static const char *take_retain(roost_mqtt_publish *publish, const roost_mqtt_limits *limits,
                               roost_json_type type) {
  if (type != ROOST_JSON_TRUE && type != ROOST_JSON_FALSE)
    return "retain is true or false";
  publish->retain = type == ROOST_JSON_TRUE;
  return publish->retain && !limits->retain_available ? "the broker does not retain messages"
                                                      : NULL;
}

const char *roost_mqtt_read_options(roost_mqtt_publish *publish, const roost_mqtt_limits *limits,
                                    roost_slice options) {
  roost_json_reader reader;
  roost_json_token token;
  const char *wrong = NULL;
  if (options.ptr == NULL)
    return NULL;
  roost_json_reader_init(&reader, options);
  if (roost_json_next(&reader, &token) != ROOST_JSON_OBJECT)
    return NULL;
  while (wrong == NULL && roost_json_next(&reader, &token) == ROOST_JSON_KEY) {
    const bool is_qos = roost_slice_equal(token.text, ROOST_SLICE("qos"));
    if (!is_qos && !roost_slice_equal(token.text, ROOST_SLICE("retain"))) {
      if (roost_json_skip(&reader) != 0)
        return NULL;
      continue;
    }
    const roost_json_type type = roost_json_next(&reader, &token);
    wrong = is_qos ? take_qos(publish, limits, type, &token) : take_retain(publish, limits, type);
  }
  return wrong;
}
