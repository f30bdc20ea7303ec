-- The clock of a test: it stands still until the test lets time pass, or waits for what only time brings.
local roost = require "roost"
local testing = require "roost.testing"

describe("testing: time", function()
  local log

  before_each(function() log = {} end)

  local function note(text)
    return function() log[#log + 1] = text end
  end

  it("stands still while things run", function()
    local before = roost.now()
    for _ = 1, 1000 do roost.json.encode { 1 } end
    assert.equal(before, roost.now())
  end)

  it("moves by itself when the test waits", function()
    local now, time = roost.now(), roost.time()
    roost.sleep(86400000)
    assert.equal(86400000, roost.now() - now)
    assert.equal(86400000, roost.time() - time)
  end)

  it("advances: what is due runs, in order", function()
    local host = testing.host {}
    roost.after(30, note "30")
    roost.after(10, note "10")
    roost.after(20, function()
      note "20" ()
      roost.after(5, note "25")
      roost.after(50, note "70")
    end)
    local now = roost.now()
    host:advance(9)
    assert.same({}, log)
    host:advance(1)
    assert.same({ "10" }, log)
    host:advance(20)
    assert.same({ "10", "20", "25", "30" }, log)
    assert.equal(30, roost.now() - now)
    host:advance(40)
    assert.equal("70", log[5])
  end)

  it("advances by exactly so much, to the moment a timer sees", function()
    local host = testing.host {}
    local start, seen = roost.now(), nil
    roost.after(7, function() seen = roost.now() - start end)
    host:advance(1000)
    assert.same({ 7, 1000 }, { seen, roost.now() - start })
    host:advance(0)
    assert.equal(1000, roost.now() - start)
  end)

  it("settles without passing time", function()
    local host = testing.host {}
    roost.after(1, note "later")
    roost.after(0, note "due")
    roost.spawn(function()
      note "task" ()
      roost.spawn(note "task of the task")
    end)
    local now = roost.now()
    host:settle()
    assert.equal(now, roost.now())
    table.sort(log)
    assert.same({ "due", "task", "task of the task" }, log)
    host:advance(1)
    assert.equal("later", log[4])
  end)

  it("takes an hour of beats in no time", function()
    local host, beats = testing.host {}, 0
    local timer <close> = setmetatable({ roost.every(1000, function() beats = beats + 1 end) }, {
      __close = function(self) self[1]:cancel() end,
    })
    host:advance(3600000)
    assert.equal(3600, beats)
    assert.is_true(timer[1]:alive())
  end)

  it("is one clock for all hosts of a test, and for the test itself", function()
    local function ticking(name)
      return { services = { inline = function(service)
        service:on_start(function() roost.every(10, note(name)) end)
        service:message("now", function() return roost.now() end)
      end } }
    end
    local a = testing.host(ticking "a")
    roost.sleep(5)
    local b = testing.host(ticking "b")
    b:advance(25)
    assert.same({ "a", "b", "a", "b", "a" }, log)
    assert.equal(a:call("now", {}), b:call("now", {}))
    assert.equal(roost.now(), b:call("now", {}))
  end)

  it("drives what a host's store forgets, and its time-outs", function()
    local host = testing.host { services = { inline = function(service)
      service:message("lock", function() return roost.store:add("lock", true, { ttl = 1000 }) end)
      service:message("slow", { timeout = 50 }, function() roost.sleep(100) end)
    end } }
    assert.is_true(host:call("lock", {}))
    host:advance(999)
    assert.is_false(host:call("lock", {}))
    host:advance(1)
    assert.is_true(host:call("lock", {}))
    assert.equal("Timeout has occurred", testing.raises(host.call, host, "slow", {}).message)
  end)

  it("refuses times that are none", function()
    local host = testing.host {}
    for _, ms in ipairs { "soon", -1, 0 / 0, {} } do
      assert.matches("time_spec.lua:%d+: .*advance", testing.raises(function() host:advance(ms) end).message)
    end
    assert.matches("advance", testing.raises(function() host:advance() end).message)
  end)

  it("comes to the reset of a task that catches its end for ever", function()
    local closed = false
    local handle = roost.spawn(function()
      local guard <close> = setmetatable({}, { __close = function() closed = true end }) -- luacheck: ignore 211
      while true do pcall(roost.sleep, 10000) end
    end)
    roost.sleep(1)
    handle:cancel()
    roost.sleep(999)
    assert.is_false(closed)
    roost.sleep(2)
    assert.is_true(closed)
  end)

  describe("of a host with clock = real", function()
    it("moves by itself", function()
      local host = testing.host { clock = "real", services = { inline = function(service)
        service:message("sleep", function(ms)
          roost.sleep(ms)
          return roost.now()
        end)
      end } }
      local before = roost.now()
      repeat until roost.now() > before
      assert.is_true(host:call("sleep", 5) > before)
      assert.is_true(math.abs(roost.time() / 1000 - os.time()) < 3600)
    end)

    it("advances by waiting", function()
      local host = testing.host { clock = "real" }
      roost.after(10, note "10")
      host:advance(30)
      assert.same({ "10" }, log)
    end)

    it("is fake again for the next test", function()
      local now = roost.now()
      roost.sleep(3600000)
      assert.equal(3600000, roost.now() - now)
    end)

    it("is every host's of the test, or none's", function()
      testing.host { clock = "real" }
      assert.matches("the clock is real: another host of this test said so",
        testing.raises(testing.host, {}).message)
    end)
  end)
end)
