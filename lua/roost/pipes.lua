-- roost.pipes: pipes that are there already.

local core = ...

local pipes = {}

-- A check is a function(value) that returns true and the value as it goes on, or false, what is
-- wrong with it, and where below it ("" is the value itself).

local function type_of(value)
  if value == core.null then return "null" end
  return type(value)
end

-- What came as [] is no object, though it has as little in it.
local array_mark = getmetatable(core.array {})

local function is_list(value)
  return #value > 0 or next(value) == nil
end

local function is_whole(value)
  return type(value) == "number" and value % 1 == 0
end

local accepts = {
  string = function(value) return type(value) == "string" end,
  number = function(value) return type(value) == "number" end,
  integer = is_whole,
  boolean = function(value) return type(value) == "boolean" end,
  table = function(value) return type(value) == "table" end,
  any = function(value) return value ~= nil end,
}

local function unexpected(expected, value)
  return false, ("expected %s, got %s"):format(expected, type_of(value)), ""
end

local function scalar(name, optional)
  local accept = accepts[name]
  return function(value)
    if optional and (value == nil or value == core.null) then return true, value end
    if not accept(value) then return unexpected(name, value) end
    if name == "integer" then value = math.tointeger(value) or value end
    return true, value
  end
end

local function list(check)
  return function(value)
    if type(value) ~= "table" then return unexpected("list", value) end
    if not is_list(value) then return false, "expected list, got object", "" end
    local items = core.array {}
    for i = 1, #value do
      local ok, item, path = check(value[i])
      if not ok then return false, item, ("[%d]%s"):format(i, path) end
      items[i] = item
    end
    return true, items
  end
end

-- Members are checked in the order of their names: which failure is the first does not depend on
-- how a table is laid out.
local function object(names, checks)
  return function(value)
    if type(value) ~= "table" then return unexpected("object", value) end
    if #value > 0 or getmetatable(value) == array_mark then
      return false, "expected object, got list", ""
    end
    local members = {}
    for i = 1, #names do
      local name = names[i]
      local ok, member, path = checks[name](value[name])
      if not ok then return false, member, "." .. name .. path end
      members[name] = member
    end
    return true, members
  end
end

local function custom(fn)
  return function(value)
    local ok, message = fn(value)
    if ok then return true, value end
    return false, message == nil and "is not valid" or tostring(message), ""
  end
end

local compile

local function bad(path, complaint)
  error(("roost.pipes.validate: %s%s"):format(path == "" and "" or path:gsub("^%.", "") .. ": ", complaint), 0)
end

local function compile_table(schema, path, outer)
  if schema[1] ~= nil then
    for key in pairs(schema) do
      if key ~= 1 then bad(path, "a list's schema has one element and nothing else") end
    end
    return list(compile(schema[1], path .. "[]", outer))
  end
  local names, checks = {}, {}
  for name, member in pairs(schema) do
    if type(name) ~= "string" then
      bad(path, ("a member's name must be text, got %s"):format(tostring(name)))
    end
    names[#names + 1] = name
    checks[name] = compile(member, path .. "." .. name, outer)
  end
  table.sort(names)
  return object(names, checks)
end

-- outer: the schemas around this one, as keys.
function compile(schema, path, outer)
  local kind = type(schema)
  if kind == "function" then return custom(schema) end
  if kind == "string" then
    local name, optional = schema:match("^(%a+)(%??)$")
    if not accepts[name] then bad(path, ("unknown type '%s'"):format(schema)) end
    return scalar(name, optional == "?")
  end
  if kind ~= "table" then bad(path, ("a schema is text, a table or a function, got %s"):format(kind)) end
  if outer[schema] then bad(path, "a schema cannot contain itself") end
  outer[schema] = true
  local check = compile_table(schema, path, outer)
  outer[schema] = nil
  return check
end

local function failure(message, path)
  path = path:gsub("^%.", "")
  if path ~= "" then message = path .. ": " .. message end
  return core.exception {
    name = "ValidationError",
    code = "EVALIDATE",
    message = message,
    path = path,
    response = { status = "error", message = message, path = path },
  }
end

-- A pipe that lets through what fits schema, without the members it does not name.
function pipes.validate(schema)
  local ok, check = pcall(compile, schema, "", {})
  if not ok then error(check, 2) end
  return function(data)
    local valid, value, path = check(data)
    if not valid then error(failure(value, path), 0) end
    return value
  end
end

return pipes
