-- Calls {cmd:'sum'} through a client, so many at once, and prints what that took:
--   roost exec client.lua PORT IN_FLIGHT SECONDS
local roost = require "roost"

local port, in_flight, seconds = tonumber(arg[1]), tonumber(arg[2]), tonumber(arg[3])
local client = roost.client { host = "127.0.0.1", port = port }
local count, stopping = 0, false

local function calls()
  while not stopping do
    assert(client:call({ cmd = "sum" }, { 1, 2, 3 }) == 6)
    count = count + 1
  end
end

for _ = 1, in_flight do roost.spawn(calls) end
roost.sleep(1000) -- warms up
local first, cpu = count, os.clock()
roost.sleep(seconds * 1000)
print(roost.json.encode { requests = count - first, cpu_us = (os.clock() - cpu) * 1e6 })
stopping = true
