-- What the wire tests call. lib/nest-server.mjs has the same handlers for a Nest server, in the
-- same order and with the same names: what is changed here must be changed there.
local roost = require "roost"
local service = roost.service()

-- Which handlers ran, by the tag in their data. The store survives a reload in between, and is one
-- for all workers.
local function note(data, name)
  local key = "runs of " .. data.tag
  roost.store:set(("%s %d"):format(key, roost.store:incr(key, 1)), name)
end

service:message("runs", function(data)
  local key = "runs of " .. data.tag
  local list = roost.array {}
  for i = 1, roost.store:get(key) or 0 do
    list[#list + 1] = roost.store:get(("%s %d"):format(key, i))
  end
  return list
end)

-- Requests

service:message("echo", function(data) return data end)

service:message({ cmd = "sum" }, function(data)
  local total = 0
  for _, n in ipairs(data) do total = total + n end
  return total
end)

service:message("wait", function(data)
  roost.sleep(data.ms)
  if data.tag then note(data, "waited") end
  return data.value
end)

service:message("as_text", function(number) return tostring(number) end)

service:message("metadata", function(_, ctx) return ctx.metadata end)
service:message("subject", function(_, ctx) return ctx.subject end)

local values = {
  null = roost.null, no = false, yes = true, zero = 0, empty = "", text = "é€😀",
  nan = 0 / 0, infinity = math.huge, minus_infinity = -math.huge, minus_zero = -0.0,
  whole_float = 3.0, fraction = 0.1, tiny = 5e-324, huge = 1e21, third = 1 / 3,
  list = { 1, 2 }, empty_list = roost.array {}, empty_object = {},
  bytes = roost.bytes("\0a\255"),
}

service:message("value", function(name) return values[name] end) -- "undefined" is not there

service:message("fail", function(how)
  if how == "rpc text" then error(roost.rpc_error("boom")) end
  if how == "rpc empty" then error(roost.rpc_error("")) end
  if how == "rpc number" then error(roost.rpc_error(5)) end
  if how == "rpc object" then
    error(roost.rpc_error { code = 42, message = "m", extra = { 1 } })
  end
  if how == "rpc list" then error(roost.rpc_error { 1, 2 }) end
  if how == "error" then error("secret") end
  if how == "text" then error("secret", 0) end
  if how == "number" then error(7) end
  if how == "object" then error({ code = 1, message = "secret" }) end
  if how == "nothing" then error(nil) end
  if how == "later" then
    roost.sleep(10)
    error(roost.rpc_error("later"))
  end
end)

-- Streams

local streams = {}

function streams.of() return roost.stream.of(1, 2, 3) end

function streams.from() return roost.stream.from { "a", "b" } end

function streams.empty() return roost.stream.of() end

function streams.one() return roost.stream.of("only") end

function streams.nulls() return roost.stream.of(roost.null, roost.null) end

function streams.ticks(ctx)
  for i = 0, 2 do
    roost.sleep(10)
    ctx:emit(i)
  end
end

streams["late end"] = function(ctx)
  ctx:emit(1)
  roost.sleep(20)
end

streams["undefined item"] = function(ctx)
  ctx:emit(nil)
  ctx:emit(2)
end

streams["undefined last"] = function(ctx)
  ctx:emit(1)
  ctx:emit(nil)
end

streams["error after items"] = function(ctx)
  ctx:emit(1)
  ctx:emit(2)
  error(roost.rpc_error("too much"))
end

streams["late error"] = function(ctx)
  ctx:emit(1)
  roost.sleep(20)
  error("secret")
end

streams["late stream"] = function()
  roost.sleep(10)
  return roost.stream.of(1, 2)
end

function streams.never(ctx)
  ctx:emit(1)
  roost.sleep(3600000)
end

service:message("stream", function(name, ctx) return streams[name](ctx) end)

service:message("count", function(data, ctx)
  for i = 1, data.upto do
    if data.ms then roost.sleep(data.ms) end
    ctx:emit(i)
  end
end)

-- Events

service:event("one", function(data)
  note(data, "one")
  return "from an event"
end)

service:event("chain", function(data)
  note(data, "first")
  return "first"
end)
service:event("chain", function(data) note(data, "second") end)
service:event("chain", function(data) note(data, "third") end)

service:message("message", function(data)
  note(data, "message")
  return "from a message"
end)

service:message("message_then_event", function(data)
  note(data, "message")
  return "from a message"
end)
service:event("message_then_event", function(data) note(data, "event") end)

service:event("event_then_message", function(data) note(data, "event") end)
service:message("event_then_message", function(data)
  note(data, "message")
  return "from a message"
end)

service:message("twice", function() return "earlier" end)
service:message("twice", function() return "later" end)

service:event("failing", function(data)
  note(data, "failing")
  error(roost.rpc_error("nobody hears this"))
end)

service:event("streaming", function(data)
  return roost.stream.create(function(observer)
    note(data, "subscribed")
    observer:next(1)
    observer:complete()
  end)
end)

service:event({ kind = "user", action = "created" }, function(data) note(data, "object") end)

service:event(7, function(data) note(data, "seven") end)
service:event("headed", function(data, ctx) note(data, tostring(ctx.metadata.tenant)) end)

return service
