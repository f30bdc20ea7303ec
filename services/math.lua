local roost = require "roost"

local service = roost.service()

local function sum(numbers)
  local total = 0
  for i = 1, #numbers do total = total + numbers[i] end
  return total
end

service:message({ cmd = "sum" }, function(numbers)
  return sum(numbers)
end)

service:message({ cmd = "mean" }, function(numbers)
  if #numbers == 0 then error(roost.rpc_error "mean of an empty list") end
  return sum(numbers) / #numbers
end)

-- One reply for each number from `from` to `to`, then the end.
service:message({ cmd = "range" }, function(data, ctx)
  for n = data.from or 1, data.to do
    if not ctx:emit(n) then return end
  end
end)

return service
