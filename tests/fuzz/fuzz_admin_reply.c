/* What answers at an admin socket may say anything: what is taken for an answer lies inside it. */
#include "admin/client.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  roost_buffer text;
  roost_admin_reply reply = {.code = -1};
  fuzz_text(&text, data, size);
  const roost_slice bytes = roost_buffer_slice(&text);
  const int status = roost_admin_reply_read(&reply, bytes);
  PROMISE(status == 0 || status == ROOST_EPROTO);
  if (status == 0) {
    PROMISE(reply.code >= 0 && reply.code <= 999);
    PROMISE(reply.body.ptr > bytes.ptr);
    PROMISE(reply.body.ptr + reply.body.len <= bytes.ptr + bytes.len);
  }
  roost_buffer_deinit(&text);
  return 0;
}
