-- Request and response: a pattern is text, a number or a table; the order of its keys does not count.
local roost = require "roost"
local service = roost.service()

-- @MessagePattern({ cmd: 'sum' })
service:message({ cmd = "sum" }, function(numbers)
  local total = 0
  for _, n in ipairs(numbers) do total = total + n end
  return total
end)

service:message("greet", function(name) return "Hello, " .. name .. "!" end)

service:message(42, function() return "the answer" end)

service:message({ cmd = "find", by = { field = "id" } }, function(id) return { id = id } end)

-- A list means alternatives: @MessagePattern(['stop', 'halt', { cmd: 'stop' }])
service:message({ "stop", "halt", { cmd = "stop" } }, function(_, ctx)
  return { stopped = true, by = ctx.pattern }
end)

return service
