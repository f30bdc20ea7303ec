-- Observers: where a stream delivers to. One observer is one subscription.
--
-- Start reading at observer.new; stream.lua and stream_operators.lua are made of it.
-- An observer gets any number of next(value), then error(err, trace) or complete() at most once; it
-- is closed then, or when the one who made it closes it: closing ends what feeds it. All three may
-- wait, and are never entered twice at a time (shared observers see to that).
-- Prompt: its next never waits, so that a subject may call it where waiting is not allowed.
-- Eager: a stream that can be subscribed to without waiting, and without running the user's code.
-- A value goes with its trace (text) as an error does: the log shows where it was first raised.

local core = ...

local Observer = {}
Observer.__index = Observer

-- hurried: a subject is calling prompt observers, and nothing may wait.
local observer = { hurried = false }

-- What an observer is made of:
--   on_next(value), on_error(err, trace), on_complete()
--   prompt    see above
--   source    the observer that is fed for its sake, closed with it
--   teardown  a function that is called when it closes
--   task      the task that feeds it, cancelled when it closes
function observer.new(fields)
  fields.closed = false
  return setmetatable(fields, Observer)
end

-- The task that runs this is not cancelled: what follows in it is no longer the stream's business.
-- A shared observer cancels it once it is back in the producer's own code.
local function cancel(task)
  if task and not task:running() then task:cancel() end
end

-- False where it was closed already.
function Observer:close()
  if self.closed then return false end
  self.closed = true
  cancel(self.task)
  if self.source then self.source:close() end
  local teardown = self.teardown
  if teardown then
    self.teardown = nil
    local ok, err, trace = core.catch(teardown)
    if not ok then core.report(err, trace) end
  end
  return true
end

Observer.__close = Observer.close

-- Returns whether more is wanted.
function Observer:next(value)
  if self.closed then return false end
  self.on_next(value)
  return not self.closed
end

function Observer:error(err, trace)
  if self:close() then self.on_error(err, trace) end
end

function Observer:complete()
  if self:close() then self.on_complete() end
end

-- Has fn run by a task that ends with the observer, and with an error where it takes too long.
function Observer:attend(fn)
  if self.closed then return end
  self.task = core.spawn(fn, false, true, function(err, trace)
    if self.closed then core.report(err, trace) else self:error(err, trace) end
  end)
end

-- Shared observers: what several tasks may call, taking turns ----------------------------------

local Shared = {}
Shared.__index = Shared
Shared.__name = "roost.observer"

-- Delivers to out; producer (may be nil): an observer whose task produces.
function observer.share(out, producer)
  return setmetatable({ out = out, producer = producer, owner = nil, signal = nil }, Shared)
end

-- Waits for its turn. Nil where the task has it already: it is called from below itself.
local function enter(self)
  local me = core.task()
  if self.owner == me then return nil end
  while self.owner do
    self.signal = self.signal or core.signal()
    self.signal:wait()
  end
  self.owner = me
  return self
end

-- The end of a turn.
function Shared:__close()
  self.owner = nil
  if self.signal then self.signal:notify() end
  local task = self.producer and self.producer.task
  if self.out.closed and task and task:running() then task:cancel() end
end

local function deliver(self, value)
  local turn <close> = enter(self) -- luacheck: ignore 211
  return self.out:next(value)
end

-- A producer whose subscription ends in here gets false and comes to return its teardown; it is the
-- next wait of its own that tells it that it is cancelled.
function Shared:next(value)
  if self.out.closed then return false end
  local ok, more = pcall(deliver, self, value)
  if ok then return more end
  if self.out.closed and type(more) == "table" and more.name == "CancelledError" then return false end
  error(more, 0)
end

function Shared:error(err, trace)
  if self.out.closed then return end
  trace = trace or core.trace(err)
  local turn <close> = enter(self) -- luacheck: ignore 211
  self.out:error(err, trace)
end

function Shared:complete()
  if self.out.closed then return end
  local turn <close> = enter(self) -- luacheck: ignore 211
  self.out:complete()
end

return observer
