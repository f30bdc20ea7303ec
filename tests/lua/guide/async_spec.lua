local roost = require "roost"
local testing = require "roost.testing"

describe("guide: asynchronous responses", function()
  local host

  before_each(function()
    host = testing.host { services = { "tests/lua/guide/async.lua" } }
  end)

  local function took(pattern, data)
    local before = roost.now()
    local value = host:call(pattern, data)
    return value, roost.now() - before
  end

  it("waits within a handler", function()
    local order, ms = took("order", 7)
    assert.same({ id = 7 }, order)
    assert.equal(100, ms)
  end)

  it("serves others meanwhile", function()
    local before = roost.now()
    local orders = roost.all {
      function() return host:call("order", 1) end,
      function() return host:call("order", 2) end,
    }
    assert.same({ { id = 1 }, { id = 2 } }, orders)
    assert.equal(100, roost.now() - before)
  end)

  it("waits for several at once", function()
    local both, ms = took("order with customer", { order = 1, customer = 2 })
    assert.same({ order = { id = 1 }, customer = { id = 2 } }, both)
    assert.equal(100, ms)
  end)

  it("takes the first of several", function()
    local city, ms = took("nearest", {})
    assert.equal("Bergen", city)
    assert.equal(20, ms)
  end)

  it("answers whoever has waited long enough", function()
    assert.equal("in time", host:call("patient", 1))
    local err = testing.raises(host.call, host, "patient", 2)
    assert.same({ status = "error", message = "Timeout has occurred" }, err.response)
  end)

  it("lets a caller give up earlier", function()
    local err = testing.raises(host.call, host, "order", 1, { timeout = 99 })
    assert.equal("TimeoutError", err.name)
  end)
end)
