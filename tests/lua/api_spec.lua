-- lua/roost/api.lua, the declarations for editors, says what there really is: compared both ways.
local roost = require "roost"
local testing = require "roost.testing"

-- The declarations ------------------------------------------------------------------------------

-- name -> { parent =, members = { name -> { kind =, parameters =, optional =, type = } }, doc = }
local classes, aliases = {}, {}
local types = {} -- list of { line =, text = }: what stands where a type does
local undocumented = {} -- lines that declare something and say nothing of it
local wrong_parameters = {} -- of functions whose @param lines are not those of the function

local function read_declarations(path)
  local variables = {} -- name -> class
  local class, doc -- of the lines before this one, if there was no empty one between
  local parameters = {}
  local number = 0

  local function note_type(text) types[#types + 1] = { line = number, text = text } end

  local function clear() class, doc, parameters = nil, nil, {} end

  local function annotation(tag, rest)
    if tag == "class" then
      local name, parent = rest:match "^([%w_.]+):?%s*([%w_.]*)$"
      class = { parent = parent ~= "" and parent or nil, members = {}, doc = doc }
      classes[name] = class
      if parent ~= "" then note_type(parent) end
    elseif tag == "field" then
      local name, optional, text = rest:gsub("^private ", ""):match "^([%w_]+)(%??) (.+)$"
      class.members[name] = { kind = "field", optional = optional == "?" }
      note_type(text)
      if not text:find " %u" and not text:find " 1 " then undocumented[#undocumented + 1] = number end
    elseif tag == "param" then
      parameters[#parameters + 1] = rest:match "^([%w_.]+)%??"
      note_type(rest)
    elseif tag == "alias" then
      aliases[rest:match "^([%w_.]+)"] = true
      note_type(rest)
    elseif tag == "return" or tag == "overload" then
      note_type(rest)
    end
  end

  local function declare(owner, separator, name, arguments)
    local names = {}
    for each in arguments:gmatch "[%w_.]+" do names[#names + 1] = each end
    if table.concat(names, " ") ~= table.concat(parameters, " ") then
      wrong_parameters[#wrong_parameters + 1] = number
    end
    if not doc then undocumented[#undocumented + 1] = number end
    owner.members[name] = {
      kind = separator == ":" and "method" or "function", count = #names + (separator == ":" and 1 or 0),
    }
  end

  for line in io.lines(path) do
    number = number + 1
    local tag, rest = line:match "^%-%-%-@(%w+) ?(.*)$"
    local variable = line:match "^local ([%w_]+) = {}$"
    local owner, separator, name, arguments = line:match "^function ([%w_]+)([.:])([%w_]+)%((.-)%) end$"
    if tag then
      annotation(tag, rest)
    elseif line:find "^%-%-%-" then
      doc = line
    elseif variable then
      variables[variable] = class
      clear()
    elseif owner then
      declare(variables[owner], separator, name, arguments)
      clear()
    else
      clear()
    end
  end
end

read_declarations "lua/roost/api.lua"

-- The members of a class and of its parents, as name -> declaration; kind: only such.
local function declared(name, kind)
  local members = {}
  local class = classes[name]
  while class do
    for member, declaration in pairs(class.members) do
      if not kind or declaration.kind == kind or (kind == "callable" and declaration.kind ~= "field") then
        members[member] = declaration
      end
    end
    class = classes[class.parent]
  end
  return members
end

local function sorted_names(set)
  local names = {}
  for name in pairs(set) do names[#names + 1] = name end
  table.sort(names)
  return names
end

-- What there is ---------------------------------------------------------------------------------

-- The local of that name which fn, or a function that it uses, has from around it.
local function upvalue(fn, name, seen)
  seen = seen or {}
  seen[fn] = true
  local functions = {}
  for i = 1, math.huge do
    local found, value = debug.getupvalue(fn, i)
    if not found then break end
    if found == name then return value end
    if type(value) == "function" and not seen[value] then functions[#functions + 1] = value end
  end
  for _, each in ipairs(functions) do
    local value = not seen[each] and upvalue(each, name, seen)
    if value then return value end
  end
end

-- The functions of a table, without metamethods.
local function functions_of(object)
  local functions = {}
  for name, value in pairs(object) do
    if type(value) == "function" and not name:find "^__" then functions[name] = value end
  end
  return functions
end

local function methods_of(object)
  local index = getmetatable(object).__index
  return functions_of(type(index) == "table" and index or getmetatable(object))
end

-- The same names, and no function is declared with more parameters than it has.
local function compare(class, functions)
  assert.same(sorted_names(functions), sorted_names(declared(class, "callable")))
  for name, declaration in pairs(declared(class, "callable")) do
    local info = debug.getinfo(functions[name], "Su")
    if info.what == "Lua" and not info.isvararg then
      assert.is_true(declaration.count <= info.nparams, class .. "." .. name .. " has fewer parameters")
    end
  end
end

describe("api.lua", function()
  it("is well-formed", function()
    assert.same({}, undocumented)
    assert.same({}, wrong_parameters)
    local chunk, err = loadfile "lua/roost/api.lua"
    assert.is_nil(err)
    assert.is_function(chunk)
  end)

  it("names no type that it does not declare", function()
    local unknown = {}
    for _, each in ipairs(types) do
      local text = each.text:gsub("`[^`]*`", "")
      for name in text:gmatch "roost%.[%w_.]*[%w_]" do
        if not classes[name] and not aliases[name] then unknown[#unknown + 1] = each.line .. ": " .. name end
      end
    end
    assert.same({}, unknown)
  end)

  it("is for editors and not a module of the library", function()
    assert.is_nil(package.preload["roost.api"])
    assert.is_function(package.preload["roost.pipes"])
  end)

  it("has all of roost", function()
    local fields = {}
    for name, value in pairs(roost) do
      if type(value) ~= "function" then fields[name] = true end
    end
    assert.same(sorted_names(fields), sorted_names(declared("roost", "field")))
    compare("roost", functions_of(roost))
    compare("roost.json", functions_of(roost.json))
    compare("roost.pipes", functions_of(roost.pipes))
    compare("roost.streams", functions_of(roost.stream))
  end)

  it("has the methods of the log, the store, and tasks", function()
    compare("roost.log", methods_of(roost.log))
    compare("roost.store", methods_of(roost.store))
    local task = roost.spawn(function() end)
    compare("roost.task", methods_of(task))
    task:cancel()
  end)

  it("has the options of the store: ttl, and no others", function()
    assert.same({ "ttl" }, sorted_names(declared "roost.store_options"))
    assert.matches("unknown option 'tl'; there is ttl",
      testing.raises(function() roost.store:set("k", 1, { tl = 5 }) end).message)
  end)

  it("has the methods of streams, subjects, observers, subscriptions", function()
    local stream, subject = roost.stream.of(1), roost.stream.subject()
    compare("roost.stream", methods_of(stream))
    local all = methods_of(subject)
    for name, fn in pairs(functions_of(subject)) do
      if name ~= "start" then all[name] = fn end -- start is every stream's own
    end
    compare("roost.subject", all)
    local observer
    local subscription = roost.stream.create(function(given) observer = given end):subscribe {}
    roost.sleep(0)
    compare("roost.observer", methods_of(observer))
    compare("roost.subscription", methods_of(subscription))
    subscription:unsubscribe()
  end)

  it("knows which functions a consumer may have", function()
    local got = {}
    local consumer = setmetatable({}, { __index = function(_, name)
      got[name] = true
    end })
    roost.stream.of():subscribe(consumer)
    assert.same(sorted_names(got), sorted_names(declared "roost.consumer"))
  end)

  describe("of services", function()
    local service

    before_each(function()
      testing.host { services = { inline = function(given) service = given end } }
    end)

    it("has the methods", function()
      compare("roost.service", methods_of(service))
      assert.equal("string", type(service.name))
      assert.same({ "name" }, sorted_names(declared("roost.service", "field")))
    end)

    it("has the options of handlers", function()
      local known = upvalue(service.message, "known_options")
      local all = {}
      for name in pairs(known) do all[name] = true end
      for name in pairs(upvalue(service.message, "stages")) do all[name] = true end
      assert.same(sorted_names(all), sorted_names(declared "roost.handler_options"))
    end)

    it("has the options of services: those are taken, and no others", function()
      local options = sorted_names(declared "roost.service_options")
      local expected = { "instances", "name" }
      for name in pairs(upvalue(roost.service, "stages")) do expected[#expected + 1] = name end
      table.sort(expected)
      assert.same(expected, options)
      local err = testing.raises(roost.service, { gards = {} })
      assert.matches("unknown option 'gards'", err.message)
    end)
  end)

  describe("of the context", function()
    -- Of a ctx, which is C: upvalue 1 of its __index are the methods, 2 the fields but for some.
    local function parts(ctx)
      local index = getmetatable(ctx).__index
      local _, methods = debug.getupvalue(index, 1)
      local _, fields = debug.getupvalue(index, 2)
      local all = { data = true, deadline = true, headers = true, log = true }
      for name in pairs(fields) do all[name] = true end
      return methods, all
    end

    it("has the fields and the methods", function()
      local methods, fields, missing
      local host = testing.host { services = { inline = function(service)
        service:message("x", function(_, ctx)
          methods, fields = parts(ctx)
          missing = {}
          for name in pairs(declared("roost.ctx", "field")) do
            if ctx[name] == nil then missing[#missing + 1] = name end
          end
        end)
      end } }
      host:call("x", {})
      assert.same({}, missing)
      assert.same(sorted_names(fields), sorted_names(declared("roost.ctx", "field")))
      compare("roost.ctx", methods)
    end)

    it("has what peer and unwrap give", function()
      local host = testing.host { services = { inline = function(service)
        service:message("x", function(_, ctx)
          assert.same(sorted_names(declared "roost.address"), sorted_names(ctx.peer))
          assert.same(sorted_names(declared "roost.ctx_info"), sorted_names(ctx:unwrap()))
          return "compared"
        end)
      end } }
      assert.equal("compared", host:call("x", {}))
    end)
  end)

  describe("of clients", function()
    -- Calls fn with a client of a stub; what fn raises is the test's.
    local function use(fn)
      local ok, err
      local host = testing.host {
        config = { clients = { OTHER = { transport = "tcp", host = "127.0.0.1", port = 1 } } },
        services = { inline = function(service)
          service:message("x", function() ok, err = pcall(fn, roost.client "OTHER") end)
        end },
      }
      host:stub("OTHER", { y = function() end })
      host:call("x", {})
      if not ok then error(err, 0) end
    end

    it("has the methods", function()
      use(function(client)
        compare("roost.client", methods_of(client))
        compare("roost.client_status", methods_of(client.status))
        assert.same({ "status" }, sorted_names(declared("roost.client", "field")))
        local listening = client:on("error", function() end)
        assert.same(sorted_names(declared "roost.listening"), sorted_names(listening))
        listening.unsubscribe()
      end)
    end)

    it("has the options of calls", function()
      use(function(client)
        assert.same(sorted_names(upvalue(client.call, "known_options")),
          sorted_names(declared "roost.call_options"))
      end)
    end)

    it("has what unwrap gives", function()
      use(function(client)
        client:call("y", {})
        local info = client:unwrap()
        for name in pairs(info) do
          assert.is_table(declared "roost.client_info"[name], name .. " is not declared")
        end
        for name, declaration in pairs(declared "roost.client_info") do
          assert.is_true(declaration.optional or info[name] ~= nil, name .. " is not there")
        end
      end)
    end)
  end)

  it("of servers has the methods, and what unwrap gives", function()
    local server
    local host <close> = testing.host { -- luacheck: ignore 211
      services = { inline = function() server = roost.server(1) end },
    }
    compare("roost.server", methods_of(server))
    assert.same({ "status" }, sorted_names(declared("roost.server", "field")))
    for name in pairs(server:unwrap()) do
      assert.is_table(declared "roost.server_info"[name], name .. " is not declared")
    end
  end)

  describe("of errors", function()
    -- Each member is declared, and each that is declared is there, unless it is optional.
    local function check(err)
      local members = declared("roost." .. err.name)
      assert.is_table(classes["roost." .. err.name], err.name .. " is not declared")
      for name in pairs(err) do assert.is_table(members[name], err.name .. "." .. name .. " is not declared") end
      for name, member in pairs(members) do
        assert.is_true(member.optional or err[name] ~= nil, err.name .. "." .. name .. " is not there")
      end
      return err.name
    end

    it("has the members", function()
      local host = testing.host {
        config = { limits = { store_memory = 1000 } },
        services = { inline = function(service)
          service:message("full", function() roost.store:set("k", ("x"):rep(2000)) end)
          service:message("never", { timeout = 0 }, function() roost.sleep(1e9) end)
        end },
      }
      local seen = {}
      local function note(fn) seen[check(testing.raises(fn))] = true end
      note(function() error(roost.rpc_error "x") end)
      note(function() host:call("gone", {}) end)
      note(function() host:call("never", {}, { timeout = 1 }) end)
      note(function() host:call("x", nil) end)
      note(function() roost.pipes.validate "string" (5) end)
      note(function()
        local store, text = roost.store, ("x"):rep(1 << 20)
        for i = 1, math.huge do store:set("key" .. i, text) end
      end)
      for _, key in ipairs(roost.store:keys()) do roost.store:delete(key) end
      local task = roost.spawn(function() note(function() roost.sleep(1000) end) end)
      host:settle()
      task:cancel()
      host:settle()
      local call = roost.spawn(function() note(function() host:call("never", {}) end) end)
      host:settle()
      host:close()
      assert.is_false(call:alive())
      local names = {}
      for name, class in pairs(classes) do
        if class.parent == "roost.Error" then names[name:match "[%w]+$"] = true end
      end
      assert.same(sorted_names(names), sorted_names(seen))
    end)
  end)

  describe("of roost.testing", function()
    it("has all of it", function()
      compare("roost.testing", functions_of(testing))
      local fields = {}
      for name, value in pairs(testing) do
        if type(value) ~= "function" then fields[name] = true end
      end
      assert.same(sorted_names(fields), sorted_names(declared("roost.testing", "field")))
    end)

    it("has the methods of hosts and peers, and what records have", function()
      local host = testing.host {}
      compare("roost.testing.host", methods_of(host))
      compare("roost.testing.peer", methods_of(host:connect()))
      local record = testing.record(roost.stream.create(function() error { name = "any" } end))
      roost.sleep(0)
      assert.same(sorted_names(record), sorted_names(declared "roost.testing.record"))
    end)

    it("has the options", function()
      local host = testing.host {}
      assert.same(sorted_names(upvalue(testing.host, "host_options")),
        sorted_names(declared "roost.testing.host_options"))
      assert.same(sorted_names(upvalue(host.call, "call_options")),
        sorted_names(declared "roost.testing.call_options"))
      assert.same(sorted_names(upvalue(host.call, "call_peer_options")),
        sorted_names(declared "roost.testing.caller"))
      assert.same(sorted_names(upvalue(host.connect, "peer_options")),
        sorted_names(declared "roost.testing.peer_options"))
    end)

    it("has what was sent", function()
      local host = testing.host {
        config = { clients = { OTHER = { transport = "tcp", host = "127.0.0.1", port = 1 } } },
        services = { inline = function(service)
          service:message("x", function()
            return roost.client "OTHER":call("y", { 1 }, { metadata = { a = 1 } })
          end)
        end },
      }
      host:stub("OTHER", { y = function() return "z" end })
      assert.equal("z", host:call("x", {}))
      assert.same(sorted_names(host:sent "OTHER"[1]), sorted_names(declared "roost.testing.sent"))
    end)
  end)
end)
