-- load URL FOLDER: asks "hello" over and over: eight tasks through one client, four of which each
-- call has a client, and so a connection, of its own. FOLDER/going is there once it goes; when
-- FOLDER/over is, it says how it went. Roost's own client tells what was never sent (refused) from
-- what was, and has got no answer (lost).
local roost = require "roost"
local url, folder = arg[1], arg[2]
local over = false

local function count_into(counts, client)
  local ok, result = pcall(client.call, client, "hello", "Ada")
  if ok and tostring(result):find("Ada", 1, true) then
    counts.answered = counts.answered + 1
    return
  end
  local kind = "wrong"
  if not ok and type(result) == "table" and result.name == "ConnectionError" then
    kind = result.code == "ECONNREFUSED" and "refused" or "lost"
  end
  counts[kind] = counts[kind] + 1
  counts.last = tostring(result)
  roost.sleep(1)
end

local function new(name)
  return { name = name, answered = 0, refused = 0, lost = 0, wrong = 0 }
end

local kept, fresh = new "kept", new "fresh"
local shared = roost.client { url = url }
local tasks = {}
for _ = 1, 8 do
  tasks[#tasks + 1] = function()
    while not over do count_into(kept, shared) end
  end
end
for _ = 1, 4 do
  tasks[#tasks + 1] = function()
    while not over do
      local client <close> = roost.client { url = url }
      count_into(fresh, client)
    end
  end
end
tasks[#tasks + 1] = function()
  local going = false
  while not over do
    roost.sleep(10)
    if not going and kept.answered > 100 and fresh.answered > 100 then
      going = true
      io.open(folder .. "/going", "w"):close()
    end
    local file = io.open(folder .. "/over")
    over = file ~= nil
    if file then file:close() end
  end
end
roost.all(tasks)
for _, counts in ipairs { kept, fresh } do
  print(("%s: %d answered, %d refused, %d lost, %d wrong%s"):format(counts.name, counts.answered, counts.refused,
    counts.lost, counts.wrong, counts.last and " (" .. counts.last .. ")" or ""))
end
