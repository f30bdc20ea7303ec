-- testing.record and testing.raises.
local roost = require "roost"
local testing = require "roost.testing"

describe("testing: record", function()
  it("fills as the stream goes on", function()
    local subject = roost.stream.subject()
    local record = testing.record(subject)
    assert.same({ 0, false }, { record.n, record.completed })
    subject:next "a"
    subject:next "b"
    roost.sleep(0)
    assert.same({ "a", "b" }, record.values)
    assert.same({ 2, false }, { record.n, record.completed })
    subject:complete()
    roost.sleep(0)
    assert.is_true(record.completed)
    assert.is_nil(record.error)
  end)

  it("keeps the error", function()
    local record = testing.record(roost.stream.create(function(observer)
      observer:next(1)
      error { name = "Mine" }
    end))
    roost.sleep(1)
    assert.same({ 1 }, record.values)
    assert.equal("Mine", record.error.name)
    assert.is_false(record.completed)
  end)

  it("unsubscribes", function()
    local record = testing.record(roost.stream.interval(10))
    roost.sleep(25)
    record:unsubscribe()
    roost.sleep(100)
    assert.same({ 0, 1 }, record.values)
    assert.is_false(record.completed)
    record:unsubscribe()
  end)

  it("counts nil, too", function()
    local record = testing.record(roost.stream.of(nil, 1, nil))
    roost.sleep(0)
    assert.equal(3, record.n)
    assert.equal(1, record.values[2])
  end)

  it("wants a stream", function()
    assert.matches("helpers_spec.lua:%d+: .*stream expected, got table",
      testing.raises(function() testing.record {} end).message)
  end)
end)

describe("testing: raises", function()
  it("gives what was raised", function()
    local err = { name = "Mine" }
    assert.equal(err, testing.raises(function() error(err) end))
    assert.equal("ValidationError",
      testing.raises(roost.pipes.validate "string", 5).name)
  end)

  it("hands arguments on", function()
    local err = testing.raises(function(...) error(table.concat({ ... }, " "), 0) end, "a", "b")
    assert.equal("a b", err.message)
  end)

  it("makes a table of anything else", function()
    local err = testing.raises(error, "text", 0)
    assert.same({ "Error", "text", "text" }, { err.name, err.message, err.cause })
    assert.equal(5, testing.raises(error, 5).cause)
    assert.equal("nil", testing.raises(error).message)
  end)

  it("raises where nothing was", function()
    assert.has_error(function() testing.raises(function() end) end)
    local err = testing.raises(function() testing.raises(function() end) end)
    assert.matches("helpers_spec.lua:%d+: an error was expected", err.message)
  end)

  it("may wait", function()
    local err = testing.raises(function()
      roost.sleep(10)
      error "late"
    end)
    assert.matches("late", err.message)
  end)
end)
