local testing = require "roost.testing"

describe("NAME", function()
  local host

  before_each(function()
    host = testing.host { services = { "services/NAME.lua" } }
  end)

  it("greets whoever says a name", function()
    assert.equal("Hello, Ada!", host:call("NAME.hello", "Ada"))
  end)

  it("asks for a name", function()
    local err = testing.raises(function() host:call("NAME.hello", "") end)
    assert.equal("RpcError", err.name)
    assert.equal("a name is needed", err.message)
  end)
end)
