-- Subjects: streams that are fed from outside, by their methods next, error and complete. Hot: a
-- subscriber gets what comes later.

local core = ...
local queue = require "roost.queue"
local observer = require "roost.observer"
local stream = require "roost.stream_core"

-- Takes what is queued to target, which may wait, until its end. One that no request is behind ends
-- with its service, as timers do.
local function pump(values, target, dormant)
  while not target.closed do
    if values:is_idle() then
      values.signal:wait(dormant)
    elseif values.full then
      target:error(queue.too_slow(), "")
    elseif not values:empty() then
      target:next(values:pop())
    else
      local ended = values.ended
      target[ended[1]](target, table.unpack(ended, 2, ended.n))
    end
  end
end

-- Subscribers are a list in the order in which they came, with holes that are closed now and then:
-- it may be walked while others come and go.
local function compact(self)
  if self.calling > 0 or self.gone * 2 <= #self.subscribers then return end
  local kept = {}
  for _, subscriber in ipairs(self.subscribers) do
    if not subscriber.target.closed then kept[#kept + 1] = subscriber end
  end
  self.subscribers, self.gone = kept, 0
end

local function start(self, target)
  if self.ended then
    target[self.ended[1]](target, table.unpack(self.ended, 2, self.ended.n))
    return nil
  end
  local subscriber = { target = target }
  if not target.prompt then
    local values, dormant = queue.new(), core.context() == nil
    subscriber.values = values
    target:attend(function() pump(values, target, dormant) end)
  end
  self.subscribers[#self.subscribers + 1] = subscriber
  return function()
    self.gone = self.gone + 1
    compact(self)
  end
end

local function walk(self, fn)
  local any = false
  for i = 1, #self.subscribers do
    local subscriber = self.subscribers[i]
    if not subscriber.target.closed then
      if fn(subscriber) ~= false then any = true end
    end
  end
  return any
end

-- Calls fn(subscriber) for those who are there now. Returns whether there was one for whom it did
-- not return false.
local function for_each(self, fn)
  local before = observer.hurried
  observer.hurried = true
  self.calling = self.calling + 1
  local ok, any, trace = core.catch(walk, self, fn)
  self.calling = self.calling - 1
  observer.hurried = before
  compact(self)
  if not ok then core.rethrow(any, trace) end
  return any
end

-- Never waits. False where nobody took it.
local function next_value(self, value)
  if self.ended then return false end
  return for_each(self, function(subscriber)
    if subscriber.values then return subscriber.values:push(value) end
    subscriber.target:next(value)
  end)
end

local function finish(self, method, ...)
  if self.ended then return end
  local arguments = table.pack(method, ...)
  self.ended = arguments
  for_each(self, function(subscriber)
    if subscriber.values then
      subscriber.values:finish(table.unpack(arguments, 1, arguments.n))
    else
      subscriber.target[method](subscriber.target, table.unpack(arguments, 2, arguments.n))
    end
  end)
end

local function fail(self, err, trace)
  finish(self, "error", err, trace or core.trace(err))
end

local function complete(self)
  finish(self, "complete")
end

local function new()
  local self
  self = stream.new(function(target) return start(self, target) end, true)
  self.subscribers = {}
  self.gone = 0    -- of these are closed
  self.calling = 0 -- how many times for_each is at work
  self.next, self.error, self.complete = next_value, fail, complete
  return self
end

return { new = new }
