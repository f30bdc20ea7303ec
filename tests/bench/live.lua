-- Holds as many MB of small tables as the environment says, and answers as service.lua does.
local roost = require "roost"
local service = roost.service()

local TABLE_BYTES = 220 -- of one with two fields, its place in the list and its text
local live = {}
for i = 1, math.tointeger(roost.env("LIVE_MB", "0")) * 1000000 // TABLE_BYTES do
  live[i] = { id = i, name = "entity " .. i }
end

service:message({ cmd = "sum" }, function(data)
  local total = 0
  for i = 1, #data do total = total + data[i] end
  return total
end)

service:message("one", function(i) return live[i] end)

return service
