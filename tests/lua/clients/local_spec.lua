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
