-- roost.client: calls to other services, as Nest's client proxy makes them.
--
-- A client holds a handle (core.client), which has the connection; what waits for replies waits in
-- C. Its status and its events are fed by one task that reads the handle's changes.

local core = ...
local stream = require "roost.stream"

local client = {}

local Client = {}
Client.__name = "roost.client"

-- Arguments -----------------------------------------------------------------------------------

local known_options = {
  timeout = "number", metadata = "table",
  qos = "number", retain = "boolean", priority = "number", expiration = "number",
  key = "string", partition = "number",
}

-- Level: of the user's line, seen from here.
local function check(name, pattern, data, options, level)
  if pattern == nil or pattern == core.null or data == nil or data == core.null then
    error(core.error("InvalidMessageError", "EINVAL",
      "The invalid data or message pattern (undefined/null)"), 0)
  end
  if options == nil then return end
  if type(options) ~= "table" then
    error(("client:%s: the options must be a table, got %s"):format(name, type(options)), level)
  end
  for key, value in pairs(options) do
    local expected = known_options[key]
    if not expected then
      error(("client:%s: unknown option '%s'"):format(name, tostring(key)), level)
    elseif type(value) ~= expected then
      error(("client:%s: option '%s': expected a %s, got %s"):format(name, key, expected, type(value)), level)
    end
  end
end

local function timeout_of(options)
  return options and options.timeout and math.max(0, math.ceil(options.timeout))
end

-- The caller's, with the trace context of the request that is being served.
local function metadata_of(options)
  local metadata = options and options.metadata
  local parent = core.traceparent()
  if parent == nil or (metadata and metadata.traceparent ~= nil) then return metadata end
  local with_parent = { traceparent = parent }
  for key, value in pairs(metadata or {}) do with_parent[key] = value end
  return with_parent
end

-- Calls -----------------------------------------------------------------------------------------

-- The last value of the reply; nil where it is empty. Raises the peer's error.
function Client:call(pattern, data, options)
  check("call", pattern, data, options, 3)
  return self.handle:call(pattern, data, timeout_of(options), metadata_of(options))
end

-- A cold stream of the replies: each subscription is a request of its own.
function Client:send(pattern, data, options)
  check("send", pattern, data, options, 3)
  return stream.create(function(out)
    local handle = self.handle
    local request <close> = handle:request(pattern, data, timeout_of(options), metadata_of(options))
    repeat
      local any, value = request:next(handle)
    until not any or not out:next(value)
    out:complete()
  end)
end

-- An outcome that is known, or will be: a stream that completes without a value, or fails. taken:
-- somebody has subscribed to it.
local function outcome()
  local self = stream.subject()
  local start = self.start
  function self.start(out)
    self.taken = true
    return start(out)
  end
  return self
end

-- An event: sent at once. The stream completes once the transport has it.
function Client:emit(pattern, data, options)
  check("emit", pattern, data, options, 3)
  local result = outcome()
  local ok, sent, trace = core.catch(self.handle.emit, self.handle, pattern, data, nil, metadata_of(options))
  if ok and sent == true then
    result:complete()
    return result
  end
  core.spawn(function()
    local token = sent
    if ok then ok, sent, trace = core.catch(token.next, token, self.handle) end
    if ok then
      result:complete()
      return
    end
    result:error(sent, trace)
    if result.taken then return end
    self:fail(sent)
    core.report(sent, trace)
  end)
  return result
end

-- The connection ----------------------------------------------------------------------------------

-- Returns once it is connected; raises where that can't be.
function Client:connect()
  self.handle:connect()
end

-- Fails what is pending; the next use connects again.
function Client:close()
  self.handle:close()
end

Client.__close = Client.close

function Client:unwrap()
  local info = self.handle:info()
  if info == nil then
    error('Not initialized. Please call the "connect" method first.', 2)
  end
  info.close = function() self:close() end
  return info
end

-- Status and events -------------------------------------------------------------------------------

-- For whoever listens: event -> list of functions.
local function listeners(self, event)
  self.listeners[event] = self.listeners[event] or {}
  return self.listeners[event]
end

local function tell(self, event, ...)
  for _, listener in ipairs(table.move(listeners(self, event), 1, #listeners(self, event), 1, {})) do
    if not listener.gone then
      local ok, err, trace = core.catch(listener.fn, ...)
      if not ok then core.report(err, trace) end
    end
  end
end

-- An error that nobody took.
function Client:fail(err)
  tell(self, "error", err)
end

local function follow(self)
  while true do
    local state, err = self.handle:event()
    if state == "connected" then
      tell(self, "connect")
    else
      if err.code ~= "ECLOSED" then tell(self, "error", err) end
      tell(self, "close", err)
      tell(self, "disconnect", err)
    end
    if state ~= self.state then
      self.state = state
      self.changes:next(state)
    end
  end
end

local function watch(self)
  if self.watcher then return end
  self.state = self.handle:state()
  self.watcher = core.spawn(function() follow(self) end, true)
end

-- Nest's events for the transport: connect, close, error, and disconnect.
local events = { connect = true, close = true, error = true, disconnect = true }

function Client:on(event, fn)
  if not events[event] then
    error(("client:on: unknown event '%s' (there are connect, close, error, disconnect)"):format(tostring(event)), 2)
  elseif type(fn) ~= "function" then
    error(("client:on: a function is expected, got %s"):format(type(fn)), 2)
  end
  watch(self)
  local list, listener = listeners(self, event), { fn = fn }
  list[#list + 1] = listener
  return {
    unsubscribe = function()
      listener.gone = true
      for i, each in ipairs(list) do
        if each == listener then table.remove(list, i) end
      end
    end,
  }
end

local Status = {}
Status.__index = Status

-- fn gets the last value at once, then each change. Returns what has unsubscribe.
function Status:subscribe(fn)
  if type(fn) ~= "function" then
    error(("status:subscribe: a function is expected, got %s"):format(type(fn)), 2)
  end
  watch(self.client)
  fn(self.client.state)
  return self.client.changes:subscribe { next = fn }
end

function Client.__index(self, key)
  if key == "status" then return setmetatable({ client = self }, Status) end
  return Client[key]
end

-- target: the name of a client in the configuration, or a table as one there.
function client.new(target)
  if type(target) ~= "string" and type(target) ~= "table" then
    error(("roost.client: a name or a table is expected, got %s"):format(type(target)), 2)
  end
  local ok, handle = pcall(core.client, target)
  if not ok then error(handle, 2) end
  return setmetatable({ handle = handle, listeners = {}, changes = stream.subject() }, Client)
end

return client
