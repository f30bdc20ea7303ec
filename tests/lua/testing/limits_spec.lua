-- testing.host: limits hold as in a host that listens.
local roost = require "roost"
local testing = require "roost.testing"

describe("testing: limits", function()
  local function host_with(limits)
    return testing.host { services = { "tests/lua/testing/busy.lua" }, config = { limits = limits } }
  end

  it("end a handler that takes no end", function()
    local host = host_with { handler_cpu = 50 }
    for _, pattern in ipairs { "spin", "spin in a coroutine", "spin" } do
      local err = testing.raises(function() host:call(pattern, {}) end)
      assert.same({ status = "error", message = "Internal server error" }, err.response)
    end
    assert.equal("x", host:call("echo", "x"))
    local lines = host:logs "error"
    assert.equal(3, #lines)
    assert.matches("busy%.lua:%d+: ECPU: stopped after %d+ ms of CPU time, the limit is 50 ms", lines[1].err)
  end)

  it("are each run's, however many there are", function()
    local host = host_with { handler_cpu = 200 }
    local stop = roost.now() + 400
    while roost.now() < stop do assert.equal(1, host:call("echo", 1)) roost.sleep(1) end
  end)
end)
