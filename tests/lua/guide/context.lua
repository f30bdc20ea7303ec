-- The context: what is known of a request besides its data.
local roost = require "roost"
local service = roost.service()

-- @Ctx() context: context.getPattern(), context.getMetadata(), and what else there is
service:message({ "context", { cmd = "context" } }, function(_, ctx)
  return {
    pattern = ctx.pattern, subject = ctx.subject, kind = ctx.kind, transport = ctx.transport,
    metadata = ctx.metadata, address = ctx.peer.address, id = ctx.id,
  }
end)

-- Anywhere below a handler it is at hand, without being passed on.
local function audit(what)
  local ctx = roost.context()
  ctx.log:info(what, { tenant = ctx.metadata.tenant })
end

service:message("pay", function(amount)
  audit("paid " .. amount)
  roost.spawn(function()
    roost.sleep(1000)
    audit "receipt sent"
  end)
  return true
end)

-- A timer belongs to no request.
service:message("later", function()
  local seen = "not yet"
  roost.after(10, function() seen = roost.context() == nil and "none" or "some" end)
  roost.sleep(20)
  return seen
end)

return service
