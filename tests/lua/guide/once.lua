-- Brokers hand an event over at least once: after a crash, or where an acknowledgement was lost, it
-- comes again. `once` says by which key an event is known, and a handler runs once for each.
local roost = require "roost"
local service = roost.service()

local booked, attempts = roost.array {}, 0

service:event("payment_received", { once = function(payment) return payment.id end },
  function(payment)
    attempts = attempts + 1
    roost.sleep(50) -- the bank is slow; the same event that comes meanwhile waits
    if payment.fails and attempts == 1 then error "the bank is closed" end -- may come again
    booked[#booked + 1] = payment.id
  end)

-- Each handler has keys of its own. They are kept for a day where once_ttl says nothing else.
service:event("payment_received", { once = function(payment) return payment.id end, once_ttl = 1000 },
  function(payment) booked[#booked + 1] = "seen " .. payment.id end)

service:message("booked", function() return booked end)

return service
