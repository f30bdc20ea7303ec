-- A service that uses no part of roost by itself, and says which of them its state has loaded.
local roost = require "roost"
local service = roost.service()

service:message("loaded", function()
  local names = {}
  for name in pairs(package.loaded) do
    local part = name:match "^roost%.(%a+)$"
    if part then names[part] = true end
  end
  return names
end)

service:message("use", function(name)
  return { kind = type(roost[name]), same = rawequal(roost[name], roost[name]) }
end)

service:message("names", function()
  local kinds = {}
  for name, value in pairs(roost) do kinds[name] = type(value) end
  return kinds
end)

service:message("provided", function(_, ctx)
  local value = ctx:get "nothing"
  return value
end)

return service
