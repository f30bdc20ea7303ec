local testing = require "roost.testing"

describe("chat", function()
  local host

  before_each(function()
    host = testing.host { services = { "services/chat.lua" } }
  end)

  -- Somebody in a room, with a connection of his own.
  local function join(name, room)
    local peer = host:connect()
    peer:send { pattern = "chat.join", data = { name = name, room = room }, id = "1" }
    host:settle()
    return peer
  end

  local function hear(peer)
    local line = peer:receive().response
    return line.from .. ": " .. line.text
  end

  local function say(name, room, text)
    return host:call("chat.say", { name = name, room = room, text = text })
  end

  it("tells everybody in the room", function()
    local ada, bob = join("Ada", "lua"), join("Bob", "lua")
    assert.is_true(say("Ada", "lua", "hi"))
    assert.same({ "Ada: joined", "Bob: joined", "Ada: hi" }, { hear(ada), hear(ada), hear(ada) })
    assert.same({ "Bob: joined", "Ada: hi" }, { hear(bob), hear(bob) })
  end)

  it("keeps rooms apart", function()
    local ada, bob = join("Ada", "lua"), join("Bob", "c")
    say("Bob", "c", "hi")
    say("Ada", "lua", "ho")
    assert.same({ "Ada: joined", "Ada: ho" }, { hear(ada), hear(ada) })
    assert.same({ "Bob: joined", "Bob: hi" }, { hear(bob), hear(bob) })
  end)

  it("says when somebody leaves", function()
    local ada, bob = join("Ada", "lua"), join("Bob", "lua")
    bob:close()
    assert.same({ "Ada: joined", "Bob: joined", "Bob: left" }, { hear(ada), hear(ada), hear(ada) })
  end)

  it("has nobody in an empty room", function()
    assert.is_false(say("Ada", "lua", "hello?"))
    join("Ada", "lua"):close()
    host:settle()
    assert.is_false(say("Ada", "lua", "hello?"))
  end)
end)
