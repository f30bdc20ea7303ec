local testing = require "roost.testing"

describe("guide: filters", function()
  local host

  before_each(function()
    host = testing.host { services = { "tests/lua/guide/filters.lua" } }
  end)

  local function refusal(...)
    return testing.raises(host.call, host, ...).response
  end

  it("give callers what they return", function()
    assert.same({ code = 404, message = "Ada is not there" }, refusal("find", "Ada"))
  end)

  it("may raise another error", function()
    assert.same({ status = "error", message = "try again later" }, refusal("wait", {}))
  end)

  it("leave the rest masked", function()
    assert.same({ status = "error", message = "Internal server error" }, refusal("break", {}))
    assert.equal("Error", host:logs "warn"[1].error)
    assert.matches("filters.lua:%d+: a secret", host:logs "error"[1].err)
  end)

  it("leave an rpc_error as it is", function()
    assert.same({ code = 7 }, refusal("refuse", {}))
  end)

  it("take the errors of streams", function()
    local items = testing.record(host:send("stream", {}))
    host:settle()
    assert.same({ 1 }, items.values)
    assert.same({ code = 404, message = "the rest is not there" }, items.error.response)
  end)
end)
