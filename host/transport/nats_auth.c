/*
 * Who we are to a NATS server: user and password, a token, or credentials, with whose seed what the
 * server says is signed. Secrets are read when they are needed and overwritten afterwards.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/open_file.h"
#include "core/slice.h"
#include "net/crypto.h"
#include "transport/nats_internal.h"
#include "wire/nkey.h"

#define FILE_MAX_BYTES 65536

/* What a login is made of; owned until it is written. */
typedef struct login {
  roost_nats_connect connect;
  roost_buffer file;      /* the credentials' text */
  roost_buffer signature; /* of the nonce */
  char nkey[ROOST_NKEY_PUBLIC_TEXT];
  char *why;
  size_t why_size;
} login;

static int refuse(login *self, const char *what, const char *detail) {
  snprintf(self->why, self->why_size, "creds: %s%s", what, detail);
  return ROOST_ECONFIG;
}

/* ------------------------------------------------------------------------- files ------------- */

static int read_all(login *self, FILE *file) {
  if (roost_buffer_reserve(&self->file, FILE_MAX_BYTES) != 0)
    return ROOST_ENOMEM;
  self->file.len = fread(self->file.ptr, 1, FILE_MAX_BYTES, file);
  return ferror(file) != 0 ? refuse(self, "it cannot be read", "") : 0;
}

static int read_file(login *self, const char *dir, const char *path) {
  char full[4096];
  const bool is_relative = path[0] != '/' && dir != NULL;
  const int len =
      snprintf(full, sizeof full, "%s%s%s", is_relative ? dir : "", is_relative ? "/" : "", path);
  if (len < 0 || (size_t)len >= sizeof full)
    return refuse(self, "its path is too long", "");
  FILE *file = roost_open_file(full);
  if (file == NULL)
    return refuse(self, "it cannot be opened: ", roost_open_error(errno));
  const int status = read_all(self, file);
  fclose(file);
  return status;
}

/* A text of several lines, or a bare seed, is no path. */
static bool is_path(const char *creds) {
  roost_nkey_seed seed;
  const bool is_seed = roost_nkey_seed_read(&seed, roost_slice_text(creds)) == 0;
  roost_wipe(&seed, sizeof seed);
  return !is_seed && strchr(creds, '\n') == NULL;
}

/* ------------------------------------------------------------------------- credentials ------- */

static int sign(login *self, const roost_nkey_seed *seed, roost_slice nonce) {
  uint8_t signature[ROOST_ED25519_SIGNATURE];
  if (roost_ed25519_sign(signature, seed->bytes, nonce.ptr, nonce.len) != 0)
    return refuse(self, "what the server says cannot be signed", "");
  const int status =
      roost_base64url(&self->signature, (roost_slice){(const char *)signature, sizeof signature});
  self->connect.signature = roost_buffer_slice(&self->signature);
  return status;
}

/* Without a token the server knows us by our public key. */
static int show_key(login *self, const roost_nkey_seed *seed) {
  uint8_t key[ROOST_ED25519_KEY];
  if (roost_ed25519_public(key, seed->bytes) != 0)
    return refuse(self, "its seed is no key", "");
  roost_nkey_public(self->nkey, seed->prefix, key);
  self->connect.nkey = (roost_slice){self->nkey, sizeof self->nkey};
  return 0;
}

/* The seed is to be wiped. */
static int read_creds(login *self, const roost_nats_options *options, roost_nkey_seed *seed) {
  roost_nats_creds creds;
  const int status = is_path(options->creds)
                         ? read_file(self, options->dir, options->creds)
                         : roost_buffer_append_slice(&self->file, roost_slice_text(options->creds));
  if (status != 0)
    return status;
  if (roost_nats_creds_read(&creds, roost_buffer_slice(&self->file)) != 0 ||
      roost_nkey_seed_read(seed, creds.seed) != 0)
    return refuse(self, "there is no seed of a user in it", "");
  self->connect.jwt = creds.jwt;
  return 0;
}

static int use_creds(login *self, const roost_nats_options *options, roost_slice nonce) {
  roost_nkey_seed seed;
  int status = read_creds(self, options, &seed);
  if (status == 0 && nonce.len == 0)
    status = refuse(self, "the server wants none", "");
  if (status == 0 && self->connect.jwt.ptr == NULL)
    status = show_key(self, &seed);
  if (status == 0)
    status = sign(self, &seed, nonce);
  roost_wipe(&seed, sizeof seed);
  return status;
}

/* ------------------------------------------------------------------------- the whole --------- */

static void forget(roost_buffer *secret) {
  if (secret->cap > 0)
    roost_wipe(secret->ptr, secret->cap);
  roost_buffer_deinit(secret);
}

/* A name without a password is a token, as in nats://TOKEN@HOST. */
static void use_names(login *self, const roost_nats_options *options) {
  const roost_broker *broker = &options->broker;
  const char *user = options->user != NULL ? options->user : broker->user;
  const char *pass = options->pass != NULL ? options->pass : broker->password;
  const bool is_token = user != NULL && pass == NULL && options->user == NULL;
  self->connect.token = roost_slice_text(is_token ? user : options->token);
  if (!is_token) {
    self->connect.user = roost_slice_text(user);
    self->connect.pass = roost_slice_text(pass);
  }
}

int roost_nats_write_login(const roost_nats_conn *conn, roost_buffer *out, char *why,
                           size_t why_size) {
  char version[24];
  login self = {.why = why, .why_size = why_size};
  const uint32_t number = roost_version();
  const int len = snprintf(version, sizeof version, "%u.%u.%u", number / 10000, number / 100 % 100,
                           number % 100);
  roost_buffer_init(&self.file, out->alloc);
  roost_buffer_init(&self.signature, out->alloc);
  self.connect.name = roost_slice_text(conn->name);
  self.connect.version = (roost_slice){version, (size_t)len};
  self.connect.tls = conn->options->broker.tls != NULL;
  use_names(&self, conn->options);
  int status = 0;
  if (conn->options->creds != NULL)
    status = use_creds(&self, conn->options, (roost_slice){conn->nonce, conn->nonce_len});
  if (status == 0)
    status = roost_nats_write_connect(out, &self.connect);
  if (status == ROOST_EINVAL)
    snprintf(why, why_size, "user, pass or token is not UTF-8");
  forget(&self.file);
  forget(&self.signature);
  return status == ROOST_EINVAL ? ROOST_ECONFIG : status;
}

int roost_nats_check_files(const void *options, const roost_alloc *alloc, char *why,
                           size_t why_size) {
  const roost_nats_options *of = options;
  login self = {.why_size = why_size};
  roost_nkey_seed seed;
  if (of->creds == NULL)
    return 0;
  self.why = why;
  roost_buffer_init(&self.file, alloc);
  const int status = read_creds(&self, of, &seed);
  roost_wipe(&seed, sizeof seed);
  forget(&self.file);
  return status;
}
