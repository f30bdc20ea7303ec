local roost = require "roost"
local testing = require "roost.testing"

describe("users", function()
  local host

  before_each(function()
    host = testing.host { services = { "services/users.lua" } }
  end)

  local function refusal(pattern, data, options)
    return testing.raises(host.call, host, pattern, data, options).response
  end

  it("creates users with rising ids", function()
    assert.same({ id = 1, name = "Ada", logins = 0 }, host:call("users.create", { name = "Ada" }))
    assert.equal(2, host:call("users.create", { name = "Bob" }).id)
    assert.equal("Ada", host:call("users.get", { id = 1 }).name)
  end)

  it("lists them", function()
    assert.same({}, host:call("users.list", {}))
    host:call("users.create", { name = "Ada" })
    host:call("users.create", { name = "Bob" })
    local names = {}
    for i, user in ipairs(host:call("users.list", {})) do names[i] = user.name end
    assert.same({ "Ada", "Bob" }, names)
  end)

  it("says which member is wrong", function()
    local expected = { status = "error", message = "name: expected text", path = "name" }
    assert.same(expected, refusal("users.create", { name = "" }))
    assert.same(expected, refusal("users.create", {}))
    assert.equal("email: expected string, got number",
      refusal("users.create", { name = "Ada", email = 5 }).message)
    assert.equal("id: expected integer, got string", refusal("users.get", { id = "1" }).message)
  end)

  it("drops members it does not know", function()
    local user = host:call("users.create", { name = "Ada", email = "ada@example.org", admin = true })
    assert.equal("ada@example.org", user.email)
    assert.is_nil(user.admin)
  end)

  it("has a code for who is not there", function()
    assert.same({ code = "NOT_FOUND", message = "no user 7" }, refusal("users.get", { id = 7 }))
  end)

  it("lets only admins delete", function()
    host:call("users.create", { name = "Ada" })
    assert.equal("Forbidden resource", refusal("users.delete", { id = 1 }).message)
    assert.equal("Forbidden resource",
      refusal("users.delete", { id = 1 }, { metadata = { role = "guest" } }).message)
    local admin = { metadata = { role = "admin" } }
    assert.equal("Ada", host:call("users.delete", { id = 1 }, admin).name)
    assert.equal("NOT_FOUND", refusal("users.delete", { id = 1 }, admin).code)
    assert.same(roost.array {}, host:call("users.list", {}))
  end)

  it("counts logins, and logs them", function()
    host:call("users.create", { name = "Ada" })
    host:emit("user.login", { id = 1 })
    host:emit("user.login", { id = 1 })
    host:settle()
    assert.equal(2, host:call("users.get", { id = 1 }).logins)
    local logins = 0
    for _, line in ipairs(host:logs "info") do
      if line.msg == "login" and line.user == 1 then logins = logins + 1 end
    end
    assert.equal(2, logins)
  end)
end)
