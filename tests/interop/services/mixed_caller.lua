-- Asks services/mixed.lua for all it has through the clients of the configuration, each named as its
-- transport, at a moderate pace and until it is told to stop: see brokers/stress-mixed.test.mjs.
local roost = require "roost"
local service = roost.service()

local patterns = { "sum", "echo", "headed", "wait", "stream", "fail", "break", "nobody" }
local patient = { timeout = 30000 }
local large = ("0123456789"):rep(50 * 1024)

local function expect(seen, expected)
  if seen ~= expected then
    error(("%s instead of %s"):format(tostring(seen):sub(1, 100), tostring(expected):sub(1, 100)), 0)
  end
end

--- What a request is refused with.
local function refusal(client, pattern, data, opts)
  local ok, err = pcall(client.call, client, pattern, data, opts)
  expect(ok, false)
  return err
end

-- One request or event of each kind; they raise where something is not as it must be.
local kinds = {}

function kinds.sum(client, n)
  expect(client:call("mixed.sum", { a = n, b = 1 }, patient).sum, n + 1)
end

function kinds.headed(client, n)
  local trace = "t" .. n
  expect(client:call("mixed.headed", {}, { timeout = 30000, metadata = { trace = trace } }).trace, trace)
end

function kinds.wait(client)
  expect(client:call("mixed.wait", { ms = 50 }, patient).waited, 50)
end

function kinds.large(client)
  expect(client:call("mixed.echo", { text = large }, patient).text, large)
end

function kinds.stream(client)
  local seen = 0
  for value in client:send("mixed.stream", { upto = 10 }, patient):each() do
    seen = seen + 1
    expect(value.item, seen)
  end
  expect(seen, 10)
end

--- Leaves in the middle: the rest is nobody's.
function kinds.left(client)
  for value in client:send("mixed.stream", { upto = 10 }, patient):each() do
    if value.item == 3 then break end
  end
end

function kinds.late(client)
  expect(refusal(client, "mixed.wait", { ms = 100 }, { timeout = 10 }).code, "ETIMEDOUT")
end

function kinds.fail(client, n)
  expect(refusal(client, "mixed.fail", { code = n }, patient).code, n)
end

kinds["break"] = function(client)
  expect(refusal(client, "mixed.break", {}, patient).message, "Internal server error")
end

--- Some brokers tell at once that nobody is there, others never do.
function kinds.nobody(client)
  expect(type(refusal(client, "mixed.nobody", {}, { timeout = 300 })), "table")
end

local events = {}
local opts = { mqtt = { qos = 1 } }

function kinds.event(client, _, name)
  local sent = events[name] or { count = 0, total = 0 }
  events[name] = sent
  local number = sent.count + 1
  sent.count, sent.total = number, sent.total + number
  client:emit("mixed.event", { from = name, n = number }, opts[name]):last()
end

-- How many of each kind there are in a hundred; "large" comes once in every tenth hundred.
local shares = { sum = 40, event = 25, headed = 8, stream = 8, wait = 6, fail = 5, left = 3, late = 2,
  nobody = 2, ["break"] = 1 }
local deck = {}
do
  local names = {}
  for kind in pairs(shares) do names[#names + 1] = kind end
  table.sort(names)
  for _, kind in ipairs(names) do
    for _ = 1, shares[kind] do deck[#deck + 1] = kind end
  end
end

--- A step of 37 goes through all of the hundred, well mixed.
local function kind_of(n)
  if n % 1000 == 0 then return "large" end
  return deck[n * 37 % #deck + 1]
end

local asked, ended, stop = {}, 0, false
local wrong = {}

local function lane(name, client, pause)
  while not stop do
    local n = (asked[name] or 0) + 1
    asked[name] = n
    local kind = kind_of(n)
    local ok, err = pcall(kinds[kind], client, n, name)
    if not ok then
      local text = ("%s %s: %s"):format(name, kind, tostring(err))
      wrong[text] = (wrong[text] or 0) + 1
    end
    ended = ended + 1
    roost.sleep(pause)
  end
end

--- So many tasks for each transport, which pause between what they ask.
service:message("start", function(data)
  local kafka = roost.client "kafka"
  for _, pattern in ipairs(patterns) do kafka:subscribe_to_response_of("mixed." .. pattern) end
  for _, name in ipairs(data.names) do
    local client = roost.client(name)
    client:connect()
    for _ = 1, data.lanes do roost.spawn(function() lane(name, client, data.pause_ms) end) end
  end
  return true
end)

service:message("stop", function()
  stop = true
  return true
end)

service:message("figures", function()
  local total = 0
  for _, count in pairs(asked) do total = total + count end
  return { asked = asked, begun = total, ended = ended, events = events, wrong = wrong }
end)

return service
