-- What the servers in Lua share: Nest's TCP frames as one writes them by hand, as fast as that goes.
-- What comes is kept in pieces until a frame is whole, and the replies to one read are one write.
-- Counts bytes, which is right for the ASCII that the benchmarks send.
local handlers = {}

handlers["sum"] = function(data)
  local total = 0
  for i = 1, #data do total = total + data[i] end
  return total
end

handlers["echo"] = function(data) return data end

local no_handler = "There is no matching message handler defined in the remote service."

local function answer(json, text)
  local message = json.decode(text)
  local pattern = message.pattern
  local handler = handlers[type(pattern) == "table" and pattern.cmd or pattern]
  if message.id == nil then
    if handler then handler(message.data) end
    return nil
  end
  local reply
  if handler then
    reply = { response = handler(message.data), isDisposed = true, id = message.id }
  else
    reply = { id = message.id, status = "error", err = no_handler }
  end
  reply = json.encode(reply)
  return #reply .. "#" .. reply
end

-- json has encode and decode. Returns a function for one connection that takes what is read and
-- returns the frames to be written, or nil.
return function(json)
  local pieces, count, size, needed = {}, 0, 0, 1 -- what came, and how much it must be at least
  return function(chunk)
    count = count + 1
    pieces[count] = chunk
    size = size + #chunk
    if size < needed then return nil end
    local text = count == 1 and chunk or table.concat(pieces, "", 1, count)
    local at, replies, n = 1, {}, 0
    needed = 1
    while true do
      local _, header_end, length = text:find("^(%d+)#", at)
      if not header_end then break end
      local stop = header_end + tonumber(length)
      if stop > #text then
        needed = stop - at + 1
        break
      end
      local reply = answer(json, text:sub(header_end + 1, stop))
      if reply then
        n = n + 1
        replies[n] = reply
      end
      at = stop + 1
    end
    pieces, count, size = { text:sub(at) }, 1, #text - at + 1
    if size == 0 then count = 0 end
    return n > 0 and table.concat(replies) or nil
  end
end
