-- Interceptors stand around a handler: before it, after it, or in place of it.
local roost = require "roost"

-- LoggingInterceptor: next() runs the handler (and what is between) and returns its value or stream.
local function timed(ctx, next)
  local before, value = roost.now(), next()
  ctx.log:info("answered", { took = roost.now() - before })
  return value
end

-- TransformInterceptor: map(data => ({ data })); of a stream it is each item.
local function wrapped(_, next)
  local value = next()
  if roost.stream.is(value) then return value:map(function(item) return { data = item } end) end
  return { data = value }
end

-- ErrorsInterceptor: catchError(() => throwError(() => new RpcException('bad gateway')))
local function plain_errors(_, next)
  local ok, value = pcall(next)
  return ok and value or error(roost.rpc_error "bad gateway")
end

-- CacheInterceptor: where it knows the answer it does not call next.
local function cached(ctx, next)
  local key = "answers/" .. ctx.subject
  local value = roost.store:get(key) or next()
  roost.store:add(key, value, { ttl = 60000 })
  return value
end

local service = roost.service { interceptors = { timed, wrapped } }

service:message("slow", function() roost.sleep(250) return "done" end)
service:message("items", function() return roost.stream.of(1, 2) end)
service:message("fails", { interceptors = plain_errors }, function() error "secret" end)
service:message("time", { interceptors = cached }, function() return roost.time() end)

return service
