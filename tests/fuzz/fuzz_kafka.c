/* What is read of any bytes is JSON; what is written of it comes back the same; what is not JSON is
 * refused. */
#include "fuzz.h"
#include "wire/json.h"
#include "wire/kafka.h"

static void check_reading(roost_slice bytes) {
  roost_buffer json;
  roost_buffer_init(&json, roost_alloc_default());
  PROMISE(roost_kafka_read_value(&json, bytes) == 0);
  PROMISE(roost_json_validate(roost_buffer_slice(&json)) == 0);
  roost_buffer_clear(&json);
  const roost_kafka_header headers[] = {{bytes, {NULL, 0}}, {bytes, bytes}};
  const roost_kafka_facts facts = {
      .topic = bytes, .key = bytes, .headers = headers, .header_count = 2};
  PROMISE(roost_kafka_read_headers(&json, headers, 2) == 0);
  PROMISE(roost_json_validate(roost_buffer_slice(&json)) == 0);
  roost_buffer_clear(&json);
  PROMISE(roost_kafka_read_null(&json, &facts) == 0);
  PROMISE(roost_json_validate(roost_buffer_slice(&json)) == 0);
  roost_buffer_deinit(&json);
}

/* The bytes that a value becomes are read, and become the same bytes again. */
static void check_round(roost_slice bytes) {
  roost_buffer json;
  roost_kafka_record again;
  roost_buffer_init(&json, roost_alloc_default());
  roost_kafka_record_init(&again, roost_alloc_default());
  PROMISE(roost_kafka_read_value(&json, bytes) == 0);
  PROMISE(roost_kafka_record_add_value(&again, ROOST_SLICE("h"), roost_buffer_slice(&json)) == 0);
  const roost_slice value = roost_kafka_record_header(&again, 0).value;
  const bool is_text = bytes.len == 0 || (bytes.ptr[0] != '{' && bytes.ptr[0] != '[');
  if (roost_utf8_valid_prefix(bytes) == bytes.len && is_text)
    PROMISE(roost_slice_equal(value, bytes));
  roost_kafka_record_deinit(&again);
  roost_buffer_deinit(&json);
}

static void check_writing(roost_slice json) {
  roost_kafka_record record;
  roost_kafka_record_init(&record, roost_alloc_default());
  const int status = roost_kafka_record_write(&record, json);
  PROMISE((status == 0) == (roost_json_validate(json) == 0));
  PROMISE(status == 0 || status == ROOST_EPROTO);
  if (status == 0) {
    const roost_slice value = roost_kafka_record_slice(&record, record.value);
    if (value.ptr != NULL)
      check_round(value);
    for (size_t i = 0; i < roost_kafka_record_header_count(&record); i++)
      check_reading(roost_kafka_record_header(&record, i).name);
  }
  roost_kafka_record_clear(&record);
  PROMISE((roost_kafka_record_add_headers(&record, json) == 0) <= (roost_json_validate(json) == 0));
  roost_kafka_record_deinit(&record);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  roost_buffer text;
  if (size == 0)
    return 0;
  check_reading(roost_slice_of((const char *)data, size));
  fuzz_text(&text, data, size);
  check_writing(roost_buffer_slice(&text));
  roost_buffer_deinit(&text);
  return 0;
}
