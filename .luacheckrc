-- Lua 5.4 as services see it; busted's globals in specs only.
std = "lua54"
max_line_length = 120
exclude_files = { "build" }
ignore = { "212/_.*" } -- an argument named _something is unused on purpose

files["**/*_spec.lua"] = { std = "+busted" }
files["tests/lua"] = { std = "+busted" }
-- Declarations for editors: functions without a body, tables that nothing reads.
files["lua/roost/api.lua"] = { ignore = { "212", "241" }, max_line_length = false }
-- A configuration file sees these instead of the standard library.
local configuration = {
  std = {
    read_globals = { "env", "file", "tonumber", "tostring", "type", "ipairs", "pairs", "select",
                     "error", "assert", "string", "table", "math" },
  },
}
files["config/*.lua"] = configuration
files["config/package/host.lua"] = configuration
files["config/package/hello.lua"] = { std = "lua54" }
files["tests/embed/examples/appliance/host.lua"] = configuration
