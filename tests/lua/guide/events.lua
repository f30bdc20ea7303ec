-- Events: fire and forget. Several handlers may share a pattern, and each is told.
local roost = require "roost"
local service = roost.service()

local mails, statistics = roost.array {}, { users = 0 }

service:event("user_created", function(user)
  roost.sleep(50) -- the mail server is slow; the next handler does not wait for it
  mails[#mails + 1] = "Welcome, " .. user.name
end)

service:event("user_created", function()
  statistics.users = statistics.users + 1
end)

-- Nobody hears of an error in an event's handler but the log; the others are told all the same.
service:event("user_created", function(user)
  if user.name == "Mallory" then error "no Mallory here" end
end)

service:message("mails", function() return mails end)
service:message("statistics", function() return statistics end)

return service
