-- A matchmaker: who asks is answered when a partner comes.
local roost = require "roost"
local service = roost.service { instances = 1 } -- who waits is to be found by whoever comes next
local waiting = {} -- game -> list of { name =, partner = subject }

service:message("match", { timeout = 0 }, function(data, ctx)
  local queue = waiting[data.game] or {}
  waiting[data.game] = queue
  while #queue > 0 do -- somebody may have left meanwhile: then nobody takes our name
    local other = table.remove(queue, 1)
    if not other.ctx:cancelled() and other.partner:next(data.name) then
      return { partner = other.name }
    end
  end
  local me = { name = data.name, partner = roost.stream.subject(), ctx = ctx }
  queue[#queue + 1] = me
  return { partner = me.partner:first() }
end)

return service
