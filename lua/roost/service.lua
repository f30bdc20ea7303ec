-- A service: what a file in services/ makes with roost.service() and returns.

local core = ...
local require = require -- a service may put another in its place
local pipeline = require "roost.pipeline"

local Service = {}
Service.__index = Service
Service.__name = "roost.service"

local service = {}
local made

-- Loaded when first used, as the parts of roost are; and once, since they know what was provided.
local loaded_providers
local function providers()
  loaded_providers = loaded_providers or require "roost.providers"
  return loaded_providers
end

core.set_providers(function(ctx, name) return providers().get(ctx, name) end,
  function(ctx) return providers().close(ctx) end)

local known_options = {
  timeout = "number", transport = "string", queue = "string", qos = "number", payload = "string",
  once = "function", once_ttl = "number",
}

local stages = {}
for _, name in ipairs(pipeline.stages) do stages[name] = true end

-- Replaces what was given for a stage by a list of functions.
local function take_stages(given)
  local taken = {}
  for name, value in pairs(given) do
    taken[name] = stages[name] and pipeline.functions(value, name) or value
  end
  return taken
end

local transports = {
  tcp = true, ["local"] = true, nats = true, redis = true, mqtt = true, rmq = true, kafka = true,
}

local function check_options(options)
  for key, value in pairs(options) do
    local expected = known_options[key]
    if not expected and not stages[key] then
      error(("unknown option '%s'"):format(tostring(key)), 0)
    elseif expected and type(value) ~= expected then
      error(("option '%s': expected a %s, got %s"):format(key, expected, type(value)), 0)
    end
  end
  if options.timeout and not (options.timeout >= 0 and options.timeout < math.huge) then
    error("option 'timeout': expected milliseconds, 0 for none", 0)
  end
  if options.transport and not transports[options.transport] then
    error(("option 'transport': expected tcp, local, nats, redis, mqtt, rmq or kafka, got '%s'"):format(
      options.transport), 0)
  end
  if options.qos and options.qos ~= 0 and options.qos ~= 1 and options.qos ~= 2 then
    error(("option 'qos': expected 0, 1 or 2, got %s"):format(options.qos), 0)
  end
  if options.once_ttl and not (options.once_ttl >= 1 and options.once_ttl < math.huge) then
    error("option 'once_ttl': expected milliseconds, 1 or more", 0)
  elseif options.once_ttl and not options.once then
    error("option 'once_ttl' is for handlers with 'once'", 0)
  end
  return take_stages(options)
end

-- A sequence means alternatives.
local function alternatives(pattern)
  if type(pattern) == "table" and pattern[1] ~= nil then return pattern end
  return { pattern }
end

-- The handlers of one pattern are told apart by their place among them.
local function handled_once(self, pattern, options, handler)
  local once = require "roost.once"
  local text = once.canonical(pattern)
  self.once_places = self.once_places or {}
  local place = (self.once_places[text] or 0) + 1
  self.once_places[text] = place
  local ttl = math.ceil(options.once_ttl or once.default_ttl)
  return once.wrap(("%s %s %d"):format(self.name, text, place), options.once, ttl, handler)
end

local is_pattern = { string = true, number = true, table = true }

-- Its errors point at the line of the service that called the method, four levels up.
local function check_pattern(pattern)
  local kind = type(pattern)
  if is_pattern[kind] then return end
  local what = pattern == core.null and "null" or kind == "nil" and kind or "a " .. kind
  error(("a pattern is text, a number or a table, not %s"):format(what), 4)
end

-- Its errors point at the line of the service that called the method, three levels up.
local function add(self, kind, pattern, options, handler)
  if handler == nil then options, handler = nil, options end
  local patterns = alternatives(pattern)
  for i = 1, math.max(#patterns, 1) do check_pattern(patterns[i]) end
  if type(handler) ~= "function" then
    error(("the handler must be a function, got %s"):format(type(handler)), 3)
  end
  options = options or {}
  if type(options) ~= "table" then
    error(("the options must be a table, got %s"):format(type(options)), 3)
  end
  local ok, taken = pcall(check_options, options)
  if not ok then error(taken, 3) end
  if taken.once and kind ~= "event" then error("option 'once' is for events", 3) end
  if taken.once then handler = handled_once(self, pattern, taken, handler) end
  local run = pipeline.compose(self.stages, taken, handler)
  local timeout = taken.timeout and math.ceil(taken.timeout)
  for _, each in ipairs(patterns) do
    local added, err = pcall(core.add_handler, self.target, kind, each, timeout, taken.transport,
      taken.queue, taken.qos and math.tointeger(taken.qos), run)
    if not added then error(err, 3) end
  end
end

-- service:message(pattern, [options,] handler): handler(data, ctx) answers requests.
function Service:message(pattern, options, handler)
  add(self, "message", pattern, options, handler)
  return self
end

-- service:event(pattern, [options,] handler): handler(data, ctx) is told of events.
function Service:event(pattern, options, handler)
  add(self, "event", pattern, options, handler)
  return self
end

-- service:provide(name, function(ctx) … end): makes what ctx:get(name) gives, once per request; it is
-- closed with the request if it has close.
function Service:provide(name, make)
  if type(name) ~= "string" then
    error(("a provider's name must be text, got %s"):format(type(name)), 2)
  elseif type(make) ~= "function" then
    error(("provider '%s' must be a function, got %s"):format(name, type(make)), 2)
  end
  providers().add(self.target, name, make)
  return self
end

local function set_hook(self, name, fn)
  if type(fn) ~= "function" then
    error(("service:on_%s: a function is expected, got %s"):format(name, type(fn)), 3)
  end
  local set, err = pcall(core.set_hook, self.target, name, fn)
  if not set then error(err, 3) end
end

-- service:on_start(fn): before the first message is taken; may wait.
function Service:on_start(fn)
  set_hook(self, "start", fn)
  return self
end

-- service:on_stop(fn): when no more messages will be taken; may wait.
function Service:on_stop(fn)
  set_hook(self, "stop", fn)
  return self
end

-- service:on_handoff(fn): what it returns is copied for the generation that takes this one's place;
-- plain data, and it may not wait. What it raises refuses the reload.
function Service:on_handoff(fn)
  set_hook(self, "handoff", fn)
  return self
end

-- service:on_adopt(fn): fn(value) takes what the generation before handed over, after on_start and
-- before the first message; it may not wait, and what it raises refuses the reload.
function Service:on_adopt(fn)
  set_hook(self, "adopt", fn)
  return self
end

-- Level: of the user's line, seen from here.
local function check_name(name, level)
  if type(name) ~= "string" then
    error(("roost.service: name: expected a string, got %s"):format(type(name)), level)
  elseif name == "" then
    error("roost.service: name: expected a name, got an empty text", level)
  end
end

-- options: { name =, instances =, guards =, pipes =, interceptors =, filters = }
function service.new(options)
  options = options or {}
  if type(options) ~= "table" then
    error("roost.service: expected a table of options, got a " .. type(options), 2)
  end
  if made then error("roost.service() may be called once in a service", 2) end
  for key in pairs(options) do
    if key ~= "name" and key ~= "instances" and not stages[key] then
      error(("roost.service: unknown option '%s'"):format(tostring(key)), 2)
    end
  end
  if options.name ~= nil then check_name(options.name, 3) end
  if options.instances ~= nil then
    if options.instances ~= 1 then error("roost.service: instances: expected 1, or nothing", 2) end
    core.set_singleton()
  end
  local ok, taken = pcall(take_stages, options)
  if not ok then error("roost.service: " .. taken, 2) end
  made = setmetatable({ name = options.name or core.service_name, stages = taken }, Service)
  return made
end

-- A test's service, whose handlers and hooks go to target.
function service.inline(name, target)
  providers().forget(target)
  return setmetatable({ name = name, target = target, stages = {} }, Service)
end

-- Called by the host with what the service's file returned.
function service.check_returned(value, file)
  if made == nil or value ~= made then
    error(("%s: must return what roost.service() made, got %s"):format(
      file, type(value) == "table" and "another table" or type(value)), 0)
  end
end

return service
