#include "transport/session.h"

#include <stdio.h>
#include <string.h>

#include "core/backoff.h"
#include "core/error_text.h"
#include "core/slice.h"

#define SUBJECT_BYTES 200 /* of one that is logged */

void roost_session_log(const roost_server *server, const roost_dialer *dialer,
                       roost_log_level level, roost_log_kind kind, const char *msg,
                       roost_slice subject, roost_slice err) {
  roost_log *log = server->log;
  const roost_endpoint at = roost_dialer_place(dialer);
  roost_log_line line;
  char peer[300];
  if (log == NULL || !roost_log_enabled(log, level) || !roost_log_limited(log, kind))
    return;
  snprintf(peer, sizeof peer, strchr(at.host, ':') != NULL ? "[%s]:%u" : "%s:%u", at.host,
           (unsigned)at.port);
  roost_log_begin(&line, log, level, roost_slice_text(msg));
  roost_log_text(&line, "server", roost_slice_text(server->config->name));
  roost_log_text(&line, "peer", roost_slice_text(peer));
  if (subject.len > SUBJECT_BYTES)
    subject.len = SUBJECT_BYTES;
  if (subject.len > 0)
    roost_log_text(&line, "pattern", subject);
  if (err.len > 0)
    roost_log_text(&line, "err", err);
  roost_log_end(&line);
}

void roost_session_say(const roost_server *server, const roost_dialer *dialer,
                       roost_log_level level, const char *msg, const char *err) {
  roost_session_log(server, dialer, level, ROOST_LOG_KIND_ACCEPT, msg, (roost_slice){NULL, 0},
                    roost_slice_text(roost_error_text(err)));
}

bool roost_session_retry(const roost_server *server, const roost_dialer *dialer, roost_timer *timer,
                         unsigned *attempts, const char *why) {
  const roost_server_config *config = server->config;
  roost_wheel *wheel = roost_loop_wheel(dialer->loop);
  if (config->retry_attempts > 0 && *attempts >= config->retry_attempts) {
    roost_session_say(server, dialer, ROOST_LOG_ERROR, "gave up connecting", why);
    return false;
  }
  ++*attempts;
  const uint64_t salt = wheel->now_ms + (uintptr_t)server / 64;
  roost_timer_start(wheel, timer, roost_backoff_ms(config->retry_delay, *attempts, salt));
  return true;
}
