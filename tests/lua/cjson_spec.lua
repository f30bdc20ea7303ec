-- What sandboxed services get for cjson, compared with lua-cjson itself where that is right.
local real = require "cjson"
local own = require "roost.cjson"
local roost = require "roost"

describe("roost.cjson", function()
  it("has what lua-cjson has", function()
    for name, value in pairs(real) do assert.equal(type(value), type(own[name]), name) end
    for name in pairs(own) do assert.is_not_nil(real[name], name) end
    assert.equal(real.null, own.null)
    assert.equal(real._NAME, own._NAME)
  end)

  local values = {
    1, -1, 0, 1.5, 1e15, 1e-7, -0.25, true, false, "", "text", "\"\\/\b\f\n\r\t\1", "Grüße", real.null,
    {}, { 1, 2, 3 }, { "a", { "b", { "c" } } }, { a = 1 }, { a = { b = { c = real.null } } },
    { 1, nil, 3 }, { [3] = "third" }, { [10] = 1 }, { [0] = "zero" }, { 1, 2, x = 3 }, { [1.5] = 1 }, { [-1] = 1 },
    { { {}, {} }, {} }, { ["1"] = "text key" }, { [1] = real.null },
    setmetatable({ 1 }, { __index = function() error "not asked" end, __len = function() return 9 end }),
  }

  it("encodes what lua-cjson encodes, so that either reads it", function()
    for i, value in ipairs(values) do
      local mine, others = own.encode(value), real.encode(value)
      assert.same(real.decode(others), real.decode(mine), i)
      assert.same(own.decode(others), own.decode(mine), i)
    end
  end)

  it("decodes what lua-cjson decodes", function()
    for _, text in ipairs {
      "1", "-1.5e3", "true", "null", '"x"', '"\\u00fc\\ud83d\\ude00\\/"', " [ 1 , [ ] , { } ] ",
      '{"a":[{"b":null}],"":0}', '[[[[]]]]', '{"a":1,"a":2}',
    } do
      assert.same(real.decode(text), own.decode(text))
    end
  end)

  it("refuses what lua-cjson refuses", function()
    local cycle = {}
    cycle[1] = cycle
    for i, value in ipairs {
      print, coroutine.create(print), io.stdout or io.output(), { print }, { [true] = 1 }, { [{}] = 1 },
      { [11] = 1 }, { [100] = 1, [1] = 1 }, 0 / 0, math.huge, -math.huge, { 0 / 0 }, cycle,
    } do
      assert.is_false(pcall(real.encode, value), i)
      local ok, err = pcall(own.encode, value)
      assert.is_false(ok, i)
      assert.truthy(err:find "^Cannot serialise", err)
    end
    for _, text in ipairs { "", "[", "[1,]", "{1:2}", "nul", "[1] x", '"', '"\\x"', "{'a':1}", "\0" } do
      assert.is_false(pcall(real.decode, text), text)
      assert.is_false(pcall(own.decode, text), text)
    end
    for _, module in ipairs { real, own } do
      assert.is_false(pcall(module.encode))
      assert.is_false(pcall(module.encode, 1, 2))
      assert.is_false(pcall(module.decode))
      assert.is_false(pcall(module.decode, "1", "2"))
      assert.is_false(pcall(module.decode, {}))
    end
  end)

  it("is told of sparse lists as lua-cjson is", function()
    for _, settings in ipairs { { true }, { true, 2, 3 }, { false, 0 }, { true, 1, 1 }, { false, 5, 2 } } do
      local mine, others = own.new(), real.new()
      assert.same({ others.encode_sparse_array() }, { mine.encode_sparse_array() })
      assert.same({ others.encode_sparse_array(table.unpack(settings)) },
        { mine.encode_sparse_array(table.unpack(settings)) })
      for _, value in ipairs { { [4] = 1 }, { [12] = 1 }, { 1, 2, [30] = 3 }, { 1, nil, 3 }, { [2] = 1 } } do
        local ok, text = pcall(others.encode, value)
        local same, own_text = pcall(mine.encode, value)
        assert.equal(ok, same)
        if ok then assert.same(real.decode(text), real.decode(own_text)) end
      end
    end
  end)

  it("limits depth as lua-cjson does", function()
    local mine, others = own.new(), real.new()
    for _, module in ipairs { mine, others } do
      assert.equal(1000, module.encode_max_depth())
      assert.equal(1000, module.decode_max_depth())
      assert.equal(2, module.encode_max_depth(2))
      assert.equal(2, module.decode_max_depth(2))
      assert.equal("[[1]]", module.encode { { 1 } })
      assert.is_false(pcall(module.encode, { { { 1 } } }))
      assert.same({ { 1 } }, module.decode "[[1]]")
      assert.is_false(pcall(module.decode, "[[[1]]]"))
      assert.is_false(pcall(module.encode_max_depth, 0))
    end
    assert.equal(1000, own.encode_max_depth())
  end)

  it("makes modules with settings of their own", function()
    local first, second = own.new(), own.new()
    first.encode_invalid_numbers "null"
    assert.equal("[null]", first.encode { 0 / 0 })
    assert.is_false(pcall(second.encode, { 0 / 0 }))
    assert.equal(real.new().encode_number_precision(), first.encode_number_precision())
    assert.equal(real.new().encode_keep_buffer(), first.encode_keep_buffer())
    assert.equal(real.new().encode_invalid_numbers(), second.encode_invalid_numbers())
  end)

  it("is right where lua-cjson is not", function()
    assert.equal(1700000000123456, own.decode(own.encode(1700000000123456)))
    assert.equal("integer", math.type(own.decode "1"))
    assert.equal("[]", own.encode(own.decode "[]"))
    assert.equal("[]", own.encode(roost.array {}))
    for _, text in ipairs { "[01]", "[0x10]", "[NaN]", "[Infinity]", '"\xff"', '"\n"' } do
      assert.is_true(pcall(real.decode, text))
      assert.is_false(pcall(own.decode, text))
    end
    assert.is_false(pcall(own.encode, "\xff"))
    assert.is_false(pcall(own.encode_invalid_numbers, true))
    assert.is_false(pcall(own.decode_invalid_numbers, true))
    assert.is_false(own.decode_invalid_numbers())
  end)
end)
