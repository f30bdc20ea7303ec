-- The host of the driver: the defaults, with nothing beside the listeners.
return {
  admin = { socket = false, http = false },
  servers = {
    { host = "127.0.0.1", port = 0 },
    { name = "cjson", host = "127.0.0.1", port = 0, serializer = "cjson", deserializer = "cjson" },
  },
}
