-- Asynchronous responses: a handler waits, others go on meanwhile; there is nothing to await.
local roost = require "roost"
local service = roost.service()

local function lookup(id)
  roost.sleep(100) -- a database, say
  return { id = id }
end

service:message("order", function(id) return lookup(id) end)

-- Promise.all: one after the other this would take 200 ms.
service:message("order with customer", function(data)
  return roost.all {
    order = function() return lookup(data.order) end,
    customer = function() return lookup(data.customer) end,
  }
end)

-- Promise.race: whichever is first; the other one is cancelled.
service:message("nearest", function()
  return roost.race {
    function() roost.sleep(50) return "Oslo" end,
    function() roost.sleep(20) return "Bergen" end,
  }
end)

-- Who takes longer than this, is told so.
service:message("patient", { timeout = 150 }, function(times)
  for _ = 1, times do lookup(1) end
  return "in time"
end)

return service
