/*
 * A pipe that speaks TLS over another pipe. OpenSSL is given what was read, and leaves what is to
 * be written, in two buffers that all pipes of a loop share: an idle connection has none.
 *
 * Rest: ciphertext that was read while there was no room for more plaintext. Blocked: ciphertext
 * that the pipe below did not take; until it has, no plaintext is taken. Over: nothing more will be
 * read; last is what the reader is told once he has had all before it.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

#include "core/slice.h"
#include "net/loop_internal.h"
#include "net/tls_internal.h"

#define RECORD_BYTES    16384                /* of plaintext, at most */
#define IN_BYTES        65536                /* read at once */
#define PLAIN_BYTES     (4 * RECORD_BYTES)   /* encrypted at once */
#define OUT_BYTES       (PLAIN_BYTES + 2048) /* and what that becomes */
#define MIN_READ_BYTES  (RECORD_BYTES + 512) /* a whole record at least */
#define HANDSHAKE_BYTES 131072               /* read before the handshake is done, at most */
#define DISCARD_BYTES   262144               /* read after it failed, at most */
#define WHY_BYTES       256                  /* of a text about a failure */

static const char broken_off[] = "the connection broke during the handshake";

/* What all pipes of a loop share; only in use while one of them is inside OpenSSL. */
struct roost_tls_buffers {
  size_t out_len;
  char out[OUT_BYTES];
  char in[IN_BYTES];
};

typedef struct tls_pipe {
  roost_pipe pipe; /* first: a tls_pipe is a roost_pipe */
  roost_loop *loop;
  roost_pipe *below;          /* owned */
  roost_tls_context *context; /* held */
  SSL *ssl;
  const char *in; /* ciphertext that OpenSSL may take: in the loop's buffer, or in rest */
  size_t in_len;
  roost_buffer rest;
  size_t rest_taken;
  roost_buffer blocked;
  size_t blocked_sent;
  roost_loop_hook wake;       /* there is more to read that the pipe below does not tell of */
  const roost_tls_info *info; /* held; NULL until somebody asked */
  size_t handshake_bytes;     /* seen by OpenSSL until the handshake was done */
  size_t discarded_bytes;     /* thrown away after it failed */
  ssize_t last;               /* see over: 0, or a negative errno */
  int write_error;            /* what writing will never get over: a negative errno */
  char *why;                  /* of a failure; NULL: none, or memory was short */
  unsigned events;            /* watched by our user */
  unsigned watched;           /* watched by us */
  bool is_watching;           /* watched says what the pipe below was told */
  bool secure;                /* the handshake is done */
  bool failed;                /* nothing can be read or written any more */
  bool over;
  bool fin_wanted; /* once blocked is written */
  bool closing;
} tls_pipe;

static tls_pipe *of(roost_pipe *pipe) {
  return (tls_pipe *)pipe;
}

void roost_tls_buffers_free(const roost_alloc *alloc, roost_tls_buffers *buffers) {
  roost_alloc_put(alloc, buffers, sizeof *buffers);
}

/* --------------------------------------------------------------------- failing --------------- */

/* Nothing works any more; why is said once, by the first failure. */
static void fail(tls_pipe *self, const char *why) {
  self->failed = true;
  self->over = true;
  self->last = -EPROTO;
  if (self->why != NULL)
    return;
  self->why = roost_alloc_get(self->loop->alloc, WHY_BYTES);
  if (self->why != NULL)
    snprintf(self->why, WHY_BYTES, "ETLS: %.*s", WHY_BYTES - 8, why);
}

static const char *shown_name(const tls_pipe *self) {
  const char *name = SSL_get_servername(self->ssl, TLSEXT_NAMETYPE_host_name);
  return name != NULL ? name : "this address";
}

static void fail_ssl(tls_pipe *self) {
  char why[WHY_BYTES - sizeof "ETLS: "];
  const long verify = SSL_get_verify_result(self->ssl);
  if (!self->secure && self->handshake_bytes > HANDSHAKE_BYTES)
    snprintf(why, sizeof why, "the handshake is larger than %d bytes", HANDSHAKE_BYTES);
  else if (verify == X509_V_ERR_HOSTNAME_MISMATCH || verify == X509_V_ERR_IP_ADDRESS_MISMATCH)
    snprintf(why, sizeof why, "the server's certificate is not for %s", shown_name(self));
  else
    roost_tls_explain(why, sizeof why, self->context->is_server, verify);
  ERR_clear_error();
  fail(self, why);
}

static const char *why(const roost_pipe *pipe) {
  const tls_pipe *self = (const tls_pipe *)pipe;
  if (!self->failed)
    return NULL;
  return self->why != NULL ? self->why : "ETLS: out of memory";
}

/* --------------------------------------------------------------------- ciphertext out -------- */

static size_t unsent(const roost_pipe *pipe) {
  const tls_pipe *self = (const tls_pipe *)pipe;
  return self->blocked.len - self->blocked_sent;
}

static void cannot_write(tls_pipe *self, int error) {
  self->write_error = error;
  roost_buffer_deinit(&self->blocked);
  self->blocked_sent = 0;
}

static void block(tls_pipe *self, const char *from, size_t len) {
  if (self->blocked_sent > 0) {
    roost_buffer_consume(&self->blocked, self->blocked_sent);
    self->blocked_sent = 0;
  }
  if (roost_buffer_append(&self->blocked, from, len) != 0)
    cannot_write(self, -ENOMEM);
}

/* Writes what OpenSSL has left in the loop's buffer. */
static void flush(tls_pipe *self) {
  roost_tls_buffers *buffers = self->loop->tls;
  const char *from = buffers->out;
  size_t len = buffers->out_len;
  buffers->out_len = 0;
  if (len == 0 || self->write_error != 0)
    return;
  if (unsent(&self->pipe) == 0) {
    const ssize_t n = self->below->ops->write(self->below, from, len);
    if (n < 0 && n != -EAGAIN) {
      cannot_write(self, (int)n);
      return;
    }
    from += n > 0 ? n : 0;
    len -= n > 0 ? (size_t)n : 0;
  }
  if (len > 0)
    block(self, from, len);
}

static void flush_blocked(tls_pipe *self) {
  const size_t len = unsent(&self->pipe);
  if (len == 0)
    return;
  const ssize_t n =
      self->below->ops->write(self->below, self->blocked.ptr + self->blocked_sent, len);
  if (n < 0 && n != -EAGAIN) {
    cannot_write(self, (int)n);
    return;
  }
  self->blocked_sent += n > 0 ? (size_t)n : 0;
  if (unsent(&self->pipe) > 0)
    return;
  roost_buffer_deinit(&self->blocked);
  self->blocked_sent = 0;
  if (self->fin_wanted)
    self->below->ops->shutdown(self->below);
}

/* --------------------------------------------------------------------- OpenSSL's calls ------- */

/* An end of the stream is none of OpenSSL's business: it would refuse to write from then on. */
static int take_in(BIO *bio, char *to, int room) {
  tls_pipe *self = BIO_get_data(bio);
  const size_t n = self->in_len < (size_t)room ? self->in_len : (size_t)room;
  BIO_clear_retry_flags(bio);
  if (!self->secure)
    self->handshake_bytes += n;
  if (n == 0)
    BIO_set_retry_read(bio);
  if (n == 0 || (!self->secure && self->handshake_bytes > HANDSHAKE_BYTES))
    return -1;
  memcpy(to, self->in, n);
  self->in += n;
  self->in_len -= n;
  return (int)n;
}

static int leave_out(BIO *bio, const char *from, int len) {
  tls_pipe *self = BIO_get_data(bio);
  roost_tls_buffers *buffers = self->loop->tls;
  BIO_clear_retry_flags(bio);
  for (size_t left = (size_t)len; left > 0;) {
    const size_t room = sizeof buffers->out - buffers->out_len;
    const size_t n = left < room ? left : room;
    memcpy(buffers->out + buffers->out_len, from, n);
    buffers->out_len += n;
    from += n;
    left -= n;
    if (left > 0)
      flush(self);
  }
  return len;
}

static long control(BIO *bio, int command, long number, void *ptr) {
  (void)bio;
  (void)number;
  (void)ptr;
  return command == BIO_CTRL_FLUSH ? 1 : 0;
}

static int create(BIO *bio) {
  BIO_set_init(bio, 1);
  return 1;
}

/* A type of its own would be one of 127 that a process can have. */
BIO_METHOD *roost_tls_bio_new(void) {
  BIO_METHOD *method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "roost");
  if (method == NULL)
    return NULL;
  BIO_meth_set_read(method, take_in);
  BIO_meth_set_write(method, leave_out);
  BIO_meth_set_ctrl(method, control);
  BIO_meth_set_create(method, create);
  return method;
}

void roost_tls_bio_free(BIO_METHOD *method) {
  BIO_meth_free(method);
}

/* --------------------------------------------------------------------- ciphertext in --------- */

static void begin_reading(tls_pipe *self) {
  self->in = self->rest.ptr + self->rest_taken;
  self->in_len = self->rest.len - self->rest_taken;
}

/* What OpenSSL has not taken must outlive the loop's buffer. */
static void end_reading(tls_pipe *self) {
  const bool in_rest = self->rest.len > self->rest_taken;
  if (in_rest)
    self->rest_taken = self->rest.len - self->in_len;
  if (self->in_len == 0 || self->failed) {
    roost_buffer_deinit(&self->rest);
    self->rest_taken = 0;
  } else if (!in_rest && roost_buffer_append(&self->rest, self->in, self->in_len) != 0) {
    fail(self, "out of memory");
  }
  self->in = NULL;
  self->in_len = 0;
}

static void end_stream(tls_pipe *self, ssize_t last) {
  self->over = true;
  self->last = last;
}

/* Reads from below once OpenSSL has taken all there was: true when there is more for it. is_dry:
 * reading once more would give nothing. */
static bool refill(tls_pipe *self, size_t wanted, bool *is_dry) {
  roost_tls_buffers *buffers = self->loop->tls;
  if (self->rest.cap > 0) {
    roost_buffer_deinit(&self->rest);
    self->rest_taken = 0;
  }
  if (wanted < MIN_READ_BYTES)
    wanted = MIN_READ_BYTES;
  if (wanted > sizeof buffers->in)
    wanted = sizeof buffers->in;
  const ssize_t n = self->below->ops->read(self->below, buffers->in, wanted);
  *is_dry = n < (ssize_t)wanted;
  if (n > 0) {
    self->in = buffers->in;
    self->in_len = (size_t)n;
  } else if (n != -EAGAIN) {
    end_stream(self, n);
  }
  return n > 0;
}

/* Decrypts into the room until it is full or nothing more is there; bytes. */
static size_t decrypt(tls_pipe *self, char *to, size_t room) {
  size_t got = 0;
  bool is_dry = false;
  while (got < room && !self->over) {
    size_t n = 0;
    ERR_clear_error();
    if (SSL_read_ex(self->ssl, to + got, room - got, &n) == 1) {
      got += n;
      continue;
    }
    switch (SSL_get_error(self->ssl, 0)) {
    case SSL_ERROR_WANT_READ:
      if (is_dry || (got > 0 && room - got < RECORD_BYTES) || !refill(self, room - got, &is_dry))
        return got;
      break;
    case SSL_ERROR_ZERO_RETURN:
      end_stream(self, 0);
      break;
    default:
      fail_ssl(self);
      break;
    }
  }
  return got;
}

/* --------------------------------------------------------------------- watching -------------- */

/* More can be read than the pipe below would tell of. */
static bool has_more(const tls_pipe *self) {
  return self->over || self->rest.len > self->rest_taken || SSL_pending(self->ssl) > 0;
}

static int watch_below(tls_pipe *self) {
  unsigned events = self->secure ? self->events : ROOST_PIPE_READ;
  if (self->over && self->secure)
    events &= ~ROOST_PIPE_READ;
  if (unsent(&self->pipe) > 0)
    events |= ROOST_PIPE_WRITE;
  if (self->secure && (self->events & ROOST_PIPE_READ) != 0 && has_more(self))
    roost_loop_defer(self->loop, &self->wake);
  if (self->is_watching && events == self->watched)
    return 0;
  self->is_watching = true;
  self->watched = events;
  return self->below->ops->watch(self->below, events);
}

static int watch(roost_pipe *pipe, unsigned events) {
  of(pipe)->events = events;
  return watch_below(of(pipe));
}

/* After something was done: what is watched next, and what no call can be told of. */
static void settle(tls_pipe *self) {
  if (self->closing)
    return;
  int error = self->write_error;
  if (error == 0)
    error = watch_below(self);
  if (error != 0 && self->secure)
    self->pipe.user->broken(self->pipe.ud, -error);
}

static void on_wake(void *ud) {
  tls_pipe *self = ud;
  if (!self->closing && (self->events & ROOST_PIPE_READ) != 0 && has_more(self))
    self->pipe.user->ready(self->pipe.ud, ROOST_PIPE_READ);
  settle(self);
}

static void on_ready(void *ud, unsigned events) {
  tls_pipe *self = ud;
  if (self->closing)
    return;
  if ((events & ROOST_PIPE_WRITE) != 0)
    flush_blocked(self);
  unsigned wanted = self->secure ? self->events : events;
  if (unsent(&self->pipe) > 0)
    wanted &= ~ROOST_PIPE_WRITE;
  if ((events & wanted) != 0)
    self->pipe.user->ready(self->pipe.ud, events & wanted);
  settle(self);
}

static void on_broken(void *ud, int error) {
  tls_pipe *self = ud;
  if (!self->closing)
    self->pipe.user->broken(self->pipe.ud, error);
}

/* --------------------------------------------------------------------- the pipe's verbs ------ */

static ssize_t read_tls(roost_pipe *pipe, char *to, size_t room) {
  tls_pipe *self = of(pipe);
  if (self->over)
    return self->last;
  begin_reading(self);
  const size_t got = decrypt(self, to, room);
  end_reading(self);
  flush(self); /* answers of TLS itself */
  if (unsent(pipe) > 2 * OUT_BYTES)
    fail(self, "the peer asks for much and reads nothing");
  const int error = watch_below(self);
  if (error != 0)
    end_stream(self, error);
  if (got > 0)
    return (ssize_t)got;
  return self->over ? self->last : -EAGAIN;
}

static ssize_t write_tls(roost_pipe *pipe, const char *from, size_t len) {
  tls_pipe *self = of(pipe);
  size_t taken = 0;
  flush_blocked(self);
  while (taken < len && unsent(pipe) == 0 && self->write_error == 0 && !self->failed) {
    const size_t chunk = len - taken < PLAIN_BYTES ? len - taken : PLAIN_BYTES;
    size_t n = 0;
    ERR_clear_error();
    if (SSL_write_ex(self->ssl, from + taken, chunk, &n) != 1)
      fail_ssl(self);
    taken += n;
    flush(self);
  }
  if (self->write_error != 0)
    return self->write_error;
  if (self->failed)
    return -EPROTO;
  return taken > 0 || len == 0 ? (ssize_t)taken : -EAGAIN;
}

static void say_goodbye(tls_pipe *self) {
  if (self->secure && !self->failed) {
    ERR_clear_error();
    (void)SSL_shutdown(self->ssl);
  }
  ERR_clear_error();
  flush(self);
}

static void shutdown_tls(roost_pipe *pipe) {
  tls_pipe *self = of(pipe);
  say_goodbye(self);
  self->fin_wanted = true;
  if (unsent(pipe) == 0)
    self->below->ops->shutdown(self->below);
  (void)watch_below(self);
}

static void close_tls(roost_pipe *pipe) {
  tls_pipe *self = of(pipe);
  if (self->closing)
    return;
  self->closing = true;
  if (!self->fin_wanted)
    say_goodbye(self);
  roost_loop_remove_hook(&self->wake);
  self->below->ops->close(self->below);
}

static size_t memory(const roost_pipe *pipe) {
  const tls_pipe *self = (const tls_pipe *)pipe;
  return self->rest.cap + self->blocked.cap;
}

static int descriptor(const roost_pipe *pipe) {
  const tls_pipe *self = (const tls_pipe *)pipe;
  return self->below->ops->descriptor(self->below);
}

static const roost_pipe_ops tls_ops = {
    .read = read_tls,
    .write = write_tls,
    .shutdown = shutdown_tls,
    .watch = watch,
    .close = close_tls,
    .descriptor = descriptor,
    .unsent = unsent,
    .memory = memory,
    .why = why,
};

/* --------------------------------------------------------------------- the handshake --------- */

/* The peer is given time to read why: closing on what he still sends would destroy it. */
static int wait_for_end(tls_pipe *self) {
  roost_tls_buffers *buffers = self->loop->tls;
  ssize_t n = 1;
  while (n > 0 && self->discarded_bytes <= DISCARD_BYTES) {
    n = self->below->ops->read(self->below, buffers->in, sizeof buffers->in);
    self->discarded_bytes += n > 0 ? (size_t)n : 0;
  }
  return n == -EAGAIN ? -EAGAIN : -EPROTO;
}

static void shake_hands(tls_pipe *self) {
  bool is_dry;
  while (!self->secure && !self->failed) {
    ERR_clear_error();
    const int result = SSL_do_handshake(self->ssl);
    if (result == 1) {
      self->secure = true;
    } else if (SSL_get_error(self->ssl, result) != SSL_ERROR_WANT_READ) {
      fail_ssl(self);
    } else if (!refill(self, sizeof self->loop->tls->in, &is_dry)) {
      if (self->over)
        fail(self, self->last == 0 ? "the peer hung up during the handshake" : broken_off);
      return;
    }
  }
}

int roost_tls_handshake(roost_pipe *pipe) {
  tls_pipe *self = of(pipe);
  if (!self->failed) {
    begin_reading(self);
    shake_hands(self);
    end_reading(self);
    flush(self);
    if (self->failed)
      shutdown_tls(pipe);
  }
  if (watch_below(self) != 0 || (self->write_error != 0 && !self->failed))
    fail(self, broken_off);
  if (self->failed)
    return self->write_error != 0 ? -EPROTO : wait_for_end(self);
  return self->secure ? 0 : -EAGAIN;
}

bool roost_tls_failed(const roost_pipe *pipe) {
  return ((const tls_pipe *)pipe)->failed;
}

bool roost_tls_heard(const roost_pipe *pipe) {
  return ((const tls_pipe *)pipe)->handshake_bytes > 0;
}

bool roost_tls_is_server(const roost_pipe *pipe) {
  return ((const tls_pipe *)pipe)->context->is_server;
}

const roost_tls_info *roost_tls_pipe_info(roost_pipe *pipe) {
  tls_pipe *self = of(pipe);
  if (pipe->ops != &tls_ops || !self->secure)
    return NULL;
  if (self->info == NULL)
    self->info = roost_tls_info_new(self->loop->alloc, self->ssl);
  return self->info;
}

/* --------------------------------------------------------------------- making ---------------- */

static void free_pipe(tls_pipe *self) {
  const roost_alloc *alloc = self->loop->alloc;
  if (self->info != NULL)
    roost_tls_info_release(self->info);
  SSL_free(self->ssl);
  ERR_clear_error();
  roost_tls_context_release(self->context);
  roost_buffer_deinit(&self->rest);
  roost_buffer_deinit(&self->blocked);
  roost_alloc_put(alloc, self->why, self->why != NULL ? WHY_BYTES : 0);
  roost_alloc_put(alloc, self, sizeof *self);
}

static void on_below_closed(void *ud) {
  tls_pipe *self = ud;
  self->pipe.user->closed(self->pipe.ud);
  free_pipe(self);
}

static const roost_pipe_user below_user = {
    .ready = on_ready, .broken = on_broken, .closed = on_below_closed};

/* Which name the server's certificate must have, and which one it is asked for. */
static int expect_name(tls_pipe *self, const char *name) {
  const roost_tls_context *context = self->context;
  unsigned char address[sizeof(struct in6_addr)];
  if (context->servername != NULL)
    name = context->servername;
  if (name == NULL || name[0] == '\0')
    return context->insecure ? 0 : ROOST_EINVAL;
  const bool is_address =
      inet_pton(AF_INET, name, address) == 1 || inet_pton(AF_INET6, name, address) == 1;
  X509_VERIFY_PARAM *rules = SSL_get0_param(self->ssl);
  X509_VERIFY_PARAM_set_hostflags(rules, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  const int set = is_address ? X509_VERIFY_PARAM_set1_ip_asc(rules, name)
                             : X509_VERIFY_PARAM_set1_host(rules, name, 0);
  if (set != 1 || (!is_address && SSL_set_tlsext_host_name(self->ssl, name) != 1))
    return ROOST_ENOMEM;
  return 0;
}

static int init_ssl(tls_pipe *self, const char *name) {
  self->ssl = SSL_new(self->context->ssl);
  BIO *bio = self->ssl != NULL ? BIO_new(self->context->bio) : NULL;
  if (bio == NULL)
    return ROOST_ENOMEM;
  BIO_set_data(bio, self);
  SSL_set_bio(self->ssl, bio, bio);
  if (self->context->is_server) {
    SSL_set_accept_state(self->ssl);
    return 0;
  }
  SSL_set_connect_state(self->ssl);
  return expect_name(self, name);
}

int roost_pipe_tls(roost_pipe **out, roost_loop *loop, roost_pipe *below,
                   roost_tls_context *context, const char *name) {
  *out = NULL;
  if (loop->tls == NULL)
    loop->tls = roost_alloc_get(loop->alloc, sizeof *loop->tls);
  tls_pipe *self = loop->tls != NULL ? roost_alloc_get(loop->alloc, sizeof *self) : NULL;
  if (self == NULL)
    return ROOST_ENOMEM;
  self->pipe.ops = &tls_ops;
  self->loop = loop;
  self->below = below;
  self->context = roost_tls_context_hold(context);
  self->wake.fn = on_wake;
  self->wake.ud = self;
  roost_buffer_init(&self->rest, loop->alloc);
  roost_buffer_init(&self->blocked, loop->alloc);
  const int status = init_ssl(self, name);
  if (status != 0) {
    free_pipe(self);
    return status;
  }
  below->user = &below_user;
  below->ud = self;
  *out = &self->pipe;
  return 0;
}
