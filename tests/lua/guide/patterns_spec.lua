local testing = require "roost.testing"

describe("guide: patterns", function()
  local host

  before_each(function()
    host = testing.host { services = { "tests/lua/guide/patterns.lua" } }
  end)

  it("may be a table", function()
    assert.equal(6, host:call({ cmd = "sum" }, { 1, 2, 3 }))
  end)

  it("may be text, which may be the JSON of a table", function()
    assert.equal("Hello, Ada!", host:call("greet", "Ada"))
    assert.equal(3, host:call('{"cmd":"sum"}', { 1, 2 }))
  end)

  it("may be a number", function()
    assert.equal("the answer", host:call(42, {}))
    assert.equal("the answer", host:call("42", {}))
  end)

  it("may be nested, in any order of keys", function()
    assert.same({ id = 7 }, host:call({ by = { field = "id" }, cmd = "find" }, 7))
    local peer <close> = host:connect()
    local first = '{"pattern":{"by":{"field":"id"},"cmd":"find"},"data":8,"id":"1"}'
    local second = '{"pattern":{"cmd":"find","by":{"field":"id"}},"data":9,"id":"2"}'
    for _, text in ipairs { first, second } do peer:write(#text .. "#" .. text) end
    assert.same({ { id = 8 }, { id = 9 } }, { peer:receive().response, peer:receive().response })
  end)

  it("may have alternatives", function()
    for _, pattern in ipairs { "stop", "halt", { cmd = "stop" } } do
      assert.same({ stopped = true, by = pattern }, host:call(pattern, {}))
    end
  end)

  it("matches whole, or the caller is told", function()
    local err = testing.raises(host.call, host, { cmd = "sum", extra = true }, {})
    assert.equal("There is no matching message handler defined in the remote service.", err.response)
  end)
end)
