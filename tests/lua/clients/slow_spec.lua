-- A stream whose reader is slower than who makes it: 32 MB of it, where the reader may keep 16.
local roost = require "roost"
local testing = require "roost.testing"

local PIECE, PIECES = ("x"):rep(64 * 1024), 512

local given, ended

local function flow(_, ctx)
  given = 0
  for _ = 1, PIECES do
    if not ctx:emit(PIECE) then break end
    given = given + 1
  end
  ended = true
end

local function wait(ms)
  roost.sleep(ms)
  return "waited"
end

-- A host whose service "read" gives what read(client) does.
local transports = {}

transports["local"] = function(read)
  return testing.host { services = { inline = function(service)
    service:message("flow", flow)
    service:message("wait", wait)
    service:message("read", function() return read(roost.client { transport = "local" }) end)
  end } }
end

function transports.tcp(read)
  local host = testing.host { services = { inline = function(service)
    service:message("read", function() return read(roost.client "PEER") end)
  end } }
  host:stub("PEER", { flow = flow, wait = wait })
  return host
end

-- Reads it all, and calls pause() with the first piece.
local function count(stream, pause)
  local pieces = 0
  for piece in stream:each() do
    if pieces == 0 then pause() end
    pieces = pieces + 1
    assert(piece == PIECE)
  end
  return pieces
end

for name, start in pairs(transports) do
  describe("a stream over " .. name, function()
    before_each(function() given, ended = 0, false end)

    it("waits for who reads it slowly", function()
      local seen
      local host = start(function(client)
        return count(client:send("flow", 1), function()
          roost.sleep(1000)
          seen = given
        end)
      end)
      assert.equal(PIECES, host:call("read", 1))
      assert.is_true(seen > PIECES / 8 and seen < PIECES * 3 / 4, seen)
      assert.is_true(ended)
    end)

    it("has all the time it was given, once its reader can take more", function()
      local host = start(function(client)
        return count(client:send("flow", 1, { timeout = 5000 }), function() roost.sleep(20000) end)
      end)
      assert.equal(PIECES, host:call("read", 1))
    end)

    it("does not keep others waiting", function()
      local host = start(function(client)
        local reading = client:send("flow", 1):each()
        reading()
        roost.sleep(1000)
        return client:call("wait", 1)
      end)
      assert.equal("waited", host:call("read", 1))
    end)
  end)
end

describe("a stream over local", function()
  it("ends while it waits, with who reads it", function()
    local host = transports["local"](function(client) return #client:send("flow", 1):first() end)
    assert.equal(#PIECE, host:call("read", 1))
    host:advance(100)
    assert.is_true(ended)
    assert.is_true(given < PIECES / 2)
  end)
end)

describe("a stream over tcp beside others", function()
  -- They must be heard: what is more than the reader may keep is no more read.
  it("ends where its reader is too slow", function()
    local err
    local host = transports.tcp(function(client)
      local other = roost.spawn(function() client:call("wait", 20000) end)
      roost.sleep(0)
      err = testing.raises(count, client:send("flow", 1), function() roost.sleep(1000) end)
      other:cancel()
    end)
    host:call("read", 1)
    assert.equal("LimitError", err.name)
  end)
end)
