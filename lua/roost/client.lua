-- roost.client: calls to other services, as Nest's client proxy makes them.
--
-- A client holds a handle (core.client), which has the connection; what waits for replies waits in
-- C. Its status and its events are those of a watched object.

local core = ...
local stream = require "roost.stream"
local watched = require "roost.watched"

local Client = {}
Client.__name = "roost.client"

-- Arguments -----------------------------------------------------------------------------------

local EXPECT_MS, EXPECT_LOOK_MS = 30000, 20

local known_options = {
  timeout = "number", metadata = "table",
  qos = "number", retain = "boolean", priority = "number", expiration = "number",
  key = "string", partition = "number",
}

-- Level: of the user's line, seen from here.
local function check(name, options, level)
  if type(options) ~= "table" then
    error(("client:%s: the options must be a table, got %s"):format(name, type(options)), level)
  end
  for key, value in pairs(options) do
    local expected = known_options[key]
    if not expected then
      error(("client:%s: unknown option '%s'"):format(name, tostring(key)), level)
    elseif type(value) ~= expected then
      error(("client:%s: option '%s': expected a %s, got %s"):format(name, key, expected, type(value)), level)
    elseif expected == "number" and not (value > -math.huge and value < math.huge) then
      error(("client:%s: option '%s': expected a number, got %s"):format(name, key, value), level)
    end
  end
end

-- What the transport makes of the message; nil where nothing is said.
local function transport_options(options)
  local found
  for key in pairs(options) do
    if key ~= "timeout" and key ~= "metadata" then
      found = found or {}
      found[key] = options[key]
    end
  end
  return found
end

local function timeout_of(options)
  return options and options.timeout and math.max(0, math.ceil(options.timeout))
end

-- Calls -----------------------------------------------------------------------------------------

local call_client, request_client, emit_client = core.call_client, core.request_client, core.emit_client

-- The last value of the reply; nil where it is empty. Raises the peer's error.
function Client:call(pattern, data, options)
  if options == nil then return call_client(self.handle, pattern, data) end
  check("call", options, 3)
  return call_client(self.handle, pattern, data, timeout_of(options), options.metadata,
    transport_options(options))
end

-- Raises at once where nothing could be sent.
local function check_message(pattern, data)
  if pattern == nil or pattern == core.null or data == nil or data == core.null then
    error(core.error("InvalidMessageError", "EINVAL",
      "The invalid data or message pattern (undefined/null)"), 0)
  end
end

-- A cold stream of the replies: each subscription is a request of its own.
function Client:send(pattern, data, options)
  check_message(pattern, data)
  if options ~= nil then check("send", options, 3) end
  return stream.create(function(out)
    local handle = self.handle
    local request <close> = request_client(handle, pattern, data, timeout_of(options),
      options and options.metadata, options and transport_options(options))
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

-- Whether listeners are told of it as what has happened to the connection: see announce.
local function is_connections(err)
  return type(err) == "table" and err.name == "ConnectionError" and (err.code ~= "ECLOSED" or err.detail)
end

-- An event: sent at once, or when there is a connection, however long that takes where no timeout is
-- said. The stream completes once the transport has it.
function Client:emit(pattern, data, options)
  check_message(pattern, data)
  if options ~= nil then check("emit", options, 3) end
  core.check_begun()
  local result = outcome()
  local ok, sent, trace = core.catch(emit_client, self.handle, pattern, data, timeout_of(options) or 0,
    options and options.metadata, options and transport_options(options))
  if ok and sent == true then
    result:complete()
    return result
  elseif not ok and type(sent) ~= "table" then
    error(sent, 0) -- it was none that could be sent
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
    if not is_connections(sent) then watched.tell(self, "error", sent) end
    core.report(sent, trace)
  end)
  return result
end

-- The connection ----------------------------------------------------------------------------------

-- Returns once it is connected; raises where that can't be.
function Client:connect()
  self.handle:connect()
  if self.watcher then watched.set_status(self, self.handle:state()) end -- before it is told of
end

-- Fails what is pending; the next use connects again.
function Client:close()
  self.handle:close()
end

Client.__close = Client.close

-- Kafka: requests with this pattern need its reply topic to be read before. In a main chunk it is
-- noted for the connection; later it waits until the replies can come.
function Client:subscribe_to_response_of(pattern)
  local waited = 0
  while not self.handle:expect(pattern) do
    if waited >= EXPECT_MS then
      error(core.error("TimeoutError", "ETIMEDOUT", "Timeout has occurred"), 0)
    end
    core.sleep(EXPECT_LOOK_MS)
    waited = waited + EXPECT_LOOK_MS
  end
end

function Client:unwrap()
  local info = self.handle:info()
  if info == nil then
    error('Not initialized. Please call the "connect" method first.', 2)
  end
  info.close = function() self:close() end
  return info
end

-- Status and events -------------------------------------------------------------------------------

watched.extend(Client, "client", {})

-- Whether the connection came to its end without an error.
local function is_end(err)
  return type(err) == "table" and err.code == "ECLOSED" and not err.detail
end

-- In Nest's order.
local function announce(self, status, err)
  watched.set_status(self, status)
  if status == "connected" then
    watched.tell_connected(self)
    return
  elseif status == "blocked" or status == "unblocked" then
    watched.tell(self, status)
    return
  end
  if is_connections(err) then watched.tell(self, "error", err) end
  if is_end(err) then watched.tell(self, "end") end
  watched.tell_disconnected(self, err)
end

-- target: the name of a client in the configuration, or a table as one there.
return function(target)
  if type(target) ~= "string" and type(target) ~= "table" then
    error(("roost.client: a name or a table is expected, got %s"):format(type(target)), 2)
  end
  return watched.new(Client, core.client(target), announce)
end
