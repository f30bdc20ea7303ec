#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/alloc.h"
#include "core/open_file.h"
#include "core/slice.h"
#include "net/tls_internal.h"

/* What is neither broken nor slow, the cheapest first (a handshake with SHA-256 takes a tenth less
 * time than with SHA-384); a configuration may name others. */
#define CIPHERS_1_3 "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
#define CIPHERS_1_2                                                                                \
  "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"       \
  "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
#define GROUPS         "X25519:P-256:P-384"
#define MAX_FILE_BYTES (1 << 20) /* of PEM */
#define MAX_CERT_BYTES 65536     /* of a peer's chain */
#define SECURITY_LEVEL 2         /* keys of 112 bits of security at least, no SHA-1 */
#define SHOWN_TEXT     "the PEM text"

/* One context while it is made. */
typedef struct building {
  const roost_tls_config *config;
  roost_tls_context *context;
  roost_buffer *text; /* the error, or a warning */
  const char *prefix; /* before key, cert and passphrase: "" or 'sni["name"].' */
} building;

/* --------------------------------------------------------------------- messages -------------- */

static const char *shown(const char *source) {
  return strstr(source, "-----BEGIN") != NULL ? SHOWN_TEXT : source;
}

/* Says what is wrong with a key of the configuration; whatever OpenSSL noted is forgotten. */
static int fail(building *at, const char *key, const char *source, const char *why) {
  ERR_clear_error();
  roost_buffer_clear(at->text);
  const int status =
      source != NULL
          ? roost_buffer_printf(at->text, "%s%s: %s: %s", at->prefix, key, shown(source), why)
          : roost_buffer_printf(at->text, "%s%s: %s", at->prefix, key, why);
  return status != 0 ? status : ROOST_ECONFIG;
}

/* The same, with OpenSSL's reason. */
static int fail_ssl(building *at, const char *key, const char *source) {
  char why[160];
  const unsigned long error = ERR_peek_last_error();
  const char *reason = ERR_reason_error_string(error);
  if (ERR_GET_REASON(error) == ERR_R_MALLOC_FAILURE)
    return ROOST_ENOMEM;
  snprintf(why, sizeof why, "%s", reason != NULL ? reason : "OpenSSL refuses it");
  return fail(at, key, source, why);
}

/* --------------------------------------------------------------------- PEM text -------------- */

static int open_file(const building *at, const char *source) {
  const char *dir = at->config->dir;
  char path[4096];
  if (dir == NULL || source[0] == '/')
    return roost_open_descriptor(source);
  const int len = snprintf(path, sizeof path, "%s/%s", dir, source);
  if (len < 0 || (size_t)len >= sizeof path) {
    errno = ENAMETOOLONG;
    return -1;
  }
  return roost_open_descriptor(path);
}

/* Only its owner may read a private key. */
static int check_mode(building *at, const char *key, const char *source, const struct stat *info) {
  char why[160];
  if ((info->st_mode & (S_IRWXG | S_IRWXO)) == 0)
    return 0;
  snprintf(why, sizeof why,
           "others than its owner may read this private key (mode %04o); say chmod 600",
           (unsigned)(info->st_mode & 07777));
  return fail(at, key, source, why);
}

static int read_all(building *at, const char *key, const char *source, int descriptor,
                    roost_buffer *pem) {
  for (;;) {
    const int status = roost_buffer_reserve(pem, 16384);
    if (status != 0)
      return status;
    const ssize_t n = read(descriptor, pem->ptr + pem->len, pem->cap - pem->len);
    if (n == 0)
      return 0;
    if (n < 0 && errno != EINTR)
      return fail(at, key, source, strerror(errno));
    pem->len += n > 0 ? (size_t)n : 0;
    if (pem->len > MAX_FILE_BYTES)
      return fail(at, key, source, "is larger than 1 MiB");
  }
}

/* The text of a key of the configuration, whichever way it is given. */
static int read_pem(building *at, const char *key, const char *source, bool secret,
                    roost_buffer *pem) {
  struct stat info;
  if (strstr(source, "-----BEGIN") != NULL)
    return roost_buffer_append_slice(pem, roost_slice_text(source));
  const int descriptor = open_file(at, source);
  if (descriptor < 0 || fstat(descriptor, &info) != 0) {
    const int status = fail(at, key, source, roost_open_error(errno));
    if (descriptor >= 0)
      close(descriptor);
    return status;
  }
  int status = secret ? check_mode(at, key, source, &info) : 0;
  if (status == 0)
    status = read_all(at, key, source, descriptor, pem);
  close(descriptor);
  return status;
}

/* A BIO over the text of a key; pem must be given back with end_pem in any case. */
static int begin_pem(building *at, const char *key, const char *source, bool secret,
                     roost_buffer *pem, BIO **bio) {
  *bio = NULL;
  roost_buffer_init(pem, at->context->alloc);
  const int status = read_pem(at, key, source, secret, pem);
  if (status != 0)
    return status;
  *bio = BIO_new_mem_buf(pem->len > 0 ? pem->ptr : "", (int)pem->len);
  return *bio != NULL ? 0 : ROOST_ENOMEM;
}

static void end_pem(roost_buffer *pem, BIO *bio) {
  BIO_free(bio);
  if (pem->cap > 0)
    OPENSSL_cleanse(pem->ptr, pem->cap);
  roost_buffer_deinit(pem);
}

/* True where the last certificate of a text has been read and nothing is wrong with it. */
static bool is_end_of_pem(void) {
  const unsigned long error = ERR_peek_last_error();
  return error == 0 ||
         (ERR_GET_LIB(error) == ERR_LIB_PEM && ERR_GET_REASON(error) == PEM_R_NO_START_LINE);
}

/* --------------------------------------------------------------------- certificates ---------- */

static int64_t seconds_of(const ASN1_TIME *time) {
  struct tm parts;
  return ASN1_TIME_to_tm(time, &parts) == 1 ? (int64_t)timegm(&parts) : INT64_MAX;
}

/* A certificate that is not valid now is used all the same: its owner may be about to renew it. */
static int note_dates(building *at, const char *key, const char *source, const X509 *cert) {
  const int64_t expires = seconds_of(X509_get0_notAfter(cert));
  const int64_t begins = seconds_of(X509_get0_notBefore(cert));
  const int64_t now = (int64_t)time(NULL);
  if ((now <= expires && now >= begins) || at->text->len > 0)
    return 0;
  const time_t when = (time_t)(now > expires ? expires : begins);
  char date[32];
  struct tm parts;
  gmtime_r(&when, &parts);
  strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return roost_buffer_printf(at->text, "%s%s: %s: the certificate %s %s", at->prefix, key,
                             shown(source),
                             now > expires ? "has expired on" : "is not valid before", date);
}

static int use_chain(building *at, SSL_CTX *ssl, const char *source, BIO *bio) {
  size_t count = 0;
  int status = 0;
  X509 *cert;
  while (status == 0 && (cert = PEM_read_bio_X509_AUX(bio, NULL, NULL, NULL)) != NULL) {
    status = note_dates(at, "cert", source, cert);
    const int64_t expires = seconds_of(X509_get0_notAfter(cert));
    if (count++ == 0) {
      if (at->context->expires > expires)
        at->context->expires = expires;
      if (status == 0 && SSL_CTX_use_certificate(ssl, cert) != 1)
        status = fail_ssl(at, "cert", source);
      X509_free(cert);
    } else if (status != 0 || SSL_CTX_add0_chain_cert(ssl, cert) != 1) {
      X509_free(cert);
      status = status != 0 ? status : fail_ssl(at, "cert", source);
    }
  }
  if (status == 0 && !is_end_of_pem())
    status = fail(at, "cert", source, "a certificate in it is damaged");
  else if (status == 0 && count == 0)
    status = fail(at, "cert", source, "there is no certificate in it");
  ERR_clear_error();
  return status;
}

typedef struct passphrase {
  const char *text; /* NULL: none is known */
  bool asked;
} passphrase;

static int give_passphrase(char *to, int size, int writing, void *ud) {
  passphrase *known = ud;
  (void)writing;
  known->asked = true;
  const size_t len = known->text != NULL ? strlen(known->text) : 0;
  if (known->text == NULL || len > (size_t)size)
    return -1;
  memcpy(to, known->text, len);
  return (int)len;
}

static int use_key(building *at, SSL_CTX *ssl, const roost_tls_sni *own, BIO *bio) {
  passphrase known = {.text = own->passphrase};
  EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, give_passphrase, &known);
  if (key == NULL && known.asked)
    return fail(at, "key", own->key,
                known.text != NULL ? "wrong passphrase" : "is encrypted: passphrase is needed");
  if (key == NULL)
    return fail(at, "key", own->key, "there is no private key in it");
  const bool fits = X509_check_private_key(SSL_CTX_get0_certificate(ssl), key) == 1;
  const bool used = fits && SSL_CTX_use_PrivateKey(ssl, key) == 1;
  EVP_PKEY_free(key);
  if (!fits) {
    char why[512];
    snprintf(why, sizeof why, "does not belong to the certificate in %s", shown(own->cert));
    return fail(at, "key", own->key, why);
  }
  return used ? 0 : fail_ssl(at, "key", own->key);
}

/* Key and certificate, which only make sense together. */
static int use_identity(building *at, SSL_CTX *ssl, const roost_tls_sni *own) {
  roost_buffer pem;
  BIO *bio;
  if (own->key == NULL || own->cert == NULL)
    return fail(at, own->key == NULL ? "key" : "cert", NULL,
                own->key == NULL ? "is needed beside cert" : "is needed beside key");
  int status = begin_pem(at, "cert", own->cert, false, &pem, &bio);
  if (status == 0)
    status = use_chain(at, ssl, own->cert, bio);
  end_pem(&pem, bio);
  if (status != 0)
    return status;
  status = begin_pem(at, "key", own->key, true, &pem, &bio);
  if (status == 0)
    status = use_key(at, ssl, own, bio);
  end_pem(&pem, bio);
  return status;
}

static int trust(building *at, SSL_CTX *ssl, const char *key, const char *source, BIO *bio) {
  X509_STORE *store = SSL_CTX_get_cert_store(ssl);
  size_t count = 0;
  int status = 0;
  X509 *cert;
  while (status == 0 && (cert = PEM_read_bio_X509_AUX(bio, NULL, NULL, NULL)) != NULL) {
    status = note_dates(at, key, source, cert);
    if (status == 0 && X509_STORE_add_cert(store, cert) != 1)
      status = fail_ssl(at, key, source);
    if (status == 0 && at->context->is_server && SSL_CTX_add_client_CA(ssl, cert) != 1)
      status = ROOST_ENOMEM;
    X509_free(cert);
    count++;
  }
  if (status == 0 && !is_end_of_pem())
    status = fail(at, key, source, "a certificate in it is damaged");
  else if (status == 0 && count == 0)
    status = fail(at, key, source, "there is no certificate in it");
  ERR_clear_error();
  return status;
}

static int trust_all(building *at, SSL_CTX *ssl) {
  const char *const *ca = at->config->ca;
  const char *prefix = at->prefix;
  int status = 0;
  at->prefix = "";
  for (size_t i = 0; status == 0 && ca != NULL && ca[i] != NULL; i++) {
    char key[24];
    roost_buffer pem;
    BIO *bio;
    snprintf(key, sizeof key, i == 0 && ca[1] == NULL ? "ca" : "ca[%zu]", i + 1);
    status = begin_pem(at, key, ca[i], false, &pem, &bio);
    if (status == 0)
      status = trust(at, ssl, key, ca[i], bio);
    end_pem(&pem, bio);
  }
  at->prefix = prefix;
  return status;
}

/* --------------------------------------------------------------------- rules ----------------- */

/* OpenSSL has two lists: names of TLS 1.3's ciphers all begin with TLS_. */
static int use_ciphers(building *at, SSL_CTX *ssl) {
  const char *ciphers = at->config->ciphers;
  roost_buffer lists[2];
  int status = 0;
  if (SSL_CTX_set_cipher_list(ssl, CIPHERS_1_2) != 1 ||
      SSL_CTX_set_ciphersuites(ssl, CIPHERS_1_3) != 1)
    return ROOST_ENOMEM;
  if (ciphers == NULL)
    return 0;
  roost_buffer_init(&lists[0], at->context->alloc);
  roost_buffer_init(&lists[1], at->context->alloc);
  for (const char *word = ciphers; status == 0 && *word != '\0';) {
    const size_t len = strcspn(word, ":, ");
    roost_buffer *list = &lists[strncmp(word, "TLS_", 4) == 0];
    if (len > 0)
      status = roost_buffer_printf(list, "%s%.*s", list->len > 0 ? ":" : "", (int)len, word);
    word += len + (word[len] != '\0');
  }
  for (size_t i = 0; status == 0 && i < 2; i++)
    if (lists[i].len > 0)
      status = roost_buffer_append_byte(&lists[i], '\0');
  if (status == 0 && ((lists[0].len > 0 && SSL_CTX_set_cipher_list(ssl, lists[0].ptr) != 1) ||
                      (lists[1].len > 0 && SSL_CTX_set_ciphersuites(ssl, lists[1].ptr) != 1)))
    status = fail(at, "ciphers", NULL, "OpenSSL knows none of that name");
  roost_buffer_deinit(&lists[0]);
  roost_buffer_deinit(&lists[1]);
  return status;
}

static int ask_for_certificates(building *at, SSL_CTX *ssl) {
  const roost_tls_config *config = at->config;
  static const unsigned char session_context[] = "roost";
  int mode = SSL_VERIFY_NONE;
  if (!at->context->is_server)
    mode = config->insecure ? SSL_VERIFY_NONE : SSL_VERIFY_PEER;
  else if (config->verify != ROOST_TLS_VERIFY_NONE)
    mode = SSL_VERIFY_PEER |
           (config->verify == ROOST_TLS_VERIFY_REQUIRED ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0);
  SSL_CTX_set_verify(ssl, mode, NULL);
  if (at->context->is_server && mode != SSL_VERIFY_NONE && config->ca == NULL)
    return fail(at, "verify", NULL, "says that clients need a certificate, but there is no ca");
  if (!at->context->is_server && config->ca == NULL && mode != SSL_VERIFY_NONE &&
      SSL_CTX_set_default_verify_paths(ssl) != 1)
    return ROOST_ENOMEM;
  /* Needed for sessions to be resumed where clients have certificates. */
  SSL_CTX_set_session_id_context(ssl, session_context, sizeof session_context - 1);
  return trust_all(at, ssl);
}

static int set_rules(building *at, SSL_CTX *ssl) {
  SSL_CTX_set_security_level(ssl, SECURITY_LEVEL);
  SSL_CTX_set_min_proto_version(ssl, at->config->min_version == ROOST_TLS_1_3 ? TLS1_3_VERSION
                                                                              : TLS1_2_VERSION);
  SSL_CTX_set_max_proto_version(ssl, 0);
  SSL_CTX_set_options(ssl, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                               SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
  /* The chain is what cert has: to look for one at each handshake is dear. */
  SSL_CTX_set_mode(ssl, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_NO_AUTO_CHAIN);
  SSL_CTX_set_max_cert_list(ssl, MAX_CERT_BYTES);
  /* Sessions live in their tickets, so that a server keeps nothing of who has left. */
  SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_timeout(ssl, ROOST_TLS_TICKET_SECONDS);
  if (at->context->is_server)
    roost_tls_tickets_use(at->context, ssl);
  else
    roost_tls_sessions_use(at->context, ssl);
  SSL_CTX_set_num_tickets(ssl, 1);
  if (SSL_CTX_set1_groups_list(ssl, GROUPS) != 1)
    return ROOST_ENOMEM;
  int status = use_ciphers(at, ssl);
  if (status == 0)
    status = ask_for_certificates(at, ssl);
  return status;
}

/* One of OpenSSL's contexts, with key and certificate own, which may be missing for a client. */
static int make_ssl(building *at, SSL_CTX **out, const roost_tls_sni *own) {
  *out = SSL_CTX_new(at->context->is_server ? TLS_server_method() : TLS_client_method());
  if (*out == NULL)
    return ROOST_ENOMEM;
  const int status = set_rules(at, *out);
  if (status != 0 || (!at->context->is_server && own->key == NULL && own->cert == NULL))
    return status;
  return use_identity(at, *out, own);
}

/* --------------------------------------------------------------------- names ----------------- */

/* "*.example.com" stands for exactly one label before the rest. */
static bool is_name(const char *pattern, const char *name) {
  if (strncmp(pattern, "*.", 2) != 0)
    return strcasecmp(pattern, name) == 0;
  const char *dot = strchr(name, '.');
  return dot != NULL && dot != name && strcasecmp(pattern + 1, dot) == 0;
}

static SSL_CTX *find_named(const roost_tls_context *context, const char *name) {
  for (int wildcards = 0; wildcards < 2; wildcards++)
    for (size_t i = 0; i < context->named_count; i++)
      if ((context->named[i].name[0] == '*') == (wildcards == 1) &&
          is_name(context->named[i].name, name))
        return context->named[i].ssl;
  return NULL;
}

/* The type is OpenSSL's. */
static int on_servername(SSL *ssl, int *alert, /* NOLINT(readability-non-const-parameter) */
                         void *ud) {
  const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
  SSL_CTX *named = name != NULL ? find_named(ud, name) : NULL;
  (void)alert;
  if (named == NULL)
    return SSL_TLSEXT_ERR_NOACK;
  SSL_set_SSL_CTX(ssl, named);
  return SSL_TLSEXT_ERR_OK;
}

static int make_named(building *at) {
  roost_tls_context *context = at->context;
  const roost_tls_config *config = at->config;
  char prefix[300];
  if (config->sni_count == 0)
    return 0;
  context->named = roost_alloc_get(context->alloc, config->sni_count * sizeof *context->named);
  if (context->named == NULL)
    return ROOST_ENOMEM;
  context->named_count = config->sni_count;
  for (size_t i = 0; i < config->sni_count; i++) {
    const roost_tls_sni *from = &config->sni[i];
    roost_tls_named *named = &context->named[i];
    snprintf(prefix, sizeof prefix, "sni[\"%.255s\"].", from->name);
    at->prefix = prefix;
    named->name = roost_alloc_text(context->alloc, roost_slice_text(from->name));
    const int status = named->name != NULL ? make_ssl(at, &named->ssl, from) : ROOST_ENOMEM;
    at->prefix = "";
    if (status != 0)
      return status;
  }
  SSL_CTX_set_tlsext_servername_callback(context->ssl, on_servername);
  SSL_CTX_set_tlsext_servername_arg(context->ssl, context);
  return 0;
}

/* --------------------------------------------------------------------- making and freeing ---- */

static int build(building *at) {
  roost_tls_context *context = at->context;
  const roost_tls_config *config = at->config;
  const roost_tls_sni own = {
      .key = config->key, .cert = config->cert, .passphrase = config->passphrase};
  if (config->servername != NULL) {
    context->servername = roost_alloc_text(context->alloc, roost_slice_text(config->servername));
    if (context->servername == NULL)
      return ROOST_ENOMEM;
  }
  context->bio = roost_tls_bio_new();
  if (context->bio == NULL)
    return ROOST_ENOMEM;
  if ((context->is_server ? roost_tls_tickets_new(&context->tickets, context->alloc)
                          : roost_tls_sessions_new(&context->sessions, context->alloc)) != 0)
    return ROOST_ENOMEM;
  const int status = make_ssl(at, &context->ssl, &own);
  return status == 0 ? make_named(at) : status;
}

static int make(roost_tls_context **out, const roost_alloc *alloc, const roost_tls_config *config,
                bool is_server, roost_buffer *text) {
  building at = {.config = config, .text = text, .prefix = ""};
  *out = NULL;
  roost_buffer_clear(text);
  at.context = roost_alloc_get(alloc, sizeof *at.context);
  if (at.context == NULL)
    return ROOST_ENOMEM;
  at.context->alloc = alloc;
  at.context->is_server = is_server;
  at.context->insecure = config->insecure;
  at.context->expires = INT64_MAX;
  atomic_init(&at.context->holders, 1);
  const int status = build(&at);
  ERR_clear_error();
  if (status == 0) {
    *out = at.context;
    return 0;
  }
  roost_tls_context_release(at.context);
  return status;
}

int roost_tls_server_context(roost_tls_context **out, const roost_alloc *alloc,
                             const roost_tls_config *config, roost_buffer *text) {
  return make(out, alloc, config, true, text);
}

int roost_tls_client_context(roost_tls_context **out, const roost_alloc *alloc,
                             const roost_tls_config *config, roost_buffer *text) {
  return make(out, alloc, config, false, text);
}

roost_tls_context *roost_tls_context_hold(roost_tls_context *context) {
  if (context != NULL)
    atomic_fetch_add(&context->holders, 1);
  return context;
}

void roost_tls_context_release(roost_tls_context *context) {
  if (context == NULL || atomic_fetch_sub(&context->holders, 1) > 1)
    return;
  const roost_alloc *alloc = context->alloc;
  for (size_t i = 0; i < context->named_count; i++) {
    SSL_CTX_free(context->named[i].ssl);
    roost_alloc_put_text(alloc, context->named[i].name);
  }
  roost_alloc_put(alloc, context->named, context->named_count * sizeof *context->named);
  SSL_CTX_free(context->ssl);
  roost_tls_tickets_free(alloc, context->tickets);
  roost_tls_sessions_free(alloc, context->sessions);
  roost_tls_bio_free(context->bio);
  roost_alloc_put_text(alloc, context->servername);
  roost_alloc_put(alloc, context, sizeof *context);
}

/* --------------------------------------------------------------------- one connection -------- */

/* Which name the server's certificate must have, and which one it is asked for. */
static int expect_name(const roost_tls_context *context, SSL *ssl, const char *name) {
  unsigned char address[sizeof(struct in6_addr)];
  if (context->servername != NULL)
    name = context->servername;
  if (name == NULL || name[0] == '\0')
    return context->insecure ? 0 : ROOST_EINVAL;
  const bool is_address =
      inet_pton(AF_INET, name, address) == 1 || inet_pton(AF_INET6, name, address) == 1;
  X509_VERIFY_PARAM *rules = SSL_get0_param(ssl);
  X509_VERIFY_PARAM_set_hostflags(rules, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  const int set = is_address ? X509_VERIFY_PARAM_set1_ip_asc(rules, name)
                             : X509_VERIFY_PARAM_set1_host(rules, name, 0);
  if (set != 1 || (!is_address && SSL_set_tlsext_host_name(ssl, name) != 1))
    return ROOST_ENOMEM;
  return 0;
}

int roost_tls_context_connect(SSL **out, const roost_tls_context *context, const char *name,
                              void *ud) {
  *out = SSL_new(context->ssl);
  BIO *bio = *out != NULL ? BIO_new(context->bio) : NULL;
  if (bio == NULL)
    return ROOST_ENOMEM;
  BIO_set_data(bio, ud);
  SSL_set_bio(*out, bio, bio);
  if (context->is_server) {
    SSL_set_accept_state(*out);
    return 0;
  }
  SSL_set_connect_state(*out);
  const int status = expect_name(context, *out, name);
  if (status == 0)
    roost_tls_sessions_resume(context, *out);
  return status;
}

int64_t roost_tls_context_expires(const roost_tls_context *context) {
  return context->expires;
}
