-- What the programs beside it ask; "count" is a module of oom's, and of nobody else.
local roost = require "roost"
local service = roost.service()
local found, count = pcall(require, "count")

service:message("lua", function(data)
  if found then count.add(1, "text", data) end
  return data
end)

return service
