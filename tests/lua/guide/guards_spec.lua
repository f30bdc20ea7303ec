local testing = require "roost.testing"

describe("guide: guards", function()
  local host

  before_each(function()
    host = testing.host { services = { "tests/lua/guide/guards.lua" } }
  end)

  local function as(name)
    return { metadata = { authorization = "token-of-" .. name } }
  end

  local function refusal(...)
    return testing.raises(host.call, host, ...).response
  end

  local forbidden = { status = "error", message = "Forbidden resource" }

  it("let in whom they know", function()
    assert.equal("Ada", host:call("whoami", {}, as "ada"))
    assert.equal("Bob", host:call("whoami", {}, as "bob"))
  end)

  it("answer whom they refuse", function()
    assert.same(forbidden, refusal("whoami", {}))
    assert.same(forbidden, refusal("whoami", {}, as "eve"))
  end)

  it("stand before a handler, too", function()
    assert.equal("wiped", host:call("wipe", {}, as "ada"))
    assert.same(forbidden, refusal("wipe", {}, as "bob"))
    assert.same(forbidden, refusal("wipe", {}))
  end)

  it("may say why", function()
    assert.equal("welcome", host:call("visit", { hour = 9 }, as "ada"))
    assert.equal("we are closed", refusal("visit", { hour = 18 }, as "ada").message)
    assert.same(forbidden, refusal("visit", { hour = 18 }, as "bob"))
  end)
end)
