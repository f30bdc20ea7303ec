#include "net/tls_stream.h"

#include <errno.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "core/alloc.h"
#include "net/tls_internal.h"

struct roost_tls_stream {
  const roost_alloc *alloc;   /* borrowed */
  roost_tls_context *context; /* held */
  SSL *ssl;
  char why[256]; /* of a failure */
};

int roost_tls_stream_new(roost_tls_stream **out, const roost_alloc *alloc,
                         roost_tls_context *context, const char *name, int descriptor) {
  roost_tls_stream *stream = roost_alloc_get(alloc, sizeof *stream);
  *out = NULL;
  if (stream == NULL)
    return ROOST_ENOMEM;
  stream->alloc = alloc;
  stream->context = roost_tls_context_hold(context);
  int status = roost_tls_context_connect(&stream->ssl, context, name, NULL);
  if (status == 0 && SSL_set_fd(stream->ssl, descriptor) != 1)
    status = ROOST_ENOMEM;
  if (status != 0) {
    roost_tls_stream_free(stream);
    return status;
  }
  SSL_set_mode(stream->ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  *out = stream;
  return 0;
}

void roost_tls_stream_free(roost_tls_stream *stream) {
  if (stream == NULL)
    return;
  SSL_free(stream->ssl);
  ERR_clear_error();
  roost_tls_context_release(stream->context);
  roost_alloc_put(stream->alloc, stream, sizeof *stream);
}

/* What a call of OpenSSL's that gave result comes to: 0 at the end, or a negative errno. */
static int outcome(roost_tls_stream *stream, int result) {
  const int error = errno;
  switch (SSL_get_error(stream->ssl, result)) {
  case SSL_ERROR_WANT_READ:
  case SSL_ERROR_WANT_WRITE:
    return -EAGAIN;
  case SSL_ERROR_ZERO_RETURN:
    return 0;
  case SSL_ERROR_SYSCALL:
    return error != 0 ? -error : -ECONNRESET;
  default:
    roost_tls_explain(stream->why, sizeof stream->why, false, SSL_get_verify_result(stream->ssl));
    return -EPROTO;
  }
}

int roost_tls_stream_handshake(roost_tls_stream *stream) {
  ERR_clear_error();
  errno = 0;
  const int result = SSL_do_handshake(stream->ssl);
  if (result == 1)
    return 0;
  const int status = outcome(stream, result);
  return status == 0 ? -ECONNRESET : status;
}

ssize_t roost_tls_stream_read(roost_tls_stream *stream, char *to, size_t room) {
  size_t n = 0;
  ERR_clear_error();
  errno = 0;
  const int result = SSL_read_ex(stream->ssl, to, room, &n);
  return result == 1 ? (ssize_t)n : outcome(stream, result);
}

ssize_t roost_tls_stream_write(roost_tls_stream *stream, const char *from, size_t len) {
  size_t n = 0;
  ERR_clear_error();
  errno = 0;
  const int result = SSL_write_ex(stream->ssl, from, len, &n);
  return result == 1 ? (ssize_t)n : outcome(stream, result);
}

bool roost_tls_stream_wants_write(const roost_tls_stream *stream) {
  return SSL_want_write(stream->ssl);
}

const char *roost_tls_stream_why(const roost_tls_stream *stream) {
  return stream->why;
}
