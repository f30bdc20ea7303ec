-- Exception filters word the errors. Without one only roost.rpc_error reaches the caller.
local roost = require "roost"

-- @Catch(NotFound): the first non-nil result is the payload; nil leaves the error to the next filter.
local function not_found(err)
  if err.name == "NotFound" then return { code = 404, message = err.what .. " is not there" } end
end

-- It may raise another one instead.
local function translated(err)
  if err.name == "Timeout" then error(roost.rpc_error "try again later") end
end

-- An error that is no table comes as { name = "Error", message =, cause = }.
local function reported(err, ctx)
  ctx.log:warn("failed", { error = err.name })
end

local service = roost.service { filters = { not_found, reported } }

service:message("find", function(what) error { name = "NotFound", what = what } end)
service:message("wait", { filters = translated }, function() error { name = "Timeout" } end)
service:message("break", function() error "a secret" end)
service:message("refuse", function() return nil, roost.rpc_error { code = 7 } end)
service:message("stream", function()
  return roost.stream.of(1):concat(roost.stream.create(function()
    error { name = "NotFound", what = "the rest" }
  end))
end)

return service
