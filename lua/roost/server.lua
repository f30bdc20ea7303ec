-- roost.server: what becomes of one of this host's servers, as Nest's status, on and unwrap say it.

local core = ...
local watched = require "roost.watched"

local Server = {}
Server.__name = "roost.server"

watched.extend(Server, "server", { "listening", "connection" })

local function announce(self, change, value)
  if change == "connection" then
    watched.tell(self, "connection", value)
  elseif change == "retrying" then
    watched.set_status(self, "reconnecting")
    watched.tell(self, "reconnecting")
  elseif change == "blocked" or change == "unblocked" then
    watched.set_status(self, change)
    watched.tell(self, change)
  elseif change == "listening" then
    watched.set_status(self, "connected")
    watched.tell(self, "listening")
    watched.tell_connected(self)
  else
    watched.set_status(self, "disconnected")
    if change == "lost" then watched.tell(self, "error", value) end
    watched.tell_disconnected(self)
  end
end

function Server:unwrap()
  local info = self.handle:info()
  info.close = function() self.handle:close() end
  return info
end

-- target: the name of a server in the configuration, or its position there.
return function(target)
  if type(target) ~= "string" and math.type(target) ~= "integer" then
    error(("roost.server: a name or a position is expected, got %s"):format(type(target)), 2)
  end
  return watched.new(Server, core.server(target), announce)
end
