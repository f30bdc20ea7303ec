#include "cli/bench_check.h"

#include <stdarg.h>
#include <stdio.h>

#include "cli/json_text.h"
#include "core/slice.h"
#include "wire/envelope.h"
#include "wire/utf8.h"

#define MAX_REPLY_BYTES  ((size_t)1 << 30)
#define MAX_LEARNT       64
#define MAX_LEARNT_BYTES ((size_t)64 << 20)
#define HASH_OF_NOTHING  1     /* an item without a value */
#define TAIL             "\"}" /* what stands after an id that is last */
#define TAIL_BYTES       2
#define SHOWN_BYTES      60

static const char not_json[] = "a reply is not JSON";

void roost_bench_check_init(roost_bench_check *check, const roost_alloc *alloc,
                            roost_bench_rule rule) {
  *check = (roost_bench_check){.alloc = alloc, .rule = rule};
  roost_buffer_init(&check->hashes, alloc);
  roost_buffer_init(&check->scratch, alloc);
}

static size_t size_of(const roost_bench_text *text) {
  return sizeof *text + text->len;
}

void roost_bench_check_deinit(roost_bench_check *check) {
  for (size_t i = 0; i < ROOST_BENCH_ROWS; i++) {
    while (check->rows[i] != NULL) {
      roost_bench_text *text = check->rows[i];
      check->rows[i] = text->next;
      roost_alloc_put(check->alloc, text, size_of(text));
    }
  }
  roost_buffer_deinit(&check->hashes);
  roost_buffer_deinit(&check->scratch);
}

void roost_bench_input_init(roost_bench_input *input, const roost_alloc *alloc) {
  *input = (roost_bench_input){.hot = NULL};
  roost_frame_reader_init(&input->reader, alloc, ROOST_FRAMING_NEST, MAX_REPLY_BYTES);
}

void roost_bench_input_deinit(roost_bench_input *input) {
  roost_frame_reader_deinit(&input->reader);
}

void roost_bench_check_note(roost_bench_check *check, const char *format, ...) {
  char text[sizeof check->notes[0].text];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  for (size_t i = 0; i < check->note_count; i++) {
    if (strcmp(check->notes[i].text, text) == 0) {
      check->notes[i].count++;
      return;
    }
  }
  if (check->note_count == ROOST_BENCH_NOTES) {
    check->unnoted++;
    return;
  }
  roost_bench_note *note = &check->notes[check->note_count++];
  memcpy(note->text, text, sizeof text);
  note->count = 1;
}

/* ------------------------------------------------------------------------- values ------------ */

static size_t expected_count(const roost_bench_check *check) {
  return check->hashes.len / sizeof(uint64_t);
}

/* A text cut so that it can be shown; not inside a character. */
static int shown_len(roost_slice text) {
  size_t len = text.len < SHOWN_BYTES ? text.len : SHOWN_BYTES;
  while (len < text.len && len > 0 && ((uint8_t)text.ptr[len] & 0xC0) == 0x80)
    len--;
  return (int)len;
}

static const char *dots(roost_slice text) {
  return text.len > SHOWN_BYTES ? "..." : "";
}

static int hash_of(roost_bench_check *check, roost_slice item, uint64_t *hash) {
  *hash = HASH_OF_NOTHING;
  return item.ptr != NULL ? roost_json_text_hash(hash, item, &check->scratch) : 0;
}

int roost_bench_check_expect(roost_bench_check *check, roost_slice item) {
  uint64_t hash;
  int status = hash_of(check, item, &hash);
  if (status == 0)
    status = roost_buffer_append(&check->hashes, &hash, sizeof hash);
  if (status != 0)
    return status;
  if (item.ptr == NULL)
    item = ROOST_SLICE("no value");
  check->shown[0] = '\0';
  if (expected_count(check) == 1)
    snprintf(check->shown, sizeof check->shown, "%.*s%s", shown_len(item), item.ptr, dots(item));
  return 0;
}

/* The item that was counted last. */
static void note_value(roost_bench_check *check, const roost_bench_place *place, roost_slice item) {
  if (item.ptr == NULL)
    item = ROOST_SLICE("no value");
  if (check->shown[0] != '\0')
    roost_bench_check_note(check, "wrong value: %.*s%s; expected %s", shown_len(item), item.ptr,
                           dots(item), check->shown);
  else
    roost_bench_check_note(check, "wrong value %u of a stream: %.*s%s", place->position,
                           shown_len(item), item.ptr, dots(item));
}

/* Holds one item against what is expected in its position. */
static int judge_item(roost_bench_check *check, roost_bench_place *place, roost_slice item) {
  const size_t at = check->rule == ROOST_BENCH_EQUAL ? 0 : place->position;
  uint64_t hash;
  uint64_t expected = 0;
  place->position++;
  if (check->rule == ROOST_BENCH_ANY)
    return 0;
  const int status = hash_of(check, item, &hash);
  if (status != 0)
    return status;
  const bool more = at >= expected_count(check);
  if (!more)
    memcpy(&expected, check->hashes.ptr + at * sizeof expected, sizeof expected);
  if (!more && hash == expected)
    return 0;
  if (!place->wrong && more)
    roost_bench_check_note(check, "wrong number of values: more than %zu", expected_count(check));
  else if (!place->wrong)
    note_value(check, place, item);
  place->wrong = true;
  return 0;
}

static void judge_end(roost_bench_check *check, roost_bench_place *place) {
  const size_t least = check->rule == ROOST_BENCH_ANY     ? 0
                       : check->rule == ROOST_BENCH_EQUAL ? 1
                                                          : expected_count(check);
  if (place->wrong || place->position >= least)
    return;
  place->wrong = true;
  roost_bench_check_note(check, "wrong number of values: %u of %zu", place->position, least);
}

/* ------------------------------------------------------------------------- learning ---------- */

void roost_bench_place_begin(roost_bench_place *place, size_t index, uint64_t number,
                             uint64_t due_ns) {
  static const char hex[] = "0123456789abcdef";
  char *at = place->id + ROOST_BENCH_PLACE_DIGITS;
  for (; at > place->id; index >>= 4)
    *--at = hex[index & 15];
  at = place->id + ROOST_BENCH_ID_DIGITS;
  for (; at > place->id + ROOST_BENCH_PLACE_DIGITS; number >>= 4)
    *--at = hex[number & 15];
  place->due_ns = due_ns;
  place->position = 0;
  place->busy = true;
  place->wrong = false;
}

static roost_bench_place *find_place(roost_bench_place *places, size_t count, const char *id) {
  size_t index = 0;
  for (size_t i = 0; i < ROOST_BENCH_PLACE_DIGITS; i++) {
    const unsigned byte = (unsigned char)id[i];
    index = index << 4 | (byte <= '9' ? byte - '0' : byte - 'a' + 10) % 16;
  }
  if (index >= count || !places[index].busy ||
      memcmp(places[index].id, id, ROOST_BENCH_ID_DIGITS) != 0)
    return NULL;
  return &places[index];
}

static bool id_is_last(roost_slice packet) {
  return packet.len > ROOST_BENCH_ID_DIGITS + TAIL_BYTES &&
         memcmp(packet.ptr + packet.len - TAIL_BYTES, TAIL, TAIL_BYTES) == 0;
}

/* Keeps a right reply. What does not fit goes on being read and hashed. */
static void learn(roost_bench_check *check, roost_slice packet, const roost_reply *reply,
                  uint32_t position) {
  char header[ROOST_FRAME_HEADER_MAX];
  const int header_len = snprintf(header, sizeof header, "%zu#", roost_utf8_utf16_length(packet));
  const size_t len = (size_t)header_len + packet.len;
  if (check->learnt == MAX_LEARNT || check->learnt_bytes + len > MAX_LEARNT_BYTES)
    return;
  roost_bench_text *text = roost_alloc_get(check->alloc, sizeof *text + len);
  if (text == NULL)
    return;
  text->position = position;
  text->has_item = reply->response.ptr != NULL || !reply->last;
  text->last = reply->last;
  text->len = len;
  text->body_at = (size_t)header_len;
  text->id_at = len - TAIL_BYTES - ROOST_BENCH_ID_DIGITS;
  memcpy(text->bytes, header, (size_t)header_len);
  memcpy(text->bytes + header_len, packet.ptr, packet.len);
  roost_bench_text **row = &check->rows[position % ROOST_BENCH_ROWS];
  text->next = *row;
  *row = text;
  check->learnt++;
  check->learnt_bytes += len;
}

static const roost_bench_text *find_text(const roost_bench_check *check, uint32_t position,
                                         roost_slice packet) {
  const roost_bench_text *text = check->rows[position % ROOST_BENCH_ROWS];
  for (; text != NULL; text = text->next)
    if (text->position == position && text->len - text->body_at == packet.len &&
        memcmp(text->bytes + text->body_at, packet.ptr, text->id_at - text->body_at) == 0)
      return text;
  return NULL;
}

/* What comes next on this connection, if requests follow each other. */
static const roost_bench_text *guess(const roost_bench_check *check, const roost_bench_text *text) {
  const uint32_t position = text->last ? 0 : text->position + text->has_item;
  if (position == text->position)
    return text;
  const roost_bench_text *next = check->rows[position % ROOST_BENCH_ROWS];
  while (next != NULL && next->position != position)
    next = next->next;
  return next;
}

static void apply(const roost_bench_check *check, roost_bench_input *input,
                  const roost_bench_text *text, roost_bench_place *place,
                  roost_bench_answer *answer) {
  place->position += text->has_item;
  input->hot = guess(check, text);
  *answer = (roost_bench_answer){.place = place, .last = text->last};
}

/* ------------------------------------------------------------------------- reading ----------- */

static int read_error(roost_bench_check *check, roost_bench_place *place, roost_slice err,
                      roost_bench_answer *answer) {
  roost_buffer_clear(&check->scratch);
  if (roost_json_text_error(&check->scratch, err) != 0)
    return ROOST_ENOMEM;
  const roost_slice text = roost_buffer_slice(&check->scratch);
  const char *line_end = text.len > 0 ? memchr(text.ptr, '\n', text.len) : NULL;
  const size_t len = line_end != NULL ? (size_t)(line_end - text.ptr) : text.len;
  roost_bench_check_note(check, "error: %.*s", len < 160 ? (int)len : 160, len > 0 ? text.ptr : "");
  *answer = (roost_bench_answer){.place = place, .last = true, .error = true};
  return 1;
}

static int read_stray(roost_bench_check *check, roost_slice packet, roost_bench_answer *answer) {
  check->strays++;
  roost_bench_check_note(check, "a reply to no request that is in flight: %.*s%s",
                         shown_len(packet), packet.ptr, dots(packet));
  *answer = (roost_bench_answer){.place = NULL};
  return 1;
}

/* A reply that is not known yet. */
static int read_reply(roost_bench_check *check, roost_bench_place *places, size_t place_count,
                      roost_slice packet, roost_bench_answer *answer) {
  roost_reply reply;
  int status = roost_envelope_read_reply(&reply, packet);
  if (status < 0)
    return status;
  roost_bench_place *place = NULL;
  if (status == 1 && !reply.foreign && reply.id.len == ROOST_BENCH_ID_DIGITS + 2)
    place = find_place(places, place_count, reply.id.ptr + 1);
  if (place == NULL)
    return read_stray(check, packet, answer);
  if (reply.err.ptr != NULL)
    return read_error(check, place, reply.err, answer);
  const uint32_t position = place->position;
  if (reply.response.ptr != NULL || !reply.last)
    status = judge_item(check, place, reply.response);
  if (status < 0)
    return status;
  if (reply.last)
    judge_end(check, place);
  if (!place->wrong && check->rule != ROOST_BENCH_ANY && id_is_last(packet) &&
      reply.id.ptr + reply.id.len + 1 == packet.ptr + packet.len)
    learn(check, packet, &reply, position);
  *answer = (roost_bench_answer){.place = place, .last = reply.last};
  return 1;
}

static int read_packet(roost_bench_check *check, roost_bench_input *input,
                       roost_bench_place *places, size_t place_count, roost_slice packet,
                       roost_bench_answer *answer) {
  if (id_is_last(packet)) {
    roost_bench_place *place = find_place(
        places, place_count, packet.ptr + packet.len - TAIL_BYTES - ROOST_BENCH_ID_DIGITS);
    const roost_bench_text *text = place != NULL ? find_text(check, place->position, packet) : NULL;
    if (text != NULL) {
      apply(check, input, text, place, answer);
      return 1;
    }
  }
  const int status = read_reply(check, places, place_count, packet, answer);
  if (status == ROOST_EPROTO)
    input->reader.error = not_json;
  else if (status == ROOST_ENOMEM)
    input->reader.error = "out of memory";
  else if (input->hot == NULL)
    input->hot = check->rows[0];
  return status;
}

/* ------------------------------------------------------------------------- matching ---------- */

/* Holds the bytes against what is expected next, as far as both go. 1 once all of it has come, 0
 * where more is needed, -1 where it is something else: then nothing was taken. */
static int match(roost_bench_input *input, roost_slice *bytes) {
  const roost_bench_text *hot = input->hot;
  const size_t from = input->matched;
  const size_t to = bytes->len < hot->len - from ? from + bytes->len : hot->len;
  const size_t id_end = hot->id_at + ROOST_BENCH_ID_DIGITS;
  const char *at = bytes->ptr - from; /* where the frame would have begun */
  if (from < hot->id_at) {
    const size_t end = to < hot->id_at ? to : hot->id_at;
    if (memcmp(at + from, hot->bytes + from, end - from) != 0)
      return -1;
  }
  if (to > id_end) {
    const size_t start = from > id_end ? from : id_end;
    if (memcmp(at + start, hot->bytes + start, to - start) != 0)
      return -1;
  }
  if (to > hot->id_at && from < id_end) {
    const size_t start = from > hot->id_at ? from : hot->id_at;
    const size_t end = to < id_end ? to : id_end;
    memcpy(input->id + (start - hot->id_at), at + start, end - start);
  }
  input->matched = to;
  bytes->ptr += to - from;
  bytes->len -= to - from;
  return to == hot->len;
}

/* Hands what matched so far to the reader, as if it came only now. 1 with a packet where that was
 * all of a frame. */
static int unmatch(roost_bench_input *input, roost_slice *packet) {
  const roost_bench_text *hot = input->hot;
  const size_t id_end = hot->id_at + ROOST_BENCH_ID_DIGITS;
  const size_t len = input->matched;
  const roost_slice parts[] = {
      {hot->bytes, len < hot->id_at ? len : hot->id_at},
      {input->id, len <= hot->id_at ? 0 : (len < id_end ? len : id_end) - hot->id_at},
      {hot->bytes + id_end, len > id_end ? len - id_end : 0}};
  int status = 0;
  input->matched = 0;
  for (size_t i = 0; i < sizeof parts / sizeof parts[0] && status == 0; i++) {
    roost_slice part = parts[i];
    if (part.len > 0)
      status = roost_frame_read(&input->reader, &part, packet);
  }
  return status;
}

int roost_bench_check_next(roost_bench_check *check, roost_bench_input *input,
                           roost_bench_place *places, size_t place_count, roost_slice *bytes,
                           roost_bench_answer *answer) {
  roost_slice packet;
  int status = 0;
  if (bytes->len == 0)
    return 0;
  if (input->hot != NULL && !roost_frame_reader_pending(&input->reader)) {
    const int matches = match(input, bytes);
    if (matches == 0)
      return 0;
    if (matches == 1) {
      roost_bench_place *place = find_place(places, place_count, input->id);
      if (place != NULL && place->position == input->hot->position) {
        input->matched = 0;
        apply(check, input, input->hot, place, answer);
        return 1;
      }
    }
    status = unmatch(input, &packet);
  }
  if (status == 0)
    status = roost_frame_read(&input->reader, bytes, &packet);
  return status == 1 ? read_packet(check, input, places, place_count, packet, answer) : status;
}
