-- Notes the order in which the stages of the pipeline run. lib/nest-pipeline.mjs has the same for a
-- Nest server.
local roost = require "roost"

-- The store survives a reload in between.
local function runs_of(tag) return roost.store:get("runs of " .. tostring(tag)) or roost.array {} end

local function note(data, name)
  local list = runs_of(data.tag)
  list[#list + 1] = name
  roost.store:set("runs of " .. tostring(data.tag), list)
end

-- Raises where the data says that this stage does.
local function act(data, name)
  if data.raise == name then error(data.rpc and roost.rpc_error(data.rpc) or { kind = data.kind }) end
end

local function guard(name)
  return function(ctx)
    note(ctx.data, name)
    roost.sleep(1)
    act(ctx.data, name)
    return ctx.data.refuse ~= name
  end
end

local function pipe(name)
  return function(data)
    note(data, name)
    roost.sleep(1)
    act(data, name)
    local copy = {}
    for key, value in pairs(data) do copy[key] = value end
    copy.piped = table.move(data.piped or {}, 1, #(data.piped or {}), 1, {})
    table.insert(copy.piped, name)
    return copy
  end
end

local function interceptor(name)
  return function(ctx, next)
    local data = ctx.data
    note(data, name .. " before")
    roost.sleep(1)
    act(data, name .. " before")
    if data.skip == name then return "skipped" end

    local function after(value)
      note(data, name .. " after")
      act(data, name .. " after")
      if data.map == name then return { mapped = value } end
      return value
    end
    local function failed(err)
      note(data, name .. " error")
      error(err, 0)
    end

    local ok, value = pcall(next)
    if not ok then failed(value) end
    if roost.stream.is(value) then return value:catch(failed):map(after) end
    return after(value)
  end
end

-- Takes errors of one kind.
local function filter(name, kind)
  return function(err, ctx)
    if err.kind ~= kind then return nil end
    note(ctx.data, name)
    if ctx.data.filter == "raises" then error(roost.rpc_error("from the filter")) end
    return { status = "error", message = name .. " took " .. kind }
  end
end

local service = roost.service {
  guards = guard "service guard",
  pipes = { pipe "service pipe 1", pipe "service pipe 2" },
  interceptors = { interceptor "service interceptor 1", interceptor "service interceptor 2" },
  filters = { filter("service filter 1", "c"), filter("service filter 2", "c"),
    filter("service filter d", "d") },
}

local own = {
  guards = { guard "handler guard 1", guard "handler guard 2" },
  pipes = pipe "handler pipe",
  interceptors = { interceptor "handler interceptor" },
  filters = { filter("handler filter 1", "a"), filter("handler filter 2", "a"),
    filter("handler filter b", "b") },
}

local function handler(data)
  note(data, "handler")
  roost.sleep(1)
  act(data, "handler")
  local items = roost.stream.of(1, 2)
  if data.stream == "fails" then
    return items:concat(roost.stream.create(function() error { kind = data.kind } end))
  end
  return data.stream and items or data.piped
end

service:message("message", own, handler)
service:event("event", own, handler)
service:message("runs", function(data) return runs_of(data.of) end)

return service
