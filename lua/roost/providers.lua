-- Providers: values that are made for one request when it first asks for them (ctx:get), and closed
-- with it.

local core = ...

local providers = {}

-- By name; of a test's inline services under their target, else under "own".
local makers = {}

-- ctx -> scope: what was made for its request.
-- Scope: values by name; order, their names as they were made; making, name -> the task at it;
-- signal, notified when one of them is done.
local scopes = setmetatable({}, { __mode = "k" })

-- For tasks that wait until another one has made a value: task -> the one waited for.
local waiting = {}

-- target: the test's inline service that provides it; nil: the state's own.
function providers.add(target, name, make)
  local key = target or "own"
  makers[key] = makers[key] or {}
  makers[key][name] = make
end

-- A new inline service at target: what an earlier one provided is no longer there.
function providers.forget(target)
  makers[target] = nil
end

local function maker_of(ctx, name)
  local own = makers[core.ctx_target(ctx) or "own"]
  return own and own[name]
end

local function scope_of(ctx)
  local scope = scopes[ctx]
  if scope == nil then
    scope = { values = {}, order = {}, making = {}, signal = core.signal() }
    scopes[ctx] = scope
  end
  return scope
end

-- Whether waiting for owner would be waiting for this task itself.
local function is_circle(owner)
  local me = core.task()
  while owner ~= nil and owner ~= me do owner = waiting[owner] end
  return owner == me
end

local function wait_for(scope, name)
  local me = core.task()
  if is_circle(scope.making[name]) then
    error(("provider '%s' needs itself, through others that it gets"):format(name), 0)
  end
  local over <close> = setmetatable({}, { __close = function() waiting[me] = nil end }) -- luacheck: ignore 211
  waiting[me] = scope.making[name]
  while scope.making[name] do scope.signal:wait() end
end

local function close_value(name, value)
  local has, close = pcall(function() return value.close end)
  if not has or close == nil then return end
  local ok, err, trace = core.catch(close, value)
  if ok then return end
  core.log:warn("a provided value could not be closed", { provider = name })
  core.report(err, trace)
end

local function make(scope, ctx, name)
  local made <close> = setmetatable({}, { -- luacheck: ignore 211
    __close = function()
      scope.making[name] = nil
      scope.signal:notify()
    end,
  })
  scope.making[name] = core.task()
  local value = maker_of(ctx, name)(ctx)
  if value == nil then error(("provider '%s' gave nil"):format(name), 0) end
  if scope.closed then
    close_value(name, value)
    error("ctx:get: the request is over", 0)
  end
  scope.values[name] = value
  scope.order[#scope.order + 1] = name
  return value
end

-- ctx:get(name)
function providers.get(ctx, name)
  if maker_of(ctx, name) == nil then
    error(("ctx:get: there is no provider '%s'"):format(tostring(name)), 2)
  end
  if not core.ctx_closing(ctx) then error("ctx:get: the request is over", 2) end
  local scope = scope_of(ctx)
  while scope.values[name] == nil do
    if scope.making[name] == nil then return make(scope, ctx, name) end
    wait_for(scope, name)
  end
  return scope.values[name]
end

-- Runs in the request's task after its last reply: in reverse order of making. When it is ended by
-- force, those that are left are closed without waiting.
function providers.close(ctx)
  local scope = scope_of(ctx)
  local function rest()
    while #scope.order > 0 do
      local name = table.remove(scope.order)
      close_value(name, scope.values[name])
    end
  end
  scope.closed = true
  local guard <close> = setmetatable({}, { __close = rest }) -- luacheck: ignore 211
  rest()
end

return providers
