local roost = require "roost"

local service = roost.service()

-- A stream that goes on until the caller leaves, or has had `count` ticks.
service:message("clock.ticks", function(data, ctx)
  data = type(data) == "table" and data or {}
  for tick = 1, data.count or math.huge do
    roost.sleep(data.every or 1000)
    if not ctx:emit { tick = tick, time = roost.time() } then return end
  end
end)

service:message("clock.now", function()
  return roost.time()
end)

return service
