-- The first service; more of them are in /usr/share/doc/roost/examples/services.
--   roost call hello '"Ada"'
local roost = require "roost"
local service = roost.service()

service:message("hello", function(name)
  return "Hello, " .. tostring(name) .. "!"
end)

return service
