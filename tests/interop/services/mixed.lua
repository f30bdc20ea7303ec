-- What an hour of mixed traffic is served by, whatever broker it comes through: see
-- brokers/stress-mixed.test.mjs. All replies are objects, which every transport leaves as they are.
local roost = require "roost"
local service = roost.service()

service:message("mixed.sum", function(data) return { sum = data.a + data.b } end)
service:message("mixed.echo", function(data) return data end)
service:message("mixed.headed", function(_, ctx) return { trace = ctx.metadata.trace } end)

service:message("mixed.wait", function(data)
  roost.sleep(data.ms)
  return { waited = data.ms }
end)

service:message("mixed.stream", function(data, ctx)
  for i = 1, data.upto do
    ctx:emit { item = i }
    roost.sleep(1)
  end
end)

service:message("mixed.fail", function(data) error(roost.rpc_error { code = data.code }) end)
service:message("mixed.break", function() error("secret") end)

-- Counted in the store, which survives that this file is saved. How many they are and what their numbers
-- come to tells of one that is lost and of one that is handled twice.
service:event("mixed.event", {
  once = function(data) return data.from .. data.n end, once_ttl = 60000,
}, function(data)
  roost.store:incr("events of " .. data.from)
  roost.store:incr("numbers of " .. data.from, data.n)
end)

service:message("events", { transport = "tcp" }, function()
  local all = {}
  for _, key in ipairs(roost.store:keys("events of ")) do
    local from = key:sub(11)
    all[from] = { count = roost.store:get(key), total = roost.store:get("numbers of " .. from) }
  end
  return all
end)

return service
