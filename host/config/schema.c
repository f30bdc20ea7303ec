#include "config/schema.h"

#include "config/admin.h"
#include "config/entries.h"
#include "config/rules.h"
#include "config/services.h"
#include "config/settings.h"
#include "config/tls.h"

#define MEBIBYTE                 INT64_C(1048576)

#define BOOLEAN(name_, default_) .name = (name_), .kinds = ROOST_KEY_BOOLEAN, .number = (default_)
#define TEXT(name_)              .name = (name_), .kinds = ROOST_KEY_TEXT, .min = 1
#define SETTING(member)          ROOST_KEY_AT(roost_settings, member)
#define LIMIT(member)            ROOST_KEY_AT(roost_limits, member)
#define RELOAD(member)           ROOST_KEY_AT(roost_reload, member)
#define SERVICE(member)          ROOST_KEY_AT(roost_service_options, member)
#define SERVER(member)           ROOST_KEY_AT(roost_server_config, member)
#define RATE(member)             ROOST_KEY_AT(roost_rate, member)
#define CLIENT(member)           ROOST_KEY_AT(roost_client_row, config.member)
#define TLS(member)              ROOST_KEY_AT(roost_tls_config, member)
#define SNI(member)              ROOST_KEY_AT(roost_tls_sni, member)

/* Members of a record that are stored in the struct that the record itself belongs to. */
#define SAME_STRUCT .offset = 0, .size = 1

static const roost_key any_text = {.kinds = ROOST_KEY_TEXT, .min = 1};

/* Those of brokers have rows of their own: see brokers.h. */
static const char *const transports[] = {"tcp", "nats", "redis", "mqtt", "rmq", "kafka", NULL};
static const char *const framings[] = {[ROOST_FRAMING_NEST] = "nest",
                                       [ROOST_FRAMING_NDJSON] = "ndjson",
                                       [ROOST_FRAMING_LENGTH32] = "length32",
                                       NULL};
static const char *const tls_versions[] = {"1.2", "1.3", NULL};

/* ------------------------------------------------------------------------- servers ----------- */

const roost_key roost_schema_tls_sni[] = {
    {TEXT("key"), SNI(key)}, {TEXT("cert"), SNI(cert)}, {TEXT("passphrase"), SNI(passphrase)}, {0}};

static const char *const verifications[] = {[ROOST_TLS_VERIFY_NONE] = "none",
                                            [ROOST_TLS_VERIFY_OPTIONAL] = "optional",
                                            [ROOST_TLS_VERIFY_REQUIRED] = "required",
                                            NULL};

const roost_key roost_schema_tls_server[] = {
    {TEXT("key"), TLS(key)},
    {TEXT("cert"), TLS(cert)},
    {TEXT("passphrase"), TLS(passphrase)},
    {.name = "ca",
     .kinds = ROOST_KEY_TEXT | ROOST_KEY_LIST,
     TLS(ca),
     .min = 1,
     .element = &any_text},
    {.name = "verify", .kinds = ROOST_KEY_TEXT, TLS(verify), .choices = verifications},
    {.name = "min_version", .kinds = ROOST_KEY_TEXT, TLS(min_version), .choices = tls_versions},
    {TEXT("ciphers"), TLS(ciphers)},
    {.name = "sni", .kinds = ROOST_KEY_MAP, .read = roost_tls_sni_read},
    {0}};

static const roost_key rate_keys[] = {
    {ROOST_KEY_COUNT("per_second", 0), RATE(per_second), .min = 1},
    {ROOST_KEY_COUNT("burst", 0), RATE(burst), .min = 1},
    {0}};

const roost_key roost_schema_tcp_server[] = {
    {.name = "transport", .kinds = ROOST_KEY_TEXT, .choices = transports},
    {TEXT("name"), SERVER(name)},
    {TEXT("host"), SERVER(host), .text = "localhost"},
    {.name = "port", .kinds = ROOST_KEY_NUMBER, SERVER(port), .max = 65535, .number = 3000},
    {.name = "services", .kinds = ROOST_KEY_LIST, SERVER(services), .element = &any_text},
    {.name = "tls", .kinds = ROOST_KEY_RECORD, SERVER(tls), .read = roost_tls_server_read},
    {ROOST_KEY_BYTES("max_buffer_size", ROOST_BUFFER_BYTES_DEFAULT), SERVER(max_buffer_size),
     .min = 1},
    {ROOST_KEY_MS("incomplete_message_timeout", 30000), SERVER(incomplete_message_timeout)},
    {ROOST_KEY_BYTES("max_send_buffer_size", ROOST_BUFFER_BYTES_DEFAULT),
     SERVER(max_send_buffer_size)},
    {ROOST_KEY_COUNT("max_connections", 10000), SERVER(max_connections)},
    {ROOST_KEY_COUNT("max_connections_per_ip", 0), SERVER(max_connections_per_ip)},
    {ROOST_KEY_COUNT("backlog", 1024), SERVER(backlog), .min = 1},
    {ROOST_KEY_COUNT("max_in_flight", 1024), SERVER(max_in_flight)},
    {.name = "rate", .kinds = ROOST_KEY_RECORD, SERVER(rate), .keys = rate_keys},
    {ROOST_KEY_COUNT("max_streams", 65536), SERVER(max_streams)},
    {ROOST_KEY_MS("idle_timeout", 0), SERVER(idle_timeout)},
    {ROOST_KEY_MS("handshake_timeout", 10000), SERVER(handshake_timeout)},
    {ROOST_KEY_COUNT("retry_attempts", 0), SERVER(retry_attempts)},
    {ROOST_KEY_MS("retry_delay", 0), SERVER(retry_delay)},
    {.name = "framing", .kinds = ROOST_KEY_TEXT, SERVER(framing), .choices = framings},
    {TEXT("serializer"), SERVER(serializer)},
    {TEXT("deserializer"), SERVER(deserializer)},
    {.name = "allow", .kinds = ROOST_KEY_LIST, SERVER(allow), .read = roost_rules_read},
    {BOOLEAN("wildcards", false), SERVER(wildcards)},
    {BOOLEAN("allow_insecure", false)},
    {0}};

/* ------------------------------------------------------------------------- clients ----------- */

const roost_key roost_schema_tls_client[] = {
    {.name = "ca",
     .kinds = ROOST_KEY_TEXT | ROOST_KEY_LIST,
     TLS(ca),
     .min = 1,
     .element = &any_text},
    {TEXT("cert"), TLS(cert)},
    {TEXT("key"), TLS(key)},
    {TEXT("passphrase"), TLS(passphrase)},
    {TEXT("servername"), TLS(servername)},
    {.name = "min_version", .kinds = ROOST_KEY_TEXT, TLS(min_version), .choices = tls_versions},
    {BOOLEAN("insecure", false), TLS(insecure)},
    {0}};

static const char *const client_transports[] = {"tcp",  "local", "nats",  "redis",
                                                "mqtt", "rmq",   "kafka", NULL};

const roost_key roost_schema_client[] = {
    {.name = "transport",
     .kinds = ROOST_KEY_TEXT,
     ROOST_KEY_AT(roost_client_row, transport),
     .choices = client_transports},
    {TEXT("url"), ROOST_KEY_AT(roost_client_row, url)},
    {.name = "urls",
     .kinds = ROOST_KEY_LIST,
     ROOST_KEY_AT(roost_client_row, urls),
     .min = 1,
     .element = &any_text},
    {TEXT("host"), CLIENT(host), .text = "127.0.0.1"},
    {.name = "port",
     .kinds = ROOST_KEY_NUMBER,
     CLIENT(port),
     .min = 1,
     .max = 65535,
     .number = 3000},
    {.name = "tls",
     .kinds = ROOST_KEY_RECORD | ROOST_KEY_BOOLEAN,
     CLIENT(tls),
     .read = roost_tls_client_read},
    {ROOST_KEY_MS("timeout", 0), CLIENT(timeout)},
    {ROOST_KEY_COUNT("retry_attempts", 0), CLIENT(retry_attempts)},
    {ROOST_KEY_MS("retry_delay", 0), CLIENT(retry_delay)},
    {.name = "framing", .kinds = ROOST_KEY_TEXT, CLIENT(framing), .choices = framings},
    {TEXT("serializer"), CLIENT(serializer)},
    {TEXT("deserializer"), CLIENT(deserializer)},
    {ROOST_KEY_BYTES("max_buffer_size", ROOST_BUFFER_BYTES_DEFAULT), CLIENT(max_buffer_size),
     .min = 1},
    {ROOST_KEY_MS("incomplete_message_timeout", 30000), CLIENT(incomplete_message_timeout)},
    {ROOST_KEY_BYTES("max_send_buffer_size", ROOST_BUFFER_BYTES_DEFAULT),
     CLIENT(max_send_buffer_size)},
    {0}};

/* ------------------------------------------------------------------------- the host ---------- */

const roost_key roost_schema_service_options[] = {
    {BOOLEAN("sandbox", false), SERVICE(sandbox)},
    {ROOST_KEY_BYTES("memory", ROOST_KEY_UNSET), SERVICE(memory), .min = 1},
    {ROOST_KEY_MS("cpu", ROOST_KEY_UNSET), SERVICE(cpu)},
    {0}};

static const char *const stuck[] = {[ROOST_STUCK_LOG] = "log", [ROOST_STUCK_ABORT] = "abort", NULL};

static const roost_key limit_keys[] = {
    {ROOST_KEY_BYTES("service_memory", 64 * MEBIBYTE), LIMIT(service_memory)},
    {ROOST_KEY_BYTES("store_memory", 64 * MEBIBYTE), LIMIT(store_memory)},
    {ROOST_KEY_BYTES("buffer_memory", 256 * MEBIBYTE), LIMIT(buffer_memory), .min = 1},
    {ROOST_KEY_MS("handler_cpu", 1000), LIMIT(handler_cpu)},
    {ROOST_KEY_MS("request_timeout", 30000), LIMIT(request_timeout)},
    {.name = "stuck", .kinds = ROOST_KEY_TEXT, LIMIT(stuck), .choices = stuck},
    {0}};

static const roost_key reload_keys[] = {
    {BOOLEAN("watch", false), RELOAD(watch)},
    {ROOST_KEY_MS("debounce", 200), RELOAD(debounce)},
    {ROOST_KEY_MS("drain_timeout", 30000), RELOAD(drain_timeout)},
    {ROOST_KEY_MS("start_timeout", 10000), RELOAD(start_timeout), .min = 1},
    {0}};

static const char *const levels[] = {[ROOST_LOG_DEBUG] = "debug",
                                     [ROOST_LOG_INFO] = "info",
                                     [ROOST_LOG_WARN] = "warn",
                                     [ROOST_LOG_ERROR] = "error",
                                     NULL};
static const char *const formats[] = {
    [ROOST_LOG_LOGFMT] = "logfmt", [ROOST_LOG_JSON] = "json", NULL};

static const roost_key log_keys[] = {
    {.name = "level",
     .kinds = ROOST_KEY_TEXT,
     SETTING(log_level),
     .choices = levels,
     .number = ROOST_LOG_INFO},
    {.name = "format", .kinds = ROOST_KEY_TEXT, SETTING(log_format), .choices = formats},
    {0}};

static const roost_key admin_keys[] = {{.name = "socket",
                                        .kinds = ROOST_KEY_TEXT | ROOST_KEY_FALSE,
                                        SETTING(admin_socket),
                                        .min = 1,
                                        .text = "run/roost.sock",
                                        .read = roost_admin_socket_read},
                                       {.name = "http",
                                        .kinds = ROOST_KEY_TEXT | ROOST_KEY_FALSE,
                                        SETTING(admin_http),
                                        .min = 1,
                                        .text = "127.0.0.1:9464",
                                        .read = roost_admin_http_read},
                                       {0}};

static const char *const worker_words[] = {"auto", NULL};

const roost_key roost_schema_host[] = {
    {.name = "services",
     .kinds = ROOST_KEY_TEXT | ROOST_KEY_LIST,
     SETTING(services),
     .min = 1,
     .text = "services",
     .element = &any_text},
    {.name = "service_options", .kinds = ROOST_KEY_MAP, .read = roost_service_options_read},
    {.name = "workers", /* "auto" is stored as its index, 0 */
     .kinds = ROOST_KEY_NUMBER | ROOST_KEY_TEXT,
     SETTING(workers),
     .min = 1,
     .max = 256,
     .number = 1,
     .choices = worker_words},
    {BOOLEAN("wildcards", false), SETTING(wildcards)},
    {.name = "servers", .kinds = ROOST_KEY_LIST, SETTING(servers), .read = roost_servers_read},
    {.name = "clients", .kinds = ROOST_KEY_MAP, SETTING(clients), .read = roost_clients_read},
    {.name = "limits", .kinds = ROOST_KEY_RECORD, SETTING(limits), .keys = limit_keys},
    {.name = "reload", .kinds = ROOST_KEY_RECORD, SETTING(reload), .keys = reload_keys},
    {.name = "log", .kinds = ROOST_KEY_RECORD, SAME_STRUCT, .keys = log_keys},
    {.name = "admin", .kinds = ROOST_KEY_RECORD, SAME_STRUCT, .keys = admin_keys},
    {0}};
