-- require "cjson" in a sandbox: lua-cjson's interface, made of roost.json.
--
-- What it does better than lua-cjson, as roost.json does: whole numbers come back whole and print all
-- their digits, [] stays a list, and what is no JSON (NaN, 0x10, text that is not UTF-8) is refused.

local core = ...

local SPARSE_RATIO, SPARSE_SAFE, DEPTH = 2, 10, 1000

local function check_boolean(value, name)
  if type(value) ~= "boolean" then error(("bad argument to '%s' (boolean expected)"):format(name), 3) end
end

local function check_depth(value, name)
  if math.type(value) ~= "integer" or value < 1 then
    error(("bad argument to '%s' (expected integer between 1 and 2147483647)"):format(name), 3)
  end
end

-- Encoding --------------------------------------------------------------------------------------

-- The highest index where all keys are whole numbers from 1 and not too many are missing; nil for an
-- object.
local function list_length(settings, value)
  local highest, count = 0, 0
  for key in next, value do
    if type(key) ~= "number" or key < 1 or key % 1 ~= 0 then return nil end
    highest, count = math.max(highest, key), count + 1
  end
  local sparse = settings.sparse
  if sparse.ratio > 0 and highest > count * sparse.ratio and highest > sparse.safe then
    if sparse.convert then return nil end
    error("Cannot serialise table: excessively sparse array", 0)
  end
  return highest
end

local plain

local function plain_list(settings, value, length, depth)
  local list = core.array {}
  for i = 1, length do
    local item = rawget(value, i)
    list[i] = item == nil and core.null or plain(settings, item, depth)
  end
  return list
end

local function plain_object(settings, value, depth)
  local object = {}
  for key, member in next, value do
    if type(key) ~= "string" and type(key) ~= "number" then
      error("Cannot serialise table: table key must be a number or string", 0)
    end
    object[tostring(key)] = plain(settings, member, depth)
  end
  return object
end

-- NaN and infinities: an error, null, or what JavaScript would say is refused by roost.json.
local function plain_number(settings, value)
  if value == value and value ~= math.huge and value ~= -math.huge then return value end
  if settings.invalid_out == "null" then return core.null end
  error("Cannot serialise number: must not be NaN or Inf", 0)
end

-- What roost.json writes as lua-cjson writes value. An empty table is left as it is: it may be marked
-- as a list.
function plain(settings, value, depth)
  local kind = type(value)
  if kind == "number" then return plain_number(settings, value) end
  if kind == "nil" then return core.null end
  if kind ~= "table" then
    if kind ~= "string" and kind ~= "boolean" and value ~= core.null then
      error(("Cannot serialise %s: type not supported"):format(kind), 0)
    end
    return value
  end
  if depth >= settings.depth_out then
    error(("Cannot serialise, excessive nesting (%d)"):format(depth + 1), 0)
  end
  if next(value) == nil then return value end
  local length = list_length(settings, value)
  if length then return plain_list(settings, value, length, depth + 1) end
  return plain_object(settings, value, depth + 1)
end

-- Decoding --------------------------------------------------------------------------------------

local function check_nesting(value, limit, depth)
  if type(value) ~= "table" then return end
  if depth >= limit then error(("Found too many nested data structures (%d)"):format(depth + 1), 0) end
  for _, member in next, value do check_nesting(member, limit, depth + 1) end
end

-- The module ------------------------------------------------------------------------------------

local function new()
  local settings = {
    sparse = { convert = false, ratio = SPARSE_RATIO, safe = SPARSE_SAFE },
    depth_out = DEPTH, depth_in = DEPTH, invalid_out = false, precision = 14, keep = true,
  }
  local cjson = { _NAME = "cjson", _VERSION = "2.1.0", null = core.null, new = new }

  function cjson.encode(...)
    if select("#", ...) ~= 1 then error("bad argument #1 to 'encode' (expected 1 argument)", 2) end
    return core.json_encode(plain(settings, (...), 0))
  end

  function cjson.decode(...)
    if select("#", ...) ~= 1 then error("bad argument #1 to 'decode' (expected 1 argument)", 2) end
    local value = core.json_decode((...))
    if settings.depth_in < DEPTH then check_nesting(value, settings.depth_in, 0) end
    return value
  end

  function cjson.encode_sparse_array(convert, ratio, safe)
    local sparse = settings.sparse
    if convert ~= nil then
      check_boolean(convert, "encode_sparse_array")
      sparse.convert = convert
    end
    if ratio ~= nil then sparse.ratio = ratio end
    if safe ~= nil then sparse.safe = safe end
    return sparse.convert, sparse.ratio, sparse.safe
  end

  function cjson.encode_max_depth(depth)
    if depth ~= nil then
      check_depth(depth, "encode_max_depth")
      settings.depth_out = math.min(depth, DEPTH)
    end
    return settings.depth_out
  end

  function cjson.decode_max_depth(depth)
    if depth ~= nil then
      check_depth(depth, "decode_max_depth")
      settings.depth_in = math.min(depth, DEPTH)
    end
    return settings.depth_in
  end

  -- true, which would write nan, is no JSON.
  function cjson.encode_invalid_numbers(how)
    if how ~= nil then
      if how ~= false and how ~= "null" then
        error('encode_invalid_numbers: only false and "null" give JSON', 2)
      end
      settings.invalid_out = how
    end
    return settings.invalid_out
  end

  function cjson.decode_invalid_numbers(allowed)
    if allowed then error("decode_invalid_numbers: they are no JSON", 2) end
    return false
  end

  -- All digits that a number needs are written, and no others.
  function cjson.encode_number_precision(digits)
    if digits ~= nil then settings.precision = digits end
    return settings.precision
  end

  function cjson.encode_keep_buffer(keep)
    if keep ~= nil then settings.keep = keep end
    return settings.keep
  end

  return cjson
end

return new()
