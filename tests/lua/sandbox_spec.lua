-- Sandboxed services: what they are not given, and the known ways around that. Each trick is code
-- that returns true where it works. Most do in a service that is not sandboxed, which shows that
-- they are tricks; those marked safe work nowhere.
local testing = require "roost.testing"

local FOLDER = "tests/lua/sandbox/"

local function open(sandbox, file, config, memory)
  config = config or {}
  local name = (file or FOLDER .. "guest.lua"):match "([^/]+)%.lua$"
  config.service_options = { [name] = { sandbox = sandbox, memory = memory } }
  return testing.host { services = { file or FOLDER .. "guest.lua" }, config = config }
end

local function compiled()
  return { string.dump(function() return true end):byte(1, -1) }
end

-- Whether the trick works there; what it raised or returned.
local function try(host, code)
  host:stub("PEER", { hello = function() return "hello" end })
  local answer = host:call("run", { code = code, bytecode = compiled() })
  return answer.ok and answer.result == true, answer.result
end

local function refused(name, code, safe)
  it(name, function()
    local works, result
    do
      local host <close> = open(true)
      works, result = try(host, code)
    end
    assert.is_false(works, tostring(result))
    if safe then return end
    local plain <close> = open(false)
    works, result = try(plain, code)
    assert.is_true(works, tostring(result))
  end)
end

local function allowed(name, code)
  it(name, function()
    local host <close> = open(true)
    local works, result = try(host, code)
    assert.is_true(works, tostring(result))
  end)
end

describe("what a sandbox has", function()
  it("is this, and nothing else", function()
    local host <close> = open(true)
    local answer = host:call("run", { code = [[
      local names = {}
      for name, value in pairs(_G) do
        if type(value) ~= "table" or value == _G then
          names[#names + 1] = name
        else
          for member in pairs(value) do names[#names + 1] = name .. "." .. tostring(member) end
        end
      end
      table.sort(names)
      return table.concat(names, " ")
    ]] })
    local expected = {}
    for name in ([[
      _G _VERSION assert collectgarbage dofile error getmetatable ipairs load loadfile next pairs pcall
      print rawequal rawget rawlen rawset require select setmetatable tonumber tostring type warn xpcall
      coroutine.close coroutine.create coroutine.isyieldable coroutine.resume coroutine.running
      coroutine.status coroutine.wrap coroutine.yield
      os.clock os.date os.difftime os.time package.config package.loaded package.path
      string.byte string.char string.find string.format string.gmatch string.gsub string.len
      string.lower string.match string.pack string.packsize string.rep string.reverse string.sub
      string.unpack string.upper
      table.concat table.insert table.move table.pack table.remove table.sort table.unpack
      utf8.char utf8.charpattern utf8.codepoint utf8.codes utf8.len utf8.offset
    ]]):gmatch "%S+" do expected[#expected + 1] = name end
    for name in pairs(math) do expected[#expected + 1] = "math." .. name end -- there are more in some builds
    table.sort(expected)
    assert.equal(table.concat(expected, " "), answer.result)
  end)

  allowed("text is loaded", "return load('return ...', '=x', 't', {})(true)")
  allowed("with globals of its own", "x = true local f = load 'return x' return f()")
  allowed("with nil for them", "return not pcall(load('return x', '=x', 't', nil))")
  allowed("files of its folder",
    "return loadfile 'tests/lua/sandbox/guest/own.lua' 'a'.name == 'a'")
  allowed("and with other globals",
    "return loadfile('tests/lua/sandbox/lib/shared.lua', 't', {})().secret == 'shared'")
  allowed("and at once", "return dofile 'tests/lua/sandbox/lib/shared.lua'.secret == 'shared'")
  allowed("modules of its folder and of lib",
    [[local own, path = require "own"
      return own == require "own" and own.name == "own" and own.secret == "shared" and
        path:find("tests/lua/sandbox/guest/own.lua", 1, true) ~= nil and package.loaded.own == own]])
  allowed("libraries by their names", "return require 'string' == string and require '_G' == _G")
  allowed("metatables", [[
    local t = setmetatable({}, { __index = function(_, k) return k end, __close = function() end })
    return t.x == 'x' and getmetatable(t) ~= nil and setmetatable(t, nil) == t]])
  allowed("metatables for a list that it was sent",
    "local list = roost.json.decode '[1]' return #setmetatable(list, { __index = table }) == 1")
  allowed("coroutines that wait", [[
    local co = coroutine.wrap(function() roost.sleep(1) coroutine.yield(true) end) return co()]])
  allowed("how much memory it has", "return collectgarbage 'count' > 1")
  allowed("the store", "roost.store:set('k', 1) return roost.store:get 'k' == 1")
  allowed("clients", "return roost.client 'PEER':call('hello', 1) == 'hello'")
  allowed("streams, tasks and errors", [[
    local list = roost.stream.of(1, 2):map(function(n) return n * 2 end):collect()
    local both = roost.all { function() return 1 end, function() roost.sleep(1) return 2 end }
    local ok, err = pcall(error, roost.rpc_error 'x')
    return list[2] == 4 and both[2] == 2 and not ok and err.name == 'RpcError']])
end)

describe("libraries", function()
  refused("io", "return io ~= nil")
  refused("commands", "return os.execute ~= nil")
  refused("removing files", "return os.remove ~= nil and os.rename ~= nil and os.tmpname ~= nil")
  refused("the environment", "return os.getenv 'PATH' ~= nil")
  refused("the environment by roost.env", "return roost.env('PATH', '') ~= ''")
  refused("the locale", "return os.setlocale ~= nil")
  refused("debug", "return debug.getinfo(1) ~= nil")
  refused("upvalues", "return debug.getupvalue ~= nil and debug.setupvalue ~= nil and debug.upvaluejoin ~= nil")
  refused("metatables by debug", "return debug.getmetatable('') ~= nil")
  refused("locals of the caller", "return debug.getlocal(2, 1) ~= nil")
  refused("user values", "return debug.getuservalue ~= nil")
  refused("debug inside a coroutine", "return coroutine.wrap(function() return debug.getinfo(1) ~= nil end)()")
  refused("the registry", "return debug.getregistry ~= nil", "safe")
  refused("hooks", "return debug.sethook ~= nil", "safe")
  refused("os.exit", "return os.exit ~= nil", "safe")
  refused("io by package.loaded", "return package.loaded.io ~= nil")
  refused("os by package.loaded", "return package.loaded.os.execute ~= nil")
  refused("globals by package.loaded", "return package.loaded._G.io ~= nil")
  refused("io by require", "return require 'io'.open ~= nil")
  refused("debug by require", "return require 'debug'.getinfo ~= nil")
  refused("stopping the collector", "return collectgarbage 'stop' == 0")
  refused("a full collection", "return collectgarbage() == 0")
  refused("another kind of collector", "return collectgarbage 'generational' ~= nil")
end)

describe("bytecode", function()
  refused("by load", "return load(bytecode)()")
  refused("by load in mode b", "return load(bytecode, 'x', 'b')()")
  refused("by load in mode bt", "return load(bytecode, 'x', 'bt', {})()")
  refused("in pieces", [[
    local at = 0
    return load(function() at = at + 1 return bytecode:sub(at, at) end)()]])
  refused("behind a mode that is no text", "return load(bytecode, 'x', nil)()")
  refused("string.dump", "return string.dump(function() end) ~= nil")
  refused("dump as a method", "return (''):dump() ~= nil", "safe")
  refused("dump as a method's name", "return ('').dump ~= nil")
  refused("dump by package.loaded", "return package.loaded.string.dump ~= nil")
  refused("loadstring", "return loadstring ~= nil", "safe")
  allowed("a mode that refuses text still does", "return load('return 1', 'x', 'b') == nil")
end)

describe("modules", function()
  refused("C functions", "return package.loadlib ~= nil")
  refused("a C module", "return require 'lfs' ~= nil")
  refused("package.cpath", "return package.cpath ~= nil")
  refused("package.cpath set", [[
    package.cpath = '/usr/lib/x86_64-linux-gnu/lua/5.4/?.so' return require 'lfs' ~= nil]])
  refused("searchers", "return package.searchers ~= nil")
  refused("a searcher of one's own", [[
    table.insert(package.searchers, 1, function() return function() return true end end)
    return require 'anything']])
  refused("package.searchpath", [[
    return package.searchpath('secret', 'tests/lua/sandbox/outside/?.lua') ~= nil]])
  refused("package.preload", "return package.preload ~= nil")
  refused("package.path", [[
    package.path = 'tests/lua/sandbox/outside/?.lua' return require 'secret' == 'secret']])
  refused("another package", [[
    _G.package = { path = 'tests/lua/sandbox/outside/?.lua', loaded = {} }
    return require 'secret' == 'secret']], "safe")
  refused("slashes in a name", [[
    package.path = package.path .. ';tests/lua/?.lua' return require 'sandbox/outside/secret' == 'secret']])
  refused("a path with ..", "return require '../outside/secret' == 'secret'", "safe")
  refused("a name with ..", "return require '..outside.secret' == 'secret'", "safe")
  refused("an absolute path", "return require '/etc/passwd' ~= nil", "safe")
  refused("a byte 0 in a name", "return require 'own\0.x' ~= nil", "safe")
  refused("the service itself", "return require 'guest' ~= nil", "safe")
  refused("loadfile of a file elsewhere", "return loadfile 'tests/lua/sandbox/outside/secret.lua' () == 'secret'")
  refused("dofile of a file elsewhere", "return dofile 'tests/lua/sandbox/outside/secret.lua' == 'secret'")
  refused("a path through its own folder", [[
    return dofile 'tests/lua/sandbox/guest/../outside/secret.lua' == 'secret']])
  refused("a folder whose name begins as its own", "return loadfile 'tests/lua/sandbox/guest.lua' ~= nil")
  refused("standard input", "return loadfile() ~= nil", "safe")
  refused("whether a file is there", [[
    local _, there = loadfile '/etc/passwd'
    local _, missing = loadfile '/etc/missing'
    return there:gsub('passwd', '') ~= missing:gsub('missing', '')]])
  refused("a part of cjson", "return require 'cjson.safe' ~= nil")
  refused("modules of the Lua half", "return require 'roost.service'.inline ~= nil")
  refused("those that are loaded", "return package.loaded['roost.stream_core'] ~= nil")
  allowed("and says so", [[
    local _, err = pcall(require, 'roost.service') return err:find('not for sandboxed services', 1, true) ~= nil]])
  refused("roost.testing", "return require 'roost.testing' ~= nil", "safe")
  refused("roost.test", "return require 'roost.test' ~= nil", "safe")
  refused("a module in the place of the host's", [[
    package.loaded['roost.stream'] = { subject = function() error 'mine' end }
    package.loaded['roost.client'] = nil
    package.loaded.roost = nil
    local ok = pcall(require('roost').client 'PEER'.emit, require('roost').client 'PEER', 'hello', 1)
    return not ok]], "safe")
  refused("a function in the place of the host's", [[
    local mine = false
    local subject = roost.stream.subject
    function roost.stream.subject() mine = true return subject() end
    roost.client 'PEER':emit('hello', 1)
    return mine]])
end)

describe("metatables", function()
  refused("of strings", "return getmetatable '' and true")
  refused("strings with other methods", [[
    getmetatable('').__index = { upper = function() return 'mine' end }
    return ('x'):upper() == 'mine']])
  refused("methods of strings by the library", [[
    local upper = string.upper
    string.upper = function() return 'mine' end
    local mine = ('x'):upper() == 'mine'
    string.upper = upper
    return mine]])
  refused("operators of strings", [[
    getmetatable('').__add = function() return 'mine' end return ('x') + 1 == 'mine']])
  for name, object in pairs {
    ["a service"] = "service", ["a context"] = "ctx", ["the log"] = "roost.log", ["a context's log"] = "ctx.log",
    ["the store"] = "roost.store", ["a stream"] = "roost.stream.of(1)", ["a subject"] = "roost.stream.subject()",
    ["a subscription"] = "roost.stream.of(1):subscribe {}", ["a client"] = "roost.client 'PEER'",
    ["a client's status"] = "roost.client 'PEER'.status", ["a client's handle"] = "roost.client 'PEER'.handle",
    ["an observer"] = "roost.stream.of(1):subscribe {}.target",
    ["a task"] = "roost.spawn(function() end)", ["a list"] = "roost.array {}", ["bytes"] = "roost.bytes 'x'",
    ["an exception"] = "roost.rpc_error 'x'", ["an error"] = "select(2, pcall(roost.client, 'none'))",
  } do
    refused("of " .. name, ("return getmetatable(%s) and true"):format(object))
    if object:find "^roost.array" or object:find "^roost.bytes" then goto continue end
    refused("another one for " .. name, ("return setmetatable(%s, {}) ~= nil"):format(object), "safe")
    ::continue::
  end
  refused("freeing a handle twice", [[
    local handle = roost.client 'PEER'.handle
    getmetatable(handle).__gc(handle)
    return true]])
  refused("a class's methods", [[
    getmetatable(service).message = function() return true end
    return service:message()]])
  refused("every stream's methods", [[
    getmetatable(roost.stream.of(1)).first = function() return true end
    return roost.stream.of(1):first()]])
  refused("an iterator of the host's objects", "return next(getmetatable(roost.log)) ~= nil")
end)

describe("finalizers", function()
  refused("a function", "return setmetatable({}, { __gc = function() end }) ~= nil")
  refused("a place for one", "return setmetatable({}, { __gc = true }) ~= nil")
  refused("in a protected metatable", "return setmetatable({}, { __gc = print, __metatable = 1 }) ~= nil")
  refused("by pcall", "return (pcall(setmetatable, {}, { __gc = function() end }))")
  refused("by a coroutine", "return coroutine.wrap(setmetatable)({}, { __gc = function() end }) ~= nil")
  refused("at close, set later", [[
    local metatable = {}
    setmetatable({}, metatable)
    metatable.__gc = function() roost.store:set('finalized', true) end
    for _ = 1, 20000 do local _ = { {}, {} } end
    return roost.store:get 'finalized' ~= nil]], "safe")
  refused("behind __index", [[
    local metatable = setmetatable({}, { __index = { __gc = function() roost.store:set('finalized', true) end } })
    setmetatable({}, metatable)
    for _ = 1, 20000 do local _ = { {}, {} } end
    return roost.store:get 'finalized' ~= nil]], "safe")
end)

describe("environments", function()
  refused("load's own", "return load 'return io'() ~= nil")
  refused("_ENV in a chunk", "return load('return _ENV.io', 'x', 't', _ENV)() ~= nil")
  refused("_G of _G", "return _G._G._G.io ~= nil")
  refused("a metatable of _G", [[
    setmetatable(_G, { __index = function(_, name) return name end }) return type(io) == 'table']])
  refused("an upvalue of require", "return debug.getupvalue(require, 1) ~= nil")
  refused("another _ENV for require", [[
    local _ENV <const> = { require = require, io = true } return require 'io'.open ~= nil]])
  refused("a constant for _ENV", [[
    return load 'local _ENV <const> = 1 return function() a = a.b.c end'() == nil]], "safe")
end)

describe("coroutines", function()
  local other = [[
    local first
    local task = roost.spawn(function() first = coroutine.running() roost.sleep(5) end)
    roost.sleep(1) ]]
  refused("resuming the host's", other .. "return (coroutine.resume(first))", "safe")
  refused("closing the host's", other .. "return (pcall(coroutine.close, first))", "safe")
  refused("closing its own", "return (pcall(coroutine.close, (coroutine.running())))", "safe")
  refused("resuming one that has ended", other .. "roost.sleep(10) return (coroutine.resume(first))", "safe")
  refused("yielding to the host", "return (pcall(coroutine.yield, 1))", "safe")
  refused("resuming the host's in a coroutine",
    other .. "return coroutine.wrap(function() return (coroutine.resume(first)) end)()", "safe")
  refused("the frames of another", other .. "return debug.getlocal(first, 0, 1) ~= nil", "safe")
  refused("a thread's metatable", "return getmetatable(coroutine.create(print)) ~= nil", "safe")
end)

describe("too deep", function()
  local function survives(name, code)
    it(name, function()
      local host <close> = open(true)
      host:call("run", { code = "return pcall(function() " .. code .. " end)" })
      assert.equal("X", host:call("upper", "x"))
    end)
  end
  survives("recursion", "local function f() return 1 + f() end f()")
  survives("pcall in pcall", "local function f() return pcall(f) end f()")
  survives("handlers in handlers", "local function f() return xpcall(error, f) end f()")
  survives("coroutines in coroutines", "local function f() return coroutine.wrap(f)() end f()")
  survives("closing in closing", [[
    local function f()
      local co = coroutine.create(function()
        local _ <close> = setmetatable({}, { __close = f })
        coroutine.yield()
      end)
      coroutine.resume(co)
      coroutine.close(co)
    end
    f()]])
  survives("__index of itself",
    "local t = setmetatable({}, {}) getmetatable(t).__index = function() return t.x end return t.x")
  survives("__tostring of itself",
    "local function f() return tostring(setmetatable({}, { __tostring = f })) end f()")
  survives("gsub in gsub", "local function f() return (('x'):gsub('.', f)) end f()")
  survives("sort in sort", "local function f() table.sort({ 1, 2, 3 }, f) end f()")
  survives("require in require", "local function f() return require('a' .. f()) end f()")
  survives("load in load", "local function f() return load(f) end f()")
  survives("brackets", "assert(load('return ' .. ('('):rep(10000)))")
  survives("tables", "assert(load('return ' .. ('{'):rep(10000)))")
  survives("a value that holds itself", "local t = {} t[1] = t roost.json.encode(t)")
  survives("a value too deep to send", "local t = {} for _ = 1, 2000 do t = { t } end roost.json.encode(t)")
end)

describe("error objects", function()
  local function masked(name, code)
    it(name, function()
      local host <close> = open(true)
      local err = testing.raises(host.call, host, "raise", code)
      assert.equal("Internal server error", err.message)
      assert.equal("X", host:call("upper", "x"))
    end)
  end
  masked("that raise when shown", "return setmetatable({}, { __tostring = function() error 'x' end })")
  masked("that wait when shown", [[
    return setmetatable({}, { __tostring = function() require 'roost'.sleep(1) return 'x' end })]])
  masked("that show as no text", "return setmetatable({}, { __tostring = function() return {} end })")
  masked("with a name that is none", "return setmetatable({}, { __name = {} })")
  masked("that say they reach the caller", "return setmetatable({ name = 'RpcError', response = 'x' }, {})")
  masked("that are nil", "return nil")
  masked("that are a context", "return require 'roost'.context()")
end)

describe("the API", function()
  refused("closing a client that others share", "roost.client 'PEER':close() return true")
  refused("closing it as it goes", "do local c <close> = roost.client 'PEER' end return true")
  refused("closing it by unwrap", [[
    local client = roost.client 'PEER'
    client:connect()
    client:unwrap().close()
    return true]])
  allowed("its own client may be closed", "roost.client { port = 1 }:close() return true")
  refused("a private key of the host's", [[
    local _, err = pcall(roost.client, { port = 1, tls = { key = '/etc/hostname', cert = '/etc/hostname' } })
    return not tostring(err):find('PEM text', 1, true)]])
  refused("files of the host's", [[
    local _, err = pcall(roost.client, { port = 1, tls = { ca = { '-----BEGIN', '/etc/hostname' } } })
    return not tostring(err):find('PEM text', 1, true)]])
  for _, given in ipairs {
    "transport = 'nats', creds = '/etc/hostname'",
    "transport = 'kafka', client = { brokers = { 'h:1' }, ssl = { key = '/etc/hostname', cert = '/etc/hostname' } }",
    "transport = 'kafka', client = { brokers = { 'h:1' }, ssl = { ca = { '/etc/hostname' } } }",
  } do
    refused("files of the host's: " .. given, ([[
      local _, err = pcall(roost.client, { %s })
      return not tostring(err):find('a sandboxed service gives', 1, true)]]):format(given))
  end
  refused("a module outside of the sandbox", [[
    local _, err = pcall(roost.client, { port = 1, serializer = 'secret' })
    return not tostring(err):find('sandboxed', 1, true)]])
  refused("clients without end", [[
    local all = {}
    for i = 1, 65 do all[i] = roost.client { port = 1 } end
    return #all == 65]])
  allowed("clients that are dropped count no longer", [[
    for i = 1, 1000 do roost.client { port = 1 } end return true]])
  refused("the host's listeners", "return roost.server(1):unwrap() ~= nil")
  refused("a descriptor", "return type(ctx:unwrap().fd) == 'number'", "safe")
  refused("methods of one object on another", [[
    return (pcall(ctx.emit, roost.log, 1)) or (pcall(roost.log.info, ctx, 1)) or (pcall(ctx.unwrap, roost.store))
      or (pcall(roost.store.get, roost.log, 'x')) or (pcall(roost.client 'PEER'.handle.info, ctx))]], "safe")
  refused("handlers later on", "return (pcall(service.message, service, 'late', function() end))", "safe")
  refused("a target that is no service", [[
    return (pcall(service.message, { target = roost.log, stages = {} }, 'late', function() end))]], "safe")

  it("is not called through what a service puts in the place of Lua's functions", function()
    for _, sandbox in ipairs { true, false } do
      local host <close> = open(sandbox, FOLDER .. "thief.lua") -- luacheck: ignore 211
      host:call("touch", { x = 1 })
      local calls = host:call("calls", 1)
      assert.equal(sandbox, calls == 0, tostring(calls))
    end
  end)

  it("takes no pointer from a service", function()
    local host <close> = open(true, FOLDER .. "pointer.lua")
    assert.equal("hello", host:call("hello", 1))
    assert.equal("started", host:logs("info")[1].msg)
  end)

  -- A text in a list a thousand times costs the state nothing.
  local function too_large(name, code)
    it(name, function()
      local host <close> = open(true, nil, nil, 2000000)
      local answer = host:call("run", { code = [[
        local text, texts, tables = ("x"):rep(100000), {}, {}
        for i = 1, 100 do texts[i] = text end
        for _ = 1, 40 do tables = { tables, tables } end
        ]] .. code })
      assert.truthy(tostring(answer.result):find "larger than the memory", answer.result)
      assert.equal("X", host:call("upper", "x"))
    end)
  end
  too_large("writes no texts larger than its memory", "roost.json.encode(texts)")
  too_large("nor tables", "roost.json.encode(tables)")
  too_large("nor bytes", "roost.json.encode { roost.bytes(text), roost.bytes(text), texts }")
  too_large("nor into the store", "roost.store:set('k', texts)")
  too_large("nor tables into the store", "roost.store:set('k', tables)")
  too_large("nor to other services", "roost.client 'PEER':call('hello', texts)")
  too_large("nor as an item", "ctx:emit(texts)")
  too_large("nor as cjson", "require 'cjson'.encode(texts)")

  it("loses log lines that are larger than the log", function()
    local host <close> = open(true)
    host:call("run", { code = [[
      local text, fields = ("x"):rep(100000), {}
      for i = 1, 1000 do fields["f" .. i] = text end
      roost.log:info("large", fields)
      roost.log:info("small")]] })
    assert.same({ "small" }, { host:logs("info")[2].msg })
  end)

  it("has no more handlers than fit into its memory", function()
    local path = os.tmpname()
    do
      local file <close> = assert(io.open(path .. ".lua", "w"))
      file:write [[
        local service = require "roost".service()
        local text = ("x"):rep(100000)
        for i = 1, 10 do service:message(text .. i, function() end) end
        return service]]
    end
    local err = testing.raises(open, true, path .. ".lua", nil, 1500000)
    assert.truthy(err.message:find("more memory than it may have", 1, true), err.message)
    local host <close> = open(true, path .. ".lua") -- luacheck: ignore 211
    os.remove(path)
    os.remove(path .. ".lua")
  end)

  it("knows no sandbox inside of a test", function()
    local err = testing.raises(testing.host, {
      services = { inline = function() end }, config = { service_options = { inline = { sandbox = true } } },
    })
    assert.truthy(err.message:find("service_options.inline.sandbox", 1, true))
  end)
end)

-- Links, and what is no text, do not lie beside the specs.
describe("files", function()
  local folder

  local function run(command)
    assert(os.execute(command))
  end

  local function write(name, text)
    local file <close> = assert(io.open(folder .. "/" .. name, "wb"))
    assert(file:write(text))
  end

  before_each(function()
    local pipe <close> = assert(io.popen "mktemp -d")
    folder = pipe:read()
    run(("mkdir -p %s/s/guest %s/s/lib %s/s/guest2 && cp %sguest.lua %s/s"):format(
      folder, folder, folder, FOLDER, folder))
    write("secret.lua", "return true")
    write("s/guest2/secret.lua", "return true")
  end)

  after_each(function() run("rm -r " .. folder) end)

  local function try_both(code, safe)
    for _, sandbox in ipairs { true, false } do
      local host <close> = open(sandbox, folder .. "/s/guest.lua") -- luacheck: ignore 211
      local works, result = try(host, code:gsub("FOLDER", folder))
      assert.equal(not sandbox and not safe, works, tostring(result))
    end
  end

  it("behind a link are not modules", function()
    run(("ln -s ../../secret.lua %s/s/guest/link.lua"):format(folder))
    try_both "return require 'link'"
  end)

  it("behind a link are not loaded", function()
    run(("ln -s ../../secret.lua %s/s/lib/link.lua"):format(folder))
    try_both "return dofile 'FOLDER/s/lib/link.lua'"
  end)

  it("behind a linked folder are not modules", function()
    run(("ln -s ../guest2 %s/s/guest/inner"):format(folder))
    try_both "return require 'inner.secret'"
  end)

  it("in a folder whose name begins like its own are not loaded", function()
    try_both "return dofile 'FOLDER/s/guest2/secret.lua'"
  end)

  it("in a link that goes round in circles end nothing", function()
    run(("ln -s round.lua %s/s/guest/round.lua"):format(folder))
    try_both("return require 'round'", "safe")
  end)

  it("whose folder is a link are its own", function()
    run(("rmdir %s/s/guest && ln -s guest2 %s/s/guest"):format(folder, folder))
    local host <close> = open(true, folder .. "/s/guest.lua")
    assert.is_true(try(host, "return require 'secret'"))
  end)

  it("of bytecode are not loaded", function()
    write("s/guest/code.lua", string.dump(function() return true end))
    try_both "return require 'code'"
    try_both "return loadfile 'FOLDER/s/guest/code.lua' ()"
    try_both "return loadfile('FOLDER/s/guest/code.lua', 'b')()"
    try_both "return dofile 'FOLDER/s/guest/code.lua'"
  end)

  it("of bytecode behind a first line are not loaded", function()
    write("s/guest/code.lua", "#!\n" .. string.dump(function() return true end))
    try_both("return require 'code'", "safe")
  end)

  it("of bytecode are no services", function()
    local code = assert(loadfile(FOLDER .. "guest.lua"))
    write("s/guest.lua", string.dump(code))
    local err = testing.raises(open, true, folder .. "/s/guest.lua")
    assert.truthy(err.message:find("attempt to load a binary chunk", 1, true))
    local plain <close> = open(false, folder .. "/s/guest.lua")
    assert.equal("X", plain:call("upper", "x"))
  end)
end)

-- Everything that can be reached is called with arguments that make no sense.
describe("what can be reached", function()
  it("is nothing of the host's", function()
    local host <close> = open(true, FOLDER .. "walker.lua")
    local names = host:call("names", 1)
    assert.is_true(#names > 200)
    local forbidden = {}
    for name in ([[
      add_handler set_hook set_stream set_providers exception rethrow json_encode doze signal
      ctx_target ctx_wait check_returned inline open getinfo searchpath loadlib dump execute __gc __index
    ]]):gmatch "%S+" do forbidden[name] = true end
    for _, path in ipairs(names) do
      assert.is_nil(forbidden[path:match "[^%.]+$"], path)
    end
  end)

  it("takes anything", function()
    local host <close> = open(true, FOLDER .. "walker.lua")
    for seed = 1, 20 do assert.is_true(host:call("fuzz", seed) > 150) end
    assert.is_true(#host:call("names", 1) > 200)
  end)
end)
