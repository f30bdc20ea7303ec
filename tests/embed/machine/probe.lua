-- What packages asks a host that runs as a unit.
local roost = require "roost"
local service = roost.service()

-- Answers after so many milliseconds.
service:message("slow", function(ms)
  roost.sleep(ms)
  return "slept"
end)

-- Whether it may make that file.
service:message("write", function(path)
  local file = io.open(path, "w")
  if file then file:close() end
  return file ~= nil
end)

-- Holds its worker up, where no budget of Lua's helps.
service:message("hang", function()
  os.execute "sleep 60"
end)

return service
