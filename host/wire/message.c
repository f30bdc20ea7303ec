#include "wire/message.h"

#include "core/slice.h"
#include "wire/json.h"

int roost_message_write_error(roost_buffer *out, roost_slice text) {
  int status = roost_buffer_append_slice(out, ROOST_SLICE("{\"status\":\"error\",\"message\":"));
  if (status == 0)
    status = roost_json_write_string(out, text);
  return status == 0 ? roost_buffer_append_byte(out, '}') : status;
}
