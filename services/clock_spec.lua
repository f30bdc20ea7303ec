local roost = require "roost"
local testing = require "roost.testing"

-- The clock of a test is a fake one: it moves when the test says so.
describe("clock", function()
  local host

  before_each(function()
    host = testing.host { services = { "services/clock.lua" } }
  end)

  it("ticks every second", function()
    local ticks = testing.record(host:send("clock.ticks", {}))
    host:advance(999)
    assert.equal(0, ticks.n)
    host:advance(1)
    assert.equal(1, ticks.n)
    host:advance(60000)
    assert.equal(61, ticks.n)
    assert.equal(60000, ticks.values[61].time - ticks.values[1].time)
    ticks:unsubscribe()
  end)

  it("ticks as often as asked, and so many times", function()
    local ticks = host:send("clock.ticks", { every = 10, count = 3 }):collect()
    assert.equal(3, #ticks)
    assert.equal(3, ticks[3].tick)
    assert.equal(20, ticks[3].time - ticks[1].time)
  end)

  it("stops ticking when the caller leaves", function()
    local peer = host:connect()
    peer:send { pattern = "clock.ticks", data = {}, id = "1" }
    host:advance(1000)
    assert.equal(1, peer:receive().response.tick)
    assert.equal(1, host:status().services.clock.in_flight)
    peer:close()
    host:advance(1000)
    assert.equal(0, host:status().services.clock.in_flight)
  end)

  it("tells the time", function()
    local before = host:call("clock.now", {})
    host:advance(1500)
    assert.equal(1500, host:call("clock.now", {}) - before)
    assert.equal(roost.time(), host:call("clock.now", {}))
  end)
end)
