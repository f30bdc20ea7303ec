-- The configuration of a Roost host: a Lua file that returns a table.
--
-- Besides plain Lua it can call env(name, default), which reads an environment variable (and
-- complains where it is not set and there is no default), and file(path), which reads a file
-- without its last newline. Times are milliseconds, sizes are bytes. Relative paths start at the
-- directory the host runs in (roost run -C DIR).
--
-- Every value shown is the default, so all of it may be left out. `roost check` says what is
-- wrong with a configuration; `roost run --set KEY=VALUE` sets one key for one run, for instance
-- `--set servers.1.port=4000`.

return {
  -- A folder of services (services/NAME.lua or services/NAME/init.lua), or a list of files and
  -- folders: { "services", "extra/billing.lua" }.
  services = "services",

  -- Where messages come in: a list of listeners.
  servers = {
    {
      transport = "tcp",
      host = "127.0.0.1", -- anything but loopback needs tls or allow_insecure = true
      port = 3000, -- or env("PORT", 3000); 0 takes any free port

      -- name = "public",               -- for logs; without one it is the position in this list
      -- services = { "math", "echo" }, -- only these are reachable here; without it, all
      -- wildcards = false,             -- true: handlers' patterns may hold * and > as with NATS

      -- tls = { -- PEM files, or their text; SIGHUP reads the files again
      --   key = "server.key", cert = "server.pem", -- passphrase = "...",
      --   ca = "ca.pem", verify = "required", -- clients need a certificate; or "optional"
      --   sni = { ["api.example.com"] = { key = "api.key", cert = "api.pem" } },
      --   min_version = "1.2", -- ciphers = "TLS_AES_128_GCM_SHA256:..."
      -- },
      handshake_timeout = 10000, -- for TLS to begin

      -- What one peer may cost. 0 means no limit.
      max_buffer_size = 16777216, -- one message
      max_send_buffer_size = 16777216, -- replies it does not read; beyond it the peer is cut off
      max_connections = 10000,
      max_connections_per_ip = 0,
      max_in_flight = 1024, -- requests of one connection that run at once
      -- rate = { per_second = 100, burst = 200 }, -- messages of one connection; beyond it they wait
      max_streams = 65536, -- streams of one connection that are open at once
      incomplete_message_timeout = 30000, -- for the rest of a message that has begun
      idle_timeout = 0, -- without a byte either way
      backlog = 1024, -- connections the kernel holds until they are accepted

      -- Who may send what. Once there is a rule, what none permits is refused. Peers are "CN=name" and
      -- "DNS:name" (or "DNS:*.name") of a verified certificate, "sha256:..." of any, an address, a
      -- network, or "*". Without patterns a rule permits all of them.
      -- allow = {
      --   { peer = "10.0.0.0/8", patterns = { "orders.*", { cmd = "sum" } } },
      --   { peer = "127.0.0.1" },
      -- },

      -- How packets are framed: "nest", "ndjson" (one line of JSON each) or "length32" (4 bytes, the
      -- length in bytes, before each), as Nest's socketClass.
      framing = "nest",
      -- Modules between packets and what is sent: lua/NAME.lua or services/lib/NAME.lua, with
      -- serialize(packet) -> value or encode(packet) -> text, and deserialize(value) -> packet or
      -- decode(text) -> packet. "cjson" is one.
      -- serializer = "cjson",
      -- deserializer = "cjson",

      -- Listening again, should the listener ever be lost.
      retry_attempts = 0,
      retry_delay = 0,
    },
  },

  limits = {
    request_timeout = 30000, -- for a handler's next reply; 0: none
    buffer_memory = 268435456, -- buffers of all connections; beyond it the largest wait
    store_memory = 67108864, -- what roost.store holds
  },

  -- For single services, by name: a sandbox for code that is not trusted, bytes of its state, CPU
  -- time between two waits.
  -- service_options = { NAME = { sandbox = true, memory = 16777216, cpu = 100 } },

  reload = {
    drain_timeout = 30000, -- for what still runs when a service or the host stops
    start_timeout = 10000, -- for loading a service
  },

  -- Health, status and metrics over HTTP, on a unix socket and on a loopback port; false: not there.
  -- By default they are where this says, and a host that finds them taken goes on without; one that
  -- is told so here does not start then.
  -- admin = { socket = "run/roost.sock", http = "127.0.0.1:9464" },

  log = {
    level = "info", -- or "debug", "warn", "error"
    format = "logfmt", -- or "json"; to stderr
  },
}
