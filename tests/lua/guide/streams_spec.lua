local testing = require "roost.testing"

describe("guide: streamed responses", function()
  local host

  before_each(function()
    host = testing.host { services = { "tests/lua/guide/streams.lua" } }
  end)

  it("sends each item", function()
    assert.same({ 1, 4, 9 }, host:send("squares", { 1, 2, 3 }):collect())
    assert.same({}, host:send("squares", {}):collect())
  end)

  it("gives a caller of one value the last", function()
    assert.equal(9, host:call("squares", { 1, 2, 3 }))
  end)

  it("sends items as they come", function()
    local countdown = testing.record(host:send("countdown", 3))
    host:settle()
    assert.same({ 3 }, countdown.values)
    host:advance(1000)
    assert.same({ 3, 2 }, countdown.values)
    host:advance(2000)
    assert.same({ 3, 2, 1, "lift-off" }, countdown.values)
    assert.is_true(countdown.completed)
  end)

  it("ends with its caller", function()
    local peer = host:connect()
    peer:send { pattern = "heartbeat", data = {}, id = "1" }
    assert.same({ response = { alive = true }, id = "1" }, peer:receive())
    peer:close()
    host:settle()
    assert.equal(0, host:status().services.streams.in_flight)
  end)

  it("ends with an error after the items before it", function()
    local values = testing.record(host:send("until it breaks", {}))
    host:settle()
    assert.same({ 1, 2 }, values.values)
    assert.equal("it broke", values.error.message)
    assert.is_false(values.completed)
  end)
end)
