local testing = require "roost.testing"

describe("guide: matchmaker", function()
  local host

  before_each(function()
    host = testing.host { services = { "tests/lua/guide/matchmaker.lua" } }
  end)

  local function ask(name, game)
    local record = testing.record(host:send("match", { name = name, game = game or "chess" }))
    host:settle()
    return record
  end

  it("answers both when the second comes, however late", function()
    local ada = ask "Ada"
    host:advance(3600000)
    assert.equal(0, ada.n)
    local bob = ask "Bob"
    assert.same({ { partner = "Bob" } }, ada.values)
    assert.same({ { partner = "Ada" } }, bob.values)
    assert.is_true(ada.completed and bob.completed)
  end)

  it("keeps games apart, and pairs no one twice", function()
    local ada, bob, eve = ask("Ada", "chess"), ask("Bob", "go"), ask("Eve", "chess")
    assert.same({ "Eve", 0, "Ada" }, { ada.values[1].partner, bob.n, eve.values[1].partner })
    assert.equal(0, ask("Joe", "chess").n)
  end)

  it("forgets who has left", function()
    local peer = host:connect()
    peer:send { pattern = "match", data = { name = "Ada", game = "chess" }, id = "1" }
    host:settle()
    peer:close()
    host:settle()
    local bob = ask "Bob"
    assert.equal(0, bob.n)
    assert.equal("Bob", ask "Eve".values[1].partner)
  end)
end)
