local roost = require "roost"
local testing = require "roost.testing"

describe("guide: pipes", function()
  local host

  before_each(function()
    host = testing.host { services = { "tests/lua/guide/pipes.lua" } }
  end)

  local function refusal(...)
    return testing.raises(host.call, host, ...).response
  end

  it("let through what is right, without what they do not know", function()
    local data = { customer = "Ada", items = { { sku = "a", count = 1 } }, express = true }
    assert.same(data, host:call("order", data))
    data.discount, data.items[1].price = 100, 0
    local passed = host:call("order", data)
    assert.is_nil(passed.discount)
    assert.same({ { sku = "a", count = 1 } }, passed.items)
  end)

  it("allow null where something may be missing", function()
    assert.equal(roost.null, host:call("order", { customer = "A", items = {}, note = roost.null }).note)
  end)

  it("say where it is wrong", function()
    local items = { { sku = "a", count = 1 }, { sku = 5, count = 1 } }
    assert.same({
      status = "error", message = "items[2].sku: expected string, got number", path = "items[2].sku",
    }, refusal("order", { customer = "Ada", items = items }))
    assert.equal("customer: expected string, got nil", refusal("order", { items = {} }).message)
    assert.equal("express: must be true or missing",
      refusal("order", { customer = "Ada", items = {}, express = "yes" }).message)
  end)

  it("run one after the other", function()
    assert.equal(42, host:call("double", "21"))
    assert.equal("an integer is expected", refusal("double", "2.5").message)
    assert.equal("it must be above 0", refusal("double", "-1").message)
  end)

  it("may fill in what is missing", function()
    assert.same({ number = 1, size = 50 }, host:call("page", { size = 50 }))
  end)
end)
