-- What `require "roost"` gives. Functions that are made of others are in the modules beside this
-- one; the rest is C.

local core = ...
local require = require -- a service may put another in its place
local task = require "roost.task"

local roost = {
  service = require("roost.service").new,
  sleep = core.sleep,
  now = core.now,
  time = core.time,
  after = task.after,
  every = task.every,
  spawn = task.spawn,
  all = task.all,
  race = task.race,

  log = core.log,
  store = core.store,
  json = { encode = core.json_encode, decode = core.json_decode },
  array = core.array,
  bytes = core.bytes,
  null = core.null,

  context = core.context,
  env = core.env,
  random = core.random,
  version = core.version,
}

-- An error that reaches the caller, as Nest's RpcException does: a table is sent as it is, anything
-- else as { status = "error", message = payload }.
function roost.rpc_error(payload)
  if type(payload) ~= "table" then
    payload = { status = "error", message = payload }
  end
  return core.exception {
    name = "RpcError",
    code = payload.code,
    message = type(payload.message) == "string" and payload.message or core.json_encode(payload),
    response = payload,
  }
end

-- Loaded when first asked for: most services use few of these, and the collector walks over what
-- lives in a state again and again.
local parts = { client = true, pipes = true, server = true, stream = true }

return setmetatable(roost, {
  __index = function(self, name)
    if not parts[name] then return nil end
    local part = require("roost." .. name)
    self[name] = part
    return part
  end,
  __pairs = function(self)
    for name in pairs(parts) do local _ = self[name] end
    return next, self
  end,
})
