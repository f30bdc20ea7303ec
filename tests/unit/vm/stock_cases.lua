-- Cases made from a seed, for a state with Lua's own libraries and one with ours: each function
-- returns a text of all that happened, which must be the same in both.
local cases = {}

local state

-- A number from 1 to n; the same row of them in every state.
local function pick(n)
  state = state * 6364136223846793005 + 1442695040888963407
  return (state >> 33) % n + 1
end

local function one_of(list)
  return list[pick(#list)]
end

local function some_of(list, most)
  local parts = {}
  for i = 1, pick(most + 1) - 1 do
    parts[i] = one_of(list)
  end
  return table.concat(parts)
end

local function show(value)
  if type(value) == "string" then
    return ("%q"):format(value)
  end
  return math.type(value) == "integer" and ("%d"):format(value) or type(value) == "number" and ("%a"):format(value)
      or type(value) == "boolean" and tostring(value) or type(value)
end

local function show_all(...)
  local parts = { ... }
  for i = 1, select("#", ...) do
    parts[i] = show((select(i, ...)))
  end
  return "(" .. table.concat(parts, ",") .. ")"
end

local transcript

local function note(...)
  transcript[#transcript + 1] = show_all(...)
end

-- Calls a function with the arguments of a packed list, by a name that errors can tell.
local function try(name, f, arguments)
  transcript[#transcript + 1] = name .. show_all(table.unpack(arguments, 1, arguments.n))
  note(pcall(f, table.unpack(arguments, 1, arguments.n)))
end

---------------------------------------------------------------------------------------------------
-- Patterns

local SUBJECT = { "a", "a", "a", "b", "b", "A", "1", " ", "(", ")", "[", "]", "%", "-", "^", "$", ".", "\0", "\xE9",
  "_", "\n" }
local PLAIN = { "a", "b", "a", "b", "A", "1", " ", "-", "]", "\0", "\xE9", "." }
local SETS = { "[ab]", "[^a]", "[]]", "[^]]", "[a-]", "[%a-1]", "[a-b1-9]", "[%w_]", "[^%s]", "[%]]", "[%-]", "[^^]",
  "[a-%%]", "[%a-]", "[\0-\31]", "[b-a]", "[%S%s]", "[]", "[a", "[%", "[^", "[", "[a-%]", "[%z]", "[\x80-\xFF]" }
local CLASSES = { "%a", "%c", "%d", "%g", "%l", "%p", "%s", "%u", "%w", "%x", "%A", "%C", "%D", "%G", "%L", "%P", "%S",
  "%U", "%W", "%X", "%z", "%Z", "%.", "%%", "%-", "%(", "%q", "%E" }
local SUFFIXES = { "", "", "", "", "*", "+", "-", "?" }
local SPECIALS = { "%1", "%2", "%0", "%bab", "%b()", "%ba", "%b", "%f[%w]", "%f[^a]", "%f[%z]", "%fa", "%f", "$", "^",
  "%", "()", "(", ")", "(a)", "(a*)", "(.-)", "((a))", "(%w+)%1" }
local JUNK = { "a", "b", ".", "%", "[", "]", "(", ")", "^", "$", "*", "+", "-", "?", "f", "1", "w", "\0" }

local function item()
  local kind = pick(10)
  if kind <= 4 then
    return one_of(PLAIN) .. one_of(SUFFIXES)
  elseif kind == 5 then
    return "." .. one_of(SUFFIXES)
  elseif kind == 6 then
    return one_of(SETS) .. one_of(SUFFIXES)
  elseif kind == 7 then
    return one_of(CLASSES) .. one_of(SUFFIXES)
  end
  return one_of(SPECIALS)
end

local function pattern()
  if pick(5) == 1 then
    return some_of(JUNK, 8)
  end
  local parts = {}
  local wrapped = pick(3) == 1
  for i = 1, pick(5) do
    parts[i] = wrapped and pick(2) == 1 and "(" .. item() .. ")" or item()
  end
  return (pick(4) == 1 and "^" or "") .. table.concat(parts) .. (pick(5) == 1 and "$" or "")
end

local REPLACEMENTS = { "", "x", "%0", "%1", "%2", "<%1>", "%%", "%", "%a", "a%", "%9", "%0%0", "\0%1", 12, 1.5 }

local function replacement()
  local kind = pick(12)
  if kind <= 5 then
    return one_of(REPLACEMENTS)
  elseif kind == 6 then
    return { a = "A", b = false, [1] = 7, aa = {}, ab = 1.5 }
  elseif kind == 7 then
    return setmetatable({}, { __index = function(_, key) note("index", key) return key end })
  elseif kind == 8 then
    return one_of { true, type, setmetatable }
  elseif kind == 9 then
    return function(...) note(...) return ... end
  elseif kind == 10 then
    return function() error({}) end
  elseif kind == 11 then
    return function(a) return a == "a" and "x" end
  end
  return function(...) return select("#", ...) > 1 and {} or nil end
end

local function iterate(...)
  local count = 0
  for a, b, c in string.gmatch(...) do
    note(a, b, c)
    count = count + 1
    if count == 30 then
      break
    end
  end
end

local INITS = { 1, 2, 3, 0, -1, -2, -30, 5, 30, math.mininteger, math.maxinteger, "2", 2.0 }

local function init()
  if pick(3) > 1 then
    return nil
  end
  return one_of(INITS)
end

function cases.patterns()
  local subject = some_of(SUBJECT, pick(4) == 1 and 20 or 8)
  local p = pattern()
  local from = init()
  try("find", string.find, table.pack(subject, p, from))
  try("find", string.find, table.pack(subject, p, from, pick(2) == 1))
  try("match", string.match, table.pack(subject, p, from))
  try("gmatch", iterate, table.pack(subject, p, from))
  local limit = pick(3) == 1 and pick(4) - 2 or nil
  try("gsub", string.gsub, table.pack(subject, p, replacement(), limit))
end

-- At the bounds of what a pattern may hold. Each item matches at once, or else the search would never end.
function cases.bounds()
  local parts = {}
  local captures = pick(40)
  for i = 1, pick(2) == 1 and pick(40) or 180 + pick(40) do
    local capture = i < captures
    parts[i] = one_of { "a?", "a?", "a*", "a-", "b*", "b?", capture and "()" or "a?", capture and "(a?)" or "b-" }
  end
  local p = table.concat(parts)
  try("match", string.match, table.pack(("a"):rep(pick(300)), p))
  try("find", string.find, table.pack(("a"):rep(pick(10)), p .. one_of { "", ")", "(", "[", "%", "%f" }))
end

-- Longer subjects, in which whole runs match.
function cases.runs()
  local words = { "one", "two  ", "3", "four,", "key=value", "(a(b)c)", "x\ty", ("z"):rep(pick(200)), "\r\n", "%",
    "_id" }
  local parts = {}
  for i = 1, pick(60) do
    parts[i] = one_of(words)
  end
  local subject = table.concat(parts, pick(2) == 1 and " " or nil)
  local patterns = { "%s+", "%w+", "(%w+)=(%w+)", "%b()", "[^,]+", "^%s*(.-)%s*$", "%s+$", "z+", "z-y", "(%a)%1",
    "%f[%w]%w+",
    "[%w_]+", "[^%s=]*", ".-e", ".*e", "%S+$", "e?", "", "()", "()$", "[\r\n]+", "four", "four,k", "z*", "%%", "%p" }
  local p = one_of(patterns)
  try("find", string.find, table.pack(subject, p, pick(#subject + 1)))
  try("gsub", string.gsub, table.pack(subject, p, one_of { "<%0>", "", "%1" }))
  try("gmatch", iterate, table.pack(subject, p))
  local start = pick(#subject)
  local needle = subject:sub(start, start + pick(pick(80)))
  try("find", string.find, table.pack(subject, needle .. one_of { "", "", "x" }, pick(4), true))
  try("find", string.find, table.pack(("ab"):rep(pick(200)), ("ab"):rep(pick(20)) .. one_of { "", "a", "b", "aa" },
    1, true))
end

local ANY = { 1, 0, -1, 2, 3, 2.0, 2.5, "3", "x", "", true, {}, type, math.maxinteger, math.mininteger, 0 / 0, false }

local function any()
  local i = pick(#ANY + 2)
  return ANY[i]
end

local function arguments(most, ...)
  local list = table.pack(...)
  for i = list.n + 1, pick(most + 1) - 1 do
    list[i] = any()
    list.n = i
  end
  return list
end

-- Whatever is passed, and methods of strings.
function cases.string_arguments()
  for _, name in ipairs { "find", "match", "gmatch", "gsub" } do
    try(name, string[name], arguments(5))
    try(name, string[name], arguments(5, "a 1", "%w"))
    local list = arguments(4)
    try("method", function(...) return ("x a"):find(...) end, list)
    try("method", function(...) return ("x a")[name](...) end, list)
  end
  local count = one_of { -1, 0, 1, 2, 3, 7, 100, 5000, 1 << 31, 1 << 40, 1 << 62, math.maxinteger, "2", 2.5, false }
  try("rep", string.rep, table.pack(one_of { "ab", "x", "\0", "long text", "a" }, count, one_of { ",", "", ", ", 1 }))
  try("rep", string.rep, table.pack(one_of { "a", "", "text" }, count == 5000 and count or pick(70) - 3))
  local list = arguments(2)
  if list[1] ~= "" then -- Lua's own would go on for ever
    try("rep", string.rep, list)
  end
  try("rep", string.rep, table.pack(("x"):rep(pick(70000)), pick(4), some_of(SUBJECT, 3)))
end

---------------------------------------------------------------------------------------------------
-- Tables

local LENGTHS = { 0, 1, 3, 5, 2.0, "4", -1, "x", 1.5, math.mininteger }

-- A list, which may be one by its metatable alone.
local function list()
  local data = {}
  for i = 1, pick(8) - 1 do
    data[i] = one_of { "a", "b", 1, 2.5, "", i }
  end
  local kind = pick(8)
  if kind <= 4 then
    return data
  elseif kind == 5 then
    return setmetatable(data, { __index = function(_, key) note("index", key) return pick(2) == 1 and key or nil end })
  elseif kind == 6 then
    local length = one_of(LENGTHS)
    return setmetatable(data, { __len = function() return length end })
  elseif kind == 7 then
    return setmetatable({}, {
      __index = function(_, key) note("get", key) return data[key] end,
      __newindex = function(_, key, value) note("set", key, value) data[key] = value end,
      __len = function() return #data end,
      __eq = function() note("eq") return true end,
    })
  end
  return one_of { data, "text", 1, true, coroutine.create(type), setmetatable({}, { __index = data }) }
end

local function contents(value)
  if type(value) ~= "table" then
    return
  end
  local keys = {}
  for key in next, value do
    keys[#keys + 1] = ("%s %s"):format(math.type(key) or type(key), tostring(key))
  end
  table.sort(keys)
  note("keys", table.concat(keys, " "))
  for i = -3, 12 do
    note(i, rawget(value, i))
  end
end

-- Ranges that are short, empty or refused: Lua's own functions go through all others one by one.
local RANGES = { { 1, 3 }, { 0, 2 }, { -2, 1 }, { 2, 1 }, { 3, 7 }, { math.maxinteger - 2, math.maxinteger },
  { math.mininteger, math.mininteger + 2 }, { math.mininteger, math.maxinteger }, { 0, math.maxinteger }, { 1.0, "2" },
  { "x", 1 }, { 1, 2.5 }, { 5, 5 } }
local PLACES = { 1, 2, 3, 0, -1, 6, math.maxinteger, math.maxinteger - 1, math.maxinteger - 2, math.mininteger, "2",
  "y" }

function cases.tables()
  local values = list()
  local range = one_of(RANGES)
  local other = one_of { list(), values, setmetatable({}, getmetatable(values)) }
  local op = pick(5)
  if op == 1 then
    try("move", table.move, table.pack(values, range[1], range[2], one_of(PLACES), one_of { other, nil, false }))
    contents(other)
  elseif op == 2 then
    try("insert", table.insert, arguments(4, values, one_of { 1, 2, 3, 0, -1, 7, 2.0, "1", "x", true }))
    try("insert", table.insert, table.pack(values, "last"))
  elseif op == 3 then
    try("remove", table.remove, table.pack(values, one_of { 1, 2, 3, 0, -1, 7, 2.0, "1", "x", nil }))
    try("remove", table.remove, table.pack(values))
  elseif op == 4 then
    try("concat", table.concat, table.pack(values, one_of { ",", "", 1, nil, true }, range[1], range[1] and range[2]))
    try("concat", table.concat, table.pack(values, one_of { ", ", nil }))
  else
    try("unpack", table.unpack, table.pack(values, range[1], range[2]))
    try("unpack", table.unpack, table.pack(values, one_of { 1, 3, nil }, one_of { 2, 1000001, math.maxinteger, nil }))
  end
  contents(values)
  for _, name in ipairs { "move", "insert", "remove", "concat", "unpack" } do
    local passed = arguments(2)
    try(name, table[name], passed)
  end
end

---------------------------------------------------------------------------------------------------
-- load

local CHUNKS = {
  "return ...", "return 1 + 1", "x = 1", "return x", "syntax error", "", "#!shebang", "return 'a", "goto x",
  "do goto a ::a:: end return 2", "while true do break end return 3", "return [==[\n]]goto]==]", "break",
  "return function() end", "local a <close> = nil return _ENV", "return '\\", "--[[ never ends", "\27Lua", 5,
  "return \0", string.dump(load("return 42, ...")), "x = = 2", ("("):rep(300), "a.b:c = 1",
}

local function reader(text)
  local at = 1
  return function()
    if at > #text then
      return one_of { nil, nil, "" }
    end
    local from = at
    at = at + pick(one_of { 1, 3, 400, 100000 })
    return text:sub(from, at - 1)
  end
end

local function run(...)
  local f, message = load(...)
  if not f then
    return nil, message
  end
  return pcall(f, "argument")
end

function cases.loads()
  local chunk = one_of(CHUNKS)
  local name = one_of { nil, nil, "=name", "@file.lua", "text\nof two lines", 7, true }
  local mode = one_of { nil, nil, nil, "t", "b", "bt", "", "x", 1, {} }
  if pick(3) == 1 then
    chunk = ("-- comment\n"):rep(pick(300)) .. chunk
  end
  local source = pick(2) == 1 and chunk or reader(tostring(chunk))
  if pick(2) == 1 then
    try("load", run, table.pack(source, name, mode, one_of { nil, { x = "inner" }, 3, { x = 2 } }))
  else
    try("load", run, table.pack(source, name, mode))
  end
  try("load", run, table.pack(one_of { type, reader("1"), function() return {} end,
    function() error("in reader") end,
    function() error({}) end, {}, true, nil }, name))
  try("load", load, arguments(3))
end

---------------------------------------------------------------------------------------------------

return function(name, seed)
  state = seed * 2654435761
  transcript = {}
  cases[name]()
  return table.concat(transcript, "\n")
end
