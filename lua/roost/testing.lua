-- roost.testing: hosts that a test makes, the calls it makes on them, the time it lets pass.
--
-- A host runs on the test's own loop. What it is sent goes through a connection in memory, as
-- frames; inline services run in the test's own state. roost.test closes what a test leaves open.

local core = ...
local roost = require "roost"
local internal = require "roost.stream_core"
local service = require "roost.service"
local caller = require "roost.testing_caller"

if not core.testing then
  error("roost.testing is there in roost test and roost exec, not in a service", 0)
end

local testing = {}

-- The hosts that are open, for roost.test.
testing.open_hosts = {}

-- Hosts ---------------------------------------------------------------------------------------

local Host = {}
Host.__index = Host
Host.__name = "roost.testing.host"

-- The text of a value in Lua, for a configuration.
local function literal(value, path)
  local kind = type(value)
  if kind == "table" then
    local members = {}
    for key, member in pairs(value) do
      local name = path .. "." .. tostring(key)
      members[#members + 1] = ("[%s]=%s"):format(literal(key, name), literal(member, name))
    end
    return "{" .. table.concat(members, ",") .. "}"
  elseif kind == "string" or kind == "number" then
    return ("%q"):format(value)
  elseif kind == "boolean" then
    return tostring(value)
  end
  error(("%s: a %s can't stand in a test's configuration"):format(path, kind), 0)
end

-- Options are a table with members of these types; anything else is an error that begins with what.
local function check_members(what, options, types)
  if type(options) ~= "table" then
    error(("%s: a table is expected, got %s"):format(what, type(options)), 0)
  end
  for key, value in pairs(options) do
    local expected = types[key]
    if not expected then error(("%s: unknown option '%s'"):format(what, tostring(key)), 0) end
    if expected ~= "any" and not expected:find(type(value), 1, true) then
      error(("%s: %s: a %s is expected, got %s"):format(what, key, expected, type(value)), 0)
    end
  end
end

local host_options = { services = "table or string", config = "table", workers = "number", clock = "any" }

local function check_options(options)
  check_members("testing.host", options, host_options)
  local clock = options.clock or "fake"
  if clock ~= "fake" and clock ~= "real" then
    error(("testing.host: clock is \"fake\" or \"real\", not %q"):format(tostring(clock)), 0)
  end
  if (options.workers or 1) ~= 1 then error("testing.host: workers: a host in a test has one", 0) end
  if (options.config or {}).services ~= nil then
    error("testing.host: the services stand in 'services', not in its config", 0)
  end
  for _, host in pairs(testing.open_hosts) do
    if host.clock ~= clock then
      error(("testing.host: the clock is %s: another host of this test said so"):format(host.clock), 0)
    end
  end
  return clock
end

local function config_text(config)
  local own = {}
  for key, value in pairs(config or {}) do own[key] = value end
  own.services = {}
  return "return " .. literal(own, "config")
end

local function add_services(handle, services)
  if type(services) == "string" then services = { services } end
  for _, path in ipairs(services) do handle:add(path) end
  local names = {}
  for name, define in pairs(services) do
    if type(name) == "string" then
      if type(define) ~= "function" then
        error(("testing.host: service %s: a function is expected, got %s"):format(name, type(define)), 0)
      end
      names[#names + 1] = name
    end
  end
  table.sort(names)
  local defined = {}
  for _, name in ipairs(names) do
    local target = handle:add_inline(name)
    defined[name] = services[name]
    core.testing.as_service(target, services[name], service.inline(name, target))
  end
  return defined
end

-- testing.host { services = { "services/orders.lua", name = function(service) ... end },
--                config = {}, clock = "fake" or "real" }
function testing.host(options)
  local ok, clock = pcall(check_options, options)
  if not ok then error(clock, 2) end
  core.testing.set_fake(clock == "fake")
  local made, handle = pcall(core.testing.host, config_text(options.config))
  if not made then error(handle, 2) end
  local host = setmetatable({ handle = handle, clock = clock, callers = {} }, Host)
  testing.open_hosts[host] = host
  local started, err = pcall(function()
    host.defined = add_services(handle, options.services or {})
    handle:start()
  end)
  if not started then
    host:close()
    error(err, 2)
  end
  return host
end

-- Stops its services and waits until it is gone.
function Host:close()
  for _, each in pairs(self.callers) do each:close() end
  self.callers = {}
  self.handle:close(self.close_ms)
  testing.open_hosts[self] = nil
end

Host.__close = Host.close

local peer_options = { server = "string", address = "string", port = "number", tls = "table" }
local tls_options = { subject = "string", sans = "table", fingerprint = "string", verified = "boolean" }

local function check_peer(what, options, types)
  check_members(what, options, types)
  if options.tls ~= nil then check_members(what .. ": tls", options.tls, tls_options) end
end

-- A raw peer on a connection in memory; options: { server =, address =, port =, tls = }
function Host:connect(options)
  options = options or {}
  local ok, err = pcall(check_peer, "host:connect", options, peer_options)
  if not ok then error(err, 2) end
  return caller.peer(self.handle:connect(options.server, options.address, options.port, options.tls))
end

-- A text that tells callers with one certificate from others.
local function certificate_key(tls)
  if tls == nil then return "plain" end
  return ("%q %q %s %s"):format(tls.subject or "", tls.fingerprint or "", tls.verified,
    table.concat(tls.sans or {}, " "))
end

-- The caller that a call's options ask for.
local function caller_for(host, options)
  local peer = options.peer or {}
  local key = ("%s %s %s %s"):format(options.server, peer.address, peer.port, certificate_key(peer.tls))
  local known = host.callers[key]
  if known and not known.closed then return known end
  known = caller.new(host:connect { server = options.server, address = peer.address, port = peer.port,
    tls = peer.tls })
  host.callers[key] = known
  return known
end

-- Those that only brokers know are taken, too, as a client proxy on TCP takes them.
local call_options = {
  timeout = "number", metadata = "table", peer = "table", server = "string",
  qos = "any", retain = "any", priority = "any", expiration = "any", key = "any", partition = "any",
}
local call_peer_options = { address = "string", port = "number", tls = "table" }

local function check_call_options(method, options)
  check_members(method, options, call_options)
  check_peer(method .. ": peer", options.peer or {}, call_peer_options)
end

-- The options of a call, checked; its errors point at the line of the spec, three levels up.
local function taken(method, options)
  options = options or {}
  local ok, err = pcall(check_call_options, method, options)
  if not ok then error(err, 3) end
  return options
end

local function send(self, pattern, data, options)
  return caller.send(function() return caller_for(self, options) end, pattern, data, options)
end

-- As a client proxy's: a cold stream, its last value, an event.
function Host:send(pattern, data, options)
  options = taken("host:send", options)
  return send(self, pattern, data, options)
end

function Host:call(pattern, data, options)
  options = taken("host:call", options)
  return send(self, pattern, data, options):last()
end

-- Gives a stream that is over: the event is on its way.
function Host:emit(pattern, data, options)
  options = taken("host:emit", options)
  caller.check(pattern, data)
  caller_for(self, options):emit(pattern, data, options)
  return roost.stream.of()
end

-- Lets ms pass: what is due meanwhile runs in order.
function Host.advance(_, ms)
  if type(ms) ~= "number" or ms ~= ms or ms < 0 then
    error(("host:advance: milliseconds are expected, got %s"):format(tostring(ms)), 2)
  end
  core.sleep(ms)
  core.testing.settle()
end

-- Runs what there is to run; no time passes.
function Host.settle(_)
  core.testing.settle()
end

local levels = { debug = true, info = true, warn = true, error = true }

-- What was logged so far, a table of fields per line; level: only such lines.
function Host:logs(level)
  if level ~= nil and not levels[level] then
    error(("host:logs: there is no level '%s'"):format(tostring(level)), 2)
  end
  local lines = roost.array {}
  for text in self.handle:log():gmatch("[^\n]+") do
    local line = core.json_decode(text)
    if level == nil or line.level == level then lines[#lines + 1] = line end
  end
  return lines
end

-- What a stub may be in the place of handlers: nobody answers, nobody listens.
testing.silent, testing.down = {}, {}

-- Puts functions of the test behind a client's name: pattern text -> handler(data, ctx); a list of
-- { pattern, handler } for patterns that are no text. Or testing.silent, or testing.down.
function Host:stub(name, handlers)
  if type(handlers) ~= "table" then
    error(("host:stub: a table of handlers is expected, got %s"):format(type(handlers)), 2)
  end
  if handlers == testing.silent or handlers == testing.down then
    self.handle:stub(name, handlers == testing.silent and "silent" or "down")
    return
  end
  local target = self.handle:stub(name, "handlers")
  local stub = service.inline(name, target)
  for pattern, handler in pairs(handlers) do
    if type(handler) == "table" then pattern, handler = handler[1], handler[2] end
    stub:message(pattern, handler)
  end
  self.handle:end_stub(target)
end

local function reload_inline(self, name, define)
  local target = self.handle:begin_inline(name)
  local ok, err = pcall(core.testing.as_service, target, define, service.inline(name, target))
  if not ok then
    self.handle:end_inline(target, false)
    error(err, 0)
  end
  self.handle:end_inline(target, true)
  self.defined[name] = define
end

-- Has a service's next generation take over, made from its file, or from source: Lua text in the
-- place of the file, or for an inline service a function. Raises what refused it.
function Host:reload(name, source)
  if type(name) ~= "string" then
    error(("host:reload: a service's name is expected, got %s"):format(type(name)), 2)
  end
  local define = self.defined[name]
  local expected = define and "function" or "string"
  if source ~= nil and type(source) ~= expected then
    error(("host:reload: service %s: a %s is expected, got %s"):format(name, expected, type(source)), 2)
  end
  if define then
    reload_inline(self, name, source or define)
  else
    self.handle:reload(name, source)
  end
end

-- What was sent to the client of that name: a list of { kind, pattern, data, metadata }.
function Host:sent(name)
  local list = roost.array {}
  for text in self.handle:sent(name):gmatch("[^\n]+") do list[#list + 1] = core.json_decode(text) end
  return list
end

-- As roost status --json shows it.
function Host:status()
  return core.json_decode(self.handle:status())
end

-- Small things ----------------------------------------------------------------------------------

-- Subscribes: { values =, n =, error =, completed =, unsubscribe = } fills as the stream goes on.
function testing.record(stream)
  internal.check_stream(stream, "record")
  local record = { values = {}, n = 0, completed = false }
  local subscription = stream:subscribe {
    next = function(value)
      record.n = record.n + 1
      record.values[record.n] = value
    end,
    error = function(err) record.error = err end,
    complete = function() record.completed = true end,
  }
  function record.unsubscribe() subscription:unsubscribe() end
  return record
end

-- Calls fn, which must raise, and gives what it raised; a text becomes { name = "Error", ... }.
function testing.raises(fn, ...)
  local ok, err = pcall(fn, ...)
  if ok then error("an error was expected, and none was raised", 2) end
  if type(err) == "table" then return err end
  return { name = "Error", message = tostring(err), cause = err }
end

return testing
