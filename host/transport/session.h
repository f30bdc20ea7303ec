/*
 * transport/session.h - what the sessions of servers with their brokers have in common: their lines
 * in the log, and when they connect again.
 *
 * The loop's thread.
 */
#ifndef ROOST_TRANSPORT_SESSION_H
#define ROOST_TRANSPORT_SESSION_H

#include "transport/link.h"

/* Logs msg with the server, where the broker is, and perhaps the subject of a message, of which a
 * part will do (len 0: none), and what is wrong (likewise). */
void roost_session_log(const roost_server *server, const roost_dialer *dialer,
                       roost_log_level level, roost_log_kind kind, const char *msg,
                       roost_slice subject, roost_slice err);

/* The same of the connection: "connected", "disconnected", "cannot connect". */
void roost_session_say(const roost_server *server, const roost_dialer *dialer,
                       roost_log_level level, const char *msg, const char *err);

/* Starts timer for the next attempt to connect, and counts it; *attempts is 0 after a success.
 * False, which is logged, where the configuration wants no more; why is what was wrong with the
 * last one. */
bool roost_session_retry(const roost_server *server, const roost_dialer *dialer, roost_timer *timer,
                         unsigned *attempts, const char *why);

#endif
