-- Parts of roost that few services use are loaded when they are first asked for.
local testing = require "roost.testing"

describe("the parts of roost", function()
  local function open()
    return testing.host { services = { "tests/lua/parts/parts.lua" } }
  end

  local function loaded(host)
    return host:call("loaded", {})
  end

  it("are loaded when they are first asked for, and stay", function()
    for name, kind in pairs { client = "function", server = "function", stream = "table", pipes = "table" } do
      local host = open()
      assert.is_nil(loaded(host)[name])
      assert.same({ kind = kind, same = true }, host:call("use", name))
      assert.is_true(loaded(host)[name])
    end
  end)

  it("are among what pairs gives", function()
    local kinds = open():call("names", {})
    assert.equal("function", kinds.client)
    assert.equal("function", kinds.server)
    assert.equal("table", kinds.stream)
    assert.equal("table", kinds.pipes)
    assert.equal("function", kinds.sleep)
  end)

  it("are no other names", function()
    assert.same({ kind = "nil", same = true }, open():call("use", "service_name"))
  end)

  it("include the providers, which a ctx asks for", function()
    local host = open()
    assert.is_nil(loaded(host).providers)
    testing.raises(function() host:call("provided", {}) end)
    assert.matches("parts%.lua:%d+: ctx:get: there is no provider 'nothing'", host:logs("error")[1].err)
    assert.is_true(loaded(host).providers)
  end)
end)
