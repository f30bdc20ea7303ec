#include "net/crypto.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <sys/random.h>

int roost_random_bytes(void *out, size_t len) {
  unsigned char *at = out;
  while (len > 0) {
    const ssize_t n = getrandom(at, len, 0);
    if (n < 0) {
      if (errno != EINTR)
        return ROOST_ESYSTEM;
      continue;
    }
    at += n;
    len -= (size_t)n;
  }
  return 0;
}

int roost_ed25519_sign(uint8_t signature[ROOST_ED25519_SIGNATURE],
                       const uint8_t secret[ROOST_ED25519_KEY], const void *bytes, size_t len) {
  size_t signed_bytes = ROOST_ED25519_SIGNATURE;
  EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, secret, ROOST_ED25519_KEY);
  EVP_MD_CTX *context = key != NULL ? EVP_MD_CTX_new() : NULL;
  const bool is_signed = context != NULL &&
                         EVP_DigestSignInit(context, NULL, NULL, NULL, key) == 1 &&
                         EVP_DigestSign(context, signature, &signed_bytes, bytes, len) == 1;
  EVP_MD_CTX_free(context);
  EVP_PKEY_free(key);
  return is_signed && signed_bytes == ROOST_ED25519_SIGNATURE ? 0 : ROOST_ESYSTEM;
}

int roost_ed25519_public(uint8_t key[ROOST_ED25519_KEY], const uint8_t secret[ROOST_ED25519_KEY]) {
  size_t len = ROOST_ED25519_KEY;
  EVP_PKEY *pair = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, secret, ROOST_ED25519_KEY);
  const bool is_there = pair != NULL && EVP_PKEY_get_raw_public_key(pair, key, &len) == 1;
  EVP_PKEY_free(pair);
  return is_there && len == ROOST_ED25519_KEY ? 0 : ROOST_ESYSTEM;
}

void roost_wipe(void *bytes, size_t len) {
  OPENSSL_cleanse(bytes, len);
}

const char *roost_crypto_version(void) {
  return OpenSSL_version(OPENSSL_VERSION_STRING);
}
