-- A service whose handler takes no end: see limits_spec.lua.
local roost = require "roost"
local service = roost.service()

service:message("spin", function()
  local caught = 0
  while true do
    pcall(function() while true do caught = caught + 1 end end)
  end
end)

service:message("spin in a coroutine", function()
  coroutine.wrap(function() while true do end end)()
end)

service:message("echo", function(data) return data end)

return service
