-- Events that are handled once, however often the broker hands them over: their keys are kept in
-- roost.store for a while.

local core = ...
local stream = require "roost.stream_core"

local once = {}

once.default_ttl = 24 * 3600 * 1000

local RUNNING, DONE = "running", "done"
local LOOK_AGAIN_MS = 20 -- where the same event is being handled already

-- A pattern's text with members in one order, so that all states of a service have the same.
function once.canonical(value)
  if type(value) == "string" then return ("%q"):format(value) end
  if type(value) ~= "table" then return tostring(value) end
  local members = {}
  for key, member in pairs(value) do
    members[#members + 1] = ("%q:%s"):format(tostring(key), once.canonical(member))
  end
  table.sort(members)
  return "{" .. table.concat(members, ",") .. "}"
end

local function forget(claim)
  if not claim.done then core.store:delete(claim.name) end
end

-- Takes the name, and gives false where the event has been handled. Where that is under way it waits
-- for what comes of it: one that failed may be handled after all.
local function claim(name, ttl)
  while not core.store:add(name, RUNNING, { ttl = ttl }) do
    if core.store:get(name) == DONE then return false end
    core.sleep(LOOK_AGAIN_MS)
  end
  return true
end

local function consume(value)
  for _ in value:each() do end -- an event's stream goes nowhere
end

-- A handler that runs once for each key that key_of gives. owner: what tells this handler from
-- others, the same in every state of the service; ttl: milliseconds for which a key is kept.
function once.wrap(owner, key_of, ttl, handler)
  local prefix = ("once %s "):format(owner)
  return function(data, ctx)
    local key = key_of(data, ctx)
    if type(key) ~= "string" and type(key) ~= "number" then
      error(("option 'once': the key must be text or a number, got %s"):format(type(key)), 0)
    end
    local name = prefix .. tostring(key)
    if not claim(name, ttl) then return nil end
    local mine <close> = setmetatable({ name = name, done = false }, { __close = forget })
    local value, err = handler(data, ctx)
    if value == nil and err ~= nil then return nil, err end
    if stream.is(value) then consume(value) end
    mine.done = true
    core.store:set(name, DONE, { ttl = ttl })
    return nil
  end
end

return once
