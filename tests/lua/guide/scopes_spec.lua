local roost = require "roost"
local testing = require "roost.testing"

describe("guide: request-scoped providers", function()
  local host

  before_each(function()
    host = testing.host { services = { "tests/lua/guide/scopes.lua" } }
  end)

  local function orders(tenant)
    return host:call("orders", {}, { metadata = { tenant = tenant } })
  end

  it("are made for their request, once", function()
    assert.same({ orders = { "acme's order" }, same = true, open = 1 }, orders "acme")
    assert.same({ orders = { "nobody's order" }, same = true, open = 1 }, orders())
    assert.same({ made = 2, open = 0 }, host:call("connections", {}))
  end)

  it("are not shared by requests that run at once", function()
    local got = roost.all {
      function() return orders "a" end,
      function() return orders "b" end,
    }
    assert.same({ { "a's order" }, { "b's order" } }, { got[1].orders, got[2].orders })
    assert.same({ made = 2, open = 0 }, host:call("connections", {}))
  end)

  it("are not made where nobody asks", function()
    assert.same({ made = 0, open = 0 }, host:call("connections", {}))
  end)
end)
