-- What the benchmarks call.
local roost = require "roost"
local service = roost.service()

service:message({ { cmd = "sum" }, "sum" }, function(data)
  local total = 0
  for i = 1, #data do total = total + data[i] end
  return total
end)

service:message("echo", function(data)
  return data
end)

service:message("add", function(turns)
  local total = 0
  for i = 1, turns do total = total + i end
  return total
end)

return service
