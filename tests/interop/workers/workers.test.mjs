// Several workers, as callers and whoever looks after the host see them.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { roost } from '../lib/cli.mjs';
import { startHost } from '../lib/host.mjs';
import { connect } from '../lib/peer.mjs';
import { until } from '../lib/wait.mjs';

const workers = 3;

const each = `local roost = require "roost"
local service = roost.service()
local count, version = 0, 1
service:message("count", function() count = count + 1 return count end)
service:message("version", function() return version end)
service:message("total", function() return roost.store:incr("total", 1) end)
service:message("ask", function(n) return roost.client { transport = "local" }:call("next", n) end)
service:on_handoff(function() return count end)
service:on_adopt(function(given) count = given end)
return service
`;

const one = `local roost = require "roost"
local service = roost.service { instances = 1 }
local count = 0
service:message("next", function(n) count = count + n return count end)
service:message("seen", function(_, ctx) return { ctx.peer.address, ctx.peer.port, ctx.server } end)
service:message("large", function(data) return #data end)
service:message("flood", function(upto, ctx)
  for i = 1, upto do ctx:emit(i) end
end)
service:event("add", function(n) count = count + n end)
service:on_handoff(function() return count end)
service:on_adopt(function(given) count = given end)
return service
`;

const start = (t, options = {}) => startHost(t, {
  services: 'services', workers, files: { 'services/each.lua': each, 'services/one.lua': one },
  ...options,
});

/** One connection to each worker. */
const connectAll = async (t, host) => {
  const peers = [];
  for (let i = 0; i < workers; i += 1) {
    peers.push(await connect(t, host.port));
    await peers[i].call('version'); // it has its worker now
  }
  return peers;
};

const status = async (host) => {
  const { code, stdout } = await roost(['status', '--json'], { cwd: host.dir });
  assert.equal(code, 0);
  return JSON.parse(stdout);
};

describe('several workers', () => {
  test('each has a state of a service of its own; the store is of all', async (t) => {
    const peers = await connectAll(t, await start(t));
    for (const [i, peer] of peers.entries()) {
      assert.equal(await peer.call('count'), 1);
      assert.equal(await peer.call('total'), i + 1);
    }
  });

  test('a singleton is one, whoever asks, and sees the caller', async (t) => {
    const host = await start(t);
    const peers = await connectAll(t, host);
    let count = 0;
    for (const peer of [...peers, ...peers]) {
      await peer.send({ pattern: 'add', data: 10 });
      count += 11;
      assert.equal(await peer.call('next', 1), count);
      count += 1;
      assert.equal(await peer.call('ask', 1), count);
      const [address, port, server] = await peer.call('seen');
      assert.deepEqual([address, server], ['127.0.0.1', '1']);
      assert.equal(port, peer.socket.localPort);
      assert.equal(await peer.call('large', 'x'.repeat(300_000)), 300_000);
    }
  });

  test('status and metrics have the sums and each worker', async (t) => {
    const host = await start(t);
    const peers = await connectAll(t, host);
    await Promise.all(peers.map((peer) => peer.call('next', 1)));
    const { workers: count, per_worker: all, services, servers } = await status(host);
    assert.equal(count, workers);
    assert.deepEqual(Object.keys(all), ['0', '1', '2']);
    assert.deepEqual(Object.values(all).map(({ connections }) => connections), [1, 1, 1]);
    assert.equal(servers[1].connections, workers);
    assert.equal(services.each.instances, workers);
    assert.equal(services.each.requests, workers);
    assert.equal(services.one.instances, 1);
    assert.equal(services.one.requests, workers); // not once where it came, and once where it ran
    const { stdout } = await roost(['status'], { cwd: host.dir });
    assert.match(stdout, /^worker +stuck +connections/m);
  });

  test('a reload takes over on all of them, with what each hands over', async (t) => {
    const host = await start(t);
    const peers = await connectAll(t, host);
    for (const [i, peer] of peers.entries()) {
      for (let n = 0; n <= i; n += 1) await peer.call('count');
    }
    await peers[2].call('next', 5);
    writeFileSync(join(host.dir, 'services/each.lua'), each.replace('0, 1', '0, 2'));
    const { code, stdout } = await roost(['reload'], { cwd: host.dir });
    assert.equal(code, 0, stdout);
    for (const [i, peer] of peers.entries()) {
      assert.equal(await peer.call('version'), 2);
      assert.equal(await peer.call('count'), i + 2);
      assert.equal(await peer.call('next', 1), 6 + i);
    }
  });

  test('one that refuses refuses for all', async (t) => {
    const host = await start(t);
    const peers = await connectAll(t, host);
    writeFileSync(join(host.dir, 'services/each.lua'), `${each.replace('0, 1', '0, 2')
      .replace('return service', `service:on_start(function()
        if roost.store:incr("starts", 1) == 2 then error("not this one") end
      end)
      return service`)}`);
    const { code, stdout } = await roost(['reload', 'each'], { cwd: host.dir });
    assert.equal(code, 1);
    assert.match(stdout, /each refused: .*not this one/);
    for (const peer of peers) assert.equal(await peer.call('version'), 1);
  });

  test('a new configuration reaches all', async (t) => {
    const host = await start(t, { limits: { request_timeout: 5000 } });
    const peers = await connectAll(t, host);
    writeFileSync(join(host.dir, 'services/late.lua'), `local roost = require "roost"
local service = roost.service()
service:message("late", function() roost.sleep(60000) end)
return service
`);
    const config = join(host.dir, 'host.lua');
    writeFileSync(config, readFileSync(config, 'utf8').replace('5000', '50'));
    host.signal('SIGHUP');
    await host.logged((entry) => entry.msg === 'service loaded' && entry.service === 'late');
    for (const peer of peers) {
      await assert.rejects(peer.call('late'), /Timeout has occurred/);
    }
  });

  test('a stream that nobody reads is not held in memory', async (t) => {
    const host = await start(t);
    const peers = await connectAll(t, host);
    const before = host.rss;
    for (const peer of peers) {
      peer.pause();
      await peer.send({ pattern: 'flood', data: 3_000_000, id: 'flood' });
    }
    await until(async () => (await status(host)).services.one.in_flight === workers, 'the floods');
    host.checkGrowth(before, 80 * 2 ** 20);
    for (const peer of peers) peer.destroy();
    await until(async () => (await status(host)).services.one.in_flight === 0, 'their end');
  });

  test('a drain loses nothing that was sent', async (t) => {
    const host = await start(t);
    const peers = await connectAll(t, host);
    for (const peer of peers) {
      for (let i = 0; i < 50; i += 1) {
        await peer.send({ pattern: 'next', data: 1, id: `${i}` });
      }
    }
    host.signal('SIGTERM');
    const all = [];
    for (const peer of peers) {
      for (let i = 0; i < 50; i += 1) {
        const { id, response } = await peer.reply();
        assert.equal(id, `${i}`); // singletons, too, answer in the order they were asked
        all.push(response);
      }
      assert.equal(await peer.closed(), 'fin');
    }
    assert.deepEqual(all.sort((a, b) => a - b), Array.from({ length: 150 }, (_, i) => i + 1));
    assert.equal((await host.exited).code, 0);
  });
});
