// roost.store: what the services of a host share.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { perWorkerTest } from '../lib/env.mjs';
import { startHost } from '../lib/host.mjs';
import { connect } from '../lib/peer.mjs';
import { luaService, serve } from '../lib/service.mjs';
import { until } from '../lib/wait.mjs';

/** A host with a service per text, called a, b, ..., and a peer connected to it. */
async function share(t, bodies, options = {}) {
  const files = Object.fromEntries(bodies.map((body, i) =>
    [`services/${'abcdef'[i]}.lua`, luaService(body)]));
  const host = await startHost(t, { services: 'services', files, ...options });
  return { host, peer: await connect(t, host.port) };
}

describe('values', () => {
  test('a service reads what another one has set, as a copy', async (t) => {
    const { peer } = await share(t, [`
      service:message("set", function(data)
        roost.store:set(data.key, data.value)
        if type(data.value) == "table" then data.value.changed = true end
      end)`, `
      service:message("get", function(key)
        local value = roost.store:get(key)
        if value == nil then return "nothing" end
        return value
      end)
      service:message("delete", function(key) return roost.store:delete(key) end)
      service:message("keys", function(prefix) return roost.store:keys(prefix) end)`]);
    const values = [5, -0.5, 'text', '', true, false, null, [], {}, [1, null, [2]],
      { a: { b: [{}] }, list: [] }];
    for (const value of values) {
      await peer.ask('set', { key: 'k', value });
      assert.deepEqual(await peer.call('get', 'k'), value);
    }
    assert.deepEqual(await peer.call('keys', ''), ['k']);
    assert.equal(await peer.call('delete', 'k'), true);
    assert.equal(await peer.call('delete', 'k'), false);
    assert.equal(await peer.call('get', 'k'), 'nothing');
    assert.deepEqual(await peer.call('keys', ''), []);
  });

  perWorkerTest('a main chunk and on_start use it, too', async (t) => {
    const { peer } = await share(t, [`
      roost.store:set("by:a", 1)`, `
      service:on_start(function() roost.store:incr("by:a") end)`, `
      service:message("keys", function() return roost.store:keys("by:") end)
      service:message("get", function() return roost.store:get("by:a") end)`]);
    assert.deepEqual(await peer.call('keys'), ['by:a']);
    assert.equal(await peer.call('get'), 2);
  });

  test('what is no plain data is refused with its path, and what was there stays', async (t) => {
    const { host, peer } = await serve(t, `
      roost.store:set("order", "old")
      service:message("ask", function()
        roost.store:set("order", { items = { { sku = 1 }, { sku = print } } })
      end)
      service:message("get", function() return roost.store:get("order") end)`);
    await peer.ask('ask');
    assert.match((await host.logged(({ err }) => err)).err,
      /test\.lua:\d+: the value of "order" cannot be stored: items\[2\]\.sku: a function cannot/);
    assert.equal(await peer.call('get'), 'old');
  });
});

describe('counting', () => {
  test('integers stay exact; many callers lose nothing', async (t) => {
    const { host } = await share(t, [
      'service:message("a", function() return roost.store:incr("n") end)',
      'service:message("b", function() return roost.store:incr("n", 1) end)',
      `service:message("set", function() roost.store:set("n", 9007199254740992) end)
       service:message("text", function() return tostring(roost.store:get("n")) end)`]);
    const peers = await Promise.all([1, 2, 3, 4].map(() => connect(t, host.port)));
    await peers[0].ask('set');
    await Promise.all(peers.map(async (peer, i) => {
      for (let n = 0; n < 100; n++) await peer.call(i % 2 ? 'a' : 'b');
    }));
    assert.equal(await peers[0].call('text'), '9007199254741392');
  });

  test('add tells whether it was first', async (t) => {
    const { peer } = await serve(t, `
      service:message("add", function(v) return roost.store:add("lock", v, { ttl = 60000 }) end)
      service:message("get", function() return roost.store:get("lock") end)`);
    assert.equal(await peer.call('add', 'one'), true);
    assert.equal(await peer.call('add', 'two'), false);
    assert.equal(await peer.call('get'), 'one');
  });
});

test('time to live', async (t) => {
  const { peer } = await serve(t, `
    service:message("set", function() roost.store:set("k", 1, { ttl = 20 }) end)
    service:message("kept", function() roost.store:set("l", 1, { ttl = 3600000 }) end)
    service:message("keys", function() return roost.store:keys() end)
    service:message("count", function() return roost.store:incr("window", 1, { ttl = 100 }) end)`);
  await peer.ask('kept');
  await peer.ask('set');
  await until(async () => (await peer.call('keys')).join() === 'l', 'the end of k');
  // Each window begins at 1 again, however often it is counted in.
  await until(async () => (await peer.call('count')) > 1, 'a second count in a window');
  await until(async () => (await peer.call('count')) === 1, 'a new window');
});

describe('limits.store_memory', () => {
  const body = `
    service:message("fill", function(size)
      local text = ("x"):rep(size)
      for i = 1, math.huge do
        local ok, err = pcall(roost.store.set, roost.store, ("key:%04d"):format(i), text)
        if not ok then
          return { stored = i - 1, name = err.name, code = err.code, message = err.message,
                   text = tostring(err) }
        end
      end
    end)
    service:message("check", function(size)
      local keys = roost.store:keys("key:")
      for _, key in ipairs(keys) do assert(#roost.store:get(key) == size) end
      return #keys
    end)
    service:message("set", function(data)
      return (pcall(roost.store.set, roost.store, data.key, ("y"):rep(data.size), data.opts))
    end)
    service:message("plain", function() roost.store:set("key:more", ("y"):rep(100000)) end)
    service:message("empty", function()
      for _, key in ipairs(roost.store:keys()) do roost.store:delete(key) end
    end)`;

  test('a write over it raises LimitError, and nothing is lost', async (t) => {
    const { host, peer } = await serve(t, body, { limits: { store_memory: 100_000 } });
    const full = await peer.call('fill', 1000);
    assert.ok(full.stored > 80 && full.stored < 100, `${full.stored} were stored`);
    const key = `key:${String(full.stored + 1).padStart(4, '0')}`;
    const message = `roost.store is full: "${key}" would take it over limits.store_memory`;
    assert.deepEqual(full, { stored: full.stored, name: 'LimitError', code: 'EFULL', message,
      text: `LimitError: ${message}` });
    assert.equal(await peer.call('check', 1000), full.stored);
    // Full: a larger value is refused, one of the same size or smaller is not.
    assert.equal(await peer.call('set', { key: 'key:0001', size: 100_000 }), false);
    assert.equal(await peer.call('check', 1000), full.stored);
    assert.equal(await peer.call('set', { key: 'key:0001', size: 1000 }), true);
    assert.equal(await peer.call('set', { key: 'key:0001', size: 10 }), true);
    assert.equal(await peer.call('set', { key: 'new', size: 900 }), true);
    // Uncaught it is an error like any other.
    await peer.ask('plain');
    assert.match((await host.logged(({ err }) => err)).err, /LimitError: roost\.store is full/);
    // And there is room again.
    await peer.ask('empty');
    assert.equal((await peer.call('fill', 1000)).stored, full.stored);
  });

  test('what has expired makes room', async (t) => {
    const { peer } = await serve(t, body, { limits: { store_memory: 100_000 } });
    assert.equal(await peer.call('set', { key: 'k', size: 90_000, opts: { ttl: 50 } }), true);
    await until(() => peer.call('set', { key: 'l', size: 90_000 }), 'room for l');
  });

  test('values that expire do not fill the memory, with no limit either', async (t) => {
    const { host, peer } = await serve(t, `
      service:message("work", function(n)
        for i = 1, 1000 do
          roost.store:set(("session:%d:%d"):format(n, i), ("x"):rep(1000), { ttl = 1 })
        end
      end)`, { limits: { store_memory: 0 } });
    for (let n = 0; n < 10; n++) await peer.ask('work', n);
    const before = host.rss;
    for (let n = 0; n < 100; n++) await peer.ask('work', n);
    host.checkGrowth(before, 30 * 2 ** 20); // of 100 MB
  });
});
