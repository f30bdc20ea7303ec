/*
 * config/keys_value.h - single values: does one fit its row, how is it stored and shown.
 *
 * Only for config/ itself; see keys.h. The value is on top of the Lua stack, which is left as it
 * was.
 */
#ifndef ROOST_CONFIG_KEYS_VALUE_H
#define ROOST_CONFIG_KEYS_VALUE_H

#include "config/keys.h"

/* Room for a value as messages show it. */
#define ROOST_KEY_SHOWN 80

/* A value of any type, short: text in quotes. */
void roost_key_show(struct lua_State *lua, int index, char shown[ROOST_KEY_SHOWN]);

/* Whether key takes numbers and the value is a whole one, or digits. */
bool roost_key_number(struct lua_State *lua, const roost_key *key, int64_t *number);

/* Index of the text among the key's choices, -1 where it is none. */
int roost_key_choice(struct lua_State *lua, const roost_key *key);

/* "expected a number of milliseconds, got ..." */
void roost_key_problem_kind(roost_keys_reader *reader, const roost_key *key);

/* Checks and stores a value that is no table. */
void roost_key_read_plain(roost_keys_reader *reader, const roost_key *key, void *base);

/* Stores the list of texts as a NULL-terminated array. */
void roost_key_store_texts(roost_keys_reader *reader, const roost_key *key, void *base);

void roost_key_store_default(roost_keys_reader *reader, const roost_key *key, void *base);

#endif
