-- A matchmaker: whoever asks for a partner is answered when one comes.
local roost = require "roost"
local service = roost.service()
local waiting = {} -- game -> the one who waits

service:message("match", { timeout = 0 }, function(data, ctx)
  local other = waiting[data.game]
  waiting[data.game] = nil
  -- Whoever waited may have left meanwhile: then nobody takes our name.
  if other and not other.ctx:cancelled() and other.partner:next(data.name) then
    return { partner = other.name }
  end
  local me = { name = data.name, ctx = ctx, partner = roost.stream.subject() }
  waiting[data.game] = me
  return { partner = me.partner:first() }
end)

return service
