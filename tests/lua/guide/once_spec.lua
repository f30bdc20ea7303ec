local testing = require "roost.testing"

describe("guide: once", function()
  local host

  before_each(function()
    host = testing.host { services = { "tests/lua/guide/once.lua" } }
  end)

  it("handles an event once, however often it comes", function()
    for _ = 1, 3 do
      host:emit("payment_received", { id = "p1" })
      host:advance(100)
    end
    assert.same({ "seen p1", "p1" }, host:call("booked", {}))
  end)

  it("handles it once where it comes again while it is handled", function()
    for _ = 1, 3 do host:emit("payment_received", { id = "p1" }) end
    host:advance(200)
    assert.same({ "seen p1", "p1" }, host:call("booked", {}))
  end)

  it("handles it again where it failed, also what waits for it", function()
    for _ = 1, 2 do host:emit("payment_received", { id = "p1", fails = true }) end
    host:advance(200)
    assert.same({ "seen p1", "p1" }, host:call("booked", {}))
    assert.matches("the bank is closed", host:logs "error"[1].err)
  end)

  it("keeps each handler's keys apart, for once_ttl", function()
    host:emit("payment_received", { id = "p1" })
    host:advance(1100)
    host:emit("payment_received", { id = "p1" })
    host:advance(100)
    assert.same({ "seen p1", "p1", "seen p1" }, host:call("booked", {}))
  end)
end)
