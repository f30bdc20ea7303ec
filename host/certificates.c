#include "certificates.h"

static int load_one(roost_tls_context **out, const roost_alloc *alloc,
                    const roost_settings *settings, size_t index, roost_severity dated,
                    roost_problems *problems) {
  roost_buffer text;
  roost_buffer_init(&text, alloc);
  const int status = roost_tls_server_context(out, alloc, settings->servers[index].tls, &text);
  if (text.len > 0 && status != ROOST_ENOMEM)
    roost_problems_add(problems, status != 0 ? ROOST_PROBLEM_ERROR : dated,
                       "%s: servers[%zu].tls.%.*s", settings->file, index + 1, (int)text.len,
                       text.ptr);
  roost_buffer_deinit(&text);
  return status;
}

int roost_certificates_load(roost_tls_context ***out, const roost_alloc *alloc,
                            const roost_settings *settings, roost_severity dated,
                            roost_problems *problems) {
  roost_tls_context **contexts =
      roost_alloc_get(alloc, (settings->server_count + 1) * sizeof(roost_tls_context *));
  *out = NULL;
  if (contexts == NULL)
    return ROOST_ENOMEM;
  int first = 0;
  for (size_t i = 0; i < settings->server_count && first != ROOST_ENOMEM; i++) {
    if (settings->servers[i].tls == NULL)
      continue;
    const int status = load_one(&contexts[i], alloc, settings, i, dated, problems);
    if (first == 0 || status == ROOST_ENOMEM)
      first = status;
  }
  if (first == 0)
    *out = contexts;
  else
    roost_certificates_free(alloc, contexts, settings);
  return first;
}

void roost_certificates_free(const roost_alloc *alloc, roost_tls_context **contexts,
                             const roost_settings *settings) {
  if (contexts == NULL)
    return;
  for (size_t i = 0; i < settings->server_count; i++)
    roost_tls_context_release(contexts[i]);
  roost_alloc_put(alloc, contexts, (settings->server_count + 1) * sizeof(roost_tls_context *));
}
