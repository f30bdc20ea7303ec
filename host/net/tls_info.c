#include <arpa/inet.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>

#include "core/slice.h"
#include "net/tls_internal.h"

#define MAX_SANS     256
#define SHA256_BYTES 32
/* "CN=a,O=b" as in RFC 2253, but in UTF-8 as it is. */
#define SUBJECT_FORMAT (XN_FLAG_RFC2253 & ~(unsigned long)ASN1_STRFLGS_ESC_MSB)

/* What has been written so far, by where it begins in the buffer of texts: that may still move. */
typedef struct writing {
  roost_buffer *texts;
  size_t sans[MAX_SANS];
  size_t san_count;
  int status; /* first ENOMEM */
} writing;

static void put(writing *at, const char *bytes, size_t len) {
  if (at->status == 0)
    at->status = roost_buffer_append(at->texts, bytes, len);
}

static void end_text(writing *at) {
  put(at, "", 1);
}

/* --------------------------------------------------------------------- the subject ----------- */

static void put_subject(writing *at, const X509 *cert) {
  BIO *bio = BIO_new(BIO_s_mem());
  char *text = NULL;
  if (bio == NULL || X509_NAME_print_ex(bio, X509_get_subject_name(cert), 0, SUBJECT_FORMAT) < 0) {
    at->status = ROOST_ENOMEM;
  } else {
    const long len = BIO_get_mem_data(bio, &text);
    put(at, text, len > 0 ? (size_t)len : 0);
  }
  end_text(at);
  BIO_free(bio);
}

/* Several names, or one with a NUL in it, are as good as none: nobody may be taken for another. */
static void put_common_name(writing *at, const X509 *cert) {
  const X509_NAME *subject = X509_get_subject_name(cert);
  const int first = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
  const int second = X509_NAME_get_index_by_NID(subject, NID_commonName, first);
  unsigned char *text = NULL;
  if (first >= 0 && second < 0) {
    const X509_NAME_ENTRY *entry = X509_NAME_get_entry(subject, first);
    const int len = ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(entry));
    if (len > 0 && memchr(text, '\0', (size_t)len) == NULL)
      put(at, (const char *)text, (size_t)len);
    OPENSSL_free(text);
  }
  end_text(at);
}

static void put_fingerprint(writing *at, const X509 *cert) {
  static const char digits[] = "0123456789abcdef";
  unsigned char hash[EVP_MAX_MD_SIZE];
  unsigned len = 0;
  if (X509_digest(cert, EVP_sha256(), hash, &len) != 1 || len != SHA256_BYTES) {
    at->status = ROOST_ENOMEM;
    return;
  }
  for (unsigned i = 0; i < len; i++) {
    const char pair[2] = {digits[hash[i] >> 4], digits[hash[i] & 15]};
    put(at, pair, sizeof pair);
  }
  end_text(at);
}

/* --------------------------------------------------------------------- other names ----------- */

static void begin_san(writing *at, const char *prefix) {
  at->sans[at->san_count++] = at->texts->len;
  put(at, prefix, strlen(prefix));
}

static void put_address(writing *at, const ASN1_OCTET_STRING *address) {
  const int len = ASN1_STRING_length(address);
  char text[INET6_ADDRSTRLEN];
  if (len != 4 && len != 16)
    return;
  if (inet_ntop(len == 4 ? AF_INET : AF_INET6, ASN1_STRING_get0_data(address), text, sizeof text) ==
      NULL)
    return;
  begin_san(at, "IP:");
  put(at, text, strlen(text));
  end_text(at);
}

static void put_name(writing *at, const char *prefix, const ASN1_STRING *name) {
  const char *text = (const char *)ASN1_STRING_get0_data(name);
  const int len = ASN1_STRING_length(name);
  if (len <= 0 || memchr(text, '\0', (size_t)len) != NULL)
    return;
  begin_san(at, prefix);
  put(at, text, (size_t)len);
  end_text(at);
}

static void put_sans(writing *at, const X509 *cert) {
  GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
  const int count = names != NULL ? sk_GENERAL_NAME_num(names) : 0;
  for (int i = 0; i < count && at->san_count < MAX_SANS; i++) {
    const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
    if (name->type == GEN_DNS)
      put_name(at, "DNS:", name->d.dNSName);
    else if (name->type == GEN_IPADD)
      put_address(at, name->d.iPAddress);
    else if (name->type == GEN_URI)
      put_name(at, "URI:", name->d.uniformResourceIdentifier);
    else if (name->type == GEN_EMAIL)
      put_name(at, "email:", name->d.rfc822Name);
  }
  GENERAL_NAMES_free(names);
}

/* --------------------------------------------------------------------- the whole ------------- */

/* Points the info at what was written: the subject first, and where the others begin. */
static int point_at_texts(roost_tls_info *info, const writing *at, size_t common_name,
                          size_t fingerprint) {
  if (at->status != 0)
    return at->status;
  info->subject = info->texts.ptr;
  info->common_name = info->texts.ptr + common_name;
  info->fingerprint = info->texts.ptr + fingerprint;
  if (at->san_count == 0)
    return 0;
  const char **sans = roost_alloc_get(info->alloc, (at->san_count + 1) * sizeof *sans);
  if (sans == NULL)
    return ROOST_ENOMEM;
  for (size_t i = 0; i < at->san_count; i++)
    sans[i] = info->texts.ptr + at->sans[i];
  info->sans = sans;
  info->san_count = at->san_count;
  return 0;
}

static int describe(roost_tls_info *info, const X509 *cert) {
  writing at = {.texts = &info->texts};
  put_subject(&at, cert);
  const size_t common_name = info->texts.len;
  put_common_name(&at, cert);
  const size_t fingerprint = info->texts.len;
  put_fingerprint(&at, cert);
  put_sans(&at, cert);
  return point_at_texts(info, &at, common_name, fingerprint);
}

/* Knows nothing yet. */
static roost_tls_info *make(const roost_alloc *alloc) {
  static const char *const no_names[] = {NULL};
  roost_tls_info *info = roost_alloc_get(alloc, sizeof *info);
  if (info == NULL)
    return NULL;
  info->alloc = alloc;
  info->holders = 1;
  info->subject = info->common_name = info->fingerprint = "";
  info->sans = no_names;
  roost_buffer_init(&info->texts, alloc);
  return info;
}

roost_tls_info *roost_tls_info_new(const roost_alloc *alloc, const SSL *ssl) {
  roost_tls_info *info = make(alloc);
  if (info == NULL)
    return NULL;
  info->version = SSL_get_version(ssl);
  info->cipher = SSL_get_cipher_name(ssl);
  info->resumed = SSL_session_reused(ssl) == 1;
  X509 *cert = SSL_get1_peer_certificate(ssl);
  if (cert == NULL)
    return info;
  info->verified =
      SSL_get_verify_mode(ssl) != SSL_VERIFY_NONE && SSL_get_verify_result(ssl) == X509_V_OK;
  const int status = describe(info, cert);
  X509_free(cert);
  if (status == 0)
    return info;
  roost_tls_info_release(info);
  return NULL;
}

/* ------------------------------------------------------------------------- one that is played */

/* The only common name of a subject's text; "" where it has none or several. */
static roost_slice find_common_name(const char *subject) {
  roost_slice found = {"", 0};
  for (const char *at = subject; *at != '\0';) {
    const size_t len = strcspn(at, ",");
    if (strncmp(at, "CN=", 3) == 0 && found.len > 0)
      return (roost_slice){"", 0};
    if (strncmp(at, "CN=", 3) == 0)
      found = roost_slice_of(at + 3, len - 3);
    at += len + (at[len] == ',');
  }
  return found;
}

int roost_tls_info_claim(const roost_tls_info **out, const roost_alloc *alloc,
                         const roost_tls_claim *claim) {
  roost_tls_info *info = make(alloc);
  *out = info;
  if (info == NULL)
    return ROOST_ENOMEM;
  info->verified = claim->verified;
  info->version = "TLSv1.3";
  info->cipher = "TLS_AES_128_GCM_SHA256";
  writing at = {.texts = &info->texts, .status = claim->san_count > MAX_SANS ? ROOST_EINVAL : 0};
  put(&at, claim->subject, strlen(claim->subject) + 1);
  const size_t common_name = info->texts.len;
  const roost_slice name = find_common_name(claim->subject);
  put(&at, name.ptr, name.len);
  end_text(&at);
  const size_t fingerprint = info->texts.len;
  put(&at, claim->fingerprint, strlen(claim->fingerprint) + 1);
  for (size_t i = 0; i < claim->san_count && at.status == 0; i++) {
    begin_san(&at, claim->sans[i]);
    end_text(&at);
  }
  const int status = point_at_texts(info, &at, common_name, fingerprint);
  if (status != 0) {
    roost_tls_info_release(info);
    *out = NULL;
  }
  return status;
}

/* --------------------------------------------------------------------- a copy ---------------- */

/* A text that lies in the texts of one, in those of the other; what is constant stays. */
static const char *moved(const roost_tls_info *to, const roost_tls_info *from, const char *text) {
  const uintptr_t begin = (uintptr_t)from->texts.ptr;
  const uintptr_t at = (uintptr_t)text;
  return from->texts.len > 0 && at >= begin && at < begin + from->texts.len
             ? to->texts.ptr + (at - begin)
             : text;
}

static int copy_sans(roost_tls_info *to, const roost_tls_info *from) {
  if (from->san_count == 0)
    return 0;
  const char **sans = roost_alloc_get(to->alloc, (from->san_count + 1) * sizeof *sans);
  if (sans == NULL)
    return ROOST_ENOMEM;
  for (size_t i = 0; i < from->san_count; i++)
    sans[i] = moved(to, from, from->sans[i]);
  to->sans = sans;
  to->san_count = from->san_count;
  return 0;
}

int roost_tls_info_copy(const roost_tls_info **out, const roost_alloc *alloc,
                        const roost_tls_info *from) {
  roost_tls_info *info = make(alloc);
  *out = info;
  if (info == NULL)
    return ROOST_ENOMEM;
  int status = roost_buffer_append_slice(&info->texts, roost_buffer_slice(&from->texts));
  if (status == 0)
    status = copy_sans(info, from);
  if (status != 0) {
    roost_tls_info_release(info);
    *out = NULL;
    return status;
  }
  info->subject = moved(info, from, from->subject);
  info->common_name = moved(info, from, from->common_name);
  info->fingerprint = moved(info, from, from->fingerprint);
  info->verified = from->verified;
  info->version = from->version;
  info->cipher = from->cipher;
  info->resumed = from->resumed;
  return 0;
}

const roost_tls_info *roost_tls_info_hold(const roost_tls_info *info) {
  if (info != NULL)
    ((roost_tls_info *)info)->holders++;
  return info;
}

void roost_tls_info_release(const roost_tls_info *held) {
  roost_tls_info *info = (roost_tls_info *)held;
  if (info == NULL || --info->holders > 0)
    return;
  const roost_alloc *alloc = info->alloc;
  if (info->san_count > 0)
    roost_alloc_put(alloc, (void *)info->sans, (info->san_count + 1) * sizeof *info->sans);
  roost_buffer_deinit(&info->texts);
  roost_alloc_put(alloc, info, sizeof *info);
}
