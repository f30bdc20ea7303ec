-- Puts functions of its own in the place of Lua's before it uses the API, and sees who calls them.
local roost = require "roost"
local calls = 0

local function wrap(library, names)
  for name in names:gmatch "%a+" do
    local original = library[name]
    library[name] = function(...)
      calls = calls + 1
      return original(...)
    end
  end
end

wrap(_G, "error getmetatable ipairs next pairs pcall rawequal rawget select setmetatable tostring type xpcall")
wrap(table, "concat move pack remove sort unpack")
wrap(string, "find format gsub match rep")
wrap(math, "ceil max tointeger type")
package.loaded["roost.stream_core"] = nil
package.loaded["roost.pipeline"] = nil

local before = calls
local service = roost.service { guards = function() return true end, filters = function() end }
service:message("touch", { payload = "x", pipes = { roost.pipes.validate "integer?" }, timeout = 5000 }, function()
  local list = roost.stream.from { 3, 1, 2 }:map(function(n) return n + 1 end):take(2):collect()
  roost.all { function() return #list end, function() roost.sleep(1) end }
  roost.stream.subject():next(1)
  return roost.rpc_error "x".message
end)
service:provide("thing", function() return {} end)

service:message("calls", function(_, ctx)
  ctx:get "thing"
  return calls - before
end)

return service
