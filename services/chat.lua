-- A chat room: "chat.join" streams what is said in a room from then on; try it from two terminals.
local roost = require "roost"

local service = roost.service { instances = 1 } -- its rooms are everybody's
local rooms = {} -- name -> { lines = subject, members = count }

service:message("chat.join", function(data)
  local room = rooms[data.room] or { lines = roost.stream.subject(), members = 0 }
  rooms[data.room] = room
  return roost.stream.create(function(observer)
    room.members = room.members + 1
    local listening = room.lines:subscribe {
      next = function(line) observer:next(line) end,
    }
    room.lines:next { from = data.name, text = "joined" }
    return function() -- the caller has left
      listening:unsubscribe()
      room.members = room.members - 1
      room.lines:next { from = data.name, text = "left" }
      if room.members == 0 then rooms[data.room] = nil end
    end
  end)
end)

-- Whether anybody was there to hear it.
service:message("chat.say", function(data)
  local room = rooms[data.room]
  return room ~= nil and room.lines:next { from = data.name, text = data.text }
end)

return service
