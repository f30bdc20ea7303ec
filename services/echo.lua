local service = require("roost").service()

service:message("echo", function(data)
  return data
end)

return service
