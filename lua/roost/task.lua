-- Tasks made of core.spawn: timers, all, race.

local core = ...

local task = {}

local function check_function(fn, name)
  if type(fn) ~= "function" then
    error(("bad argument to '%s' (function expected, got %s)"):format(name, type(fn)), 3)
  end
end

local function check_ms(ms, name)
  if type(ms) ~= "number" or ms ~= ms then
    error(("bad argument to '%s' (milliseconds expected, got %s)"):format(name, tostring(ms)), 3)
  end
end

function task.spawn(fn)
  check_function(fn, "spawn")
  return core.spawn(fn)
end

function task.after(ms, fn)
  check_ms(ms, "after")
  check_function(fn, "after")
  return core.spawn(function()
    core.doze(ms)
    fn()
  end, true)
end

-- A beat that comes while the last one still runs is left out.
function task.every(ms, fn)
  check_ms(ms, "every")
  check_function(fn, "every")
  ms = math.max(1, math.ceil(ms))
  local function beat()
    local due = core.ticks()
    while true do
      due = math.max(due + ms, core.ticks())
      core.doze(due - core.ticks())
      local ok, err = xpcall(fn, core.traceback)
      if not ok then core.report(err) end
    end
  end
  return core.spawn(beat, true, false, function(err, trace)
    core.report(err, trace)
    beat()
  end)
end

-- Runs every function of fns as a task of its own. settled(key, ok, value, trace) is told how each
-- one ended; once it returns true the rest is cancelled and run returns.
local function run(fns, settled)
  local handles, finished = {}, false
  local signal <const> = core.signal()
  local guard <close> = setmetatable({}, { -- luacheck: ignore 211
    __close = function()
      for _, handle in pairs(handles) do handle:cancel() end
    end,
  })
  local function settle(key, ok, value, trace)
    if finished then return end
    handles[key] = nil
    finished = settled(key, ok, value, trace)
    if finished then signal:notify() end
  end
  for key, fn in pairs(fns) do
    handles[key] = core.spawn(function() settle(key, core.catch(fn)) end, false, true,
      function(err, trace) settle(key, false, err, trace) end)
  end
  while not finished do signal:wait() end
end

local function check_functions(fns, name)
  if type(fns) ~= "table" then
    error(("bad argument to '%s' (table of functions expected, got %s)"):format(name, type(fns)), 3)
  end
  for key, fn in pairs(fns) do
    if type(fn) ~= "function" then
      error(("bad argument to '%s' (function expected at %s, got %s)")
        :format(name, tostring(key), type(fn)), 3)
    end
  end
end

function task.all(fns)
  check_functions(fns, "all")
  local results, left, failed, failure, trace = {}, 0, false, nil, nil
  for _ in pairs(fns) do left = left + 1 end
  if left == 0 then return results end
  run(fns, function(key, ok, value, where)
    left = left - 1
    if ok then results[key] = value else failed, failure, trace = true, value, where end
    return failed or left == 0
  end)
  if failed then core.rethrow(failure, trace) end
  return results
end

function task.race(fns)
  check_functions(fns, "race")
  if next(fns) == nil then return nil end
  local succeeded, result, trace
  run(fns, function(_, ok, value, where)
    succeeded, result, trace = ok, value, where
    return true
  end)
  if not succeeded then core.rethrow(result, trace) end
  return result
end

return task
