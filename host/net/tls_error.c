#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>
#include <stdio.h>

#include "net/tls_internal.h"

/* What people make of OpenSSL's reasons: on the server's side, on the client's. */
typedef struct reason {
  int code;
  const char *server;
  const char *client;
} reason;

static const reason reasons[] = {
    {SSL_R_HTTP_REQUEST, "the peer does not speak TLS: this is a plain HTTP request", NULL},
    {SSL_R_HTTPS_PROXY_REQUEST, "the peer does not speak TLS: this is a plain HTTP request", NULL},
    {SSL_R_WRONG_VERSION_NUMBER, "the peer does not speak TLS", "the server does not speak TLS"},
    {SSL_R_UNSUPPORTED_PROTOCOL, "the peer's version of TLS is too old",
     "the server's version of TLS is too old"},
    {SSL_R_NO_SHARED_CIPHER, "the peer has no cipher or signature in common with us", NULL},
    {SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE, "the peer has no certificate, and one is required",
     NULL},
    {SSL_R_TLSV1_ALERT_UNKNOWN_CA, "the peer does not trust our certificate: unknown CA",
     "the server does not trust our certificate: unknown CA"},
    {SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED, NULL,
     "the server requires a certificate, and we have none"},
    {SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED, "the peer says that our certificate has expired",
     "the server says that our certificate has expired"},
    {SSL_R_SSLV3_ALERT_BAD_CERTIFICATE, "the peer refuses our certificate",
     "the server refuses our certificate, or requires one"},
    {SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE, "the peer refuses the handshake",
     "the server refuses the handshake: no cipher in common, or it requires a certificate"},
    {SSL_R_TLSV1_ALERT_PROTOCOL_VERSION, "the peer does not accept our version of TLS",
     "the server does not accept our version of TLS"},
};

static const char *find_reason(int code, bool is_server) {
  for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++)
    if (reasons[i].code == code)
      return is_server ? reasons[i].server : reasons[i].client;
  return NULL;
}

void roost_tls_explain(char *out, size_t size, bool is_server, long verify) {
  const unsigned long error = ERR_peek_error();
  const int code = ERR_GET_REASON(error);
  const bool is_ours = ERR_GET_LIB(error) == ERR_LIB_SSL;
  const char *text = is_ours ? find_reason(code, is_server) : NULL;
  if (text != NULL)
    snprintf(out, size, "%s", text);
  else if (is_ours && code == SSL_R_CERTIFICATE_VERIFY_FAILED)
    snprintf(out, size, "the %s's certificate: %s", is_server ? "peer" : "server",
             X509_verify_cert_error_string(verify));
  else if (is_ours && code > SSL_AD_REASON_OFFSET)
    snprintf(out, size, "the %s broke off: %s", is_server ? "peer" : "server",
             SSL_alert_desc_string_long(code - SSL_AD_REASON_OFFSET));
  else if (ERR_reason_error_string(error) != NULL)
    snprintf(out, size, "%s", ERR_reason_error_string(error));
  else
    snprintf(out, size, "not TLS");
  ERR_clear_error();
}
