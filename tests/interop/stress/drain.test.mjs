// SIGTERM: what runs is finished, nothing new begins.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { failure, item, last } from '../lib/frames.mjs';
import { refuses } from '../lib/peer.mjs';
import { serve } from '../lib/service.mjs';
import { until, within } from '../lib/wait.mjs';

const body = `
  service:message("slow", function(ms) note("began") roost.sleep(ms) return "done" end)
  service:message("stuck", function()
    local cleanup <close> = setmetatable({}, { __close = function() print("cleaned up") end })
    note("began")
    roost.sleep(3600000)
  end)
  service:message("stream", function(upto, ctx)
    for i = 1, upto do
      ctx:emit(i)
      roost.sleep(100)
    end
  end)
`;
const patient = { reload: { drain_timeout: 10000 } };
const exit = (host) => within(host.exited, 'the exit');

describe('drain', () => {
  for (const signal of ['SIGTERM', 'SIGINT']) {
    test(`${signal}: running requests are answered, new connections refused`, async (t) => {
      const { host, peer, notes } = await serve(t, body, patient);
      await peer.send({ pattern: 'slow', data: 600, id: '1' });
      await notes(1);
      host.signal(signal);
      await until(() => refuses(host.port), 'connections refused');
      await peer.send({ pattern: 'slow', data: 0, id: 'not read any more' });
      assert.equal(await peer.frame(), last('"done"'));
      assert.notEqual(await peer.closed(), null);
      assert.equal(peer.rest, '');
      assert.deepEqual(await exit(host), { code: 0, signal: null });
    });
  }

  test('a stream is finished too', async (t) => {
    const { host, peer } = await serve(t, body, patient);
    await peer.send({ pattern: 'stream', data: 4, id: '1' });
    assert.equal(await peer.frame(), item('1'));
    host.signal('SIGTERM');
    assert.equal(await peer.frame(), item('2'));
    assert.equal(await peer.frame(), item('3'));
    assert.equal(await peer.frame(), item('4'));
    assert.equal(await peer.frame(), '{"isDisposed":true,"id":"1"}');
    assert.deepEqual(await exit(host), { code: 0, signal: null });
  });

  test('whoever is cut off is told so', async (t) => {
    const { host, peer, notes } = await serve(t, body, { reload: { drain_timeout: 200 } });
    await peer.send({ pattern: 'stuck', id: '1' });
    await notes(1);
    host.signal('SIGTERM');
    assert.equal(await peer.frame(),
      failure('{"status":"error","message":"Service is shutting down"}'));
    await peer.closed();
    assert.deepEqual(await exit(host), { code: 0, signal: null });
    assert.equal(host.find(/cleaned up/).length, 1, host.log);
  });

  test('a second signal ends it at once', async (t) => {
    const { host, peer, notes } = await serve(t, body, { reload: { drain_timeout: 3600000 } });
    await peer.send({ pattern: 'stuck', id: '1' });
    await notes(1);
    host.signal('SIGTERM');
    await until(() => refuses(host.port), 'the drain');
    host.expectedCode = 130;
    host.signal('SIGTERM');
    assert.deepEqual(await exit(host), { code: 130, signal: null });
  });

  test('idle connections do not hold it up', async (t) => {
    const { host, peer } = await serve(t, body, { reload: { drain_timeout: 3600000 } });
    await peer.call('notes');
    host.signal('SIGTERM');
    await peer.closed();
    assert.deepEqual(await exit(host), { code: 0, signal: null });
  });

  test('a peer that does not read what it is owed does not hold it up for ever', async (t) => {
    const { host, peer } = await serve(t, `
      service:message("big", function() return ("x"):rep(12 * 1024 * 1024) end)
    `, { reload: { drain_timeout: 500 } });
    peer.pause();
    await peer.send({ pattern: 'big', id: '1' });
    await until(() => host.rss > 12 * 2 ** 20, 'the reply');
    host.signal('SIGTERM');
    assert.deepEqual(await exit(host), { code: 0, signal: null });
  });
});
