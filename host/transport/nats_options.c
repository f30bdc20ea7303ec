/*
 * What can be said of an entry's options before anything is connected.
 */
#include "core/slice.h"
#include "transport/nats.h"
#include "wire/nats.h"
#include "wire/nats_headers.h"

bool roost_nats_text_good(const char *text) {
  return roost_nats_subject_good(roost_slice_text(text));
}

const char *roost_nats_headers_problem(const char *json, const roost_alloc *alloc) {
  const char *why = "expected a table of texts by name";
  roost_buffer lines;
  roost_buffer_init(&lines, alloc);
  const int status =
      roost_nats_headers_from_json(&lines, roost_slice_text(json), (roost_slice){NULL, 0}, &why);
  roost_buffer_deinit(&lines);
  return status == 0 ? NULL : status == ROOST_ENOMEM ? "out of memory" : why;
}
