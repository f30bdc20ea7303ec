-- host:call, :send, :emit: what a client proxy does, over a connection in memory.
local roost = require "roost"
local testing = require "roost.testing"

describe("testing: calls", function()
  local host
  local seen -- what handlers were given

  local function define(service)
    service:message("echo", function(data, ctx)
      seen = { data = data, metadata = ctx.metadata, pattern = ctx.pattern, id = ctx.id, kind = ctx.kind }
      return data
    end)
    service:message({ cmd = "sum", of = { "a" } }, function() return "object" end)
    service:message("nothing", function() end)
    service:message("a null", function() return roost.null end)
    service:message("count", function(data, ctx)
      for i = 1, data.upto do
        roost.sleep(data.ms or 0)
        ctx:emit(i)
      end
    end)
    service:message("holes", function(_, ctx)
      ctx:emit(nil)
      ctx:emit(1)
    end)
    service:message("fails", function(how)
      if how == "text" then error(roost.rpc_error "boom") end
      if how == "table" then error(roost.rpc_error { code = 42, message = "m", extra = { 1 } }) end
      if how == "list" then error(roost.rpc_error { 1, 2 }) end
      error "secret"
    end)
    service:message("items, then an error", function(_, ctx)
      ctx:emit(1)
      error(roost.rpc_error "enough")
    end)
    service:event("note", function(data, ctx)
      roost.sleep(data.ms or 0)
      seen = { data = data, metadata = ctx.metadata, id = ctx.id, kind = ctx.kind }
      if data.fail then error "nobody hears this" end
    end)
  end

  before_each(function()
    seen = nil
    host = testing.host { services = { inline = define } }
  end)

  describe("call", function()
    it("gives the reply", function()
      for _, value in ipairs { "text", 7, 0.5, false, true, { a = { 1 } }, { 1, { b = "c" } } } do
        assert.same(value, host:call("echo", value))
      end
    end)

    it("gives the last of several, nil where there is none, null as null", function()
      assert.equal(3, host:call("count", { upto = 3 }))
      assert.is_nil(host:call("nothing", {}))
      assert.is_nil(host:call("count", { upto = 0 }))
      assert.equal(roost.null, host:call("a null", {}))
    end)

    it("sends tables as patterns", function()
      assert.equal("object", host:call({ of = { "a" }, cmd = "sum" }, {}))
    end)

    it("copies values, as the wire does", function()
      local data = { list = roost.array {}, whole = 2.0 }
      local back = host:call("echo", data)
      assert.not_equal(data, seen.data)
      assert.equal("[]", roost.json.encode(back.list))
      assert.equal("integer", math.type(back.whole))
    end)

    it("has an id of its own each time, and metadata", function()
      host:call("echo", 1, { metadata = { token = "t", list = { 1 } } })
      local first = seen
      host:call("echo", 1)
      assert.same({ token = "t", list = { 1 } }, first.metadata)
      assert.same({}, seen.metadata)
      assert.equal("message", seen.kind)
      assert.not_equal(first.id, seen.id)
    end)

    it("runs beside others", function()
      local got = roost.all {
        slow = function() return host:call("count", { upto = 2, ms = 50 }) end,
        quick = function() return host:call("echo", "quick") end,
      }
      assert.same({ slow = 2, quick = "quick" }, got)
    end)
  end)

  describe("errors", function()
    it("of a peer are RpcErrors with exactly what it sent", function()
      local err = testing.raises(host.call, host, "fails", "text")
      assert.same({ "RpcError", "boom" }, { err.name, err.message })
      assert.same({ status = "error", message = "boom" }, err.response)
      assert.matches("boom", tostring(err))
      err = testing.raises(host.call, host, "fails", "table")
      assert.same({ "RpcError", 42, "m" }, { err.name, err.code, err.message })
      assert.same({ code = 42, message = "m", extra = { 1 } }, err.response)
      assert.same({ 1, 2 }, testing.raises(host.call, host, "fails", "list").response)
    end)

    it("of no use to a caller are masked, and logged", function()
      local err = testing.raises(host.call, host, "fails", "other")
      assert.same({ status = "error", message = "Internal server error" }, err.response)
      assert.matches("calls_spec.lua:%d+: secret", host:logs "error"[1].err)
    end)

    it("say where no handler is", function()
      local err = testing.raises(host.call, host, "nowhere", {})
      assert.equal("There is no matching message handler defined in the remote service.", err.response)
      assert.equal(err.response, err.message)
    end)

    it("come after the items before them", function()
      local record = testing.record(host:send("items, then an error", {}))
      host:settle()
      assert.same({ 1 }, record.values)
      assert.equal("enough", record.error.message)
      assert.is_false(record.completed)
    end)

    it("tell nil and null, of pattern and of data", function()
      for _, arguments in ipairs { { nil, 1 }, { roost.null, 1 }, { "echo", nil }, { "echo", roost.null } } do
        for _, method in ipairs { "call", "send", "emit" } do
          local err = testing.raises(host[method], host, arguments[1], arguments[2])
          assert.same({ "InvalidMessageError", "EINVAL" }, { err.name, err.code })
          assert.equal("The invalid data or message pattern (undefined/null)", err.message)
        end
      end
      assert.is_nil(seen)
      assert.equal(false, host:call("echo", false))
      assert.equal("", host:call("echo", ""))
    end)

    it("name what can't be sent", function()
      assert.matches("a%.b: .*function",
        testing.raises(host.call, host, "echo", { a = { b = print } }).message)
      assert.matches("function", testing.raises(host.emit, host, "note", print).message)
    end)

    it("name an option that does not exist", function()
      assert.matches("calls_spec.lua:%d+: .*unknown option 'timout'",
        testing.raises(function() host:call("echo", 1, { timout = 5 }) end).message)
      assert.matches("unknown option 'meta'",
        testing.raises(function() host:emit("note", {}, { meta = {} }) end).message)
      assert.matches("a table is expected", testing.raises(function() host:call("echo", 1, 5) end).message)
      assert.is_nil(seen)
    end)
  end)

  describe("send", function()
    it("is cold: each consumer sends a request", function()
      local stream = host:send("echo", "x")
      host:settle()
      assert.is_nil(seen)
      assert.equal("x", stream:first())
      local id = seen.id
      assert.equal("x", stream:last())
      assert.not_equal(id, seen.id)
    end)

    it("gives each item, undefined as null", function()
      assert.same({ 1, 2, 3 }, host:send("count", { upto = 3 }):collect())
      assert.same({ roost.null, 1 }, host:send("holes", {}):collect())
    end)

    it("is a stream as any", function()
      local doubled = host:send("count", { upto = 3 }):map(function(n) return 2 * n end)
      local values = {}
      for value in doubled:each() do values[#values + 1] = value end
      assert.same({ 2, 4, 6 }, values)
    end)

    it("forgets who has unsubscribed", function()
      local stream = testing.record(host:send("count", { upto = 3, ms = 10 }))
      host:advance(10)
      stream:unsubscribe()
      host:advance(100)
      assert.same({ 1 }, stream.values)
      assert.is_false(stream.completed)
      assert.equal("still there", host:call("echo", "still there"))
    end)
  end)

  describe("timeout", function()
    it("bounds the wait for each reply", function()
      assert.same({ 1, 2, 3 }, host:send("count", { upto = 3, ms = 50 }, { timeout = 51 }):collect())
      local before = roost.now()
      local err = testing.raises(host.call, host, "count", { upto = 1, ms = 50 }, { timeout = 49 })
      assert.same({ "TimeoutError", "ETIMEDOUT", "Timeout has occurred" }, { err.name, err.code, err.message })
      assert.equal(49, roost.now() - before)
    end)

    it("of 0 is none", function()
      assert.equal(1, host:call("count", { upto = 1, ms = 20000 }, { timeout = 0 }))
    end)

    it("is the host's, too", function()
      local err = testing.raises(host.call, host, "count", { upto = 1, ms = 30001 })
      assert.same({ status = "error", message = "Timeout has occurred" }, err.response)
    end)
  end)

  describe("emit", function()
    it("is told, and nobody waits for the handler", function()
      host:emit("note", { ms = 10 }, { metadata = { by = "test" } })
      host:settle()
      assert.is_nil(seen)
      host:advance(10)
      assert.same({ data = { ms = 10 }, metadata = { by = "test" }, kind = "event" }, seen)
    end)

    it("is sent at once and gives a stream that completes", function()
      local sent = host:emit("note", {})
      assert.is_true(roost.stream.is(sent))
      assert.same({}, sent:collect())
      host:settle()
      assert.equal("event", seen.kind)
    end)

    it("keeps its order", function()
      for i = 1, 3 do host:emit("note", { n = i }) end
      host:settle()
      assert.equal(3, seen.data.n)
    end)

    it("says nothing of errors but in the log", function()
      host:emit("note", { fail = true })
      host:emit("nowhere", {})
      host:settle()
      assert.matches("nobody hears this", host:logs "error"[1].err)
    end)
  end)

  it("of the options, peer says who calls", function()
    local who
    local other <close> = testing.host { services = { inline = function(service)
      service:message("who", function(_, ctx) who = ctx.peer return ctx.peer.address end)
    end } }
    assert.equal("10.0.0.5", other:call("who", {}, { peer = { address = "10.0.0.5", port = 4711 } }))
    assert.equal(4711, who.port)
    assert.equal("::1", other:call("who", {}, { peer = { address = "::1" } }))
    assert.equal("10.0.0.5", other:call("who", {}, { peer = { address = "10.0.0.5", port = 4711 } }))
    local function complaint(peer)
      return testing.raises(function() other:call("who", {}, { peer = peer }) end).message
    end
    assert.matches('"nonsense" is no address', complaint { address = "nonsense" })
    assert.matches("70000 is no port", complaint { address = "::1", port = 70000 })
    assert.matches("calls_spec.lua:%d+: host:call: peer: unknown option 'adress'", complaint { adress = "::1" })
  end)

  it("of the options, peer.tls says what certificate the caller has", function()
    local fingerprint = ("0a"):rep(32)
    local who
    local other <close> = testing.host {
      services = { inline = function(service)
        service:message("who", function(_, ctx) who = ctx.peer.tls return roost.null end)
        service:message("named", function() return "in" end)
        service:message("vouched", function() return "in" end)
      end },
      config = { servers = { { allow = {
        { peer = "*", patterns = { "who" } },
        { peer = "CN=billing", patterns = { "named" } },
        { peer = "DNS:*.test", patterns = { "vouched" } },
        { peer = "sha256:" .. fingerprint, patterns = { "vouched" } },
      } } } },
    }
    local function call(pattern, tls) return other:call(pattern, {}, { peer = { tls = tls } }) end
    local function is_refused(pattern, tls)
      assert.equal("Forbidden resource", testing.raises(call, pattern, tls).message)
    end
    call "who"
    assert.is_nil(who)
    call("who", { subject = "CN=billing,O=Acme", sans = { "DNS:b.test", "URI:x" }, fingerprint = fingerprint })
    assert.same({ "CN=billing,O=Acme", { "DNS:b.test", "URI:x" }, fingerprint, true, "TLSv1.3" },
      { who.subject, who.sans, who.fingerprint, who.verified, who.version })
    call("who", {})
    assert.same({ {}, true }, { who.sans, who.verified })
    assert.equal("in", call("named", { subject = "O=Acme,CN=billing" }))
    is_refused("named", { subject = "CN=billing", verified = false })
    is_refused("named", { subject = "CN=other" })
    is_refused("named", { subject = "CN=billing,CN=other" })
    is_refused("named", nil)
    assert.equal("in", call("vouched", { sans = { "DNS:a.test" } }))
    assert.equal("in", call("vouched", { fingerprint = fingerprint, verified = false }))
    is_refused("vouched", { sans = { "DNS:a.other" } })
    local peer = other:connect { tls = { subject = "CN=billing" } }
    peer:send { pattern = "named", data = 1, id = 1 }
    assert.equal("in", peer:receive().response)
    assert.matches("calls_spec.lua:%d+: host:call: peer: tls: unknown option 'cn'",
      testing.raises(function() call("who", { cn = "x" }) end).message)
  end)
end)
