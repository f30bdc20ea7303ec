/* The tokenizer and the validator, which share no code but the strings', accept the same; written
 * again it reads as the same; and passing over a value ends where reading it ends. */
#include "../support/json_echo.h"
#include "fuzz.h"
#include "wire/json_scan.h"

/* Each member of an outermost object ends at the same place, checked or only balanced. */
static void check_members(roost_slice text) {
  roost_json_reader reader;
  roost_json_token token;
  roost_json_reader_init(&reader, text);
  if (roost_json_next(&reader, &token) != ROOST_JSON_OBJECT)
    return;
  while (roost_json_next(&reader, &token) == ROOST_JSON_KEY) {
    roost_json_reader skipped = reader;
    roost_slice checked;
    PROMISE(roost_json_take(&reader, &checked) == 0);
    PROMISE(roost_json_skip(&skipped) == 0);
    PROMISE(roost_json_balance(text.ptr, checked.ptr, text.ptr + text.len) == reader.at);
    PROMISE(skipped.at == reader.at && skipped.depth == reader.depth);
    PROMISE(roost_json_validate(checked) == 0);
  }
  PROMISE(roost_json_next(&reader, &token) == ROOST_JSON_END);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  roost_buffer text;
  roost_buffer once;
  roost_buffer twice;
  fuzz_text(&text, data, size);
  roost_buffer_init(&once, roost_alloc_default());
  roost_buffer_init(&twice, roost_alloc_default());
  int status = json_echo(&once, roost_buffer_slice(&text));
  PROMISE(status == roost_json_validate(roost_buffer_slice(&text)));
  if (status == 0) {
    PROMISE(json_echo(&twice, roost_buffer_slice(&once)) == 0);
    PROMISE(fuzz_same(&once, &twice));
    check_members(roost_buffer_slice(&text));
  }
  roost_buffer_deinit(&text);
  roost_buffer_deinit(&once);
  roost_buffer_deinit(&twice);
  return 0;
}
