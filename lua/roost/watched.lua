-- Status and events of what comes and goes: the half that clients and servers have in common.
--
-- Start reading at watched.extend. A watched object has a handle of C with state(), watch(whether)
-- and event(), which waits for the next change; one task reads the changes while anybody listens.
-- Listeners: event -> list of { fn, gone }; those of status are kept beside the others.

local core = ...

local watched = {}

-- Calls who listens to the event, in order; what they raise is logged.
function watched.tell(self, event, value)
  local list = self.listeners[event]
  for _, listener in ipairs(list and table.move(list, 1, #list, 1, {}) or {}) do
    if not listener.gone then
      local ok, err, trace = core.catch(listener.fn, value)
      if not ok then core.report(err, trace) end
    end
  end
end

-- Tells the status where it is another one.
function watched.set_status(self, status)
  if status == self.known_status then return end
  self.known_status = status
  watched.tell(self, "status", status)
end

local function follow(self, watcher)
  while self.watcher == watcher do
    local change, value = self.handle:event()
    if change == nil then return end -- it has ended
    self:announce(change, value)
  end
end

local function watch(self)
  if self.watcher then return end
  local watcher = {}
  self.known_status, self.watcher = self.handle:state(), watcher
  self.handle:watch(true)
  local function run() follow(self, watcher) end
  watcher.task = core.spawn(run, true, false, function(err, trace)
    core.report(err, trace)
    run()
  end)
end

local function unwatch(self)
  local watcher = self.watcher
  for _, list in pairs(self.listeners) do
    if list[1] then return end
  end
  self.watcher = nil
  self.handle:watch(false)
  watcher.task:cancel()
end

local function listen(self, event, fn)
  watch(self)
  self.listeners[event] = self.listeners[event] or {}
  local list, listener = self.listeners[event], { fn = fn }
  list[#list + 1] = listener
  return {
    unsubscribe = function()
      if listener.gone then return end
      listener.gone = true
      for i, each in ipairs(list) do
        if each == listener then table.remove(list, i) end
      end
      unwatch(self)
    end,
  }
end

local Status = {}
Status.__index = Status

-- fn gets the last status at once, where there was one, then each change. Returns what has
-- unsubscribe.
function Status:subscribe(fn)
  if type(fn) ~= "function" then
    error(("status:subscribe: a function is expected, got %s"):format(type(fn)), 2)
  end
  local subscription = listen(self.owner, "status", fn)
  if self.owner.known_status then fn(self.owner.known_status) end
  return subscription
end

-- Nest's events of any transport. Nothing here tells of those of the last line: they are taken so
-- that code made for Nest can listen to them.
local events = {
  "connect", "ready", "reconnecting", "reconnect", "error", "end", "close", "disconnect", "offline",
  "blocked", "unblocked",
  "drain", "lookup", "timeout", "update", "warning", "packetsend", "packetreceive",
}

-- Gives a class of watched objects on and status. own: the names of events that it alone has.
function watched.extend(class, what, own)
  local names = table.move(events, 1, #events, #own + 1, { table.unpack(own) })
  local known = {}
  for _, name in ipairs(names) do known[name] = true end

  function class:on(event, fn)
    if not known[event] then
      error(("%s:on: unknown event '%s' (there are %s)"):format(what, tostring(event),
        table.concat(names, ", ")), 2)
    elseif type(fn) ~= "function" then
      error(("%s:on: a function is expected, got %s"):format(what, type(fn)), 2)
    end
    return listen(self, event, fn)
  end

  class.__index = class
end

-- What the transports of Nest tell of a connection that is there, in their order.
function watched.tell_connected(self)
  watched.tell(self, "connect")
  watched.tell(self, "ready")
  if self.was_connected then watched.tell(self, "reconnect") end
  self.was_connected = true
end

-- And of one that is over.
function watched.tell_disconnected(self, err)
  watched.tell(self, "close", err)
  watched.tell(self, "disconnect", err)
  watched.tell(self, "offline")
end

-- An object of such a class. announce(self, change, value) tells of what the handle's event() gave.
function watched.new(class, handle, announce)
  local self = setmetatable({ handle = handle, listeners = {}, announce = announce }, class)
  self.status = setmetatable({ owner = self }, Status)
  return self
end

return watched
