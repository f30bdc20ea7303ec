-- roost.stream: how streams are made. What one is, is in stream_core.lua; how they are consumed in
-- stream_consumers.lua; what is made of others in stream_operators.lua.

local core = ...
local observer = require "roost.observer"
local internal = require "roost.stream_core"
require "roost.stream_operators"
require "roost.stream_consumers"

local check = internal.check

local stream = { subject = require("roost.subject").new, is = internal.is }

local function of(values, count)
  return internal.new(function(out)
    for i = 1, count do
      if not out:next(values[i]) then return end
    end
    out:complete()
  end)
end

function stream.of(...)
  return of({ ... }, select("#", ...))
end

-- A stream that is fed by a task of its own, which may wait and is cancelled with the subscription.
local function produced(produce)
  return internal.new(function(out)
    out:attend(function()
      local ok, err, trace = core.catch(produce, out)
      if ok then return end
      if out.closed then core.report(err, trace) else out:error(err, trace) end
    end)
  end, true)
end

-- source: a list, or an iterator and what else for takes (the first value of each step is delivered).
function stream.from(source, state, control, closing)
  if internal.is(source) then return source end
  if type(source) == "table" then return of(source, #source) end
  check(source, "function", "from")
  return produced(function(out)
    for value in source, state, control, closing do
      if not out:next(value) then return end
    end
    out:complete()
  end)
end

-- 0, 1, 2, … every ms; a beat that comes while the last one is being taken is left out. One that no
-- request is behind ends with its service, as timers do.
function stream.interval(ms)
  check(ms, "number", "interval")
  ms = math.max(1, math.ceil(ms))
  return produced(function(out)
    local wait = core.context() and core.sleep or core.doze
    local due, count = core.ticks(), -1
    repeat
      due = math.max(due + ms, core.ticks())
      wait(due - core.ticks())
      count = count + 1
    until not out:next(count)
  end)
end

-- produce(observer) runs as a task and may return a teardown; the observer may be used by others
-- when it has returned.
function stream.create(produce)
  check(produce, "function", "create")
  return produced(function(out)
    local teardown = produce(observer.share(out, out))
    if type(teardown) ~= "function" then return end
    -- This task may be cancelled by now, and the teardown may want to wait.
    if out.closed then core.spawn(teardown, false, true) else out.teardown = teardown end
  end)
end

return stream
