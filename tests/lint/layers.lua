-- The layer lint: holds every #include of host/ against the tables below.
-- Usage: lua5.4 layers.lua HOST_FOLDER. Prints FILE:LINE: REASON for each violation, then
-- `N passed, N failed`: one test passed, or as many failed as there are violations.

-- Which layers, or single headers of them, each layer may include besides itself. roost.h lies
-- below all layers and is free. "host" is what lies directly in host/.
local lower = { "bind", "config", "service", "transport", "vm", "net", "wire", "core" }
local may_include = {
  core = {},
  wire = { "core" },
  net = { "core" },
  vm = { "wire", "core" },
  transport = { "net", "wire", "core" },
  service = { "vm", "transport/transport.h", "wire/message.h", "wire/pattern.h", "wire/json.h",
              "core" },
  config = { "vm", "transport/transport.h", "transport/nats.h", "transport/redis.h",
             "transport/mqtt.h", "transport/rmq.h", "transport/kafka.h", "core" },
  bind = { "config", "service", "vm", "wire", "core" },
  host = { "cli", "admin", table.unpack(lower) },
  cli = { "host", "admin", table.unpack(lower) },
  admin = { "host", "cli", table.unpack(lower) },
}

-- Files held to less than their layer: `roost run` is the first embedder and uses what any has.
local narrower = { ["cli/run.c"] = { "cli" } }

-- Which files may include the headers of a library; all patterns are Lua's.
local lua_files = { "^bind/", "^config/.*%.c$", "^vm/.*%.c$", "^host/check%.c$", "^host/testing[%w_]*%.c$" }
local socket_files = { "^core/", "^net/", "^transport/", "^config/", "^host/", "^cli/", "^admin/" }
local libraries = {
  { headers = { "^lua%.h$", "^luaconf%.h$", "^lualib%.h$", "^lauxlib%.h$" }, files = lua_files },
  { headers = { "^uv%.h$", "^uv/" }, files = { "^net/", "^host/", "^cli/", "^admin/" } },
  { headers = { "^openssl/" }, files = { "^net/tls_%a+%.c$", "^net/crypto%.c$" } },
  { headers = { "^microhttpd%.h$" }, files = { "^admin/" } },
  { headers = { "^hiredis/" }, files = { "^transport/redis_codec%.c$" } },
  { headers = { "^amqp", "^rabbitmq%-c/" }, files = { "^transport/rmq_codec" } },
  { headers = { "^librdkafka/" }, files = { "^transport/kafka" } },
  { headers = { "^sys/socket%.h$", "^sys/un%.h$", "^netinet/", "^arpa/", "^netdb%.h$", "^poll%.h$",
                "^sys/epoll%.h$" }, files = socket_files },
}

-- The C library's headers, and the compiler's for SIMD: free everywhere.
local system = {}
for name in ([[
  assert ctype dirent errno fcntl fenv float getopt grp immintrin inttypes emmintrin arm_neon limits
  locale malloc math pthread pwd regex sched semaphore setjmp signal stdalign stdarg stdatomic stdbool
  stddef stdint stdio stdlib stdnoreturn string strings sys/inotify sys/ioctl sys/mman sys/prctl
  sys/random sys/resource sys/stat sys/syscall sys/sysinfo sys/time sys/types sys/uio sys/utsname
  sys/wait termios time unistd]]):gmatch("%S+") do
  system[name .. ".h"] = true
end

local function matches_any(text, patterns)
  for _, pattern in ipairs(patterns) do
    if text:find(pattern) then return true end
  end
  return false
end

-- What the tables know a file of host/ as: "core/buffer.h", and "host/worker.c" for host/worker.c.
local function id_of(path)
  return path:find("/") and path or "host/" .. path
end

local function exists(path)
  local file = io.open(path)
  return file ~= nil and file:close()
end

-- Why a file may not include a header of the project; nil where it may.
local function project_problem(root, id, header)
  if not exists(root .. "/" .. header) then
    return ('"%s" is not there; paths start at host/'):format(header)
  end
  if header == "roost.h" then return nil end
  local layer, target = id:match("^[^/]+"), id_of(header)
  local allowed = narrower[id] or may_include[layer]
  if not allowed then return ("%s/ is not a layer the table knows"):format(layer) end
  local target_layer = target:match("^[^/]+")
  if target_layer == layer and not narrower[id] then return nil end
  for _, name in ipairs(allowed) do
    if name == target or name == target_layer then return nil end
  end
  return ('%s may not include "%s"; it may include %s'):format(
    narrower[id] and id or layer .. "/", header,
    #allowed > 0 and table.concat(allowed, ", ") or "no other layer")
end

-- Why a file may not include a header of a library; nil where it may.
local function library_problem(id, header)
  for _, library in ipairs(libraries) do
    if matches_any(header, library.headers) then
      if not narrower[id] and matches_any(id, library.files) then return nil end
      return ("%s may not include <%s>; only %s may"):format(
        id, header, table.concat(library.files, " "))
    end
  end
  if not system[header] then
    return ("<%s> is no header the table knows"):format(header)
  end
  return nil
end

local root = assert(arg[1], "usage: layers.lua HOST_FOLDER"):gsub("/+$", "")
local includes, failed = 0, 0
local list = assert(io.popen(("cd '%s' && find . -name '*.[ch]' | sort"):format(root)))
for path in list:lines() do
  path = path:gsub("^%./", "")
  local number = 0
  for line in io.lines(root .. "/" .. path) do
    number = number + 1
    local open, header = line:match('^%s*#%s*include%s*([<"])([^>"]+)[>"]')
    if header then
      local problem
      if open == '"' then
        problem = project_problem(root, id_of(path), header)
      else
        problem = library_problem(id_of(path), header)
      end
      if problem then
        failed = failed + 1
        print(("%s/%s:%d: %s"):format(root, path, number, problem))
      end
      includes = includes + 1
    elseif line:find("^%s*#%s*include") then
      failed = failed + 1
      print(("%s/%s:%d: an include that names no header"):format(root, path, number))
    end
  end
end
list:close()
assert(includes > 0, "no #include anywhere: is this the right folder?")
print(("%d passed, %d failed"):format(failed == 0 and 1 or 0, failed))
os.exit(failed == 0)
