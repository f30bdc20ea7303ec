-- Those who call a test's host, each on a connection in memory: the raw peer, and the caller that
-- keeps its requests apart as a client does.

local core = ...
local stream = require "roost.stream"

local caller = {}

-- The raw peer --------------------------------------------------------------------------------

local Peer = {}
Peer.__index = Peer
Peer.__name = "roost.testing.peer"

function caller.peer(handle)
  return setmetatable({ handle = handle }, Peer)
end

-- Bytes as they are; false where the connection has ended.
function Peer:write(bytes)
  return self.handle:write(bytes)
end

-- What has come and was not read yet, waiting for it; nil at the end.
function Peer:read()
  return self.handle:read()
end

-- A packet, in a frame as its server wants them.
function Peer:send(packet)
  return self.handle:send(core.json_encode(packet))
end

-- The next frame's packet; nil at the end.
function Peer:receive()
  local text = self.handle:frame()
  return text and core.json_decode(text)
end

function Peer:close()
  self.handle:close()
end

Peer.__close = Peer.close

-- The caller ------------------------------------------------------------------------------------

local Caller = {}
Caller.__index = Caller

local ids = 0

local function next_id()
  ids = ids + 1
  return ("%021x"):format(ids)
end

-- A task that hands each reply to whom it is for; at the end they all fail.
local function read_replies(self)
  for packet in self.peer.receive, self.peer do
    local take = type(packet) == "table" and self.pending[packet.id]
    if take then take(packet) end
  end
  self.closed = true
  local pending = self.pending
  self.pending = {}
  for _, take in pairs(pending) do take(nil) end
end

function caller.new(peer)
  local self = setmetatable({ peer = peer, pending = {}, closed = false }, Caller)
  core.spawn(function() read_replies(self) end, true)
  return self
end

function Caller:close()
  self.peer:close()
end

function Caller:emit(pattern, data, options)
  self.peer:send { pattern = pattern, data = data, metadata = options.metadata }
end

-- What Nest takes for true.
local function is_truthy(value)
  return value ~= nil and value ~= core.null and value ~= false and value ~= 0 and value ~= ""
end

local known = { id = true, err = true, response = true, isDisposed = true, status = true }

local function is_foreign(reply)
  for key in pairs(reply) do
    if not known[key] then return true end
  end
  return false
end

local function rpc_error(payload)
  local is_table = type(payload) == "table"
  local message = is_table and payload.message or payload
  local err = core.error("RpcError", "", type(message) == "string" and message or core.json_encode(payload))
  err.code = is_table and payload.code or nil
  err.response = payload
  return err
end

-- Hands one reply on, with the rules of Nest 12's client; true where it was the last.
local function deliver(observer, reply)
  if reply == nil then
    observer:error(core.error("ConnectionError", "ECLOSED", "Connection closed"))
  elseif is_foreign(reply) then
    observer:next(reply)
    observer:complete()
  elseif is_truthy(reply.err) then
    observer:error(rpc_error(reply.err))
  elseif is_truthy(reply.isDisposed) then
    if reply.response ~= nil then observer:next(reply.response) end
    observer:complete()
  else
    observer:next(reply.response == nil and core.null or reply.response)
    return false
  end
  return true
end

-- Raises where a client would send nothing.
function caller.check(pattern, data)
  if pattern == nil or pattern == core.null or data == nil or data == core.null then
    error(core.error("InvalidMessageError", "EINVAL",
      "The invalid data or message pattern (undefined/null)"), 0)
  end
end

-- A cold stream of the replies; get gives the caller once it is subscribed to.
function caller.send(get, pattern, data, options)
  caller.check(pattern, data)
  local replies = stream.create(function(observer)
    local self, id, arrived = get(), next_id(), core.signal()
    local inbox, first, last = {}, 1, 0
    self.pending[id] = function(reply)
      last = last + 1
      inbox[last] = reply or false
      arrived:notify()
    end
    local guard <close> = setmetatable({}, { -- luacheck: ignore 211
      __close = function() self.pending[id] = nil end,
    })
    self.peer:send { pattern = pattern, data = data, id = id, metadata = options.metadata }
    repeat
      while first > last do arrived:wait() end
      local reply = inbox[first] or nil
      inbox[first], first = nil, first + 1
    until deliver(observer, reply)
  end)
  local timeout = options.timeout or 0
  return timeout > 0 and replies:timeout(timeout) or replies
end

return caller
