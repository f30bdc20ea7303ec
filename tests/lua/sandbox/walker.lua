-- Goes to everything that a service can reach, and calls it with whatever there is.
local roost = require "roost"
local service = roost.service()

-- These wait for what never comes, go on for ever, or take what they are told as a size.
local left_out = {
  ["table.move"] = true, ["roost.every"] = true, ["string.rep"] = true, ["roost.interval"] = true,
  ["roost.stream.interval"] = true, ["math.randomseed"] = true,
}

local function roots(ctx)
  local subject = roost.stream.subject()
  local client = roost.client { port = 1 }
  return {
    _G = _G, roost = roost, cjson = require "cjson", service = service, ctx = ctx, client = client,
    handle = client.handle, status = client.status, stream = roost.stream.of(1, 2), subject = subject,
    subscription = subject:subscribe {}, task = roost.spawn(function() end), err = roost.rpc_error "x",
  }
end

-- Methods that cannot be found by walking, as their objects do not list them.
local methods = {
  ctx = "emit cancelled unwrap ack nack get",
  client = "call send emit connect close unwrap on",
  handle = "connect close state watch event info",
  stream = "each first last collect subscribe timeout map filter take tap reduce retry catch merge concat",
  subject = "next error complete", subscription = "unsubscribe", task = "cancel alive running",
  service = "message event provide on_start on_stop", status = "subscribe",
}

-- path -> what is there
local function walk(ctx)
  local found, seen, queue = {}, {}, {}
  local function add(path, value)
    if type(value) ~= "table" and type(value) ~= "function" or seen[value] then return end
    seen[value] = true
    found[#found + 1] = { path = path, value = value }
    if type(value) == "table" then queue[#queue + 1] = found[#found] end
  end
  local names, objects = {}, roots(ctx)
  for name in pairs(objects) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do
    add(name, objects[name])
    for method in (methods[name] or ""):gmatch "%a+" do
      add(name .. "." .. method, select(2, pcall(function() return objects[name][method] end)))
    end
  end
  while #queue > 0 do
    local at, keys = table.remove(queue), {}
    for key in next, at.value do keys[#keys + 1] = key end
    table.sort(keys, function(a, b) return tostring(a) < tostring(b) end)
    for _, key in ipairs(keys) do add(at.path .. "." .. tostring(key), rawget(at.value, key)) end
  end
  return found, objects
end

service:message("names", function(_, ctx)
  local names = {}
  for i, each in ipairs(walk(ctx)) do names[i] = each.path end
  return names
end)

local function nothing() end

local plain = { -3, -1, 0, 1, 3, 1.5, 0 / 0, "", "x", "%d", "\0", "\27Lua", true, false }

local function others()
  return { {}, { 1, 2 }, nothing, coroutine.create(nothing), roost.null, roost.array {} }
end

local function some(random, objects)
  local kind = random(6)
  if kind == 1 then return objects[random(#objects)] end
  if kind == 2 then return nil end
  if kind == 3 then return others()[random(6)] end
  return plain[random(#plain)]
end

-- Calls everything once, each in a task of its own that is ended if it waits; returns how much that was.
service:message("fuzz", function(seed, ctx)
  local state = seed
  local function random(n)
    state = (state * 1103515245 + 12345) % 2147483648
    return state // 65536 % n + 1
  end
  local found, named = walk(ctx)
  local objects, count = {}, 0
  for _, each in ipairs(found) do objects[#objects + 1] = named[each.path] end
  for _, each in ipairs(found) do
    if type(each.value) == "function" and not left_out[each.path] then
      local a, b, c, d = some(random, objects), some(random, objects), some(random, objects), some(random, objects)
      if random(2) == 1 then a = named[each.path:match "^%a+"] or a end
      local task = roost.spawn(function() pcall(each.value, a, b, c, d) end)
      count = count + 1
      roost.sleep(0)
      task:cancel()
    end
  end
  return count
end)

return service
