-- Pipes check what comes, and turn it into what the handler wants.
local roost = require "roost"
local service = roost.service()

-- ValidationPipe with a DTO: unknown members are dropped, "?" marks what may be missing.
local order = roost.pipes.validate {
  customer = "string",
  items = { { sku = "string", count = "integer" } },
  note = "string?",
  express = function(value) return value == nil or value == true, "must be true or missing" end,
}

service:message("order", { pipes = order }, function(data) return data end)

-- ParseIntPipe: what a pipe returns is what the next one, or the handler, gets.
local function parse_integer(text)
  return math.tointeger(tonumber(text)) or error(roost.rpc_error "an integer is expected")
end

local function positive(n)
  return n > 0 and n or error(roost.rpc_error "it must be above 0")
end

service:message("double", { pipes = { parse_integer, positive } }, function(n) return 2 * n end)

-- DefaultValuePipe
service:message("page", { pipes = function(data)
  return { number = data.number or 1, size = data.size or 20 }
end }, function(page) return page end)

return service
