-- testing.host: services from files and inline, hooks, configuration, the log, the end.
local roost = require "roost"
local testing = require "roost.testing"

describe("testing: hosts", function()
  local log

  before_each(function() log = {} end)

  local function note(text) log[#log + 1] = text end

  it("take services from files, folders and functions", function()
    local host = testing.host { services = {
      "services/math.lua", "tests/lua/guide/patterns.lua",
      inline = function(service) service:message("inline", function() return service.name end) end,
    } }
    assert.equal(1, host:call({ cmd = "mean" }, { 1 }))
    assert.equal("Hello, Ada!", host:call("greet", "Ada"))
    assert.equal("inline", host:call("inline", {}))
    local names = {}
    for name in pairs(host:status().services) do names[#names + 1] = name end
    table.sort(names)
    assert.same({ "inline", "math", "patterns" }, names)
  end)

  it("take a whole folder, without its specs", function()
    local host <close> = testing.host { services = "services" }
    assert.equal(6, host:call({ cmd = "sum" }, { 1, 2, 3 }))
    assert.equal("x", host:call("echo", "x"))
    assert.is_nil(host:status().services.math_spec)
  end)

  it("may have no services at all", function()
    for _, options in ipairs { {}, { services = {} } } do
      local host <close> = testing.host(options)
      assert.same({}, host:status().services)
    end
  end)

  describe("inline services", function()
    it("run in the test's own state", function()
      local calls = 0
      local host = testing.host { services = { counter = function(service)
        service:message("count", function() calls = calls + 1 return calls end)
      end } }
      host:call("count", {})
      assert.equal(1, calls)
    end)

    it("have hooks, which may wait", function()
      local host = testing.host { services = { hooked = function(service)
        service:on_start(function()
          note "starting"
          roost.sleep(100)
          note "started"
        end)
        service:on_stop(function()
          roost.sleep(100)
          note "stopped"
        end)
        service:message("log", function() return log end)
      end } }
      assert.same({ "starting", "started" }, host:call("log", {}))
      host:close()
      assert.equal("stopped", log[3])
    end)

    it("have timers and tasks that end with their host", function()
      local host = testing.host { services = { timed = function(service)
        service:on_start(function() roost.every(10, function() note "beat" end) end)
        service:message("later", function() roost.after(1000, function() note "after" end) end)
      end } }
      host:call("later", {})
      host:advance(25)
      assert.same({ "beat", "beat" }, log)
      host:close()
      roost.sleep(2000)
      assert.same({ "beat", "beat" }, log)
    end)

    it("have stages and providers", function()
      local host = testing.host { services = { staged = function(service)
        service:message("guarded", { guards = function(ctx) return ctx.data == "ok" end }, function()
          return "in"
        end)
        service:message("payload", { payload = "a", pipes = roost.pipes.validate "integer" }, function(a)
          return a
        end)
      end } }
      assert.equal("in", host:call("guarded", "ok"))
      assert.equal("Forbidden resource", testing.raises(host.call, host, "guarded", "no").message)
      assert.equal(5, host:call("payload", { a = 5 }))
    end)

    it("start in the order of their names, and are told apart in the log", function()
      local services = {}
      for _, name in ipairs { "b", "a", "c" } do
        services[name] = function(service)
          note(name)
          service:message(name, function(_, ctx) ctx.log:info "called" end)
        end
      end
      local host = testing.host { services = services }
      assert.same({ "a", "b", "c" }, log)
      host:call("c", {})
      local lines = host:logs "info"
      assert.equal("c", lines[#lines].service)
    end)
  end)

  it("may be several, each with its services and its store", function()
    local function counting(service)
      service:message("incr", function() return roost.store:incr("n") end)
    end
    local a = testing.host { services = { counting = counting } }
    local b = testing.host { services = { counting = counting } }
    a:call("incr", {})
    assert.equal(2, a:call("incr", {}))
    assert.equal(1, b:call("incr", {}))
    a:close()
    assert.equal(2, b:call("incr", {}))
  end)

  it("end where they are <close> variables, and only once", function()
    local outside
    do
      local host <close> = testing.host { services = { hooked = function(service)
        service:on_stop(function() note "stopped" end)
      end } }
      outside = host
    end
    assert.same({ "stopped" }, log)
    outside:close()
    assert.same({ "stopped" }, log)
    for _, method in ipairs { "call", "emit" } do
      assert.matches("the host is closed", testing.raises(outside[method], outside, "x", {}).message)
    end
    for _, method in ipairs { "connect", "logs", "status" } do
      assert.matches("the host is closed", testing.raises(outside[method], outside).message)
    end
  end)

  it("answer what runs when they close, as far as drain_timeout goes", function()
    local host = testing.host {
      config = { reload = { drain_timeout = 1000 } },
      services = { slow = function(service)
        service:message("slow", function(ms) roost.sleep(ms) return "done" end)
      end },
    }
    local quick, slow = host:connect(), host:connect()
    quick:send { pattern = "slow", data = 500, id = 1 }
    slow:send { pattern = "slow", data = 5000, id = 2 }
    host:settle()
    local before = roost.now()
    host:close()
    assert.is_true(roost.now() - before <= 2000)
    assert.is_nil(quick:receive())
  end)

  describe("logs", function()
    local function speak(service)
      service:message("speak", function()
        for _, level in ipairs { "debug", "info", "warn", "error" } do
          roost.log[level](roost.log, level .. "!", { n = 1, list = { 1 } })
        end
      end)
    end

    it("are tables, one for each line, of one level if asked", function()
      local host = testing.host { services = { speaker = speak } }
      host:call("speak", {})
      local warnings = host:logs "warn"
      assert.equal(1, #warnings)
      assert.equal("warn!", warnings[1].msg)
      assert.same({ 1, { 1 }, "speaker" }, { warnings[1].n, warnings[1].list, warnings[1].service })
      assert.equal("error!", host:logs "error"[1].msg)
      local all = host:logs()
      assert.is_true(#all > 3)
      assert.same({}, host:logs "debug")
    end)

    it("begin at the level of the configuration", function()
      local host = testing.host { config = { log = { level = "debug" } }, services = { speaker = speak } }
      host:call("speak", {})
      assert.equal("debug!", host:logs "debug"[1].msg)
    end)

    it("say when they were written by the test's clock", function()
      local host = testing.host { services = { speaker = speak } }
      host:call("speak", {})
      host:advance(1500)
      host:call("speak", {})
      local warnings = host:logs "warn"
      local function seconds(line) return tonumber(line.ts:match "(%d%d%.%d+)Z") end
      assert.equal(1500, math.floor((seconds(warnings[2]) - seconds(warnings[1])) % 60 * 1000 + 0.5))
    end)

    it("refuse a level that is none", function()
      local host = testing.host {}
      assert.matches("hosts_spec.lua:%d+: .*'warning'",
        testing.raises(function() host:logs "warning" end).message)
    end)
  end)

  it("have a status", function()
    local host = testing.host { services = { inline = function(service)
      service:message("x", function() end)
      service:message("bad", function() error "no" end)
      service:event("e", function() end)
    end } }
    for _ = 1, 3 do host:call("x", {}) end
    host:emit("e", {})
    pcall(host.call, host, "bad", {})
    local status = host:status()
    assert.equal("running", status.state)
    local service = status.services.inline
    assert.same({ "live", 4, 1, 1, 0 }, { service.state, service.requests, service.events, service.errors,
      service.in_flight })
    assert.same({ "bad", "e", "x" }, (function() table.sort(service.patterns) return service.patterns end)())
    assert.equal(1, status.servers["1"].connections)
  end)

  describe("refuse", function()
    local function complaint(options)
      return testing.raises(function() testing.host(options) end).message
    end

    it("options they do not know", function()
      assert.matches("hosts_spec.lua:%d+: testing.host: unknown option 'servces'", complaint { servces = {} })
      assert.matches("a table is expected, got nil", complaint(nil))
      assert.matches('clock is "fake" or "real", not "slow"', complaint { clock = "slow" })
      assert.matches("config", complaint { config = 5 })
      assert.matches("services", complaint { services = 5 })
      assert.matches("workers", complaint { workers = 2 })
    end)

    it("a wrong configuration, naming the key", function()
      assert.matches("limits%.request_timout", complaint { config = { limits = { request_timout = 1 } } })
      assert.matches("servers%[1%]%.port", complaint { config = { servers = { { port = "http" } } } })
      assert.matches("config%.limits: a function can't stand", complaint { config = { limits = print } })
      assert.matches("services", complaint { config = { services = "services" } })
    end)

    it("services that are not there, or not right", function()
      assert.matches("services/gone.lua: no such file", complaint { services = { "services/gone.lua" } })
      assert.matches("service x: a function is expected, got number", complaint { services = { x = 5 } })
      assert.matches("hosts_spec.lua:%d+: the handler must be a function",
        complaint { services = { x = function(service) service:message("a", 5) end } })
      assert.matches("hosts_spec.lua:%d+: no such luck",
        complaint { services = { x = function() error "no such luck" end } })
      assert.matches("hosts_spec.lua:%d+: not today", complaint { services = { x = function(service)
        service:on_start(function() error "not today" end)
      end } })
    end)

    it("names that are taken", function()
      assert.matches("math", complaint { services = { "services/math.lua", math = function() end } })
    end)

    it("and leave nothing behind", function()
      assert.is_nil(next(testing.open_hosts))
      pcall(testing.host, { services = { "services/gone.lua" } })
      assert.is_nil(next(testing.open_hosts))
    end)
  end)

  it("warn where two services have one pattern", function()
    local function same(service) service:message("same", function() return service.name end) end
    local host = testing.host { services = { a = same, b = same } }
    assert.matches("same", host:logs "warn"[1].msg)
    assert.equal("b", host:call("same", {}))
  end)

  -- Hosts made in setup or lazy_setup stay until the block is over.
  describe("made for a whole block", function()
    local shared
    local calls = 0

    setup(function()
      shared = testing.host { services = { inline = function(service)
        service:message("next", function() calls = calls + 1 return calls end)
      end } }
    end)

    it("are there in the first test", function() assert.equal(1, shared:call("next", {})) end)
    it("and in the next", function() assert.equal(2, shared:call("next", {})) end)
  end)
end)
