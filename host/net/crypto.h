/*
 * net/crypto.h - what we need of a cryptography library besides TLS. Any thread.
 */
#ifndef ROOST_NET_CRYPTO_H
#define ROOST_NET_CRYPTO_H

#include <stddef.h>

#include "roost.h"

/* Fills out with bytes nobody can guess. ESYSTEM. */
int roost_random_bytes(void *out, size_t len);

/* Version of the library that is linked, as "3.0.17"; constant. */
const char *roost_crypto_version(void);

#endif
