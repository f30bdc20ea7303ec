-- What a listener's configuration says of its callers and of the bytes on the wire.
local roost = require "roost"
local testing = require "roost.testing"

local function inline(service)
  service:message("echo", function(data) return data end)
  service:message("count", function(upto, ctx)
    for i = 1, upto do ctx:emit(i) end
  end)
  service:message("orders.create", function(data) return data end)
  service:event("note", function(data) roost.log:info("noted", { text = data }) end)
end

local function host(server)
  return testing.host { services = { inline = inline }, config = { servers = { server } } }
end

describe("lua-cjson as the serializer", function()
  it("writes and reads the packets", function()
    local with = host { serializer = "cjson", deserializer = "cjson" }
    assert.same({ 1, "two", { three = 3.5 } }, with:call("echo", { 1, "two", { three = 3.5 } }))
    assert.same({ 1, 2, 3 }, with:send("count", 3):collect())
  end)

  it("does what lua-cjson does: [] becomes {}", function()
    local with = host { serializer = "cjson", deserializer = "cjson" }
    local without = host {}
    for peer, expected in pairs { [with:connect()] = "{}", [without:connect()] = "[]" } do
      peer:send { pattern = "echo", data = roost.array {}, id = 1 }
      assert.truthy(peer:read():find(expected, 1, true))
    end
  end)

  it("that cannot be loaded refuses the host", function()
    local err = testing.raises(host, { serializer = "no_such_module" })
    assert.truthy(err.message:find("servers[1].serializer: module 'no_such_module' not found", 1, true))
  end)
end)

describe("ndjson", function()
  it("is a line of JSON for a line of JSON, as nc sends it", function()
    local peer = host({ framing = "ndjson" }):connect()
    peer:write '{"pattern":"echo","data":{"a":1},"id":1}\n'
    assert.equal('{"response":{"a":1},"isDisposed":true,"id":1}\n', peer:read())
    peer:write '{"pattern":"count","data":2,"id":2}\r\n'
    assert.equal('{"response":1,"id":2}\n{"response":2,"isDisposed":true,"id":2}\n', peer:read())
  end)

  it("ends the connection at a line that is none", function()
    local lines = host { framing = "ndjson" }
    local peer = lines:connect()
    peer:write "hello\n"
    assert.is_nil(peer:read())
    assert.equal("bad frame, connection closed", lines:logs("warn")[1].msg)
  end)
end)

describe("allow", function()
  it("says who may send what", function()
    local guarded = host { allow = {
      { peer = "10.0.0.0/8", patterns = { "orders.*" } },
      { peer = "192.168.1.7" },
    } }
    local inside, admin = { peer = { address = "10.1.2.3" } }, { peer = { address = "192.168.1.7" } }
    assert.equal(1, guarded:call("orders.create", 1, inside))
    assert.equal(2, guarded:call("echo", 2, admin))
    local err = testing.raises(guarded.call, guarded, "echo", 3, inside)
    assert.same({ status = "error", message = "Forbidden resource" }, err.response)
    guarded:emit("note", "x", inside)
    guarded:settle()
    assert.equal(2, guarded:status().servers["1"].denied)
    assert.equal(2, #guarded:logs("warn"))
  end)
end)

describe("rate", function()
  it("lets messages wait, and loses none", function()
    local limited = host { rate = { per_second = 10, burst = 2 } }
    local peer = limited:connect()
    for i = 1, 12 do peer:send { pattern = "echo", data = i, id = i } end
    local began = roost.now()
    for i = 1, 12 do assert.equal(i, peer:receive().response) end
    assert.equal(1000, roost.now() - began)
  end)
end)
