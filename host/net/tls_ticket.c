/*
 * The keys that session tickets are sealed with. OpenSSL would make one for the life of a context;
 * whoever got hold of it could read what was recorded for months. Here one seals for two hours and
 * opens for two more.
 */
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

#include "core/alloc.h"
#include "net/tls_internal.h"

#define NAME_BYTES 16
#define KEY_BYTES  32

typedef struct ticket_key {
  unsigned char name[NAME_BYTES]; /* by which a ticket tells it */
  unsigned char cipher[KEY_BYTES];
  unsigned char mac[KEY_BYTES];
  time_t made_s; /* monotonic; 0: never */
} ticket_key;

struct roost_tls_tickets {
  pthread_mutex_t mutex; /* connections of several threads share a context */
  ticket_key keys[2];    /* the one that seals, the one before */
  EVP_CIPHER *cipher;
};

static time_t now_s(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec + 1;
}

/* Makes a key to seal with where the last one is too old. */
static bool renew(roost_tls_tickets *tickets, bool at_once) {
  ticket_key *keys = tickets->keys;
  ticket_key fresh;
  const time_t now = now_s();
  if (!at_once && keys[0].made_s != 0 && now - keys[0].made_s < ROOST_TLS_TICKET_SECONDS)
    return true;
  fresh.made_s = now;
  if (RAND_bytes(fresh.name, sizeof fresh.name) != 1 ||
      RAND_bytes(fresh.cipher, sizeof fresh.cipher) != 1 ||
      RAND_bytes(fresh.mac, sizeof fresh.mac) != 1)
    return false;
  keys[1] = keys[0];
  keys[0] = fresh;
  OPENSSL_cleanse(&fresh, sizeof fresh);
  return true;
}

/* 0, or 1 for the key before; -1 where it is none of ours, or too old. */
static int find(const roost_tls_tickets *tickets, const unsigned char *name) {
  for (int i = 0; i < 2; i++)
    if (tickets->keys[i].made_s != 0 &&
        now_s() - tickets->keys[i].made_s < 2 * ROOST_TLS_TICKET_SECONDS &&
        memcmp(tickets->keys[i].name, name, NAME_BYTES) == 0)
      return i;
  return -1;
}

static bool use(const roost_tls_tickets *tickets, ticket_key *key, unsigned char *iv,
                EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int seals) {
  const OSSL_PARAM params[] = {
      OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key->mac, KEY_BYTES),
      OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)"SHA256", 0),
      OSSL_PARAM_construct_end()};
  return EVP_CipherInit_ex(cipher, tickets->cipher, NULL, key->cipher, iv, seals) == 1 &&
         EVP_MAC_CTX_set_params(mac, params) == 1;
}

/* OpenSSL's question, also by what it wants back: 1 sealed or opened, 2 opened and to be sealed
 * anew, 0 not ours: a whole handshake; -1 nothing works. In TLS 1.3 a ticket is used once. */
static int on_ticket(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
                     EVP_MAC_CTX *mac, int seals) {
  const roost_tls_context *context = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
  roost_tls_tickets *tickets = context->tickets;
  ticket_key key;
  int which = 0;
  bool works = true;
  pthread_mutex_lock(&tickets->mutex);
  if (seals)
    works = renew(tickets, false) && RAND_bytes(iv, EVP_CIPHER_get_iv_length(tickets->cipher)) == 1;
  else
    which = find(tickets, name);
  if (which >= 0)
    key = tickets->keys[which];
  pthread_mutex_unlock(&tickets->mutex);
  if (which < 0)
    return 0;
  if (seals)
    memcpy(name, key.name, NAME_BYTES);
  works = works && use(tickets, &key, iv, cipher, mac, seals);
  OPENSSL_cleanse(&key, sizeof key);
  if (!works)
    return -1;
  return which == 0 && (seals || SSL_version(ssl) < TLS1_3_VERSION) ? 1 : 2;
}

int roost_tls_tickets_new(roost_tls_tickets **out, const roost_alloc *alloc) {
  roost_tls_tickets *tickets = roost_alloc_get(alloc, sizeof *tickets);
  *out = tickets;
  if (tickets == NULL)
    return ROOST_ENOMEM;
  pthread_mutex_init(&tickets->mutex, NULL);
  tickets->cipher = EVP_CIPHER_fetch(NULL, "AES-256-CBC", NULL);
  return tickets->cipher != NULL ? 0 : ROOST_ENOMEM;
}

void roost_tls_tickets_use(roost_tls_context *context, SSL_CTX *ssl) {
  SSL_CTX_set_app_data(ssl, context);
  SSL_CTX_set_tlsext_ticket_key_evp_cb(ssl, on_ticket);
}

bool roost_tls_tickets_renew(roost_tls_tickets *tickets) {
  pthread_mutex_lock(&tickets->mutex);
  const bool renewed = renew(tickets, true);
  pthread_mutex_unlock(&tickets->mutex);
  return renewed;
}

void roost_tls_tickets_free(const roost_alloc *alloc, roost_tls_tickets *tickets) {
  if (tickets == NULL)
    return;
  EVP_CIPHER_free(tickets->cipher);
  pthread_mutex_destroy(&tickets->mutex);
  OPENSSL_cleanse(tickets->keys, sizeof tickets->keys);
  roost_alloc_put(alloc, tickets, sizeof *tickets);
}
