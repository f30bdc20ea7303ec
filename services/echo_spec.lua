local roost = require "roost"
local testing = require "roost.testing"

describe("echo", function()
  local host

  before_each(function()
    host = testing.host { services = { "services/echo.lua" } }
  end)

  it("answers with what came", function()
    local values = {
      "text", "", "Grüße, 世界 😀", 0, -1, 0.1, 9223372036854775807, true, false,
      { a = { b = { "c" } } }, { 1, 2, 3 },
    }
    for _, value in ipairs(values) do assert.same(value, host:call("echo", value)) end
  end)

  it("keeps an empty list, an empty object and null apart", function()
    local text = '{"list":[],"none":null,"object":{}}'
    local echoed = host:call("echo", roost.json.decode(text))
    assert.equal("[]", roost.json.encode(echoed.list))
    assert.equal("{}", roost.json.encode(echoed.object))
    assert.equal(roost.null, echoed.none)
  end)
end)
