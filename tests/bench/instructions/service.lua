-- What the driver calls: one handler per scenario.
local roost = require "roost"
local service = roost.service()

service:message({ cmd = "sum" }, function(data)
  local total = 0
  for i = 1, #data do total = total + data[i] end
  return total
end)

service:message("echo", function(data)
  return data
end)

service:message("count", function(data, ctx)
  for i = 1, data do ctx:emit(i) end
end)

-- data: the port of a server that adds up; one client for all calls
local client
service:message("ask", function(data)
  client = client or roost.client { host = "127.0.0.1", port = data }
  return client:call({ cmd = "sum" }, { 1, 2, 3 })
end)

return service
