local testing = require "roost.testing"

describe("math", function()
  local host

  before_each(function()
    host = testing.host { services = { "services/math.lua" } }
  end)

  it("adds up", function()
    assert.equal(6, host:call({ cmd = "sum" }, { 1, 2, 3 }))
    assert.equal(0, host:call({ cmd = "sum" }, {}))
  end)

  it("keeps integers exact", function()
    assert.equal(9007199254740993, host:call({ cmd = "sum" }, { 9007199254740992, 1 }))
  end)

  it("has a mean, but not of nothing", function()
    assert.equal(2.5, host:call({ cmd = "mean" }, { 2, 3 }))
    local err = testing.raises(host.call, host, { cmd = "mean" }, {})
    assert.same({ status = "error", message = "mean of an empty list" }, err.response)
  end)

  it("streams a range", function()
    assert.same({ 3, 4, 5 }, host:send({ cmd = "range" }, { from = 3, to = 5 }):collect())
    assert.same({ 1, 2 }, host:send({ cmd = "range" }, { to = 2 }):collect())
    assert.same({}, host:send({ cmd = "range" }, { to = 0 }):collect())
  end)

  it("ends a range when the caller leaves", function()
    local peer = host:connect()
    peer:send { pattern = { cmd = "range" }, data = { to = 1e9 }, id = "1" }
    assert.equal(1, peer:receive().response)
    peer:close()
    host:settle()
    assert.equal(0, host:status().services.math.in_flight)
  end)
end)
