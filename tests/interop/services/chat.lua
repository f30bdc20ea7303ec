-- A chat room: "chat.join" streams what is said in a room from then on.
local roost = require "roost"
local service = roost.service()
local rooms = {} -- name -> { subject =, members = }

service:message("chat.join", function(data)
  local room = rooms[data.room] or { subject = roost.stream.subject(), members = 0 }
  rooms[data.room] = room
  return roost.stream.create(function(observer)
    room.members = room.members + 1
    local listening = room.subject:subscribe {
      next = function(line) observer:next(line) end,
    }
    room.subject:next { from = data.name, text = "joined" }
    return function()
      listening:unsubscribe()
      room.members = room.members - 1
      room.subject:next { from = data.name, text = "left" }
      if room.members == 0 then rooms[data.room] = nil end
    end
  end)
end)

service:message("chat.say", function(data)
  local room = rooms[data.room]
  return room ~= nil and room.subject:next { from = data.name, text = data.text }
end)

return service
