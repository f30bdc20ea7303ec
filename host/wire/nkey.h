/*
 * wire/nkey.h - NATS's text forms of Ed25519 keys, and the files they are kept in.
 *
 * Seed: the secret a key pair is made from, 32 bytes; as text "SU" and 56 letters more for a user.
 * Public key: 32 bytes; as text "U" and 55 letters more. Both are base32 with a checksum.
 * Creds: a file with a user's token (a JWT) and seed between lines of dashes, as the tools of NATS
 * write it; one with nothing but a seed is read as well. No I/O; any thread.
 */
#ifndef ROOST_WIRE_NKEY_H
#define ROOST_WIRE_NKEY_H

#include "core/buffer.h"

#define ROOST_NKEY_BYTES       32 /* of a seed, and of a public key */
#define ROOST_NKEY_PUBLIC_TEXT 56 /* letters of a public key */

typedef struct roost_nkey_seed {
  uint8_t bytes[ROOST_NKEY_BYTES];
  uint8_t prefix; /* whose key it is, for roost_nkey_public */
} roost_nkey_seed;

/* Reads a seed's text. EINVAL: it is none. Whoever is done with a seed overwrites it. */
int roost_nkey_seed_read(roost_nkey_seed *seed, roost_slice text);

/* Writes a public key's text, without a NUL. */
void roost_nkey_public(char text[ROOST_NKEY_PUBLIC_TEXT], uint8_t prefix,
                       const uint8_t key[ROOST_NKEY_BYTES]);

/* Appends bytes in base64 as URLs have it, without padding. ENOMEM. */
int roost_base64url(roost_buffer *out, roost_slice bytes);

/* Borrowed from the file's text. */
typedef struct roost_nats_creds {
  roost_slice jwt;  /* ptr NULL: the file has none */
  roost_slice seed; /* its text */
} roost_nats_creds;

/* EINVAL: there is no seed in it. */
int roost_nats_creds_read(roost_nats_creds *creds, roost_slice text);

#endif
