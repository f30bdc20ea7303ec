// Crashes of redis-server under load, of hosts, and a service that is slower than its callers.
// ROOST_BROKER_LOAD=1: as often as a release must stand; figures are printed as notes of the tests.
// Redis keeps no message and has no groups that share some: what is lost with a connection is lost,
// and every host of a route answers (as with Nest), so that these are not rows here.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { binding, startRedis } from '../lib/brokers/redis.mjs';
import { full, load, service } from '../lib/brokers/stress.mjs';
import { startHost } from '../lib/host.mjs';
import { sleep, until } from '../lib/wait.mjs';

const crashes = full ? 50 : 5;

const worker = service(`
service:message("add", function(data) return data.a + data.b end)
service:message("slow", function(data) roost.sleep(2) return data end)`);

const serve = (t, broker, more) => startHost(t,
  { service: worker, servers: [binding.roost(broker, { retry_delay: 20, ...more })] });

test(`redis-server is killed ${crashes} times under load: every request has an end`, async (t) => {
  const broker = await startRedis(t);
  const host = await serve(t, broker);
  await host.logged(/^connected$/);
  const loading = await load(t, binding.roost(broker));
  await loading.answers(100);
  const before = { rss: host.rss, descriptors: host.descriptors, client: loading.host.descriptors };
  for (let i = 0; i < crashes; i++) {
    await broker.kill();
    await broker.start();
    await loading.answers(50);
  }
  const figures = await loading.stop();
  t.diagnostic(JSON.stringify(figures));
  assert.equal(figures.wrong, 0);
  host.checkGrowth(before.rss, 8 * 2 ** 20);
  await until(() => host.descriptors <= before.descriptors
    && loading.host.descriptors <= before.client, 'connections to be gone');
});

test(`a host is killed ${crashes} times under load: its callers wait no longer than they said`, async (t) => {
  const broker = await startRedis(t);
  let host = await serve(t, broker);
  await host.logged(/^connected$/);
  const loading = await load(t, binding.roost(broker));
  for (let i = 0; i < crashes; i++) {
    await loading.answers(50);
    await host.kill();
    host = await serve(t, broker);
  }
  await loading.answers(50);
  const figures = await loading.stop();
  t.diagnostic(JSON.stringify(figures));
  assert.equal(figures.wrong, 0);
  assert.deepEqual(Object.keys(figures.failed).filter((name) => name !== 'ETIMEDOUT'), []);
});

test('a service that is slower than what is published keeps its memory', async (t) => {
  const broker = await startRedis(t);
  const host = await serve(t, broker, { max_in_flight: 50 });
  await host.logged(/^connected$/);
  const before = host.rss;
  const { default: net } = await import('node:net');
  const socket = net.connect(broker.port, '127.0.0.1');
  t.after(() => socket.destroy());
  socket.resume();
  const body = JSON.stringify({ pattern: 'slow', data: 'x'.repeat(1000) });
  const count = full ? 50_000 : 10_000;
  const publish = `*3\r\n$7\r\nPUBLISH\r\n$4\r\nslow\r\n$${body.length}\r\n${body}\r\n`;
  for (let i = 0; i < count; i += 100) {
    if (!socket.write(publish.repeat(100))) await new Promise((resolve) => socket.once('drain', resolve));
  }
  await sleep(200);
  host.checkGrowth(before, 8 * 2 ** 20);
  const peer = await load(t, binding.roost(broker));
  await peer.answers(1);
  await peer.stop();
});
