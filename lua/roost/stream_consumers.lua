-- What takes a stream to its end: subscribe, first, last, collect, each, and sending one to a caller.

local core = ...
local observer = require "roost.observer"
local queue = require "roost.queue"
local stream = require "roost.stream_core"

local Stream = stream.Stream

-- subscribe ---------------------------------------------------------------------------------------

local Subscription = {}
Subscription.__index = Subscription
Subscription.__name = "roost.subscription"

function Subscription:unsubscribe()
  self.target:close()
end

local function ignore() end

-- A consumer's function: what it raises is logged, and the stream goes on.
local function consuming(consumer, name, default)
  local fn = consumer[name]
  if fn == nil then return default end
  if type(fn) ~= "function" then
    error(("bad argument to 'subscribe' (function expected at %s, got %s)"):format(name, type(fn)), 3)
  end
  return function(value)
    local ok, err, trace = core.catch(fn, value)
    if not ok then core.report(err, trace) end
  end
end

local consumed = { next = true, error = true, complete = true }

local function check_consumer(consumer)
  for key in pairs(consumer) do
    if not consumed[key] then
      error(("bad argument to 'subscribe' (unknown key '%s'; there are next, error and complete)"):format(
        tostring(key)), 3)
    end
  end
end

-- consumer: { next =, error =, complete = }, each optional. An error that nobody takes is logged.
function Stream:subscribe(consumer)
  consumer = consumer or {}
  stream.check(consumer, "table", "subscribe")
  check_consumer(consumer)
  local target = observer.new {
    on_next = consuming(consumer, "next", ignore),
    on_error = consuming(consumer, "error", core.report),
    on_complete = consuming(consumer, "complete", ignore),
  }
  stream.start(self, target)
  return setmetatable({ target = target }, Subscription)
end

-- first, last, collect ----------------------------------------------------------------------------

-- Consumes self until its end, or until take(value) gives true; raises its error.
local function await(self, take)
  local done, failed, failure, trace, signal = false, false, nil, nil, nil
  local function finish()
    done = true
    if signal then signal:notify() end
  end
  local target <close> = observer.new { prompt = true, on_complete = finish }
  function target.on_error(...)
    failed, failure, trace = true, ...
    finish()
  end
  function target.on_next(value)
    if not take(value) then return end
    target:close()
    finish()
  end
  stream.start(self, target)
  if not done then
    signal = core.signal()
    repeat signal:wait() until done
  end
  if failed then core.rethrow(failure, trace) end
end

-- nil for an empty stream.
function Stream:first()
  local result
  await(self, function(value)
    result = value
    return true
  end)
  return result
end

function Stream:last()
  local result
  await(self, function(value) result = value end)
  return result
end

function Stream:collect()
  local list, count = core.array {}, 0
  await(self, function(value)
    count = count + 1
    list[count] = stream.or_null(value)
  end)
  return list
end

-- each --------------------------------------------------------------------------------------------

-- For a generic for. The source waits until the next value is asked for; a subject cannot, so there
-- values queue up. Leaving the loop, whatever way, unsubscribes.
function Stream:each()
  local values, asked, signal = queue.new(), false, core.signal()
  local target = observer.new { prompt = true }
  function target.on_next(value)
    if not values:push(value) then target:close() end
    if observer.hurried then return end
    asked = false
    while not asked and not target.closed do signal:wait() end
  end
  function target.on_error(err, trace) values:finish("error", err, trace) end
  function target.on_complete() values:finish("complete") end

  local function step()
    asked = true
    signal:notify()
    while values:is_idle() do values.signal:wait() end
    asked = false
    if values.full then core.rethrow(queue.too_slow()) end
    if not values:empty() then return stream.or_null(values:pop()) end
    if values.ended[1] == "error" then core.rethrow(values.ended[2], values.ended[3]) end
    return nil
  end

  local leave = setmetatable({}, {
    __close = function()
      target:close()
      signal:notify()
    end,
  })
  stream.launch(self, target)
  return step, nil, nil, leave
end

-- Sending one to a caller -------------------------------------------------------------------------

-- Runs in the handler's task after it returned a stream; ends with it, or when the caller leaves.
local function drain(source, ctx)
  local done, failed, failure, trace = false, false, nil, nil
  local function fail(...)
    done, failed, failure, trace = true, true, ...
    core.ctx_wake(ctx)
  end
  local target <close> = observer.new { on_error = fail }
  function target.on_next(value)
    local ok, taken, where = core.catch(ctx.emit, ctx, value)
    if not ok then
      target:close()
      fail(taken, where)
    elseif not taken and ctx:cancelled() then
      target:close()
    end
  end
  function target.on_complete()
    done = true
    core.ctx_wake(ctx)
  end
  stream.start(source, target)
  while not done and not ctx:cancelled() do core.ctx_wait(ctx) end
  if failed then core.rethrow(failure, trace) end
end

core.set_stream(Stream, drain)
