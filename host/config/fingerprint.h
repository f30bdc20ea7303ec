/*
 * config/fingerprint.h - one number for what a part of a configuration says, to see whether another
 * one says the same.
 *
 * Equal values have equal fingerprints, whatever the order of keys. Protected mode.
 */
#ifndef ROOST_CONFIG_FINGERPRINT_H
#define ROOST_CONFIG_FINGERPRINT_H

#include <stdint.h>

struct lua_State;

/* Of the value at index without the members named by except (NULL-terminated; NULL: none). */
uint64_t roost_fingerprint(struct lua_State *lua, int index, const char *const *except);

#endif
