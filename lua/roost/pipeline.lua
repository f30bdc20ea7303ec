-- The pipeline around a handler, put together when it is registered.
--
-- Nest's order: guards, interceptors (before), payload member, pipes, handler, interceptors (after);
-- filters take what any of them raises, or what a returned stream fails with. Guards, interceptors
-- and pipes run service before handler; filters handler before service, last listed first.

local core = ...
local stream = require "roost.stream_core"

local pipeline = {}

pipeline.stages = { "guards", "pipes", "interceptors", "filters" }

-- nil, err is another way to raise.
local function result(value, err)
  if value == nil and err ~= nil then core.rethrow(err) end
  return value
end

local function with_payload(key, inner)
  return function(data, ctx)
    if type(data) == "table" then data = data[key] else data = nil end
    return result(inner(data, ctx))
  end
end

local function with_pipes(pipes, inner)
  return function(data, ctx)
    for i = 1, #pipes do data = result(pipes[i](data, ctx)) end
    return result(inner(data, ctx))
  end
end

local function with_interceptor(interceptor, inner)
  return function(data, ctx)
    return result(interceptor(ctx, function() return result(inner(data, ctx)) end))
  end
end

local function forbidden()
  return core.exception {
    name = "RpcError",
    message = "Forbidden resource",
    response = { status = "error", message = "Forbidden resource" },
  }
end

local function with_guards(guards, inner)
  return function(data, ctx)
    for i = 1, #guards do
      if not guards[i](ctx) then error(forbidden(), 0) end
    end
    return result(inner(data, ctx))
  end
end

-- Errors that are no table reach filters as one.
local function as_table(err)
  if type(err) == "table" then return err end
  local shown = core.error("Error", nil, tostring(err))
  shown.cause = err
  return shown
end

-- What a filter gave is what the caller gets; of an event nobody else is told.
local function replaced(payload)
  if type(payload) == "table" and payload.name == "RpcError" and payload.response ~= nil then
    payload = payload.response
  end
  return core.exception { name = "RpcError", message = "", response = payload, handled = true }
end

-- A stream in its place: what that fails with is the payload.
local function as_reply(replies)
  return replies:catch(function(err) error(replaced(err), 0) end)
end

-- Raises what the filters make of an error, or gives the stream that replaces it. A filter that raises
-- is the last to run.
local function filter(filters, ctx, err, trace)
  local shown = as_table(err)
  for i = 1, #filters do
    local ok, payload, where = core.catch(filters[i], shown, ctx)
    if not ok then core.rethrow(payload, where) end
    if stream.is(payload) then return as_reply(payload) end
    if payload ~= nil then error(replaced(payload), 0) end
  end
  core.rethrow(err, trace)
end

local function with_filters(filters, inner)
  local function run(data, ctx) return result(inner(data, ctx)) end
  return function(data, ctx)
    local ok, value, trace = core.catch(run, data, ctx)
    if not ok then return filter(filters, ctx, value, trace) end
    if not stream.is(value) then return value end
    return value:catch(function(err, where) return filter(filters, ctx, err, where) end)
  end
end

local function joined(first, second)
  local list = table.move(first or {}, 1, #(first or {}), 1, {})
  return table.move(second or {}, 1, #(second or {}), #list + 1, list)
end

local function reversed(list)
  local back = {}
  for i = #list, 1, -1 do back[#back + 1] = list[i] end
  return back
end

-- outer: stages of the service; inner: stages and payload of the handler. Without any the handler
-- itself.
function pipeline.compose(outer, inner, handler)
  local guards, pipes = joined(outer.guards, inner.guards), joined(outer.pipes, inner.pipes)
  local interceptors = joined(outer.interceptors, inner.interceptors)
  local filters = joined(reversed(inner.filters or {}), reversed(outer.filters or {}))
  local run = handler
  if #pipes > 0 then run = with_pipes(pipes, run) end
  if inner.payload ~= nil then run = with_payload(inner.payload, run) end
  for i = #interceptors, 1, -1 do run = with_interceptor(interceptors[i], run) end
  if #guards > 0 then run = with_guards(guards, run) end
  if #filters > 0 then run = with_filters(filters, run) end
  return run
end

-- A list of functions from what a user gave for a stage, or an error to be shown to him.
function pipeline.functions(value, name)
  if type(value) == "function" then return { value } end
  local complaint = "option '%s': expected a function or a list of functions, got %s"
  if type(value) ~= "table" then error(complaint:format(name, type(value)), 0) end
  local count = 0
  for key, each in pairs(value) do
    if math.type(key) ~= "integer" or key < 1 or key > #value then
      error(complaint:format(name, ("a table with the key '%s'"):format(tostring(key))), 0)
    elseif type(each) ~= "function" then
      error(("option '%s': expected a function at [%d], got %s"):format(name, key, type(each)), 0)
    end
    count = count + 1
  end
  if count ~= #value then error(complaint:format(name, "a list with holes"), 0) end
  return table.move(value, 1, count, 1, {})
end

return pipeline
