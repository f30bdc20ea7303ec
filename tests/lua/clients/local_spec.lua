-- What is particular to calls within a host.
local roost = require "roost"
local testing = require "roost.testing"
describe("a stream within a host", function()
  it("ends with who reads it", function()
    local state, given = {}, 0
    local host = testing.host { services = {
      inline = function(service)
        service:message("flow", function(_, ctx)
          while ctx:emit(given) do given = given + 1 roost.sleep(10) end
          state.ended = ctx:cancelled()
        end)
        service:message("read", function()
          for n in roost.client { transport = "local" }:send("flow", 1):each() do
            if n == 3 then break end
          end
          return "read"
        end)
      end } }
    assert.equal("read", host:call("read", 1))
    host:advance(100)
    assert.is_true(state.ended)
    assert.is_true(given < 6)
  end)
end)

describe("an error within a host", function()
  it("is none where its payload is false, as it is over TCP", function()
    local payloads = { false, "", 0, roost.null }
    local host = testing.host { services = {
      inline = function(service)
        service:message("fail", { filters = function(err) return payloads[err.cause] end },
          function(which) error(which, 0) end)
        service:message("ask", function(which)
          local own = roost.client { transport = "local" }
          return { own:call("fail", which) == nil, own:send("fail", which):collect() }
        end)
      end } }
    for which in ipairs(payloads) do
      assert.is_nil(host:call("fail", which))
      assert.same({ true, {} }, host:call("ask", which))
    end
  end)
end)

describe("a call without a timeout of its own", function()
  local function relaying(relay)
    return testing.host { config = { limits = { request_timeout = 1000 } }, services = {
      inline = function(service)
        local own = roost.client { transport = "local" }
        service:message("slow", { timeout = 0 }, function()
          roost.sleep(1500)
          return "slow"
        end)
        service:message("late", { timeout = 0 }, function(_, ctx)
          ctx:emit("first")
          roost.sleep(800)
          return "last"
        end)
        service:message("relay", function(_, ctx) return relay(own, ctx) end)
      end } }
  end

  -- Waits so long after the first reply, if at all.
  local function passes_on(rest)
    local host = relaying(function(own, ctx)
      roost.sleep(900)
      for value in own:send("late", 1):each() do
        ctx:emit(value)
        if rest and value == "first" then roost.sleep(rest) end
      end
    end)
    assert.same({ "first", "last" }, host:send("relay", 1):collect())
  end

  it("has the time that a reply gives to the request it is made for", function()
    local host = relaying(function(own, ctx)
      local got = roost.all {
        function() return own:call("slow", 1) end,
        function()
          for n = 1, 3 do
            roost.sleep(400)
            ctx:emit(n)
          end
        end,
      }
      return got[1]
    end)
    assert.same({ 1, 2, 3, "slow" }, host:send("relay", 1):collect())
  end)

  it("has it again for each reply that is passed on", function()
    passes_on()
  end)

  it("has it while nobody waits for its next reply", function()
    passes_on(500)
  end)

  it("ends with that request", function()
    local err
    local host = relaying(function(own)
      roost.spawn(function() err = testing.raises(own.call, own, "slow", 1) end)
      roost.sleep(100)
    end)
    host:call("relay", 1)
    host:advance(800)
    assert.is_nil(err)
    host:advance(200)
    assert.equal("TimeoutError", err.name)
  end)
end)
