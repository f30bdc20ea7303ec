-- Calls sum through a broker, so many at once, and prints what that took:
--   roost exec brokers_client.lua CLIENT IN_FLIGHT SECONDS
-- CLIENT is the client's entry as JSON.
local roost = require "roost"

local entry = roost.json.decode(arg[1])
local client = roost.client(entry)
local in_flight, seconds = tonumber(arg[2]), tonumber(arg[3])
local count, stopping = 0, false

local function calls()
  while not stopping do
    assert(tonumber(client:call("sum", { 1, 2, 3 }, { timeout = 30000 })) == 6)
    count = count + 1
  end
end

if entry.transport == "kafka" then client:subscribe_to_response_of("sum") end
for _ = 1, in_flight do roost.spawn(calls) end
repeat roost.sleep(50) until count > in_flight
roost.sleep(1000) -- warms up
print("measuring")
io.flush()
local first, cpu = count, os.clock()
roost.sleep(seconds * 1000)
print(roost.json.encode {
  requests = count - first, cpu_us = (os.clock() - cpu) * 1e6, seconds = seconds,
})
stopping = true
