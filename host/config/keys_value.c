#include "config/keys_value.h"

#include <lua.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void roost_key_show(lua_State *lua, int index, char shown[ROOST_KEY_SHOWN]) {
  const int type = lua_type(lua, index);
  if (type == LUA_TSTRING) {
    const char *text = lua_tostring(lua, index);
    snprintf(shown, ROOST_KEY_SHOWN, strlen(text) > 60 ? "\"%.60s...\"" : "\"%s\"", text);
  } else if (type == LUA_TNUMBER && lua_isinteger(lua, index)) {
    snprintf(shown, ROOST_KEY_SHOWN, LUA_INTEGER_FMT, lua_tointeger(lua, index));
  } else if (type == LUA_TNUMBER) {
    snprintf(shown, ROOST_KEY_SHOWN, LUA_NUMBER_FMT, lua_tonumber(lua, index));
  } else if (type == LUA_TBOOLEAN) {
    snprintf(shown, ROOST_KEY_SHOWN, "%s", lua_toboolean(lua, index) ? "true" : "false");
  } else {
    snprintf(shown, ROOST_KEY_SHOWN, type == LUA_TNIL ? "nil" : "a %s", lua_typename(lua, type));
  }
}

bool roost_key_number(lua_State *lua, const roost_key *key, int64_t *number) {
  if ((key->kinds & ROOST_KEY_NUMBER) == 0)
    return false;
  if (lua_type(lua, -1) == LUA_TNUMBER) {
    int whole = 0;
    *number = lua_tointegerx(lua, -1, &whole);
    return whole;
  }
  if (lua_type(lua, -1) != LUA_TSTRING)
    return false;
  size_t len;
  const char *text = lua_tolstring(lua, -1, &len);
  const size_t digits = len - (text[0] == '-');
  if (digits == 0 || digits > 18 || strspn(text + len - digits, "0123456789") != digits)
    return false;
  *number = strtoll(text, NULL, 10);
  return true;
}

int roost_key_choice(lua_State *lua, const roost_key *key) {
  const char *text = lua_tostring(lua, -1);
  for (int i = 0; key->choices[i] != NULL; i++)
    if (strcmp(key->choices[i], text) == 0)
      return i;
  return -1;
}

/* Appends one alternative; what does not fit is left out. */
static void say(char *text, size_t size, const char *format, const char *word) {
  const size_t len = strlen(text);
  if (len > 0)
    snprintf(text + len, size - len, " or ");
  const size_t at = strlen(text);
  snprintf(text + at, size - at, format, word);
}

void roost_key_problem_kind(roost_keys_reader *reader, const roost_key *key) {
  static const struct {
    unsigned kind;
    const char *what;
  } kinds[] = {{ROOST_KEY_RECORD | ROOST_KEY_MAP, "a table"},
               {ROOST_KEY_LIST, "a list"},
               {ROOST_KEY_FUNCTION, "a function"},
               {ROOST_KEY_ANY, "a value"}};
  char expected[256] = "";
  char got[ROOST_KEY_SHOWN];
  if (key->kinds & ROOST_KEY_NUMBER)
    say(expected, sizeof expected, key->unit != NULL ? "a number of %s" : "a number", key->unit);
  for (int i = 0; key->choices != NULL && key->choices[i] != NULL; i++)
    say(expected, sizeof expected, "\"%s\"", key->choices[i]);
  if (key->choices == NULL && (key->kinds & ROOST_KEY_TEXT))
    say(expected, sizeof expected, "%s", "text");
  for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
    if (key->kinds & kinds[i].kind)
      say(expected, sizeof expected, "%s", kinds[i].what);
  if (key->kinds & ROOST_KEY_TRUE)
    say(expected, sizeof expected, "%s", "true");
  if (key->kinds & ROOST_KEY_FALSE)
    say(expected, sizeof expected, "%s", "false");
  roost_key_show(reader->lua, -1, got);
  roost_keys_problem(reader, ROOST_PROBLEM_ERROR, "expected %s, got %s", expected, got);
}

static void *member(const roost_key *key, void *base) {
  return base != NULL && key->size > 0 ? (char *)base + key->offset : NULL;
}

static void store_number(const roost_key *key, void *base, int64_t number) {
  void *place = member(key, base);
  if (place == NULL)
    return;
  if (key->size == sizeof(bool))
    memcpy(place, &(bool){number != 0}, sizeof(bool));
  else if (key->size == sizeof(uint16_t))
    memcpy(place, &(uint16_t){(uint16_t)number}, sizeof(uint16_t));
  else if (key->size == sizeof(uint32_t))
    memcpy(place, &(uint32_t){(uint32_t)number}, sizeof(uint32_t));
  else
    memcpy(place, &(uint64_t){(uint64_t)number}, sizeof(uint64_t));
}

static const char *keep_text(roost_keys_reader *reader) {
  size_t len;
  const char *text = lua_tolstring(reader->lua, -1, &len);
  const char *kept = roost_arena_text(reader->arena, (roost_slice){text, len});
  if (kept == NULL)
    reader->status = ROOST_ENOMEM;
  return kept;
}

/* text as it is, or as a list of one where the member is a list. */
static void store_text(roost_keys_reader *reader, const roost_key *key, void *base,
                       const char *text) {
  void *place = member(key, base);
  if (place == NULL)
    return;
  if ((key->kinds & ROOST_KEY_LIST) && text != NULL) {
    const char **texts = roost_arena_get(reader->arena, 2 * sizeof *texts);
    if (texts != NULL)
      texts[0] = text;
    else
      reader->status = ROOST_ENOMEM;
    memcpy(place, &texts, sizeof texts);
  } else {
    memcpy(place, &text, sizeof text);
  }
}

void roost_key_store_texts(roost_keys_reader *reader, const roost_key *key, void *base) {
  const size_t count = lua_rawlen(reader->lua, -1);
  const char **texts = roost_arena_get(reader->arena, (count + 1) * sizeof *texts);
  if (texts == NULL)
    reader->status = ROOST_ENOMEM;
  for (size_t i = 0; texts != NULL && i < count; i++) {
    lua_rawgeti(reader->lua, -1, (lua_Integer)i + 1);
    texts[i] = keep_text(reader);
    lua_pop(reader->lua, 1);
  }
  memcpy(member(key, base), &texts, sizeof texts);
}

void roost_key_store_default(roost_keys_reader *reader, const roost_key *key, void *base) {
  const bool text = (key->kinds & ROOST_KEY_TEXT) && key->choices == NULL;
  if (text || (key->kinds & ROOST_KEY_LIST))
    store_text(reader, key, base, key->text);
  else
    store_number(key, base, key->number);
}

static void read_number(roost_keys_reader *reader, const roost_key *key, void *base,
                        int64_t number) {
  const long long min = key->min;
  const long long max = key->max;
  if (number >= key->min && number <= key->max)
    store_number(key, base, number);
  else if (number < key->min && (key->unit != NULL || max == INT32_MAX))
    roost_keys_problem(reader, ROOST_PROBLEM_ERROR, "must be at least %lld, got %lld", min,
                       (long long)number);
  else
    roost_keys_problem(reader, ROOST_PROBLEM_ERROR, "must be between %lld and %lld, got %lld", min,
                       max, (long long)number);
}

static void read_text(roost_keys_reader *reader, const roost_key *key, void *base) {
  const char *text = lua_tostring(reader->lua, -1);
  const size_t len = lua_rawlen(reader->lua, -1);
  if (key->choices != NULL) {
    const int choice = roost_key_choice(reader->lua, key);
    if (choice >= 0)
      store_number(key, base, choice);
    else
      roost_key_problem_kind(reader, key);
  } else if (strlen(text) != len) {
    roost_keys_problem(reader, ROOST_PROBLEM_ERROR, "must not contain a NUL byte");
  } else if ((int64_t)len < key->min) {
    roost_keys_problem(reader, ROOST_PROBLEM_ERROR, "must not be empty");
  } else {
    store_text(reader, key, base, keep_text(reader));
  }
}

void roost_key_read_plain(roost_keys_reader *reader, const roost_key *key, void *base) {
  lua_State *lua = reader->lua;
  const int type = lua_type(lua, -1);
  int64_t number;
  if (roost_key_number(lua, key, &number)) {
    read_number(reader, key, base, number);
  } else if (type == LUA_TSTRING && (key->kinds & ROOST_KEY_TEXT)) {
    read_text(reader, key, base);
  } else if (type == LUA_TBOOLEAN &&
             (key->kinds & (lua_toboolean(lua, -1) ? ROOST_KEY_TRUE : ROOST_KEY_FALSE))) {
    if (key->kinds & ROOST_KEY_TEXT)
      store_text(reader, key, base, NULL);
    else
      store_number(key, base, lua_toboolean(lua, -1));
  } else if ((key->kinds & ROOST_KEY_ANY) == 0 &&
             !(type == LUA_TFUNCTION && (key->kinds & ROOST_KEY_FUNCTION))) {
    roost_key_problem_kind(reader, key);
  }
}
