// A Roost host whose service calls others as a test says: a client's methods from outside.
import { code, lua } from './lua.mjs';
import { startHost } from './host.mjs';
import { connect } from './peer.mjs';

/**
 * The service. "do" takes { client, method, pattern, data, options } and answers with what came of
 * it: { values, completed, err }. clients is a Lua expression for a table of them.
 */
const callerService = (clients, prepare, more) => `local roost = require "roost"
local service = roost.service()
local clients = ${clients}
local told = roost.array {}
do
  local client = clients.default
  ${prepare}
end

local function outcome(run)
  local ok, result = pcall(run)
  if ok then return result or { completed = true } end
  if type(result) ~= "table" then return { err = { text = tostring(result) } } end
  return { err = { name = result.name, code = result.code, message = result.message,
    response = result.response, detail = result.detail, text = tostring(result) } }
end

local function record(stream)
  local values, ended = roost.array {}, nil
  local done = roost.stream.subject()
  stream:subscribe {
    next = function(value) values[#values + 1] = value end,
    error = function(err) ended = outcome(function() error(err, 0) end) done:complete() end,
    complete = function() ended = { completed = true } done:complete() end,
  }
  if not ended then done:last() end
  ended.values = values
  return ended
end

service:message("do", function(data)
  local client = clients[data.client or "default"]
  local method, value = data.method or "call", data.data
  if data.lua then
    value = load("local roost = ... return " .. data.lua)(roost)
  end
  return outcome(function()
    if method == "call" then
      local result = client:call(data.pattern, value, data.options)
      return { values = roost.array { result }, completed = true }
    elseif method == "send" then
      return record(client:send(data.pattern, value, data.options))
    elseif method == "emit" then
      return record(client:emit(data.pattern, value, data.options))
    elseif method == "unwrap" or method == "connect and unwrap" then
      if method ~= "unwrap" then client:connect() end
      local info = client:unwrap()
      info.close = nil
      return info
    else
      client[method](client)
    end
  end)
end)

-- The values of many calls at once.
service:message("many", function(data)
  local calls = {}
  for i, value in ipairs(data.list) do
    calls[i] = function() return clients.default:call(data.pattern, value) end
  end
  return roost.array(roost.all(calls))
end)

service:message("watch", function(name)
  local client = clients[name]
  client.status:subscribe(function(status) told[#told + 1] = "status " .. status end)
  for _, event in ipairs { "connect", "close", "error", "disconnect" } do
    client:on(event, function(err)
      told[#told + 1] = event .. (err and " " .. err.name .. " " .. err.code or "")
    end)
  end
end)
service:message("told", function() return told end)
${more}
return service
`;

/** A host with that service; gives what drives it. */
export async function startCaller(t, { clients, config, prepare = 'local _ = client', more = '', timeout = 0, ...rest }) {
  const host = await startHost(t, {
    service: callerService(lua(clients), prepare, more),
    limits: { request_timeout: timeout },
    clients: config,
    ...rest,
  });
  const drive = async (request) => {
    const peer = await connect(t, host.port);
    try {
      return await peer.call('do', request);
    } finally {
      peer.destroy();
    }
  };
  const ask = async (pattern, data) => (await connect(t, host.port)).call(pattern, data);
  return {
    host,
    drive,
    ask,
    call: (pattern, data, options) => drive({ pattern, data, options }),
    send: (pattern, data, options) => drive({ method: 'send', pattern, data, options }),
    emit: (pattern, data, options) => drive({ method: 'emit', pattern, data, options }),
  };
}

/** A client of its own, made from its entry. */
export const clientOf = (entry) => code(`roost.client ${lua(entry)}`);
export const tcpClient = (port, keys = {}) =>
  clientOf({ transport: 'tcp', host: '127.0.0.1', port, ...keys });
export const namedClient = (name) => code(`roost.client ${lua(name)}`);
