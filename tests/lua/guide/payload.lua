-- Payload keys: a handler gets one member of what was sent.
local roost = require "roost"
local service = roost.service()

-- @MessagePattern('user.rename') rename(@Payload('name') name: string, @Ctx() context)
service:message("user.rename", { payload = "name" }, function(name, ctx)
  return ("user %d is %s now"):format(ctx.data.id, name)
end)

-- Pipes get what the key picked.
local is_address = roost.pipes.validate { street = "string", town = "string" }

service:message("user.move", { payload = "address", pipes = is_address }, function(address)
  return address.street .. ", " .. address.town
end)

return service
