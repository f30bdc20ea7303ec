-- A Nest TCP server as one writes it with Tarantool's fiber sockets and its own json, with a fiber per
-- connection and TCP_NODELAY. Prints the port it took; ends when it is killed.
local socket = require "socket"
local json = require "json"
local new_reader = dofile(arg[0]:gsub("[^/]*$", "") .. "frames.lua")

local READ_BYTES = 65536 -- at most, as luv reads

local function serve(client)
  client:setsockopt("tcp", "TCP_NODELAY", 1)
  local read = new_reader(json)
  while client:readable() do
    local chunk = client:sysread(READ_BYTES)
    if chunk == "" then break end
    local replies = chunk and read(chunk)
    if replies and not client:write(replies) then break end
  end
end

local server = assert(socket.tcp_server("127.0.0.1", tonumber(arg[1]) or 0,
  { handler = serve, prepare = function() return 1024 end })) -- how many may wait to be accepted
print(server:name().port)
io.stdout:flush()
