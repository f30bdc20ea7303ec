/*
 * core/error_text.h - what to tell a person about a system error's name. Any thread.
 */
#ifndef ROOST_CORE_ERROR_TEXT_H
#define ROOST_CORE_ERROR_TEXT_H

/* "ECONNREFUSED" gives "Connection refused"; a name the system does not know gives the name,
 * "ETLS: why" gives "why".
 * Constant, or name itself. */
const char *roost_error_text(const char *name);

#endif
