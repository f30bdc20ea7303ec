-- Says that its handlers belong to something else: in Lua a userdata, in C a pointer.
local roost = require "roost"
local service = roost.service()
service.target = roost.log
service:message("hello", function() return "hello" end)
service.target = roost.null
service:on_start(function() roost.log:info "started" end)
return service
