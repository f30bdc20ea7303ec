-- Runs whatever code it is sent: what a sandbox is there for.
local roost = require "roost"
local service = roost.service()

-- data: { code =, bytecode = } -> { ok, what the code gave }
service:message("run", function(data, ctx)
  local bytecode = data.bytecode and string.char(table.unpack(data.bytecode))
  local code = assert(load("local roost, ctx, service, bytecode = ... " .. data.code, "=guest"))
  local ok, result = pcall(code, roost, ctx, service, bytecode)
  if type(result) ~= "boolean" then result = tostring(result) end
  return { ok = ok, result = result }
end)

service:message("raise", function(code)
  error(load(code)())
end)

-- What somebody else's module made of a method of strings.
service:message("upper", function(text) return text:upper() end)

return service
