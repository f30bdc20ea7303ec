-- A thousand entities of the game's, each with a behaviour. Where they are is the game's to keep, so
-- a new version of this file goes on where the old one was.
local roost = require "roost"
local game = require "game"
local service = roost.service()

local walk = {}

function walk.circle(id, frame)
  game.move(id, math.cos(frame / 30 + id), math.sin(frame / 30 + id))
end

function walk.patrol(id, frame)
  game.move(id, frame % 120 < 60 and 1 or -1, 0)
end

function walk.stand(id)
  game.move(id, 0, 0)
end

local kinds = { walk.circle, walk.patrol, walk.stand }
local entities = {}
for id = 1, 1000 do
  entities[id] = { id = id, on_tick = kinds[id % #kinds + 1] }
end

service:event("tick", function(frame)
  for i = 1, #entities do
    local entity = entities[i]
    entity.on_tick(entity.id, frame)
  end
end)

service:message("where", function(id)
  local x, y = game.where(id)
  return { x = x, y = y }
end)

return service
