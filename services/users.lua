-- Users by id, kept in memory: of one state, however many workers there are. What a handler need not
-- do itself stands around it: pipes check what comes, a guard says who may, a filter words the errors.
local roost = require "roost"

local users = {}
local last_id = 0

local function find(id)
  return users[id] or error { name = "NotFound", message = "no user " .. id }
end

-- A filter: what it returns is what the caller gets; nil leaves the error to the next one.
local function not_found(err)
  if err.name == "NotFound" then return { code = "NOT_FOUND", message = err.message } end
end

-- A guard: false, and the caller gets "Forbidden resource".
local function is_admin(ctx)
  return ctx.metadata.role == "admin"
end

-- Pipes: they drop what is not named here, and answer what does not fit with its path.
local new_user = roost.pipes.validate {
  name = function(name) return type(name) == "string" and name ~= "", "expected text" end,
  email = "string?",
}
local by_id = roost.pipes.validate { id = "integer" }

local service = roost.service { instances = 1, filters = not_found }

service:message("users.create", { pipes = new_user }, function(user, ctx)
  last_id = last_id + 1
  user.id, user.logins = last_id, 0
  users[user.id] = user
  ctx.log:info("user created", { user = user.id })
  return user
end)

service:message("users.get", { pipes = by_id }, function(data)
  return find(data.id)
end)

service:message("users.list", function()
  local list = roost.array {}
  for id = 1, last_id do list[#list + 1] = users[id] end
  return list
end)

service:message("users.delete", { guards = is_admin, pipes = by_id }, function(data)
  local user = find(data.id)
  users[user.id] = nil
  return user
end)

service:event("user.login", { pipes = by_id }, function(data)
  local user = find(data.id)
  user.logins = user.logins + 1
end)

-- Several handlers may share an event's pattern.
service:event("user.login", { pipes = by_id }, function(data, ctx)
  ctx.log:info("login", { user = data.id })
end)

return service
