#include "cli/admin.h"

#include <stdio.h>
#include <string.h>

#include "core/slice.h"

static int code_of(int status) {
  switch (status) {
  case ROOST_ECONNECT:
    return ROOST_EXIT_CONNECT;
  case ROOST_ETIMEDOUT:
    return ROOST_EXIT_TIMEOUT;
  default:
    return ROOST_EXIT_FAILED;
  }
}

int roost_cli_admin_ask(roost_slice *body, roost_buffer *bytes, const roost_command *command,
                        const char *socket, const char *method, const char *target,
                        uint32_t timeout_ms) {
  roost_admin_reply reply;
  const char *why = "";
  const int status =
      roost_admin_request(&reply, bytes, NULL, socket, method, target, timeout_ms, &why);
  if (status != 0) {
    fprintf(stderr, "roost %s: no host answers at %s: %s\n", command->name, socket, why);
    return code_of(status);
  }
  *body = reply.body;
  if (reply.code == 200)
    return ROOST_EXIT_OK;
  fprintf(stderr, "roost %s: %s: %.*s%s", command->name, target, (int)body->len,
          body->len > 0 ? body->ptr : "", body->len > 0 ? "" : "\n");
  return ROOST_EXIT_FAILED;
}

bool roost_cli_print_plain(roost_slice text, int *code) {
  static const char other[] = "?";
  while (text.len > 0) {
    size_t len = 0;
    while (
        len < text.len &&
        ((unsigned char)text.ptr[len] >= ' ' || text.ptr[len] == '\n' || text.ptr[len] == '\t') &&
        text.ptr[len] != 0x7f)
      len++;
    const bool is_other = len == 0;
    if (!roost_print(is_other ? other : text.ptr, is_other ? 1 : len, code))
      return false;
    text = roost_slice_of(text.ptr + len + is_other, text.len - len - is_other);
  }
  return true;
}
