/*
 * net/tls.h - TLS: what a side has and demands (config), that read and checked (context), and what
 * is known of the other side (info). Connections use it through roost_conn_start_tls (net/conn.h).
 *
 * Context: keys, certificates and rules, read from files once; many connections share it. It is
 * held by whoever holds it, from any thread, and freed by the last roost_tls_context_release.
 * SNI: the name a client says it wants to talk to, by which one of several certificates is chosen.
 * OpenSSL's own memory does not come from a roost_alloc: a library must not replace the allocator
 * that OpenSSL has for the whole process.
 */
#ifndef ROOST_NET_TLS_H
#define ROOST_NET_TLS_H

#include "core/buffer.h"

typedef enum roost_tls_verify {
  ROOST_TLS_VERIFY_NONE,     /* a client is not asked for a certificate */
  ROOST_TLS_VERIFY_OPTIONAL, /* it may have none, but no wrong one */
  ROOST_TLS_VERIFY_REQUIRED
} roost_tls_verify;

typedef enum roost_tls_version { ROOST_TLS_1_2, ROOST_TLS_1_3 } roost_tls_version;

/* A further certificate of a server. Texts as in roost_tls_config. */
typedef struct roost_tls_sni {
  const char *name; /* "api.example.com" or "*.example.com" */
  const char *key;
  const char *cert;
  const char *passphrase;
} roost_tls_sni;

/* Texts are borrowed. key, cert and each of ca are PEM text, or the path of a file that has it. */
typedef struct roost_tls_config {
  const char *dir;          /* relative paths start here; NULL: where the process is */
  const char *name;         /* in the configuration, as "servers[1].tls"; NULL: it is not there */
  const char *key;          /* needed by a server */
  const char *cert;         /* needed by a server: its own first, then the chain */
  const char *passphrase;   /* of key */
  const char *const *ca;    /* who is trusted, NULL-terminated; NULL: nobody, for a client whom
                               the system trusts */
  roost_tls_verify verify;  /* server: what is asked of clients */
  uint32_t min_version;     /* a roost_tls_version */
  const char *ciphers;      /* OpenSSL's names with colons between, TLS 1.3's too; NULL: ours */
  const roost_tls_sni *sni; /* server: chosen instead of key and cert */
  size_t sni_count;         /* of sni */
  const char *servername;   /* client: whose certificate it must be; NULL: the host's */
  bool insecure;            /* client: any certificate will do */
} roost_tls_config;

typedef struct roost_tls_context roost_tls_context;

/* Read and check everything. Where that fails text says which key and file, and why: "key: a.pem:
 * wrong passphrase"; where it succeeds text may have a warning ("cert: a.pem: has expired ...").
 * ECONFIG, ENOMEM. Any thread. */
int roost_tls_server_context(roost_tls_context **out, const roost_alloc *alloc,
                             const roost_tls_config *config, roost_buffer *text);
int roost_tls_client_context(roost_tls_context **out, const roost_alloc *alloc,
                             const roost_tls_config *config, roost_buffer *text);

/* NULL is allowed in both. Any thread. */
roost_tls_context *roost_tls_context_hold(roost_tls_context *context);
void roost_tls_context_release(roost_tls_context *context);

/* When the first of its own certificates expires, in seconds since 1970; INT64_MAX: it has none. */
int64_t roost_tls_context_expires(const roost_tls_context *context);

/* What is known of a peer. Held by who holds it, on one thread; texts are never NULL, "" is none.
 */
typedef struct roost_tls_info {
  const roost_alloc *alloc; /* borrowed */
  size_t holders;
  const char *subject;     /* of its certificate, as "CN=billing,O=Acme"; "" without one */
  const char *common_name; /* of the subject; "" where it has none or several */
  const char *fingerprint; /* SHA-256 of the certificate, 64 hexadecimal digits in lower case */
  const char *const *sans; /* "DNS:a.example", "IP:10.0.0.1", "URI:...", "email:..."; NULL at the
                              end */
  bool verified;           /* it has a certificate of somebody trusted, and for the right name */
  const char *version;     /* "TLSv1.3"; constant */
  const char *cipher;      /* "TLS_AES_256_GCM_SHA384"; constant */
  bool resumed;            /* a session was taken up: nothing was verified anew */
  roost_buffer texts;      /* holds what the others point at */
  size_t san_count;
} roost_tls_info;

/* What a test says of a peer; texts as above, borrowed. */
typedef struct roost_tls_claim {
  const char *subject;
  const char *fingerprint;
  const char *const *sans; /* san_count of them */
  size_t san_count;
  bool verified;
} roost_tls_claim;

/* The info of a peer that is only played. ENOMEM, EINVAL (too many names). */
int roost_tls_info_claim(const roost_tls_info **out, const roost_alloc *alloc,
                         const roost_tls_claim *claim);

/* One of its own for another thread. ENOMEM. */
int roost_tls_info_copy(const roost_tls_info **out, const roost_alloc *alloc,
                        const roost_tls_info *from);

const roost_tls_info *roost_tls_info_hold(const roost_tls_info *info);
void roost_tls_info_release(const roost_tls_info *held);

#endif
