// rate: beyond it a connection is not read; nothing is lost, and others do not notice.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { stateTest } from '../lib/env.mjs';
import { last, packet } from '../lib/frames.mjs';
import { connect } from '../lib/peer.mjs';
import { serve } from '../lib/service.mjs';
import { within } from '../lib/wait.mjs';

const body = `
  local first, latest
  local function mark()
    latest = roost.now()
    first = first or latest
  end
  service:message("count", function(n) mark() return n end)
  service:event("count", function(n) mark() note(n) end)
  service:message("took", function() return latest - first end)
  service:message("other", function(n) return n end)
`;

const naming = (entry) => entry.err === 'rate';

describe('rate', () => {
  stateTest('a burst at once, the rest as the rate allows, in order', async (t) => {
    const { host, peer } = await serve(t, body, { server: { rate: { per_second: 50, burst: 10 } } });
    const count = 60;
    await peer.write(Array.from({ length: count }, (_, n) =>
      packet({ pattern: 'count', data: n, id: n })).join(''));
    for (let n = 0; n < count; n++) assert.equal(await peer.frame(), last(n, n));
    const other = await connect(t, host.port);
    const took = await other.call('took');
    assert.ok(took >= (count - 10) / 50 * 1000 - 2, `${count} messages took ${took} ms`);
    assert.equal(host.find(naming).length, 1);
    assert.match(host.find(naming)[0].msg, /^too many messages/);
  });

  stateTest('events count, too', async (t) => {
    const { peer, notes } = await serve(t, body, { server: { rate: { per_second: 100, burst: 20 } } });
    await peer.write(Array.from({ length: 40 }, (_, n) =>
      packet({ pattern: 'count', data: n })).join(''));
    assert.deepEqual(await notes(40), Array.from({ length: 40 }, (_, n) => String(n)));
    assert.ok(await peer.call('took') >= 198);
  });

  test('it is per connection', async (t) => {
    const { host, peer } = await serve(t, body, { server: { rate: { per_second: 1, burst: 3 } } });
    await peer.write(Array.from({ length: 100 }, (_, n) =>
      packet({ pattern: 'count', data: n, id: n })).join(''));
    const other = await connect(t, host.port);
    for (let n = 0; n < 3; n++) assert.equal(await other.call('other', n), n);
    peer.destroy(); // while 97 wait
    const another = await connect(t, host.port);
    assert.equal(await another.call('other', 1), 1);
  });

  test('who keeps to the rate is not held up', async (t) => {
    const { host, peer } = await serve(t, body, {
      server: { rate: { per_second: 1000000, burst: 1000 } },
    });
    for (let n = 0; n < 500; n++) assert.equal(await peer.call('other', n), n);
    assert.deepEqual(host.find(naming), []);
  });

  test('a drain does not wait for it', async (t) => {
    const { host, peer } = await serve(t, body, { server: { rate: { per_second: 1, burst: 1 } } });
    await peer.write(Array.from({ length: 50 }, (_, n) =>
      packet({ pattern: 'other', data: n, id: n })).join(''));
    assert.equal(await peer.frame(), last(0, 0));
    host.signal('SIGTERM');
    for (let n = 1; n < 50; n++) assert.equal(await peer.frame(), last(n, n));
    assert.equal(await peer.closed(), 'fin');
    await within(host.exited, 'the drain');
  });
});
