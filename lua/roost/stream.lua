-- Streams: sequences of values that arrive over time, as Nest's observables.
--
-- A stream is cold: nothing happens before it is subscribed to, and each subscription starts anew.
-- It holds one function, start(observer), which begins to deliver and may return a teardown.
-- Subscription: one consumer of one stream; it ends once, by complete, error or unsubscribe, and
-- then its teardown runs.

local core = ...

local Stream = {}
Stream.__index = Stream
Stream.__name = "roost.stream"

local stream = {}

local function new(start)
  return setmetatable({ start = start }, Stream)
end

-- Observer: what a stream delivers to -----------------------------------------------------------

local Observer = {}
Observer.__index = Observer

-- Ends the subscription and runs its teardown; false where it has ended already.
local function close(observer)
  if observer.closed then return false end
  observer.closed = true
  local teardown = observer.teardown
  observer.teardown = nil
  if teardown then
    local ok, err = xpcall(teardown, core.traceback)
    if not ok then core.report(err) end
  end
  return true
end

-- Delivers a value; false where nobody takes it any more.
function Observer:next(value)
  if self.closed then return false end
  if self.consumer.next then self.consumer.next(value) end
  return not self.closed
end

function Observer:error(err)
  if not close(self) then return end
  if self.consumer.error then self.consumer.error(err) else core.report(err) end
end

function Observer:complete()
  if close(self) and self.consumer.complete then self.consumer.complete() end
end

local Subscription = {}
Subscription.__index = Subscription

function Subscription:unsubscribe()
  close(self.observer)
end

-- consumer: { next =, error =, complete = }, each optional.
function Stream:subscribe(consumer)
  local observer = setmetatable({ closed = false, consumer = consumer or {} }, Observer)
  local teardown = self.start(observer)
  if teardown then
    if observer.closed then teardown() else observer.teardown = teardown end
  end
  return setmetatable({ observer = observer }, Subscription)
end

-- Constructors ------------------------------------------------------------------------------------

function stream.of(...)
  local values = table.pack(...)
  return new(function(observer)
    for i = 1, values.n do
      if not observer:next(values[i]) then return end
    end
    observer:complete()
  end)
end

-- Runs produce(observer) as a task of its own, so that it may wait and can be cancelled; what it
-- returns is the teardown.
local function producing(produce)
  return function(observer)
    local finish
    local task = core.spawn(function()
      local ok, result = xpcall(produce, core.traceback, observer)
      if not ok then
        observer:error(result)
      elseif type(result) == "function" then
        if observer.closed then result() else finish = result end
      end
    end, false, true)
    return function()
      task:cancel()
      if finish then finish() end
    end
  end
end

-- source: a list, or an iterator as for takes one (its first value of each step is delivered).
function stream.from(source, state, control)
  if type(source) == "table" then return stream.of(table.unpack(source, 1, #source)) end
  return new(producing(function(observer)
    for value in source, state, control do
      if not observer:next(value) then return end
    end
    observer:complete()
  end))
end

function stream.create(produce)
  if type(produce) ~= "function" then
    error("bad argument to 'create' (function expected, got " .. type(produce) .. ")", 2)
  end
  return new(producing(produce))
end

-- Sending one to a caller ---------------------------------------------------------------------

-- Runs in the handler's task after it returned a stream; ends with it, or when the caller leaves.
local function drain(source, ctx)
  local done, failed, failure = false, false, nil
  local subscription = source:subscribe {
    next = function(value) ctx:emit(value) end,
    error = function(err)
      done, failed, failure = true, true, err
      core.ctx_wake(ctx)
    end,
    complete = function()
      done = true
      core.ctx_wake(ctx)
    end,
  }
  local guard <close> = setmetatable({}, { -- luacheck: ignore 211
    __close = function() subscription:unsubscribe() end,
  })
  while not done and not ctx:cancelled() do core.ctx_wait(ctx) end
  if failed then error(failure, 0) end
end

core.set_stream(Stream, drain)

return stream
