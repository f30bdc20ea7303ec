#include "cli/json_text.h"

#include "core/slice.h"
#include "wire/json.h"
#include "wire/utf8.h"

int roost_json_text_argument(roost_buffer *out, roost_slice text) {
  if (roost_utf8_valid_prefix(text) != text.len)
    return ROOST_EINVAL;
  if (roost_json_validate(text) == 0)
    return roost_buffer_append_slice(out, text);
  return roost_json_write_string(out, text);
}

int roost_json_text_compact(roost_buffer *out, roost_slice json) {
  bool in_string = false;
  int status = roost_buffer_reserve(out, json.len);
  for (size_t i = 0; status == 0 && i < json.len; i++) {
    const char byte = json.ptr[i];
    if (in_string && byte == '\\' && i + 1 < json.len) {
      status = roost_buffer_append(out, json.ptr + i++, 2);
      continue;
    }
    if (byte == '"')
      in_string = !in_string;
    if (in_string || (byte != ' ' && byte != '\t' && byte != '\n' && byte != '\r'))
      status = roost_buffer_append_byte(out, byte);
  }
  return status;
}

static int unescape(roost_buffer *out, roost_slice text) {
  const int status = roost_buffer_reserve(out, text.len);
  if (status == 0 && text.len > 0)
    out->len += roost_json_unescape(out->ptr + out->len, text);
  return status;
}

/* Finds the message of an object the reader is inside of, and whether it says anything else than
 * that and its status. False where there is no message that is a text. */
static bool find_message(roost_json_reader *reader, roost_slice *message, bool *more) {
  roost_json_token key;
  bool found = false;
  *more = false;
  while (roost_json_next(reader, &key) == ROOST_JSON_KEY) {
    roost_slice value;
    if (roost_json_take(reader, &value) != 0)
      return false;
    if (roost_slice_equal(key.text, ROOST_SLICE("message")) && value.ptr[0] == '"') {
      *message = roost_slice_of(value.ptr + 1, value.len - 2);
      found = true;
    } else if (!roost_slice_equal(key.text, ROOST_SLICE("status")) ||
               !roost_slice_equal(value, ROOST_SLICE("\"error\""))) {
      *more = true;
    }
  }
  return found;
}

int roost_json_text_error(roost_buffer *out, roost_slice json) {
  roost_json_reader reader;
  roost_json_token token;
  roost_slice message;
  bool more;
  roost_json_reader_init(&reader, json);
  switch (roost_json_next(&reader, &token)) {
  case ROOST_JSON_STRING:
    return unescape(out, token.text);
  case ROOST_JSON_OBJECT:
    if (!find_message(&reader, &message, &more))
      break;
    int status = unescape(out, message);
    if (status == 0 && more)
      status = roost_buffer_append_byte(out, '\n');
    if (status != 0 || !more)
      return status;
    break;
  default:
    break;
  }
  return roost_json_text_compact(out, json);
}

/* ------------------------------------------------------------------------- hashes ------------ */

typedef struct hasher {
  roost_json_reader reader;
  roost_buffer *scratch;
} hasher;

/* Mixes one more word in (as SplitMix64 does); the order counts. */
static uint64_t mix(uint64_t hash, uint64_t word) {
  hash = (hash * 0x9e3779b97f4a7c15u + word) * 0x94d049bb133111ebu;
  hash = (hash ^ (hash >> 30)) * 0xbf58476d1ce4e5b9u;
  return hash ^ (hash >> 31);
}

static uint64_t hash_bytes(uint64_t hash, roost_slice bytes) {
  uint64_t word;
  for (; bytes.len >= sizeof word; bytes.ptr += sizeof word, bytes.len -= sizeof word) {
    memcpy(&word, bytes.ptr, sizeof word);
    hash = mix(hash, word);
  }
  word = bytes.len;
  for (size_t i = 0; i < bytes.len; i++)
    word = word << 8 | (uint8_t)bytes.ptr[i];
  return mix(hash, word);
}

static int hash_text(hasher *h, const roost_json_token *token, uint64_t *hash) {
  *hash = ROOST_JSON_STRING;
  if (!token->escaped) {
    *hash = hash_bytes(*hash, token->text);
    return 0;
  }
  roost_buffer_clear(h->scratch);
  const int status = unescape(h->scratch, token->text);
  if (status == 0)
    *hash = hash_bytes(*hash, roost_buffer_slice(h->scratch));
  return status;
}

/* 1 and 1.0 are one number. */
static uint64_t hash_number(roost_json_type type, const roost_json_token *token) {
  uint64_t bits;
  double number = token->number;
  if (type == ROOST_JSON_INTEGER)
    return mix(ROOST_JSON_INTEGER, (uint64_t)token->integer);
  if (number >= -0x1p63 && number < 0x1p63 && (double)(int64_t)number == number)
    return mix(ROOST_JSON_INTEGER, (uint64_t)(int64_t)number);
  memcpy(&bits, &number, sizeof bits);
  return mix(ROOST_JSON_DOUBLE, bits);
}

static int hash_value(hasher *h, roost_json_type type, const roost_json_token *token,
                      uint64_t *hash);

static int hash_array(hasher *h, uint64_t *hash) {
  roost_json_token token;
  roost_json_type type;
  *hash = ROOST_JSON_ARRAY;
  while ((type = roost_json_next(&h->reader, &token)) != ROOST_JSON_ARRAY_END) {
    uint64_t item = 0;
    const int status = hash_value(h, type, &token, &item);
    if (status != 0)
      return status;
    *hash = mix(*hash, item);
  }
  return 0;
}

/* Members add up: their order makes no difference. */
static int hash_object(hasher *h, uint64_t *hash) {
  roost_json_token token;
  uint64_t sum = 0;
  while (roost_json_next(&h->reader, &token) == ROOST_JSON_KEY) {
    uint64_t key = 0;
    uint64_t value = 0;
    int status = hash_text(h, &token, &key);
    if (status == 0)
      status = hash_value(h, roost_json_next(&h->reader, &token), &token, &value);
    if (status != 0)
      return status;
    sum += mix(key, value);
  }
  *hash = mix(ROOST_JSON_OBJECT, sum);
  return h->reader.error == NULL ? 0 : ROOST_EPROTO;
}

/* The value that begins with a token; as deep as the reader lets containers nest. */
static int hash_value(hasher *h, roost_json_type type, const roost_json_token *token,
                      uint64_t *hash) {
  switch (type) {
  case ROOST_JSON_NULL:
  case ROOST_JSON_FALSE:
  case ROOST_JSON_TRUE:
    *hash = mix(type, 0);
    return 0;
  case ROOST_JSON_INTEGER:
  case ROOST_JSON_DOUBLE:
    *hash = hash_number(type, token);
    return 0;
  case ROOST_JSON_STRING:
    return hash_text(h, token, hash);
  case ROOST_JSON_ARRAY:
    return hash_array(h, hash);
  case ROOST_JSON_OBJECT:
    return hash_object(h, hash);
  default:
    return ROOST_EPROTO;
  }
}

int roost_json_text_hash(uint64_t *hash, roost_slice json, roost_buffer *scratch) {
  hasher h = {.scratch = scratch};
  roost_json_token token;
  roost_json_reader_init(&h.reader, json);
  const roost_json_type type = roost_json_next(&h.reader, &token);
  const int status = hash_value(&h, type, &token, hash);
  if (status == 0 && roost_json_next(&h.reader, &token) != ROOST_JSON_END)
    return ROOST_EPROTO;
  return status;
}
