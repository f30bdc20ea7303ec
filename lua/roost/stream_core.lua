-- What a stream is, for the modules that make one.
--
-- A stream is cold: nothing happens before it is subscribed to, and each subscription starts anew;
-- only a subject is hot. It holds one function, start(observer), which begins to deliver. Before it
-- may wait it sets the observer's source, task or teardown, or else it returns a teardown.
-- Eager: start neither waits nor runs the user's code.

local core = ...

local Stream = {}
Stream.__index = Stream
Stream.__name = "roost.stream"

local stream = { Stream = Stream }

function stream.new(start, eager)
  return setmetatable({ start = start, eager = eager }, Stream)
end

function stream.is(value)
  return getmetatable(value) == Stream
end

-- Raises at the line that called the API.
function stream.check(value, expected, name)
  if type(value) ~= expected then
    error(("bad argument to '%s' (%s expected, got %s)"):format(name, expected, type(value)), 3)
  end
end

function stream.check_stream(value, name)
  if not stream.is(value) then
    error(("bad argument to '%s' (stream expected, got %s)"):format(name, type(value)), 3)
  end
end

-- Subscribes target; may wait.
function stream.start(source, target)
  local teardown = source.start(target)
  if not teardown then return end
  if target.closed then teardown() else target.teardown = teardown end
end

-- Subscribes target without waiting.
function stream.launch(source, target)
  if source.eager then
    stream.start(source, target)
  else
    target:attend(function() stream.start(source, target) end)
  end
end

-- An item that has no value, where one is needed.
function stream.or_null(value)
  if value == nil then return core.null end
  return value
end

return stream
