/*
 * net/crypto.h - what we need of a cryptography library besides TLS. Any thread.
 */
#ifndef ROOST_NET_CRYPTO_H
#define ROOST_NET_CRYPTO_H

#include <stddef.h>

#include "roost.h"

/* Fills out with bytes nobody can guess: the kernel's, for the cryptography library would take
 * three MiB to begin with, whether or not there is TLS. ESYSTEM. */
int roost_random_bytes(void *out, size_t len);

#define ROOST_ED25519_KEY       32 /* bytes of a secret, and of a public key */
#define ROOST_ED25519_SIGNATURE 64

/* Signs len bytes with an Ed25519 secret (RFC 8032). ESYSTEM. */
int roost_ed25519_sign(uint8_t signature[ROOST_ED25519_SIGNATURE],
                       const uint8_t secret[ROOST_ED25519_KEY], const void *bytes, size_t len);

/* The public key that belongs to a secret. ESYSTEM. */
int roost_ed25519_public(uint8_t key[ROOST_ED25519_KEY], const uint8_t secret[ROOST_ED25519_KEY]);

/* Overwrites a secret that is done with, also where the compiler sees nobody read it. */
void roost_wipe(void *bytes, size_t len);

/* Version of the library that is linked, as "3.0.17"; constant. */
const char *roost_crypto_version(void);

#endif
