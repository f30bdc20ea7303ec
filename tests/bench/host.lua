-- The host of the benchmarks: the defaults, with nothing beside the one listener.
return {
  servers = { { host = "127.0.0.1", port = 0 } },
  admin = { socket = false, http = false },
}
