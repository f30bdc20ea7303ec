#include "config/services.h"

#include <lua.h>

#include "config/keys_value.h"
#include "config/schema.h"
#include "core/slice.h"

static void read_entry(roost_keys_reader *reader, const char *name, void *entry) {
  roost_service_options *options = entry;
  options->name = name;
  if (lua_istable(reader->lua, -1))
    roost_keys_read(reader, roost_schema_service_options, options);
  else
    roost_key_problem_kind(reader, &(roost_key){.kinds = ROOST_KEY_RECORD});
}

void roost_service_options_read(roost_keys_reader *reader, const roost_key *key, void *base) {
  roost_settings *settings = base;
  void *items;
  settings->service_option_count =
      roost_keys_each_named(reader, key, sizeof *settings->service_options, &items, read_entry);
  settings->service_options = items;
}
