-- A small stateful service: users by id, kept in memory.
local roost = require "roost"

local service = roost.service()
local users = {}
local last_id = 0

local function find(id)
  return users[id] or error(roost.rpc_error { code = "NOT_FOUND", message = "no user " .. tostring(id) })
end

service:message("users.create", function(data, ctx)
  if type(data) ~= "table" or type(data.name) ~= "string" or data.name == "" then
    error(roost.rpc_error "name: expected text")
  end
  last_id = last_id + 1
  users[last_id] = { id = last_id, name = data.name, logins = 0 }
  ctx.log:info("user created", { user = last_id })
  return users[last_id]
end)

service:message("users.get", function(data)
  return find(data.id)
end)

service:message("users.list", function()
  return roost.array(table.move(users, 1, last_id, 1, {}))
end)

service:event("user.login", function(data)
  local user = find(data.id)
  user.logins = user.logins + 1
end)

-- Several handlers may share an event's pattern.
service:event("user.login", function(data, ctx)
  ctx.log:info("login", { user = data.id })
end)

return service
