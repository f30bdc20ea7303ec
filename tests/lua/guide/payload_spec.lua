local testing = require "roost.testing"

describe("guide: payload keys", function()
  local host

  before_each(function()
    host = testing.host { services = { "tests/lua/guide/payload.lua" } }
  end)

  it("pick a member; ctx.data is all of it", function()
    assert.equal("user 7 is Ada now", host:call("user.rename", { id = 7, name = "Ada" }))
  end)

  it("pick it before the pipes run", function()
    local data = { address = { street = "Karl Johans gate 1", town = "Oslo" } }
    assert.equal("Karl Johans gate 1, Oslo", host:call("user.move", data))
  end)

  it("give nil where there is no such member", function()
    for _, data in ipairs { {}, "text", 5 } do
      local err = testing.raises(host.call, host, "user.move", data)
      assert.equal("expected object, got nil", err.message)
    end
  end)
end)
