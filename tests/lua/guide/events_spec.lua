local testing = require "roost.testing"

describe("guide: events", function()
  local host

  before_each(function()
    host = testing.host { services = { "tests/lua/guide/events.lua" } }
  end)

  it("are told to every handler of their pattern", function()
    host:emit("user_created", { name = "Ada" })
    host:settle()
    assert.same({ users = 1 }, host:call("statistics", {}))
    assert.same({}, host:call("mails", {}))
    host:advance(50)
    assert.same({ "Welcome, Ada" }, host:call("mails", {}))
  end)

  it("are told to the others where one fails", function()
    host:emit("user_created", { name = "Mallory" })
    host:advance(50)
    assert.same({ users = 1 }, host:call("statistics", {}))
    local failure = host:logs "error"[1]
    assert.equal("handler failed", failure.msg)
    assert.matches("events.lua:%d+: no Mallory here", failure.err)
  end)

  it("that nobody handles are only logged", function()
    host:emit("user_deleted", { name = "Ada" })
    host:settle()
    assert.same({ users = 0 }, host:call("statistics", {}))
  end)
end)
