-- Stubs of named clients, whatever transport the configuration has for them.
local roost = require "roost"
local testing = require "roost.testing"

local entries = {
  tcp = { transport = "tcp", port = 1 },
  ["local"] = { transport = "local" },
  nats = { transport = "nats" },
  redis = { transport = "redis" },
  mqtt = { transport = "mqtt" },
  rmq = { transport = "rmq", queue = "orders" },
}

-- ThreadSanitizer does not survive the threads of librdkafka, which was not built with it.
if not os.getenv "ROOST_SLOW" then
  entries.kafka = { transport = "kafka", client = { brokers = { "127.0.0.1:1" } } }
end

local function asks(service)
  local other = roost.client "OTHER"
  service:message("ask", function(data) return other:call("double", data, { metadata = { a = "1" } }) end)
  service:message("tell", function(data) other:emit("told", data):last() end)
end

describe("testing: stubs", function()
  for transport, entry in pairs(entries) do
    local function start()
      return testing.host { config = { clients = { OTHER = entry } }, services = { inline = asks } }
    end

    local function check(host)
      host:stub("OTHER", { double = function(data) return 2 * data end, told = function() end })
      assert.equal(42, host:call("ask", 21))
      host:call("tell", { id = 7 })
      assert.same({
        { kind = "message", pattern = "double", data = 21, metadata = { a = "1" } },
        { kind = "event", pattern = "told", data = { id = 7 } },
      }, host:sent "OTHER")
    end

    it("answer in place of " .. transport, function()
      check(start())
    end)

    it("answer in place of " .. transport .. " where it was tried before", function()
      local host = start()
      assert.is_table(testing.raises(host.call, host, "ask", 1, { timeout = 100 }))
      check(host)
    end)

    it("are silent, or down, in place of " .. transport, function()
      local host = start()
      host:stub("OTHER", testing.silent)
      assert.equal("TimeoutError", testing.raises(host.call, host, "ask", 1, { timeout = 100 }).name)
      host:stub("OTHER", testing.down)
      assert.equal("Internal server error", testing.raises(host.call, host, "ask", 1).message)
      local logs = host:logs "error"
      assert.matches("ECONNREFUSED", logs[#logs].err)
    end)
  end
end)
