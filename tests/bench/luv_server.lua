-- A Nest TCP server as one writes it with Debian's luv and lua-cjson, with TCP_NODELAY. Prints the
-- port it took; ends when it is killed.
local uv = require "luv"
local cjson = require "cjson"
local new_reader = dofile(arg[0]:gsub("[^/]*$", "") .. "frames.lua")

local server = uv.new_tcp()
assert(server:bind("127.0.0.1", tonumber(arg[1]) or 0))
assert(server:listen(1024, function(failed)
  assert(not failed, failed)
  local client = uv.new_tcp()
  local read = new_reader(cjson)
  server:accept(client)
  client:nodelay(true)
  client:read_start(function(err, chunk)
    if err or not chunk then return client:close() end
    local replies = read(chunk)
    if replies then client:write(replies) end
  end)
end))
print(server:getsockname().port)
io.stdout:flush()
uv.run()
