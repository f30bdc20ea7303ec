// A RabbitMQ that is short of memory takes no messages, and says so.
import assert from 'node:assert/strict';
import { binding, startRmq } from '../lib/brokers/rmq.mjs';
import { stateTest } from '../lib/env.mjs';
import { startHost } from '../lib/host.mjs';
import { connect } from '../lib/peer.mjs';
import { until } from '../lib/wait.mjs';

const service = `local roost = require "roost"
local service = roost.service()
local notes = roost.array {}
local function watch(name, watched)
  watched.status:subscribe(function(status) notes[#notes + 1] = name .. " " .. status end)
  watched:on("blocked", function() notes[#notes + 1] = name .. " is blocked" end)
end
service:on_start(function()
  watch("client", roost.client("C"))
  watch("server", roost.server("broker"))
end)
service:message("notes", { transport = "tcp" }, function() return notes end)
service:message("emit", { transport = "tcp" }, function(list)
  for _, value in ipairs(list) do roost.client("C"):emit("seen", value) end
end)
service:message("call", { transport = "tcp" }, function()
  return roost.client("C"):call("echo", 1, { timeout = 300 })
end)
service:message("echo", function(data) return data end)
return service
`;

stateTest('is told to whoever watches, and holds nobody up at the end', async (t) => {
  const broker = await startRmq(t, { conf: { 'vm_memory_high_watermark.absolute': '1MB' } });
  const host = await startHost(t, {
    service, servers: [{ ...binding.roost(broker), name: 'broker' }, {}],
    clients: { C: binding.roost(broker) },
  });
  const peer = await connect(t, host.port);
  const notes = (wanted) => until(async () => {
    const list = await peer.call('notes', 1);
    return wanted.every((note) => list.includes(note)) && list;
  }, wanted.join());
  await notes(['server connected']);
  await peer.call('emit', [1, 2]);
  await notes(['client connected', 'client blocked', 'client is blocked']);
  const answer = JSON.parse(await peer.ask('call', 1, 'x'));
  assert.match(JSON.stringify(answer.err), /Timeout|Internal server error/);
  await host.stop();
});
