#include "running.h"

#include <stdio.h>

#include "admin/client.h"
#include "core/slice.h"
#include "wire/json.h"

#define TIMEOUT_MS 1000

int roost_running_find(roost_running *running, const roost_alloc *alloc,
                       const roost_settings *settings, const char *working_dir) {
  roost_admin_reply reply;
  const char *why;
  *running = (roost_running){.answers = false};
  roost_buffer_init(&running->bytes, alloc);
  if (settings->admin_socket == NULL)
    return 0;
  const int status =
      roost_admin_request(&reply, &running->bytes, working_dir, settings->admin_socket, "GET",
                          "/status", TIMEOUT_MS, &why);
  running->answers = status == 0;
  if (status == 0 && reply.code == 200 && roost_json_validate(reply.body) == 0)
    running->status = reply.body;
  return status == ROOST_ENOMEM ? status : 0;
}

void roost_running_deinit(roost_running *running) {
  roost_buffer_deinit(&running->bytes);
}

static bool ends_with(roost_slice text, const char *end) {
  const roost_slice wanted = roost_slice_text(end);
  return text.len >= wanted.len &&
         memcmp(text.ptr + text.len - wanted.len, wanted.ptr, wanted.len) == 0;
}

/* The reader is inside an object of servers: whether the address of one ends so. */
static bool any_address(roost_json_reader *reader, const char *end) {
  roost_json_token token;
  roost_json_type type;
  bool is_address = false;
  int depth = 1;
  while (depth > 0 && (type = roost_json_next(reader, &token)) > ROOST_JSON_END) {
    if (type == ROOST_JSON_OBJECT)
      depth++;
    else if (type == ROOST_JSON_OBJECT_END)
      depth--;
    else if (type == ROOST_JSON_STRING && is_address && ends_with(token.text, end))
      return true;
    is_address = type == ROOST_JSON_KEY && roost_slice_equal(token.text, ROOST_SLICE("address"));
  }
  return false;
}

bool roost_running_holds(const roost_running *running, uint16_t port) {
  roost_json_reader reader;
  roost_json_token key;
  char end[8];
  snprintf(end, sizeof end, ":%u", (unsigned)port);
  if (running->status.len == 0)
    return false;
  roost_json_reader_init(&reader, running->status);
  if (roost_json_next(&reader, &key) != ROOST_JSON_OBJECT)
    return false;
  while (roost_json_next(&reader, &key) == ROOST_JSON_KEY) {
    roost_json_token value;
    if (roost_slice_equal(key.text, ROOST_SLICE("servers")))
      return roost_json_next(&reader, &value) == ROOST_JSON_OBJECT && any_address(&reader, end);
    if (roost_json_skip(&reader) != 0)
      return false;
  }
  return false;
}
