-- What a client sees is the same over TCP and over the local transport: each row runs over both.
local roost = require "roost"
local testing = require "roost.testing"

local seen -- what handlers were given, in order

local function note(value) seen[#seen + 1] = value end

local handlers = {
  echo = function(data) return data end,
  kind = function(data, ctx)
    note { data = data, kind = ctx.kind, id = ctx.id ~= nil, pattern = ctx.pattern, metadata = ctx.metadata }
    return ctx.kind
  end,
  nothing = function() end,
  ["a null"] = function() return roost.null end,
  fail = function(how)
    if how == "text" then error(roost.rpc_error "boom") end
    if how == "empty" then error(roost.rpc_error "") end
    if how == "object" then error(roost.rpc_error { code = 42, message = "m", extra = { 1 } }) end
    if how == "list" then error(roost.rpc_error { 1, 2 }) end
    if how == "returned" then return nil, roost.rpc_error "returned" end
    if how == "later" then
      roost.sleep(10)
      error(roost.rpc_error "later")
    end
    error "secret"
  end,
  function_ = function() return print end,
  count = function(data, ctx)
    for i = 1, data.upto do
      roost.sleep(data.ms or 0)
      if not ctx:emit(i) then
        note "left"
        return
      end
    end
    if data.sleep then roost.sleep(data.sleep) end
    if data.value ~= nil then return data.value end
    if data.err then error(roost.rpc_error(data.err)) end
  end,
  stream = function(data)
    return roost.stream.interval(10):take(data)
  end,
  undefined = function(_, ctx)
    ctx:emit(nil)
    ctx:emit(2)
    ctx:emit(nil)
  end,
  slow = function(data)
    roost.sleep(data.ms)
    note "slept"
    return "slow"
  end,
  endless = function(_, ctx)
    local i = 0
    repeat
      i = i + 1
      roost.sleep(10)
    until not ctx:emit(i)
    note "left"
  end,
  traced = function(_, ctx) return ctx.metadata end,
}

local function define(service)
  for pattern, handler in pairs(handlers) do service:message(pattern, handler) end
  service:message({ cmd = "sum", of = { 1, "a" } }, function() return "object" end)
  service:message(7, function() return "seven" end)
end

-- Each makes a host and gives it and a client of the handlers above.
local transports = {}

function transports.tcp()
  local client
  local host = testing.host { services = { caller = function() client = roost.client "PEER" end } }
  local stubs = {}
  define { message = function(_, pattern, handler) stubs[#stubs + 1] = { pattern, handler } end }
  host:stub("PEER", stubs)
  return host, client
end

transports["local"] = function()
  local client
  local host = testing.host {
    services = { peer = define, caller = function() client = roost.client "PEER" end },
    config = { clients = { PEER = { transport = "local" } } },
  }
  return host, client
end

local rows = {}

local function row(name, run) rows[#rows + 1] = { name = name, run = run } end

local function err_of(client, pattern, data, options)
  return testing.raises(client.call, client, pattern, data, options)
end

-- Values ----------------------------------------------------------------------------------------

row("values come back as they were", function(client)
  for _, value in ipairs {
    true, false, 0, -1, 1.5, math.maxinteger, math.mininteger, "", "é😀\0\"", { a = { 1, { b = "c" } } },
    { 1, 2, { 3 } }, { a = roost.null },
  } do
    assert.same(value, client:call("echo", value))
  end
  assert.equal(2, client:call("echo", 2.0))
  assert.equal("[]", roost.json.encode(client:call("echo", roost.array {})))
  assert.equal("{}", roost.json.encode(client:call("echo", {})))
end)

row("values are copied", function(client)
  local value = { list = {} }
  local back = client:call("echo", value)
  assert.not_equal(value, back)
  assert.not_equal(value.list, back.list)
end)

row("nil, null and undefined", function(client)
  assert.is_nil(client:call("nothing", 1))
  assert.same({}, client:send("nothing", 1):collect())
  assert.equal(roost.null, client:call("a null", 1))
  assert.same({ roost.null, 2 }, client:send("undefined", 1):collect()) -- the last is the end's
end)

row("patterns of every kind", function(client)
  assert.equal("object", client:call({ of = { 1, "a" }, cmd = "sum" }, 1))
  assert.equal("object", client:call('{"of":{"0":1,"1":"a"},"cmd":"sum"}', 1))
  assert.equal("seven", client:call(7, 1))
  assert.equal("seven", client:call("7", 1))
end)

row("many at once", function(client)
  local fns = {}
  for i = 1, 200 do fns[i] = function() return client:call("echo", i) end end
  local results = roost.all(fns)
  for i = 1, 200 do assert.equal(i, results[i]) end
end)

row("what can't be sent is named", function(client)
  assert.matches("^tests/lua/clients/transports_spec.lua:%d+: the data cannot be sent: a%.b: .*function",
    err_of(client, "echo", { a = { b = print } }).message)
  assert.matches("transports_spec.lua:%d+: the data",
    testing.raises(function() client:emit("kind", { print }) end).message)
  assert.matches("a%.b", testing.raises(function() client:send("echo", { a = { b = print } }):last() end).message)
  assert.matches("function", err_of(client, { cmd = print }, 1).message)
  assert.matches("function", err_of(client, "echo", 1, { metadata = { m = print } }).message)
  for _, arguments in ipairs { { nil, 1 }, { roost.null, 1 }, { "echo", nil }, { "echo", roost.null } } do
    for _, method in ipairs { "call", "send", "emit" } do
      local err = testing.raises(client[method], client, arguments[1], arguments[2])
      assert.same({ "InvalidMessageError", "EINVAL" }, { err.name, err.code })
    end
  end
  assert.equal("still there", client:call("echo", "still there"))
end)

row("metadata, and the traceparent of the request being served", function(client)
  assert.same({ a = { 1 } }, client:call("traced", 1, { metadata = { a = { 1 } } }))
  assert.same({}, client:call("traced", 1))
end)

-- Errors ----------------------------------------------------------------------------------------

row("errors", function(client)
  for how, response in pairs {
    text = { status = "error", message = "boom" }, empty = { status = "error", message = "" },
    object = { code = 42, message = "m", extra = { 1 } }, list = { 1, 2 },
    returned = { status = "error", message = "returned" }, later = { status = "error", message = "later" },
    other = { status = "error", message = "Internal server error" },
  } do
    local err = err_of(client, "fail", how)
    assert.equal("RpcError", err.name)
    assert.same(response, err.response)
    assert.equal(response.code, err.code)
    assert.equal(response.message or "[1,2]", err.message)
    assert.equal(err.message, tostring(err):match "^RpcError:? ?(.*)$")
  end
end)

row("a result that can't be sent is masked", function(client)
  assert.equal("Internal server error", err_of(client, "function_", 1).message)
end)

row("no handler", function(client)
  for _, pattern in ipairs { "nowhere", 8, { cmd = "nowhere" } } do
    local err = err_of(client, pattern, 1)
    assert.equal("There is no matching message handler defined in the remote service.", err.response)
    assert.equal(err.response, err.message)
  end
end)

-- Streams ---------------------------------------------------------------------------------------

row("streams", function(client)
  assert.same({ 1, 2, 3 }, client:send("count", { upto = 3 }):collect())
  assert.same({}, client:send("count", { upto = 0 }):collect())
  assert.same({ 0, 1, 2 }, client:send("stream", 3):collect())
  assert.equal(3, client:call("count", { upto = 3, sleep = 20 })) -- the end comes later
  assert.same({ 1, 2, "end" }, client:send("count", { upto = 2, value = "end" }):collect())
  assert.equal(1000, #client:send("count", { upto = 1000 }):collect())
end)

row("an error after items", function(client)
  local record = testing.record(client:send("count", { upto = 2, err = "enough" }))
  roost.sleep(1)
  assert.same({ 1, 2 }, record.values)
  assert.equal("enough", record.error.message)
  assert.is_false(record.completed)
end)

row("send is cold, and each subscription asks anew", function(client)
  local stream = client:send("kind", "x")
  roost.sleep(1)
  assert.equal(0, #seen)
  assert.equal("message", stream:first())
  assert.equal("message", stream:last())
  assert.equal(2, #seen)
end)

-- Events ----------------------------------------------------------------------------------------

row("events", function(client)
  client:emit("kind", "e", { metadata = { m = 1 } })
  client:emit("kind", "f")
  roost.sleep(1)
  assert.same({
    { data = "e", kind = "event", id = false, pattern = "kind", metadata = { m = 1 } },
    { data = "f", kind = "event", id = false, pattern = "kind", metadata = {} },
  }, seen)
end)

row("emit gives a stream that completes", function(client)
  assert.same({}, client:emit("kind", "e"):collect()) -- connects first
  assert.same({}, client:emit("kind", "e"):collect())
  assert.same({}, client:emit("nowhere", "e"):collect())
  client:emit("fail", "text")
  client:emit("count", { upto = 2 })
  assert.equal("still there", client:call("echo", "still there"))
end)

-- Time ------------------------------------------------------------------------------------------

row("a time-out bounds the wait for each reply", function(client)
  assert.same({ 1, 2, 3 }, client:send("count", { upto = 3, ms = 50 }, { timeout = 60 }):collect())
  local before = roost.now()
  local err = err_of(client, "slow", { ms = 100 }, { timeout = 50 })
  assert.same({ "TimeoutError", "ETIMEDOUT", "Timeout has occurred" }, { err.name, err.code, err.message })
  assert.equal(50, roost.now() - before)
  roost.sleep(100) -- the late reply disturbs nobody
  assert.same({ "slept" }, seen)
  assert.equal("next", client:call("echo", "next"))
  assert.equal("slow", client:call("slow", { ms = 20000 }, { timeout = 0 }))
end)

row("a stream's silence, too", function(client)
  local record = testing.record(client:send("count", { upto = 3, ms = 50 }, { timeout = 49 }))
  roost.sleep(200)
  assert.same({}, record.values)
  assert.equal("TimeoutError", record.error.name)
end)

row("the operator timeout", function(client)
  local err = testing.raises(function() client:send("slow", { ms = 100 }):timeout(20):last() end)
  assert.equal("TimeoutError", err.name)
end)

-- Leaving ---------------------------------------------------------------------------------------

row("a cancelled call leaves nothing behind", function(client)
  local raised
  local task = roost.spawn(function()
    local ok, err = pcall(client.call, client, "slow", { ms = 50 })
    raised = not ok and err
    error(err, 0)
  end)
  roost.sleep(10)
  task:cancel()
  roost.sleep(100)
  assert.equal("CancelledError", raised.name)
  assert.same({ "slept" }, seen)
  assert.equal("next", client:call("echo", "next"))
end)

row("who leaves a stream early hears no more", function(client)
  local values = {}
  for value in client:send("endless", 1):each() do
    values[#values + 1] = value
    if value == 3 then break end
  end
  assert.same({ 1, 2, 3 }, values)
  assert.same({ 1, 2 }, client:send("endless", 1):take(2):collect())
  assert.equal(1, client:send("endless", 1):first())
  assert.equal("next", client:call("echo", "next"))
end)

row("close fails what is pending, ends streams at the other side, and the next use connects", function(client)
  local errs = {}
  for _, pattern in ipairs { "slow", "endless" } do
    roost.spawn(function()
      local err = testing.raises(client.call, client, pattern, { ms = 50 })
      errs[#errs + 1] = err
    end)
  end
  roost.sleep(25)
  client:close()
  roost.sleep(1)
  assert.equal(2, #errs)
  for _, err in ipairs(errs) do
    assert.same({ "ConnectionError", "ECLOSED", "Connection closed" }, { err.name, err.code, err.message })
  end
  roost.sleep(100)
  table.sort(seen)
  assert.same({ "left", "slept" }, seen) -- one that does not stream runs to its end
  assert.equal("again", client:call("echo", "again"))
end)

row("as <close>", function(client)
  local statuses = {}
  client.status:subscribe(function(status) statuses[#statuses + 1] = status end)
  do
    local scoped <close> = client
    assert.equal(1, scoped:call("echo", 1))
  end
  roost.sleep(1)
  assert.same({ "connected", "disconnected" }, statuses)
end)

-- Status ----------------------------------------------------------------------------------------

row("status, events and unwrap", function(client)
  local told = {}
  local function tell(name)
    return function(value) told[#told + 1] = name .. (value and " " .. tostring(value) or "") end
  end
  assert.matches('Not initialized. Please call the "connect" method first.',
    testing.raises(client.unwrap, client).message)
  local status = client.status:subscribe(tell "status")
  for _, event in ipairs { "connect", "close", "error", "disconnect" } do client:on(event, tell(event)) end
  client:connect()
  client:connect()
  roost.sleep(0)
  assert.same({ "status connected", "connect" }, told)
  local info = client:unwrap()
  assert.is_true(info.connected)
  told = {}
  client.status:subscribe(tell "second")
  assert.same({ "second connected" }, told)
  info.close()
  roost.sleep(0)
  assert.same({
    "second connected", "status disconnected", "second disconnected",
    "close ConnectionError: Connection closed", "disconnect ConnectionError: Connection closed",
  }, told)
  status:unsubscribe()
  told = {}
  assert.equal(1, client:call("echo", 1))
  roost.sleep(0)
  assert.same({ "second connected", "connect" }, told)
  assert.matches("unknown event 'conect'", testing.raises(client.on, client, "conect", print).message)
end)

row("all events of Nest's transports are known", function(client)
  local told = {}
  for _, event in ipairs { "connect", "end", "close", "error", "timeout", "drain", "lookup", "ready",
    "reconnecting", "reconnect", "offline", "update", "warning", "packetsend", "packetreceive" } do
    client:on(event, function() told[#told + 1] = event end)
  end
  client:connect()
  client:close()
  client:connect()
  roost.sleep(0)
  assert.same({ "connect", "ready", "end", "close", "offline", "connect", "ready", "reconnect" }, told)
end)

row("a late listener hears what comes, not what was", function(client)
  for _ = 1, 3 do
    client:call("echo", 1)
    client:close()
  end
  client:call("echo", 1)
  local told = {}
  client.status:subscribe(function(value) told[#told + 1] = value end)
  client:on("connect", function() told[#told + 1] = "connect" end)
  client:on("close", function() told[#told + 1] = "close" end)
  roost.sleep(10)
  assert.same({ "connected" }, told)
end)

for name, make in pairs(transports) do
  describe("client over " .. name .. ":", function()
    local host, client

    before_each(function()
      seen = {}
      host, client = make()
    end)

    for _, each in ipairs(rows) do
      it(each.name, function()
        each.run(client, host)
        roost.sleep(0)
        local status = host:status().clients.PEER
        assert.equal(name, status.transport)
        assert.equal(0, status.pending)
      end)
    end
  end)
end

-- What only one of them has ------------------------------------------------------------------------

describe("client over local:", function()
  it("goes by wildcards where the configuration says so", function()
    for _, wildcards in ipairs { true, false } do
      local client
      local host <close> = testing.host { -- luacheck: ignore 211
        services = {
          peer = function(service)
            service:message("orders.*", function(_, ctx) return ctx.route .. " " .. ctx.subject end)
            service:message("all.>", function(_, ctx) return ctx.subject end)
          end,
          caller = function() client = roost.client { transport = "local" } end,
        },
        config = { wildcards = wildcards },
      }
      if wildcards then
        assert.equal("orders.* orders.new", client:call("orders.new", 1))
        assert.equal("all.a.b", client:call("all.a.b", 1))
      else
        assert.equal("RpcError", err_of(client, "orders.new", 1).name)
      end
    end
  end)

  it("serves every service of the host, whatever listeners expose", function()
    local client
    local host <close> = testing.host { -- luacheck: ignore 211
      services = {
        hidden = function(service) service:message("hidden", function(_, ctx) return ctx.transport end) end,
        caller = function() client = roost.client { transport = "local" } end,
      },
      config = { servers = { { services = { "caller" } } } },
    }
    assert.equal("local", client:call("hidden", 1))
    assert.same({ transport = "local", connected = true }, { transport = client:unwrap().transport,
      connected = client:unwrap().connected })
  end)

  it("may call itself, and itself in turn", function()
    local client
    local host <close> = testing.host { services = { a = function(service) -- luacheck: ignore 211
      client = roost.client { transport = "local" }
      service:message("down", function(n) return n == 0 and "bottom" or client:call("down", n - 1) end)
    end } }
    assert.equal("bottom", host:call("down", 50))
  end)
end)

describe("a handler's call", function()
  local function host_with(handler, limits)
    local host = testing.host {
      services = { front = function(service)
        local client = roost.client "BACK"
        service:message("ask", function(data, ctx) return handler(client, data, ctx) end)
      end },
      config = { limits = limits },
    }
    return host
  end

  it("ends with the request's time, and the caller is told so", function()
    local host = host_with(function(client) return client:call("x", 1) end, { request_timeout = 100 })
    host:stub("BACK", testing.silent)
    local before = roost.now()
    local err = testing.raises(host.call, host, "ask", 1)
    assert.same({ status = "error", message = "Timeout has occurred" }, err.response)
    assert.equal(100, roost.now() - before)
    host:stub("BACK", { x = function() return "back" end })
    assert.equal("back", host:call("ask", 1))
  end)

  it("that fails is masked, and passed on where it is said so", function()
    local host = host_with(function(client, data)
      local ok, result = pcall(client.call, client, "x", 1)
      if ok then return result end
      error(data == "pass" and roost.rpc_error(result.response) or result, 0)
    end)
    host:stub("BACK", { x = function() error(roost.rpc_error { code = 9, message = "nine" }) end })
    assert.equal("Internal server error", testing.raises(host.call, host, "ask", "mask").message)
    assert.same({ code = 9, message = "nine" }, testing.raises(host.call, host, "ask", "pass").response)
  end)

  it("carries the traceparent of the request", function()
    local host = host_with(function(client, data)
      return client:call("x", 1, { metadata = data.metadata })
    end)
    host:stub("BACK", { x = function(_, ctx) return ctx.metadata end })
    local parent = { traceparent = "00-abc" }
    assert.same(parent, host:call("ask", {}, { metadata = { traceparent = "00-abc", other = 1 } }))
    assert.same({ a = 1, traceparent = "00-abc" },
      host:call("ask", { metadata = { a = 1 } }, { metadata = parent }))
    assert.same({ traceparent = "own" },
      host:call("ask", { metadata = { traceparent = "own" } }, { metadata = parent }))
    assert.same({}, host:call("ask", {}))
  end)
end)

describe("clients", function()
  local function inline(define_one, config)
    return testing.host { services = { caller = define_one }, config = config }
  end

  it("are named", function()
    -- In a test's host any name may be stubbed later: see tests/interop/clients for the error.
    local client
    local host <close> = inline(function() client = roost.client "LATER" end)
    assert.equal("ECONNREFUSED", err_of(client, "x", 1).code)
    host:stub("LATER", { x = function() return 1 end })
    assert.equal(1, client:call("x", 1))
  end)

  it("made from a bad table name each key", function()
    local host <close> = inline(function() -- luacheck: ignore 211
      local function complaint(options) return testing.raises(roost.client, options).message end
      assert.matches("prot: unknown key.*port", complaint { prot = 3001 })
      assert.matches("port: ", complaint { port = "many" })
      assert.matches("transport", complaint { transport = "smoke" })
      assert.matches("a name or a table is expected, got number", complaint(7))
    end)
  end)

  it("end with their host, whoever still holds them", function()
    local client, own
    local host = inline(function()
      client = roost.client "BACK"
      own = roost.client { transport = "local" }
    end)
    host:stub("BACK", { x = function() return 1 end })
    assert.equal(1, client:call("x", 1))
    assert.equal("RpcError", err_of(own, "nowhere", 1).name)
    client:on("close", function() end)
    host:close()
    for _, each in ipairs { client, own } do
      assert.matches("ended with its service", testing.raises(each.call, each, "x", 1).message)
      assert.matches("ended with its service", testing.raises(each.connect, each).message)
    end
    collectgarbage()
  end)

  it("retry for what was never sent", function()
    local client
    local host <close> = inline(function() client = roost.client "BACK" end,
      { clients = { BACK = { retry_attempts = 5, retry_delay = 100 } } })
    host:stub("BACK", testing.down)
    roost.after(150, function() host:stub("BACK", { x = function() return "at last" end }) end)
    assert.equal("at last", client:call("x", 1))
    host:stub("BACK", testing.down)
    local before = roost.now()
    assert.equal("ECONNREFUSED", err_of(client, "x", 1).code)
    assert.is_true(roost.now() - before >= 1550)
  end)

  it("keep why each attempt failed until somebody reads it, though the next one has begun", function()
    local client <close> = roost.client { transport = "tcp", host = "127.0.0.1", port = 1 }
    local told, refused = {}, "connect ECONNREFUSED 127.0.0.1:1"
    client:on("error", function(err) told[#told + 1] = err.message end)
    for _ = 1, 2 do assert.equal(refused, testing.raises(client.connect, client).message) end
    roost.sleep(1)
    assert.same({ refused, refused }, told)
  end)

  it("say on error what an emit nobody looks at failed with", function()
    local client
    local told = {}
    local host <close> = inline(function() client = roost.client "BACK" end)
    host:stub("BACK", testing.down)
    client:on("error", function(err) told[#told + 1] = err.code end)
    client:emit("x", 1)
    host:settle()
    assert.same({ "ECONNREFUSED" }, told) -- the connection's, which is the event's, too
    local ok, err = pcall(function() client:emit("x", 1):last() end)
    assert.is_false(ok)
    assert.equal("ECONNREFUSED", err.code)
    host:settle()
    assert.equal(2, #told)
  end)
end)
