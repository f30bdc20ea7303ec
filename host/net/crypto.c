#include "net/crypto.h"

#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>

int roost_random_bytes(void *out, size_t len) {
  unsigned char *at = out;
  while (len > 0) {
    const int n = len < INT_MAX ? (int)len : INT_MAX;
    if (RAND_bytes(at, n) != 1)
      return ROOST_ESYSTEM;
    at += n;
    len -= (size_t)n;
  }
  return 0;
}

const char *roost_crypto_version(void) {
  return OpenSSL_version(OPENSSL_VERSION_STRING);
}
