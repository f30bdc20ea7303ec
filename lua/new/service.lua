local roost = require "roost"

local service = roost.service()

-- roost call NAME.hello Ada
service:message("NAME.hello", function(name)
  if type(name) ~= "string" or name == "" then
    error(roost.rpc_error "a name is needed")
  end
  return "Hello, " .. name .. "!"
end)

return service
