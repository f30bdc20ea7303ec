-- Operators: methods of a stream that give a new cold one. Functions given to them may wait; what
-- they raise becomes the new stream's error.

local core = ...
local observer = require "roost.observer"
local stream = require "roost.stream_core"

local Stream = stream.Stream
local check = stream.check

-- An observer that passes on to out whatever its maker does not take itself.
local function pass(out, fields)
  local inner = observer.new(fields or {})
  inner.on_next = inner.on_next or function(value) out:next(value) end
  inner.on_error = inner.on_error or function(err, trace) out:error(err, trace) end
  inner.on_complete = inner.on_complete or function() out:complete() end
  return inner
end

-- Has out fed by source from now on.
local function follow(source, out, fields)
  local inner = pass(out, fields)
  out.source = inner
  stream.start(source, inner)
end

-- A stream that feeds its observer from self by what make(out) returns: fields of an observer.
local function lift(self, make)
  return stream.new(function(out) follow(self, out, make(out)) end, self.eager)
end

function Stream:map(fn)
  check(fn, "function", "map")
  return lift(self, function(out)
    return {
      on_next = function(value)
        local ok, result, trace = core.catch(fn, value)
        if ok then out:next(result) else out:error(result, trace) end
      end,
    }
  end)
end

function Stream:filter(fn)
  check(fn, "function", "filter")
  return lift(self, function(out)
    return {
      on_next = function(value)
        local ok, wanted, trace = core.catch(fn, value)
        if not ok then out:error(wanted, trace) elseif wanted then out:next(value) end
      end,
    }
  end)
end

-- fn sees each value, which is then passed on.
function Stream:tap(fn)
  check(fn, "function", "tap")
  return lift(self, function(out)
    return {
      on_next = function(value)
        local ok, err, trace = core.catch(fn, value)
        if ok then out:next(value) else out:error(err, trace) end
      end,
    }
  end)
end

-- The first n values.
function Stream:take(n)
  check(n, "number", "take")
  if n < 1 then return stream.new(function(out) out:complete() end) end
  return lift(self, function(out)
    local count = 0
    return {
      prompt = out.prompt,
      on_next = function(value)
        count = count + 1
        if count <= n then out:next(value) end
        if count >= n then out:complete() end
      end,
    }
  end)
end

-- One value at the end: seed, or without one the first value, combined with each value in turn.
function Stream:reduce(fn, seed)
  check(fn, "function", "reduce")
  return lift(self, function(out)
    local result, any = seed, seed ~= nil
    return {
      on_next = function(value)
        if not any then
          result, any = value, true
          return
        end
        local ok, combined, trace = core.catch(fn, result, value)
        if ok then result = combined else out:error(combined, trace) end
      end,
      on_complete = function()
        if any then out:next(result) end
        out:complete()
      end,
    }
  end)
end

local function too_late()
  return core.error("TimeoutError", "ETIMEDOUT", "Timeout has occurred")
end

-- At most ms until the first value, and from one to the next; the time in which a value is being
-- taken does not count.
function Stream:timeout(ms)
  check(ms, "number", "timeout")
  return stream.new(function(out)
    local due, taking, signal = core.ticks() + ms, false, core.signal()
    local inner = pass(out, { prompt = out.prompt })
    function inner.on_next(value)
      taking = true
      out:next(value)
      taking = false
      due = core.ticks() + ms
      signal:notify()
    end
    out.source = inner
    out:attend(function()
      while not inner.closed and (taking or core.ticks() < due) do
        if taking then signal:wait() else core.sleep(due - core.ticks()) end
      end
      if not inner.closed then out:error(too_late(), "") end
    end)
    stream.launch(self, inner)
  end, true)
end

local function is_no_answer(err)
  return type(err) ~= "table" or err.name ~= "RpcError"
end

-- After an error subscribes anew, at most n times, delay_ms later each; when(err) says for which.
function Stream:retry(n, delay_ms, when)
  if n ~= nil then check(n, "number", "retry") end
  if delay_ms ~= nil then check(delay_ms, "number", "retry") end
  if when ~= nil then check(when, "function", "retry") end
  when = when or is_no_answer
  return stream.new(function(out)
    local left = n or math.huge
    local attempt

    -- Whether it is to be tried again; else out has the error.
    local function retries(err, trace)
      local ok, wanted, worse = true, left > 0, nil
      if wanted then ok, wanted, worse = core.catch(when, err) end
      if ok and wanted then
        left = left - 1
        return not out.closed
      end
      out:error(ok and err or wanted, ok and trace or worse)
      return false
    end

    local function pause()
      out.source = observer.new {}
      out.source:attend(function()
        core.sleep(delay_ms)
        attempt()
      end)
    end

    -- A source that fails before start returns is tried again in the loop, not one level deeper.
    function attempt()
      local starting, again
      local function on_error(err, trace)
        if not retries(err, trace) then return end
        if (delay_ms or 0) > 0 then pause() elseif starting then again = true else attempt() end
      end
      repeat
        starting, again = true, false
        follow(self, out, { on_error = on_error })
        starting = false
      until not again
    end

    attempt()
  end, self.eager)
end

-- fn(err) gives the stream to go on with, a last value, or nil: nothing more comes.
function Stream:catch(fn)
  check(fn, "function", "catch")
  return lift(self, function(out)
    return {
      on_error = function(err, trace)
        local ok, result, worse = core.catch(fn, err, trace)
        if not ok then
          out:error(result, worse)
        elseif stream.is(result) then
          if not out.closed then follow(result, out) end
        else
          if result ~= nil then out:next(result) end
          out:complete()
        end
      end,
    }
  end)
end

-- The values of both, as they come.
function Stream:merge(other)
  stream.check_stream(other, "merge")
  return stream.new(function(out)
    local shared, left, parts = observer.share(out), 2, {}
    local function on_complete()
      left = left - 1
      if left == 0 then shared:complete() end
    end
    for i = 1, left do parts[i] = pass(shared, { on_complete = on_complete }) end
    function out.teardown()
      for _, part in ipairs(parts) do part:close() end
    end
    for i, source in ipairs { self, other } do
      if not out.closed then stream.launch(source, parts[i]) end
    end
  end, true)
end

-- The values of self, then those of other.
function Stream:concat(other)
  stream.check_stream(other, "concat")
  return lift(self, function(out)
    return { on_complete = function() if not out.closed then follow(other, out) end end }
  end)
end
