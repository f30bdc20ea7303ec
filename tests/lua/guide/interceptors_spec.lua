local testing = require "roost.testing"

describe("guide: interceptors", function()
  local host

  before_each(function()
    host = testing.host { services = { "tests/lua/guide/interceptors.lua" } }
  end)

  it("run before and after the handler", function()
    host:call("slow", {})
    local lines = host:logs "info"
    local last = lines[#lines]
    assert.same({ "answered", 250 }, { last.msg, last.took })
  end)

  it("may change what is answered", function()
    assert.same({ data = "done" }, host:call("slow", {}))
    assert.same({ { data = 1 }, { data = 2 } }, host:send("items", {}):collect())
  end)

  it("may replace an error", function()
    assert.equal("bad gateway", testing.raises(host.call, host, "fails", {}).message)
  end)

  it("may answer in place of the handler", function()
    local first = host:call("time", {}).data
    host:advance(59000)
    assert.equal(first, host:call("time", {}).data)
    host:advance(60000)
    assert.equal(first + 119000, host:call("time", {}).data)
  end)
end)
