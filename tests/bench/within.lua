-- Calls {cmd:'sum'} of its own host, over TCP or without a socket, and answers with what a call took
-- in all: both ends are in this process.
local roost = require "roost"
local service = roost.service()

service:message({ cmd = "sum" }, function(data)
  local total = 0
  for i = 1, #data do total = total + data[i] end
  return total
end)

-- data: { port = of this host, or nil: the local transport; in_flight =, ms = }
service:message("measure", function(data)
  local client <close> = roost.client(data.port and { host = "127.0.0.1", port = data.port }
    or { transport = "local" })
  local count, stopping = 0, false
  local function calls()
    while not stopping do
      assert(client:call({ cmd = "sum" }, { 1, 2, 3 }) == 6)
      count = count + 1
    end
  end
  local tasks = {}
  for i = 1, data.in_flight do tasks[i] = calls end
  local first, cpu
  tasks[#tasks + 1] = function()
    roost.sleep(500) -- warms up
    first, cpu = count, os.clock()
    roost.sleep(data.ms)
    first, cpu = count - first, os.clock() - cpu
    stopping = true
  end
  roost.all(tasks)
  return cpu * 1e6 / first
end)

return service
