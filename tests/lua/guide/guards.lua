-- Guards say who may. They run before everything else, the service's before the handler's.
local roost = require "roost"

local users = { ["token-of-ada"] = { name = "Ada", roles = { admin = true } },
                ["token-of-bob"] = { name = "Bob", roles = {} } }

-- canActivate: what it finds out it may leave for the handler.
local function authenticated(ctx)
  ctx.state.user = users[ctx.metadata.authorization]
  return ctx.state.user ~= nil
end

-- @Roles('admin'): a function that makes a guard.
local function role(name)
  return function(ctx) return ctx.state.user.roles[name] end
end

-- One that raises says why.
local function open_hours(ctx)
  if ctx.data.hour >= 18 then error(roost.rpc_error "we are closed") end
  return true
end

local service = roost.service { guards = authenticated }

service:message("whoami", function(_, ctx) return ctx.state.user.name end)
service:message("wipe", { guards = role "admin" }, function() return "wiped" end)
service:message("visit", { guards = { role "admin", open_hours } }, function() return "welcome" end)

return service
