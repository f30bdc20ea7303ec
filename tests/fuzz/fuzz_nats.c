/* Operations come out the same however the bytes arrive; what they hold lies inside the input; and
 * a message that is written again reads as the same. The first two bytes choose the limit and the
 * pieces. */
#include "fuzz.h"
#include "wire/json.h"
#include "wire/nats.h"
#include "wire/nats_headers.h"

typedef struct result {
  roost_buffer text; /* one operation after the other, each part after its length */
  bool failed;
} result;

static void note(result *r, roost_slice part) {
  PROMISE(roost_buffer_append(&r->text, &part.len, sizeof part.len) == 0);
  PROMISE(roost_buffer_append_slice(&r->text, part) == 0);
}

/* The block as JSON, and as a block again, is what it was as JSON. */
static void check_block(roost_slice block) {
  roost_buffer json;
  roost_buffer lines;
  roost_buffer again;
  const char *why = NULL;
  roost_buffer_init(&json, roost_alloc_default());
  roost_buffer_init(&lines, roost_alloc_default());
  roost_buffer_init(&again, roost_alloc_default());
  if (roost_nats_headers_to_json(&json, block) == 0) {
    PROMISE(roost_json_validate(roost_buffer_slice(&json)) == 0);
    PROMISE(roost_buffer_append(&lines, "NATS/1.0\r\n", 10) == 0);
    const int status = roost_nats_headers_from_json(&lines, roost_buffer_slice(&json),
                                                    (roost_slice){NULL, 0}, &why);
    PROMISE(status == 0 || (status == ROOST_EINVAL && why != NULL));
    if (status == 0) {
      PROMISE(roost_nats_headers_to_json(&again, roost_buffer_slice(&lines)) == 0);
      PROMISE(fuzz_same(&json, &again));
    }
  }
  roost_buffer_deinit(&json);
  roost_buffer_deinit(&lines);
  roost_buffer_deinit(&again);
}

/* Written as a client does, and read as what a server sends, it is the same but for the sid. */
static void check_written(const roost_nats_op *op) {
  roost_buffer out;
  roost_nats_mark mark;
  roost_nats_op again;
  roost_nats_reader reader;
  roost_buffer_init(&out, roost_alloc_default());
  roost_nats_reader_init(&reader, roost_alloc_default(), SIZE_MAX / 2);
  PROMISE(roost_nats_pub_begin(&out, &mark, op->subject, ROOST_SLICE("7"), false) == 0);
  PROMISE(roost_buffer_append_slice(&out, op->payload) == 0);
  PROMISE(roost_nats_pub_end(&out, &mark) == 0);
  memcpy(out.ptr, "MSG", 3); /* in the place of PUB */
  roost_slice input = roost_buffer_slice(&out);
  PROMISE(roost_nats_read(&reader, &input, &again) == 1);
  PROMISE(again.sid == 7 && input.len == 0);
  PROMISE(roost_slice_equal(again.subject, op->subject));
  PROMISE(roost_slice_equal(again.payload, op->payload));
  roost_nats_reader_deinit(&reader);
  roost_buffer_deinit(&out);
}

static void take(result *r, const roost_nats_op *op, size_t max_bytes) {
  roost_nats_info info;
  roost_slice url;
  note(r, (roost_slice){(const char *)&op->kind, sizeof op->kind});
  note(r, op->subject);
  note(r, op->reply);
  note(r, op->block);
  note(r, op->payload);
  note(r, (roost_slice){(const char *)&op->sid, sizeof op->sid});
  PROMISE(op->oversize == (op->size > max_bytes));
  if (op->kind == ROOST_NATS_MESSAGE) {
    PROMISE(op->subject.len > 0 && (op->reply.ptr == NULL || op->reply.len > 0));
    PROMISE(op->oversize || op->block.len + op->payload.len == op->size);
    check_block(op->block);
    check_written(op);
  }
  if (op->kind == ROOST_NATS_INFO && roost_nats_info_read(&info, op->payload) == 0)
    while (roost_nats_info_url(&info.urls, &url))
      PROMISE(url.len > 0);
}

static result read_all(roost_slice bytes, size_t max_bytes, size_t piece) {
  result r = {.failed = false};
  roost_nats_reader reader;
  roost_buffer_init(&r.text, roost_alloc_default());
  roost_nats_reader_init(&reader, roost_alloc_default(), max_bytes);
  while (bytes.len > 0 && !r.failed) {
    roost_slice input = {bytes.ptr, piece < bytes.len ? piece : bytes.len};
    roost_nats_op op;
    int status;
    bytes.ptr += input.len;
    bytes.len -= input.len;
    while ((status = roost_nats_read(&reader, &input, &op)) == 1)
      take(&r, &op, max_bytes);
    r.failed = status < 0;
    PROMISE(status < 0 ? reader.error != NULL : input.len == 0);
    PROMISE(roost_nats_reader_memory(&reader) <= 4 * (max_bytes + ROOST_NATS_LINE_MAX));
  }
  roost_nats_reader_deinit(&reader);
  return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size < 2)
    return 0;
  const size_t max_bytes = (size_t)1 << (data[0] % 16);
  const roost_slice bytes = {(const char *)data + 2, size - 2};
  result whole = read_all(bytes, max_bytes, size);
  result pieces = read_all(bytes, max_bytes, 1 + data[1] % 40);
  PROMISE(whole.failed == pieces.failed);
  PROMISE(fuzz_same(&whole.text, &pieces.text));
  roost_buffer_deinit(&whole.text);
  roost_buffer_deinit(&pieces.text);
  return 0;
}
