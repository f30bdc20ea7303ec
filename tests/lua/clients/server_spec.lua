-- roost.server: what a service may know of the host's servers.
local roost = require "roost"
local testing = require "roost.testing"

describe("roost.server", function()
  local told, server

  local function tell(name)
    return function(value) told[#told + 1] = name .. (value and " " .. (value.address or value) or "") end
  end

  local function host_with(define, config)
    return testing.host { services = { inline = define or function() end }, config = config }
  end

  before_each(function() told, server = {}, nil end)

  it("is found by name and by position", function()
    local other
    local host <close> = host_with(function() -- luacheck: ignore 211
      server = roost.server "public"
      other = roost.server(2)
    end, { servers = { { name = "public" }, { name = "private", port = 3001 } } })
    assert.equal("tcp", server:unwrap().transport)
    assert.is_true(other:unwrap().connected)
  end)

  it("that does not exist raises at once", function()
    local host <close> = host_with(function() -- luacheck: ignore 211
      for _, row in ipairs {
        { "publik", 'server_spec.lua:%d+: there is no server named "publik"' }, { 2, "there is no server 2" },
        { 0, "there is no server 0" }, { -1, "there is no server %-1" },
        { 1.5, "a name or a position is expected, got number" },
        { {}, "a name or a position is expected, got table" },
      } do
        assert.matches(row[2], testing.raises(function() roost.server(row[1]) end).message)
      end
    end)
  end)

  it("tells its status, and when connections come", function()
    local host = host_with(function()
      server = roost.server(1)
      server.status:subscribe(tell "status")
      for _, event in ipairs { "listening", "connection", "close", "error" } do server:on(event, tell(event)) end
    end)
    host:settle()
    assert.same({ "status disconnected", "status connected", "listening" }, told)
    told = {}
    local peer = host:connect { address = "10.0.0.5", port = 4711 }
    host:settle()
    assert.same({ "connection 10.0.0.5" }, told)
    peer:close()
    told = {}
    host:close()
    assert.same({ "status disconnected", "close" }, told)
    assert.matches("the server is closed", testing.raises(server.unwrap, server).message)
  end)

  it("replays the last status, and forgets who has unsubscribed", function()
    local host <close> = host_with(function() server = roost.server(1) end)
    local first = server.status:subscribe(tell "first")
    assert.same({ "first connected" }, told)
    first:unsubscribe()
    first:unsubscribe()
    server:on("connection", tell "connection"):unsubscribe()
    host:connect()
    host:settle()
    assert.same({ "first connected" }, told)
  end)

  it("that is closed answers what it owes and takes no more", function()
    local host <close> = host_with(function(service)
      server = roost.server(1)
      service:message("slow", function()
        roost.sleep(100)
        return "answered"
      end)
    end)
    local answer
    roost.spawn(function() answer = host:call("slow", 1) end)
    roost.sleep(10)
    server:unwrap().close()
    server:unwrap().close()
    roost.sleep(100)
    assert.equal("answered", answer)
    assert.is_false(server:unwrap().connected)
    assert.is_false(pcall(host.call, host, "slow", 1))
  end)

  it("says what is wrong with a listener", function()
    local host <close> = host_with(function() server = roost.server(1) end) -- luacheck: ignore 211
    assert.matches("server_spec.lua:%d+: server:on: unknown event 'connections' %(there are listening, connection,",
      testing.raises(function() server:on("connections", print) end).message)
    assert.matches("a function is expected, got nil", testing.raises(function() server:on "close" end).message)
    assert.matches("a function is expected, got number",
      testing.raises(function() server.status:subscribe(1) end).message)
  end)
end)

describe("ctx:unwrap", function()
  it("has the caller's connection, and closes it", function()
    local info
    local host <close> = testing.host { services = { inline = function(service)
      service:message("drop", function(_, ctx)
        info = ctx:unwrap()
        info:close()
        return "never seen"
      end)
    end } }
    local peer = host:connect { address = "10.0.0.5", port = 4711 }
    peer:send { pattern = "drop", data = 1, id = "1" }
    assert.is_nil(peer:receive())
    assert.equal("tcp", info.transport)
    assert.same({ address = "10.0.0.5", port = 4711 }, info.remote)
    info.close()
  end)
end)
