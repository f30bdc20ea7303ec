/*
 * cli/status_text.h - a host's status, JSON text, as tables for people. No I/O; any thread.
 */
#ifndef ROOST_CLI_STATUS_TEXT_H
#define ROOST_CLI_STATUS_TEXT_H

#include "core/buffer.h"

/* Appends it. What is missing in json is left out. EPROTO: that is no status; ENOMEM. */
int roost_status_text(roost_buffer *out, roost_slice json);

#endif
