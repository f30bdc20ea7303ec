return {
  services = "services",
  servers = { { host = "127.0.0.1", port = 0, max_connections = 32 } },
  limits = {
    service_memory = 8388608,
    store_memory = 1048576,
    buffer_memory = 4194304,
    handler_cpu = tonumber(env("HANDLER_CPU", 50)),
    stuck = "abort",
  },
  admin = { socket = false, http = false },
}
