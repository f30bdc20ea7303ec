-- Clients that come and go: of each life of this service, which is saved again and again, and shorter
-- ones. services/lib/entries.lua has an entry for each transport: see brokers/stress-mixed.test.mjs.
local roost = require "roost"
local entries = require "entries"
local service = roost.service()

local life = roost.store:incr("lives")
local over = false

local function ask(name, client)
  if name == "kafka" then client:subscribe_to_response_of("mixed.sum") end
  local sum = client:call("mixed.sum", { a = life, b = 1 }, { timeout = 20000 }).sum
  if sum ~= life + 1 then error("wrong sum", 0) end
  roost.store:incr("answers to " .. name)
end

--- One that asks once, and is closed.
local function pass_by(name)
  local client <close> = roost.client(entries[name])
  ask(name, client)
end

--- One that is closed with this life.
local function stay(name)
  local client = roost.client(entries[name])
  ask(name, client)
  while not over do
    roost.sleep(200)
    if over then break end
    pass_by(name)
    ask(name, client)
  end
end

for name in pairs(entries) do
  roost.spawn(function()
    local ok, err = pcall(stay, name)
    if not ok and not over then
      roost.store:incr("failed visits")
      roost.log:warn("a visit failed", { name = name, why = tostring(err) })
    end
  end)
end

service:on_stop(function() over = true end)

service:message("visits", function()
  local answers = {}
  for _, key in ipairs(roost.store:keys("answers to ")) do
    answers[key:sub(12)] = roost.store:get(key)
  end
  return { lives = life, failed = roost.store:get("failed visits") or 0, answers = answers }
end)

return service
