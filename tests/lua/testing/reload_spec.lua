local testing = require "roost.testing"
local roost = require "roost"

local counter = [[
local roost = require "roost"
local service = roost.service()
local n = 0
service:message("count", function() n = n + 1 return { n = n, v = VERSION } end)
service:on_handoff(function() return { n = n } end)
service:on_adopt(function(before) n = before.n end)
return service
]]

local function version(number) return (counter:gsub("VERSION", tostring(number))) end

describe("host:reload", function()
  it("has a service's file read again", function()
    local path = os.tmpname()
    os.remove(path)
    path = path .. ".lua"
    local function write(text)
      local file <close> = assert(io.open(path, "w"))
      file:write(text)
    end
    write(version(1))
    local name = path:match("([^/]+)%.lua$")
    local host = testing.host { services = { path } }
    assert.same({ n = 1, v = 1 }, host:call("count", {}))
    write(version(2))
    host:reload(name)
    assert.same({ n = 2, v = 2 }, host:call("count", {}))
    host:reload(name, version(3))
    assert.same({ n = 3, v = 3 }, host:call("count", {}))
    assert.equal(3, host:status().services[name].generation)
    local err = testing.raises(host.reload, host, name, "local x = = 1")
    assert.matches("^" .. name:gsub("%W", "%%%0") .. "%.lua:1: unexpected symbol near '='", err.message)
    err = testing.raises(host.reload, host, name, version(4):gsub("n = before.n", "error('no')"))
    assert.matches("^on_adopt: .*%.lua:6: no", err.message)
    assert.same({ n = 4, v = 3 }, host:call("count", {}))
    os.remove(path)
  end)

  it("hands an inline service's state over, in order", function()
    local seen = {}
    local function define(version_number)
      return function(service)
        local n = 0
        service:message("count", function() n = n + 1 return n end)
        service:on_start(function() roost.sleep(10) seen[#seen + 1] = version_number .. " start" end)
        service:on_handoff(function() seen[#seen + 1] = version_number .. " handoff" return n end)
        service:on_adopt(function(v) seen[#seen + 1] = version_number .. " adopt" n = v end)
        service:on_stop(function() seen[#seen + 1] = version_number .. " stop" end)
      end
    end
    local host = testing.host { services = { counter = define(1) } }
    assert.equal(1, host:call("count", {}))
    host:reload("counter", define(2))
    assert.equal(2, host:call("count", {}))
    host:settle()
    assert.same({ "1 start", "2 start", "1 handoff", "2 adopt", "1 stop" }, seen)
    host:reload("counter")
    assert.equal(3, host:call("count", {}))
  end)

  it("lets what runs finish on the old code", function()
    local host = testing.host { services = { slow = function(service)
      service:message("slow", function() roost.sleep(1000) return "old" end)
    end } }
    local record = testing.record(host:send("slow", {}))
    host:settle()
    host:reload("slow", function(service)
      service:message("slow", function() return "new" end)
    end)
    assert.equal("new", host:call("slow", {}))
    host:advance(1000)
    assert.same({ "old" }, record.values)
  end)

  it("says what is wrong with how it is called", function()
    local host = testing.host { services = { a = function() end } }
    assert.matches('there is no service "b"', testing.raises(host.reload, host, "b").message)
    assert.matches("service a: a function is expected, got string",
      testing.raises(host.reload, host, "a", "return 1").message)
    assert.matches("a service's name is expected, got nil", testing.raises(host.reload, host).message)
    assert.matches("boom", testing.raises(host.reload, host, "a", function() error("boom") end).message)
    host:reload("a", function(service)
      service:on_handoff(function() return { jobs = { print } } end)
    end)
    assert.matches("on_handoff: .*jobs%[1%]: a function cannot be copied",
      testing.raises(host.reload, host, "a").message)
  end)
end)
