-- service:event(p, { once = … }, fn): what the guide does not show.
local roost = require "roost"
local testing = require "roost.testing"

describe("once", function()
  local ran

  local function by_id(data) return data.id end

  -- Events of "e", handled by fn with these options.
  local function host_with(options, fn)
    return testing.host { services = { inline = function(service)
      service:event("e", options, fn)
    end } }
  end

  local function emit(host, ...)
    for _, data in ipairs { ... } do
      host:emit("e", data)
      host:settle()
    end
  end

  before_each(function() ran = {} end)

  local function note(data) ran[#ran + 1] = data.id end

  it("has numbers and texts for keys", function()
    local host = host_with({ once = by_id }, note)
    emit(host, { id = 1 }, { id = "a" }, { id = 1 }, { id = "a" }, { id = 2 })
    assert.same({ 1, "a", 2 }, ran)
  end)

  it("is an error without a key", function()
    local host = host_with({ once = by_id }, note)
    emit(host, {}, { id = {} }, { id = true })
    assert.same({}, ran)
    local errors = host:logs "error"
    assert.equal(3, #errors)
    assert.matches("option 'once': the key must be text or a number, got nil", errors[1].err, 1, true)
  end)

  it("sees the data as the handler does", function()
    local host = host_with({
      once = by_id, payload = "order",
      pipes = function(data) return { id = data.id:upper() } end,
    }, note)
    emit(host, { order = { id = "a" } }, { order = { id = "A" } })
    assert.same({ "A" }, ran)
  end)

  it("lets an event that was refused come again", function()
    local allowed = false
    local host = host_with({ once = by_id, guards = function() return allowed end }, note)
    emit(host, { id = 1 })
    allowed = true
    emit(host, { id = 1 }, { id = 1 })
    assert.same({ 1 }, ran)
  end)

  it("takes nil, err for a failure", function()
    local host = host_with({ once = by_id }, function(data)
      note(data)
      if #ran == 1 then return nil, "not yet" end
    end)
    emit(host, { id = 1 }, { id = 1 }, { id = 1 })
    assert.same({ 1, 1 }, ran)
  end)

  it("takes a stream that fails for a failure", function()
    local host = host_with({ once = by_id }, function(data)
      note(data)
      return roost.stream.create(function(observer)
        if #ran == 1 then observer:error "not yet" else observer:complete() end
      end)
    end)
    emit(host, { id = 1 }, { id = 1 }, { id = 1 })
    assert.same({ 1, 1 }, ran)
  end)

  it("lets an event come again whose handler ran out of time", function()
    local host = host_with({ once = by_id, timeout = 100 }, function(data)
      note(data)
      if #ran == 1 then roost.sleep(1000) end
    end)
    emit(host, { id = 1 })
    host:advance(150)
    emit(host, { id = 1 }, { id = 1 })
    assert.same({ 1, 1 }, ran)
  end)

  it("keeps the keys of an object pattern together, and of others apart", function()
    local host = testing.host { services = { inline = function(service)
      service:event({ { a = 1, b = { c = 2, d = 3 } }, { b = 1 } }, { once = by_id }, note)
      service:event("f", { once = by_id }, note)
    end } }
    for _ = 1, 2 do
      host:emit({ b = { d = 3, c = 2 }, a = 1 }, { id = 1 })
      host:emit("f", { id = 1 })
      host:settle()
    end
    assert.same({ 1, 1 }, ran)
  end)

  it("survives a reload", function()
    local host = testing.host { services = { "tests/lua/guide/once.lua" } }
    local function pay()
      host:emit("payment_received", { id = "p1" })
      host:advance(100)
    end
    pay()
    host:reload("once")
    pay()
    assert.same({}, host:call("booked", {}))
  end)

  it("is for events, and its options are checked", function()
    local function complaint(method, options)
      local ok, err = pcall(testing.host, { services = { inline = function(service)
        service[method](service, "p", options, note)
      end } })
      assert.is_false(ok)
      return tostring(err)
    end
    assert.matches("option 'once' is for events", complaint("message", { once = by_id }), 1, true)
    assert.matches("option 'once': expected a function, got string", complaint("event", { once = "id" }), 1, true)
    for _, ttl in ipairs { 0, -1, math.huge, 0 / 0 } do
      assert.matches("option 'once_ttl': expected milliseconds",
        complaint("event", { once = by_id, once_ttl = ttl }), 1, true)
    end
    assert.matches("option 'once_ttl' is for handlers with 'once'",
      complaint("event", { once_ttl = 5 }), 1, true)
  end)
end)
