/*
 * tls_test.h - certificates for tests, made on the spot: an authority, what it signs, contexts.
 *
 * A tls_identity owns its texts until tls_identity_free.
 */
#ifndef ROOST_TESTS_TLS_TEST_H
#define ROOST_TESTS_TLS_TEST_H

#include "net_test.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "net/tls.h"

#define TLS_DAY_S 86400

typedef struct tls_identity {
  EVP_PKEY *pkey;
  X509 *x509;
  char *key;  /* PEM */
  char *cert; /* PEM */
} tls_identity;

typedef struct tls_wanted {
  const char *cn;
  const char *sans;           /* as OpenSSL's configuration has it, "DNS:a,IP:10.0.0.1"; or NULL */
  long from_s;                /* from now */
  long to_s;                  /* from now; 0: a day */
  const char *passphrase;     /* of the key's text */
  const tls_identity *issuer; /* NULL: it signs itself, and may sign others */
} tls_wanted;

static inline char *tls_text_of(BIO *bio) {
  char *text;
  const long len = BIO_get_mem_data(bio, &text);
  char *copy = strndup(text, (size_t)len);
  BIO_free(bio);
  return copy;
}

static inline void tls_add_extension(X509 *x509, int nid, const char *value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, x509, x509, NULL, NULL, 0);
  X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
  assert_non_null(extension);
  X509_add_ext(x509, extension, -1);
  X509_EXTENSION_free(extension);
}

static inline tls_identity tls_identity_make(tls_wanted wanted) {
  static long serial = 1;
  tls_identity self = {.pkey = EVP_EC_gen("P-256"), .x509 = X509_new()};
  const tls_identity *issuer = wanted.issuer != NULL ? wanted.issuer : &self;
  X509_NAME *name = X509_get_subject_name(self.x509);
  X509_set_version(self.x509, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(self.x509), serial++);
  X509_gmtime_adj(X509_getm_notBefore(self.x509), wanted.from_s - 60);
  X509_gmtime_adj(X509_getm_notAfter(self.x509), wanted.to_s != 0 ? wanted.to_s : TLS_DAY_S);
  if (wanted.cn != NULL)
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)wanted.cn, -1, -1,
                               0);
  X509_set_issuer_name(self.x509, X509_get_subject_name(issuer->x509));
  X509_set_pubkey(self.x509, self.pkey);
  tls_add_extension(self.x509, NID_basic_constraints,
                    wanted.issuer == NULL ? "critical,CA:TRUE" : "CA:FALSE");
  if (wanted.sans != NULL)
    tls_add_extension(self.x509, NID_subject_alt_name, wanted.sans);
  assert_true(X509_sign(self.x509, issuer->pkey, EVP_sha256()) > 0);
  BIO *bio = BIO_new(BIO_s_mem());
  PEM_write_bio_PKCS8PrivateKey(bio, self.pkey, wanted.passphrase ? EVP_aes_128_cbc() : NULL,
                                wanted.passphrase,
                                wanted.passphrase ? (int)strlen(wanted.passphrase) : 0, NULL, NULL);
  self.key = tls_text_of(bio);
  bio = BIO_new(BIO_s_mem());
  PEM_write_bio_X509(bio, self.x509);
  self.cert = tls_text_of(bio);
  return self;
}

static inline void tls_identity_free(tls_identity *self) {
  EVP_PKEY_free(self->pkey);
  X509_free(self->x509);
  free(self->key);
  free(self->cert);
}

/* An authority and two whom it has signed, with a context of each side; a test may make others. */
typedef struct tls_world {
  tls_identity ca;
  tls_identity server; /* "server.test", 127.0.0.1 */
  tls_identity client; /* CN=client */
  const char *trusted[2];
  roost_tls_context *server_context;
  roost_tls_context *client_context;
} tls_world;

static inline roost_tls_context *tls_context_make(const roost_alloc *alloc, bool is_server,
                                                  const roost_tls_config *config) {
  roost_tls_context *context;
  roost_buffer text;
  roost_buffer_init(&text, roost_alloc_default());
  const int status = is_server ? roost_tls_server_context(&context, alloc, config, &text)
                               : roost_tls_client_context(&context, alloc, config, &text);
  if (status != 0)
    fail_msg("%.*s", (int)text.len, text.ptr != NULL ? text.ptr : "");
  roost_buffer_deinit(&text);
  return context;
}

/* verify: what the server asks of its clients. */
static inline void tls_world_init(tls_world *world, const roost_alloc *alloc,
                                  roost_tls_verify verify, roost_tls_version version) {
  *world = (tls_world){.ca = tls_identity_make((tls_wanted){.cn = "authority"})};
  world->server = tls_identity_make(
      (tls_wanted){.cn = "server", .sans = "DNS:server.test,IP:127.0.0.1", .issuer = &world->ca});
  world->client = tls_identity_make((tls_wanted){
      .cn = "client", .sans = "DNS:client.test,URI:spiffe://test/client", .issuer = &world->ca});
  world->trusted[0] = world->ca.cert;
  const roost_tls_config server = {.key = world->server.key,
                                   .cert = world->server.cert,
                                   .ca = world->trusted,
                                   .verify = verify,
                                   .min_version = version};
  const roost_tls_config client = {.key = world->client.key,
                                   .cert = world->client.cert,
                                   .ca = world->trusted,
                                   .min_version = version};
  world->server_context = tls_context_make(alloc, true, &server);
  world->client_context = tls_context_make(alloc, false, &client);
}

static inline void tls_world_deinit(tls_world *world) {
  roost_tls_context_release(world->server_context);
  roost_tls_context_release(world->client_context);
  tls_identity_free(&world->ca);
  tls_identity_free(&world->server);
  tls_identity_free(&world->client);
}

/* Begins TLS on both ends of a connection, a being the server. */
static inline void tls_world_start(const tls_world *world, roost_conn *a, roost_conn *b) {
  assert_int_equal(roost_conn_start_tls(a, world->server_context, NULL, 10000), 0);
  assert_int_equal(roost_conn_start_tls(b, world->client_context, "server.test", 10000), 0);
}

#endif
