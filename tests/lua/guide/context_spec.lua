local testing = require "roost.testing"

describe("guide: context", function()
  local host

  before_each(function()
    host = testing.host { services = { "tests/lua/guide/context.lua" } }
  end)

  it("knows the pattern, the metadata and the caller", function()
    local peer = { address = "10.0.0.5" }
    local got = host:call({ cmd = "context" }, {}, { metadata = { token = "t" }, peer = peer })
    assert.equal(21, #got.id)
    got.id = nil
    assert.same({
      pattern = { cmd = "context" }, subject = '{"cmd":"context"}', kind = "message",
      transport = "tcp", metadata = { token = "t" }, address = "10.0.0.5",
    }, got)
  end)

  it("has metadata in any case", function()
    local got = host:call("context", {})
    assert.same({}, got.metadata)
    assert.equal("context", got.subject)
  end)

  it("is at hand below a handler, also in what it spawns", function()
    host:call("pay", 5, { metadata = { tenant = "acme" } })
    host:advance(1000)
    local seen = {}
    for _, line in ipairs(host:logs "info") do
      if line.tenant then seen[#seen + 1] = line.tenant .. ": " .. line.msg end
    end
    assert.same({ "acme: paid 5", "acme: receipt sent" }, seen)
  end)

  it("is nil in timers", function()
    assert.equal("none", host:call("later", {}))
  end)
end)
