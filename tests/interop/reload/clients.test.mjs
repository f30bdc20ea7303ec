// Callers that go on calling while services are reloaded: real Nest clients, and the services
// themselves, through every kind of client.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { patience, scaled, workers } from '../lib/env.mjs';
import { startHost } from '../lib/host.mjs';
import { code, lua } from '../lib/lua.mjs';
import { loadNest, nestClient } from '../lib/nest.mjs';
import { load, startWatching } from '../lib/reload.mjs';
import { luaService } from '../lib/service.mjs';
import { connect } from '../lib/peer.mjs';
import { makeAuthority } from '../lib/tls.mjs';
import { sleep, until } from '../lib/wait.mjs';

test('a Nest client goes on calling', async (t) => {
  const nest = await loadNest(12);
  const service = (version) => luaService(`
service:message({ cmd = "sum" }, function(data)
  local total = 0
  for _, n in ipairs(data) do total = total + n end
  return total
end)
service:message("later", function(data) roost.sleep(3) return data end)
service:message("items", function(data, ctx)
  for i = 1, data do ctx:emit(i) roost.sleep(1) end
end)
service:message("version", function() return ${version} end)`);
  const host = await startWatching(t, {
    files: { 'services/test.lua': service(0) }, reload: { drain_timeout: 20000 },
  });
  const clients = Array.from({ length: 4 }, () => nestClient(t, nest, host.port));
  const ask = (client, pattern, data) =>
    nest.lastValueFrom(client.send(pattern, data).pipe(nest.toArray()));
  let over = false;
  const calls = { sum: 0, later: 0, items: 0 };
  const working = Promise.all(clients.flatMap((client) => [
    async () => {
      for (; !over; calls.sum++) {
        const n = calls.sum;
        assert.deepEqual(await ask(client, { cmd: 'sum' }, [1, n]), [1 + n]);
      }
    },
    async () => {
      for (; !over; calls.later++) assert.deepEqual(await ask(client, 'later', 'x'), ['x']);
    },
    async () => {
      for (; !over; calls.items++) assert.deepEqual(await ask(client, 'items', 4), [1, 2, 3, 4]);
    },
  ].map((work) => work())));
  working.catch(() => {}); // it is looked at below
  const versions = scaled(25, 10);
  for (let version = 1; version <= versions; version++) {
    await host.reload('services/test.lua', service(version));
    await until(async () => (await ask(clients[0], 'version', {}))[0] === version, 'the new version');
  }
  over = true;
  await working;
  t.diagnostic(JSON.stringify({ ...calls, ...host.counts }));
  assert.ok(calls.sum > 0 && calls.later > 0 && calls.items > 0);
});

describe('services that call others', () => {
  /** A service with all there is to be taken down: clients, timers, tasks, subscriptions. */
  const busy = (name, other, clients, version) => luaService(`
local clients = ${lua(clients)}
local server = roost.server(1)
server.status:subscribe(function() end)
server:on("connection", function() end)
for key, client in pairs(clients) do
  client.status:subscribe(function() end)
  client:on("error", function() end)
  client:on("disconnect", function() end)
end
local subject = roost.stream.subject()
subject:subscribe { next = function() end }
roost.stream.interval(5):subscribe { next = function(n) subject:next(n) end }
roost.every(3, function() clients.named:call("echo", "tick") end)
roost.every(2, function() roost.store:incr("${name}.ticks", 1) end)
roost.spawn(function()
  for n in clients.named:send("endless", 0):each() do subject:next(n) end
end)
clients.own:send("endless", 0):take(3):subscribe { next = function() end, error = function() end }
local last = setmetatable({}, { __gc = function()
  roost.store:incr("${name}.closed", 1)
  roost.log:debug("closed")
  pcall(roost.spawn, print) pcall(roost.after, 1, print) pcall(roost.client, "named")
  pcall(function() clients.named:emit("echo", 1) end) pcall(function() clients.own:close() end)
  pcall(function() return server:unwrap() end) pcall(coroutine.wrap(function() roost.sleep(1) end))
  subject:next(1) roost.json.encode { roost.now(), roost.time(), roost.random(4) }
end })
service:on_start(function() roost.sleep(1) clients.named:call("echo", 1) end)
service:on_stop(function() roost.sleep(1) subject:complete() end)
service:on_handoff(function() return { version = ${version}, last ~= nil } end)
service:on_adopt(function(given) assert(given.version <= ${version}) end)
service:message("${name}.closed", function() return roost.store:get("${name}.closed") or 0 end)
service:message("${name}.echo", function(data) return data end)
service:message("${name}.items", function(data, ctx)
  for i = 1, 3 do if not ctx:emit(i) then return end roost.sleep(1) end
end)
service:message("${name}.relay", function(data)
  local how = data % 5
  if how == 0 then return clients.near:call("${other}.echo", data)
  elseif how == 1 then return clients.named:call("echo", data)
  elseif how == 2 then return clients.own:call("echo", data)
  elseif how == 3 then return clients.near:send("${other}.items", data):collect()[3] and data end
  roost.sleep(1)
  return data
end)`);

  /** Two of them reload each other's callers away while both are called. */
  async function keepReloading(t, own, config) {
    const clients = {
      near: code('roost.client "near"'), named: code('roost.client "named"'), own,
    };
    const text = (name, version) => busy(name, name === 'a' ? 'b' : 'a', clients, version);
    const host = await startWatching(t, {
      files: { 'services/a.lua': text('a', 0), 'services/b.lua': text('b', 0) },
      clients: { near: { transport: 'local' }, ...config },
      reload: { drain_timeout: 1500 * patience },
    });
    let over = false;
    const loads = ['a', 'b'].map((name) => load(t, host.port, {
      connections: 4, depth: 4, pattern: `${name}.relay`, more: () => !over,
      onReply: () => null,
    }));
    for (const each of loads) each.catch(() => {}); // they are looked at below
    for (let version = 1; version <= scaled(12, 6); version++) {
      await host.reload(`services/${version % 2 ? 'a' : 'b'}.lua`,
        text(version % 2 ? 'a' : 'b', version));
      await sleep(20);
    }
    over = true;
    const figures = await Promise.all(loads);
    const peer = await connect(t, host.port);
    await until(async () => await peer.call('a.closed') + await peer.call('b.closed')
      === host.counts.reloaded * workers, 'all old states being closed');
    t.diagnostic(JSON.stringify({ figures, ...host.counts }));
    assert.equal(host.counts.refused, 0);
    assert.equal(host.find(({ level }) => level === 'error').length, 0, host.log);
  }

  const upstream = luaService(`
service:message("echo", function(data) return data end)
service:message("endless", function(data, ctx)
  while ctx:emit(data) do roost.sleep(1) end
end)`);

  test('by a name and by a table', async (t) => {
    const { port } = await startHost(t, { service: upstream });
    const keys = { transport: 'tcp', host: '127.0.0.1', port };
    await keepReloading(t, code(`roost.client ${lua(keys)}`), { named: keys });
  });

  test('the same over TLS', async (t) => {
    const authority = await makeAuthority(t);
    const { key, cert } = await authority.issue('upstream');
    const { port } = await startHost(t, { service: upstream, server: { tls: { key, cert } } });
    const keys = { transport: 'tcp', host: '127.0.0.1', port, tls: { ca: authority.ca } };
    await keepReloading(t, code(`roost.client ${lua(keys)}`), { named: keys });
  });
});
