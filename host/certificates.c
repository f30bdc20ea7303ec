#include "certificates.h"

#include <stdio.h>

/* What was found in the files of one, server or client: a warning, or what is wrong. */
static void tell(const roost_settings *settings, const roost_tls_config *tls, const char *entry,
                 const roost_buffer *text, roost_severity severity, roost_problems *problems) {
  if (text->len > 0)
    roost_problems_add(problems, severity, "%s: %s%s.%.*s", settings->file,
                       tls->name != NULL ? tls->name : entry, tls->name != NULL ? "" : ".tls",
                       (int)text->len, text->ptr);
}

static int load_one(roost_tls_context **out, const roost_alloc *alloc,
                    const roost_settings *settings, size_t index, roost_severity dated,
                    roost_problems *problems) {
  char entry[32];
  roost_buffer text;
  roost_buffer_init(&text, alloc);
  const roost_tls_config *tls = settings->servers[index].tls;
  const int status = roost_tls_server_context(out, alloc, tls, &text);
  snprintf(entry, sizeof entry, "servers[%zu]", index + 1);
  if (status != ROOST_ENOMEM)
    tell(settings, tls, entry, &text, status != 0 ? ROOST_PROBLEM_ERROR : dated, problems);
  roost_buffer_deinit(&text);
  return status;
}

/* Who connects makes his context when he first does; that he can is seen now. */
static int check_context(const roost_alloc *alloc, const roost_settings *settings,
                         const roost_tls_config *tls, const char *entry, roost_severity dated,
                         roost_problems *problems) {
  roost_tls_context *context = NULL;
  roost_buffer text;
  if (tls == NULL)
    return 0;
  roost_buffer_init(&text, alloc);
  const int status = roost_tls_client_context(&context, alloc, tls, &text);
  if (status != ROOST_ENOMEM)
    tell(settings, tls, entry, &text, status != 0 ? ROOST_PROBLEM_ERROR : dated, problems);
  roost_tls_context_release(context);
  roost_buffer_deinit(&text);
  return status;
}

static int check_client(const roost_alloc *alloc, const roost_settings *settings, size_t index,
                        roost_severity dated, roost_problems *problems) {
  const roost_client_config *client = &settings->clients[index];
  char entry[128];
  snprintf(entry, sizeof entry, "clients.%s", client->name);
  return check_context(alloc, settings, client->tls, entry, dated, problems);
}

static int check_session(const roost_alloc *alloc, const roost_settings *settings, size_t index,
                         roost_severity dated, roost_problems *problems) {
  const roost_broker *broker = settings->servers[index].options;
  char entry[32];
  snprintf(entry, sizeof entry, "servers[%zu]", index + 1);
  return check_context(alloc, settings, broker->tls, entry, dated, problems);
}

static void take_first(int *first, int status) {
  if (*first == 0 || status == ROOST_ENOMEM)
    *first = status;
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
    if (settings->servers[i].options != NULL)
      take_first(&first, check_session(alloc, settings, i, dated, problems));
    else if (settings->servers[i].tls != NULL)
      take_first(&first, load_one(&contexts[i], alloc, settings, i, dated, problems));
  }
  for (size_t i = 0; i < settings->client_count && first != ROOST_ENOMEM; i++)
    take_first(&first, check_client(alloc, settings, i, dated, problems));
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
