-- roost test: busted's specs, run as one task of this loop, so that tests may wait.
--
-- Each failure is a line; the last line is "N passed, N failed". Real time is guarded: 5 s for a
-- test, also for what stands around it.

local core = ...
local roost = require "roost"
local testing = require "roost.testing"

local GUARD_MS = 5000
local CLOSE_MS, FAILED_CLOSE_MS = 3000, 500 -- for the calls that a host still has when its test ends

local has_busted, make_busted = pcall(require, "busted.core")
if not has_busted then
  io.stderr:write("roost test: it needs busted (Debian: apt-get install lua-busted)\n")
  os.exit(1)
end
local lfs = require "lfs"
local busted = make_busted()
require "busted"(busted)

-- Which specs -----------------------------------------------------------------------------------

local function mode(path)
  return lfs.attributes(path, "mode")
end

-- Each is run once, however often it is named.
local function add_file(files, path)
  path = path:gsub("^%./", "")
  for _, known in ipairs(files) do
    if known == path then return end
  end
  files[#files + 1] = path
end

local function add_folder(files, folder)
  local names, found = {}, false
  for name in lfs.dir(folder) do
    if name:sub(1, 1) ~= "." then names[#names + 1] = name end
  end
  table.sort(names)
  for _, name in ipairs(names) do
    local path = folder .. "/" .. name
    if mode(path) == "directory" then
      found = add_folder(files, path) or found
    elseif name:match("_spec%.lua$") then
      add_file(files, path)
      found = true
    end
  end
  return found
end

-- Adds what a path of the command line names: a folder, a spec, a service; or says why not.
local function add_path(files, path)
  path = path:gsub("(.)/+$", "%1")
  local beside = path:gsub("%.lua$", "") .. "_spec.lua"
  local found = mode(path) == "directory" and add_folder(files, path)
  if path:match("_spec%.lua$") and mode(path) == "file" then
    add_file(files, path)
    found = true
  elseif mode(beside) == "file" then
    add_file(files, beside)
    found = true
  end
  if found then return nil end
  if mode(path) or mode(path .. ".lua") then return path .. ": there is no spec" end
  return path .. ": no such file or folder"
end

-- Where in a spec ---------------------------------------------------------------------------------

local function folder_of(fn)
  return debug.getinfo(fn, "S").source:match("^@(.*/)")
end

local not_specs = { folder_of(make_busted), folder_of(getmetatable(require "luassert").__call) }

-- Whether a frame is a spec's, or of what it required: not C, not ours, not busted's.
local function is_users(info)
  if info.source:sub(1, 1) ~= "@" then return false end
  for _, folder in pairs(not_specs) do
    if info.source:sub(2, #folder + 1) == folder then return false end
  end
  return true
end

-- In place of busted's own, which would point into the Lua half of the API. Where the stack holds no
-- line of the user's, it is the element's own.
function busted.getTrace(element, level, message)
  level = level or 3
  local info = debug.getinfo(level, "Sl")
  while info and not is_users(info) do
    level = level + 1
    info = debug.getinfo(level, "Sl")
  end
  if not info then
    local own = element and element.trace or { short_src = "?", currentline = 0 }
    info = { short_src = own.short_src, currentline = own.currentline }
  end
  info.traceback, info.message = debug.traceback("", level), message
  return info
end

-- What happened ---------------------------------------------------------------------------------

local passed, failed, pending = 0, 0, 0

local function full_name(element)
  local names = {}
  while element and element.descriptor ~= "file" do
    table.insert(names, 1, element.name)
    element = busted.context.parent(element)
  end
  return table.concat(names, " ")
end

-- Whether a message's file is a module of the API, or busted's.
local function is_inside(file)
  for _, folder in pairs(not_specs) do
    if file:sub(1, #folder) == folder then return true end
  end
  return file:match("^roost[%w_.]*$") ~= nil and not file:match("%.lua$")
end

-- One line for each failure: where, which test, what. Where it was raised below the spec, trace says
-- by which line of it.
local function say_failure(element, message, trace)
  failed = failed + 1
  message = tostring(message):gsub("^%s+", ""):gsub("%s*\n%s*", " ")
  message = message:gsub("(module '[^']*' not found):.*", "%1") -- Lua tells every path it tried
  local where, what = message:match("^(%S+:%d+): (.*)$")
  if where and trace and is_inside(where:match("^(.*):")) then
    where = ("%s:%d"):format(trace.short_src, trace.currentline)
  end
  local name = full_name(element)
  if name ~= "" then name = name .. ": " end
  print(("FAIL %s%s%s"):format(where and where .. ": " or "", name, what or message))
end

busted.subscribe({ "failure" }, function(element, _, message, trace)
  say_failure(element, message, trace)
  return nil, true
end)

busted.subscribe({ "error" }, function(element, _, message, trace)
  say_failure(element, message, trace)
  return nil, true
end)

-- Timers and tasks that tests start ---------------------------------------------------------------

local started = {} -- list of { handle =, what =, where =, lasts = }

-- Whether what is made now lives longer than the test at hand.
local function lasts()
  local descriptor = busted.context.get().descriptor
  return descriptor ~= "it" and descriptor ~= "before_each"
end

-- Where the spec called the function that called this.
local function callers_line()
  for level = 3, 100 do
    local info = debug.getinfo(level, "Sl")
    if not info then return "?" end
    if is_users(info) then return ("%s:%d"):format(info.short_src, info.currentline) end
  end
end

for _, name in ipairs { "after", "every", "spawn" } do
  local start = roost[name]
  roost[name] = function(...)
    local ok, handle = pcall(start, ...)
    if not ok then error(handle, 2) end
    if not core.testing.in_service() then
      table.insert(started, { handle = handle, what = name, where = callers_line(), lasts = lasts() })
    end
    return handle
  end
end

-- Ends what still runs of the test, or of the whole file; gives the first of them.
local function end_started(whole_file)
  local rest, leaked = {}, nil
  for _, each in ipairs(started) do
    if each.lasts and not whole_file then
      rest[#rest + 1] = each
    elseif each.handle:alive() then
      leaked = leaked or each
      each.handle:cancel()
    end
  end
  started = rest
  return leaked
end

local function leak_message(leaked)
  return ("%s: roost.%s was called here, and what it started still runs at the end; cancel it")
    :format(leaked.where, leaked.what)
end

-- Around tests ------------------------------------------------------------------------------------

-- What still runs ms later is cut off: within the time for what stands around a test.
local function close_hosts(whole_file, ms)
  for host in pairs(testing.open_hosts) do
    if host.lasts == nil then host.lasts = false end
    if whole_file or not host.lasts then
      core.testing.guard(GUARD_MS)
      host.close_ms = ms
      host:close()
    end
  end
end

local make_host = testing.host
function testing.host(options)
  local ok, host = pcall(make_host, options)
  if not ok then error(host, 2) end
  host.lasts = lasts()
  return host
end

local function begin_time()
  core.testing.guard(GUARD_MS)
  if next(testing.open_hosts) == nil then core.testing.set_fake(true) end
end

local before_file -- tests so far

busted.subscribe({ "file", "start" }, function()
  begin_time()
  before_file = passed + failed + pending
  return nil, true
end)

busted.subscribe({ "test", "start" }, function(element)
  begin_time()
  local body = element.run
  element.run = function()
    body()
    core.testing.settle()
    local leaked = end_started(false)
    if leaked then error(leak_message(leaked), 0) end
  end
  return nil, true
end)

local function say_pending(element)
  pending = pending + 1
  print(("PENDING %s:%d: %s"):format(element.trace.short_src, element.trace.currentline, full_name(element)))
end

busted.subscribe({ "test", "end" }, function(element, _, status)
  if status == "success" then passed = passed + 1 end
  if status == "pending" then say_pending(element) end
  core.testing.guard(GUARD_MS)
  end_started(false)
  close_hosts(false, status == "success" and CLOSE_MS or FAILED_CLOSE_MS)
  begin_time()
  return nil, true
end)

busted.subscribe({ "file", "end" }, function(element)
  core.testing.guard(GUARD_MS)
  local leaked = end_started(true)
  close_hosts(true, CLOSE_MS)
  begin_time()
  if leaked then say_failure(element, leak_message(leaked)) end
  if passed + failed + pending == before_file then say_failure(element, element.name .. ":1: there is no test") end
  return nil, true
end)

-- Running -----------------------------------------------------------------------------------------

local function add_spec(path)
  local chunk, err = loadfile(path)
  if not chunk then
    say_failure({}, err)
    return
  end
  busted.executors.file(path, setmetatable({}, { __call = chunk }))
end

-- A test that ended the process would end the others, too, perhaps as if all were well.
local exit = os.exit
function os.exit() -- luacheck: ignore 122
  error("os.exit is not for tests", 2)
end

local files = {}
for _, path in ipairs(#arg > 0 and arg or { "services" }) do
  local problem = add_path(files, path)
  if problem then say_failure({}, problem) end
end
for _, path in ipairs(files) do add_spec(path) end

require "busted.execute"(busted)(1, {})

print(("%d passed, %d failed"):format(passed, failed))
exit(failed == 0)
