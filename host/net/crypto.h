/*
 * net/crypto.h - what we need of a cryptography library besides TLS. Any thread.
 */
#ifndef ROOST_NET_CRYPTO_H
#define ROOST_NET_CRYPTO_H

#include <stddef.h>

#include "roost.h"

/* Fills out with bytes nobody can guess. ESYSTEM. */
int roost_random_bytes(void *out, size_t len);

#endif
