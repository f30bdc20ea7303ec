// Brokers as the tests of this folder start, kill and restart them.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startBroker } from '../lib/brokers/process.mjs';
import { startRedis } from '../lib/brokers/redis.mjs';
import { connect, listens } from '../lib/peer.mjs';
import { until } from '../lib/wait.mjs';

const ping = async (t, port) => {
  const peer = await connect(t, port);
  await peer.write('PING\r\n');
  return until(() => peer.received, 'PONG');
};

for (const how of ['kill', 'stop']) {
  test(`a broker comes back on its port (${how})`, async (t) => {
    const broker = await startRedis(t);
    const { port, pid } = broker;
    assert.equal(await ping(t, port), '+PONG\r\n');
    await broker[how]();
    assert.ok(!broker.running && !listens(port));
    await broker.start();
    assert.notEqual(broker.pid, pid);
    assert.equal(await ping(t, port), '+PONG\r\n');
  });
}

test('one that is not installed, or does not start, is an error', async (t) => {
  const start = (command) => startBroker(t, { command: () => command });
  await assert.rejects(start(['no-such-broker']), /no-such-broker did not start.*ENOENT/s);
  await assert.rejects(start(['redis-server', '--port', 'x']), /redis-server did not start/);
});
