-- Request-scoped providers: made when a request first asks for them, closed with it.
local roost = require "roost"
local service = roost.service()

local connections = { open = 0, made = 0 }

-- @Injectable({ scope: Scope.REQUEST }) with @Inject(CONTEXT)
service:provide("db", function(ctx)
  connections.made, connections.open = connections.made + 1, connections.open + 1
  return {
    tenant = ctx.metadata.tenant or "nobody",
    close = function() connections.open = connections.open - 1 end,
  }
end)

-- One may need another.
service:provide("orders", function(ctx)
  local db = ctx:get "db"
  return { list = function() return { db.tenant .. "'s order" } end }
end)

service:message("orders", function(_, ctx)
  roost.sleep(10)
  return { orders = ctx:get("orders").list(), same = ctx:get "db" == ctx:get "db", open = connections.open }
end)

-- What lives as long as the service is a local of its file.
service:message("connections", function() return connections end)

return service
