-- host:connect(): a raw peer, which says and hears bytes.
local roost = require "roost"
local testing = require "roost.testing"

-- A frame: its length counts UTF-16 units.
local function frame(text)
  local units = utf8.len(text)
  for _, code in utf8.codes(text) do units = units + (code > 0xffff and 1 or 0) end
  return units .. "#" .. text
end

describe("testing: peers", function()
  local host, state

  before_each(function()
    state = {}
    host = testing.host { services = { inline = function(service)
      service:message("echo", function(data) return data end)
      service:message("late", function(ms)
        roost.sleep(ms)
        return "late"
      end)
      service:message("stream", function(_, ctx)
        while ctx:emit "item" do roost.sleep(100) end
        state.left = ctx:cancelled()
      end)
      service:message("drop me", function(_, ctx) ctx:unwrap().close() end)
      service:event("note", function(data) state.noted = data end)
    end } }
  end)

  it("write bytes and read them", function()
    local peer = host:connect()
    assert.is_true(peer:write(frame '{"pattern":"echo","data":1,"id":"a"}'))
    assert.equal(frame '{"response":1,"isDisposed":true,"id":"a"}', peer:read())
  end)

  it("may write a frame in pieces", function()
    local peer = host:connect()
    for byte in frame('{"pattern":"echo","data":"€😀","id":1}'):gmatch "." do
      peer:write(byte)
      host:settle()
    end
    assert.same({ response = "€😀", isDisposed = true, id = 1 }, peer:receive())
  end)

  it("send packets and receive them", function()
    local peer = host:connect()
    peer:send { pattern = "echo", data = { text = "é😀" }, id = "1" }
    assert.same({ response = { text = "é😀" }, isDisposed = true, id = "1" }, peer:receive())
    peer:send { pattern = "note", data = "n" }
    host:settle()
    assert.equal("n", state.noted)
  end)

  it("receive whole frames, one by one", function()
    local peer = host:connect()
    peer:send { pattern = "late", data = 10, id = 1 }
    peer:send { pattern = "echo", data = 2, id = 2 }
    assert.equal(2, peer:receive().id)
    assert.equal(1, peer:receive().id)
  end)

  it("may mix the two", function()
    local peer = host:connect()
    for id = 1, 2 do peer:send { pattern = "echo", data = id, id = id } end
    assert.equal(1, peer:receive().response)
    assert.equal(frame '{"response":2,"isDisposed":true,"id":2}', peer:read())
  end)

  it("are told in one line where junk comes, and cut off", function()
    local peer = host:connect()
    peer:write "junk#{}"
    assert.is_nil(peer:receive())
    assert.is_nil(peer:read())
    host:settle()
    assert.is_false(peer:write "more")
    assert.equal(1, #host:logs "warn")
  end)

  it("get the answer to what came before the junk", function()
    local peer = host:connect()
    peer:write(frame '{"pattern":"echo","data":1,"id":"a"}' .. "junk#")
    assert.equal(1, peer:receive().response)
    assert.is_nil(peer:receive())
  end)

  it("close, which ends their streams", function()
    local peer = host:connect()
    peer:send { pattern = "stream", data = {}, id = 1 }
    assert.equal("item", peer:receive().response)
    peer:close()
    peer:close()
    host:advance(100)
    assert.is_true(state.left)
    assert.is_false(peer:write "x")
    assert.is_nil(peer:receive())
    assert.is_nil(peer:read())
  end)

  it("close as <close> variables", function()
    do
      local peer <close> = host:connect()
      peer:send { pattern = "stream", data = {}, id = 1 }
      host:settle()
    end
    host:advance(100)
    assert.is_true(state.left)
  end)

  it("are dropped by a handler that wants it", function()
    local peer = host:connect()
    peer:send { pattern = "drop me", data = {}, id = 1 }
    assert.is_nil(peer:receive())
  end)

  it("have an address, and choose a server", function()
    local two <close> = testing.host {
      config = { servers = { { name = "public", services = { "open" } }, { name = "inner" } } },
      services = {
        open = function(service)
          service:message("who", function(_, ctx) return { ctx.peer.address, ctx.peer.port, ctx.server } end)
        end,
        secret = function(service) service:message("secret", function() return "told" end) end,
      },
    }
    local function ask(peer)
      peer:send { pattern = "who", data = {}, id = 1 }
      return peer:receive().response
    end
    assert.same({ "192.0.2.1", 5, "public" }, ask(two:connect { address = "192.0.2.1", port = 5 }))
    assert.equal("inner", ask(two:connect { server = "inner" })[3])
    assert.equal("told", two:call("secret", {}, { server = "inner" }))
    assert.equal("RpcError", testing.raises(two.call, two, "secret", {}).name)
    assert.matches('there is no server named "gone"',
      testing.raises(two.connect, two, { server = "gone" }).message)
    assert.matches("unknown option 'adress'",
      testing.raises(two.connect, two, { adress = "192.0.2.1" }).message)
  end)

  it("may be many", function()
    local peers = {}
    for i = 1, 100 do
      peers[i] = host:connect()
      peers[i]:send { pattern = "echo", data = i, id = 1 }
    end
    for i = 1, 100 do assert.equal(i, peers[i]:receive().response) end
    assert.equal(100, host:status().servers["1"].connections)
  end)

  for _, row in ipairs {
    { "ndjson", "%s\n", '{"response":1,"isDisposed":true,"id":2}\n' },
    { "length32", "\0\0\0\34%s", '\0\0\0\39{"response":1,"isDisposed":true,"id":2}' },
  } do
    it("speak " .. row[1] .. " where their server does", function()
      local other = testing.host {
        services = { inline = function(service)
          service:message("echo", function(data) return data end)
        end },
        config = { servers = { { framing = row[1] } } },
      }
      local peer = other:connect()
      peer:write(row[2]:format('{"pattern":"echo","data":1,"id":2}'))
      assert.equal(row[3], peer:read())
      peer:send { pattern = "echo", data = "€\n", id = 3 }
      assert.same({ response = "€\n", isDisposed = true, id = 3 }, peer:receive())
      assert.equal(4, other:call("echo", 4))
    end)
  end
end)
