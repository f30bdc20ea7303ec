-- A queue between a subject, which never waits, and a subscriber that may: bounded, in order.

local core = ...

local MAX = 65536

local Queue = {}
Queue.__index = Queue

local queue = {}

-- signal: notified when there is something to take.
-- full: a value found no room; nothing is taken in any more.
-- ended: what has ended the stream: the name of an observer's method and its arguments.
function queue.new()
  return setmetatable({ head = 1, tail = 0, signal = core.signal() }, Queue)
end

-- Returns whether there was room.
function Queue:push(value)
  if self.tail - self.head + 1 >= MAX then self.full = true end
  if not self.full then
    self.tail = self.tail + 1
    self[self.tail] = value
  end
  self.signal:notify()
  return not self.full
end

function Queue:pop()
  local value = self[self.head]
  self[self.head] = nil
  self.head = self.head + 1
  if self:empty() then self.head, self.tail = 1, 0 end
  return value
end

function Queue:empty()
  return self.head > self.tail
end

function Queue:finish(method, ...)
  self.ended = table.pack(method, ...)
  self.signal:notify()
end

function Queue:is_idle()
  return self:empty() and not self.full and not self.ended
end

function queue.too_slow()
  return core.error("LimitError", "EFULL", ("%d items wait for a subscriber"):format(MAX))
end

return queue
