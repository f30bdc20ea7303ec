-- What the appliance measures; the sensors are functions of the program it is part of.
local roost = require "roost"
local sensors = require "sensors"
local service = roost.service()

service:message("temperature", function()
  return sensors.read("temperature")
end)

service:message("calibrate", function(offsets)
  return sensors.calibrate(offsets)
end)

service:message("unknown", function()
  local ok, err = pcall(sensors.read, "humidity")
  return { ok, (tostring(err):gsub("^.-: ", "")) }
end)

-- A defect: the watchdog ends it.
service:message("hang", function()
  while true do end
end)

-- Another one: it gets no more memory than it may have.
service:message("grow", function()
  local all = {}
  while true do all[#all + 1] = ("x"):rep(100000) .. #all end
end)

return service
