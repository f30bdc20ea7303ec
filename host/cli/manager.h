/*
 * cli/manager.h - what a service manager and roost run tell each other, by systemd's documented
 * protocol: sd_notify(3), sd_listen_fds(3), sd_watchdog_enabled(3). Without one all of it does
 * nothing.
 */
#ifndef ROOST_CLI_MANAGER_H
#define ROOST_CLI_MANAGER_H

#include "roost.h"

/* Sends the text, as "READY=1", to whoever started this program and wants to know. Any thread. What
 * cannot be sent is not. */
void roost_manager_tell(const char *text);

/* Hands the listening sockets that this process was given to the host, and forgets that it was. As
 * roost_host_inherit. */
int roost_manager_listen(roost_host *host);

/* How often, in milliseconds, "WATCHDOG=1" is to be told: half of the time after which the manager
 * would lose patience; 0: never. */
uint64_t roost_manager_watchdog_ms(void);

/* For roost_config.log: where stderr is the journal's (JOURNAL_STREAM, systemd.exec(5)), what puts
 * before each line its level as the journal wants it (sd-daemon(3)); else NULL. */
roost_log_fn *roost_manager_log(void);

#endif
