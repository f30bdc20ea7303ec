-- A service that uses no part of roost by itself, and says which of them its state has loaded.
local roost = require "roost"
local service = roost.service()

service:message("loaded", function()
  local names = roost.array {}
  for name in pairs(package.loaded) do
    if name:find "^roost%.%a+$" then names[#names + 1] = name:sub(#"roost." + 1) end
  end
  table.sort(names)
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
