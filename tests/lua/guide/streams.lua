-- Streamed responses: one reply for each item, then the end.
local roost = require "roost"
local service = roost.service()

-- return from([1, 2, 3]).pipe(map(n => n * n))
service:message("squares", function(numbers)
  return roost.stream.from(numbers):map(function(n) return n * n end)
end)

-- The same without a stream: ctx:emit sends a reply, and waits where the caller is slow to read.
service:message("countdown", function(from, ctx)
  for n = from, 1, -1 do
    ctx:emit(n)
    roost.sleep(1000)
  end
  return "lift-off"
end)

-- It goes on until the caller leaves, who is then seen to.
service:message("heartbeat", function()
  return roost.stream.interval(1000):map(function() return { alive = true } end)
end)

-- An error ends a stream, after what was sent before it.
service:message("until it breaks", function()
  return roost.stream.of(1, 2):concat(roost.stream.create(function(observer)
    observer:error(roost.rpc_error "it broke")
  end))
end)

return service
