-- What the benchmarks call.
local roost = require "roost"
local service = roost.service()

service:message({ cmd = "sum" }, function(data)
  local total = 0
  for _, n in ipairs(data) do
    total = total + n
  end
  return total
end)

service:message("echo", function(data)
  return data
end)

return service
