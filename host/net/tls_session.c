/*
 * The session that a client's server gave last: the next connections take it up, which spares both
 * sides the costly half of a handshake, until the server gives another one or knows it no more.
 * (TLS 1.3 would have each used once, so that nobody who listens can tell which connections belong
 * together; a service's address tells that anyway, and NestJS servers give one per whole
 * handshake.)
 */
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdio.h>

#include "core/alloc.h"
#include "core/slice.h"
#include "net/tls_internal.h"

#define NAME_BYTES 256 /* of a host, with its NUL */

struct roost_tls_sessions {
  pthread_mutex_t mutex; /* connections of several threads share a context */
  SSL_SESSION *last;     /* NULL: none */
  char name[NAME_BYTES]; /* whose certificate was demanded when it began */
};

/* Whose certificate this connection demands; "" for nobody's. False: the name is too long. */
static bool read_name(SSL *ssl, char name[NAME_BYTES]) {
  X509_VERIFY_PARAM *rules = SSL_get0_param(ssl);
  const char *host = X509_VERIFY_PARAM_get0_host(rules, 0);
  char *address = host == NULL ? X509_VERIFY_PARAM_get1_ip_asc(rules) : NULL;
  const char *text = host != NULL ? host : address != NULL ? address : "";
  const int len = snprintf(name, NAME_BYTES, "%s", text);
  OPENSSL_free(address);
  return len >= 0 && len < NAME_BYTES;
}

/* OpenSSL's news of a session that could be resumed; 1: it is ours now. */
static int on_session(SSL *ssl, SSL_SESSION *session) {
  const roost_tls_context *context = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
  roost_tls_sessions *sessions = context->sessions;
  char name[NAME_BYTES];
  if (!read_name(ssl, name))
    return 0;
  pthread_mutex_lock(&sessions->mutex);
  SSL_SESSION_free(sessions->last);
  sessions->last = session;
  memcpy(sessions->name, name, sizeof name);
  pthread_mutex_unlock(&sessions->mutex);
  return 1;
}

void roost_tls_sessions_resume(const roost_tls_context *context, SSL *ssl) {
  roost_tls_sessions *sessions = context->sessions;
  SSL_SESSION *session = NULL;
  char name[NAME_BYTES];
  if (!read_name(ssl, name))
    return;
  pthread_mutex_lock(&sessions->mutex);
  if (sessions->last != NULL && strcmp(sessions->name, name) == 0 &&
      SSL_SESSION_is_resumable(sessions->last) == 1)
    session = SSL_SESSION_dup(sessions->last); /* OpenSSL spoils one of TLS 1.3 by its first use */
  pthread_mutex_unlock(&sessions->mutex);
  /* One that is refused, here or by the server, only means a whole handshake. */
  if (session != NULL)
    (void)SSL_set_session(ssl, session);
  SSL_SESSION_free(session);
}

int roost_tls_sessions_new(roost_tls_sessions **out, const roost_alloc *alloc) {
  *out = roost_alloc_get(alloc, sizeof **out);
  if (*out == NULL)
    return ROOST_ENOMEM;
  pthread_mutex_init(&(*out)->mutex, NULL);
  return 0;
}

void roost_tls_sessions_use(roost_tls_context *context, SSL_CTX *ssl) {
  SSL_CTX_set_app_data(ssl, context);
  SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  SSL_CTX_sess_set_new_cb(ssl, on_session);
}

void roost_tls_sessions_free(const roost_alloc *alloc, roost_tls_sessions *sessions) {
  if (sessions == NULL)
    return;
  SSL_SESSION_free(sessions->last);
  pthread_mutex_destroy(&sessions->mutex);
  roost_alloc_put(alloc, sessions, sizeof *sessions);
}
