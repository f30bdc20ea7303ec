// Many frames, many connections, slow and hostile peers: afterwards everything is as before.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { scaled } from '../lib/env.mjs';
import { last, packet } from '../lib/frames.mjs';
import { connect } from '../lib/peer.mjs';
import { random } from '../lib/random.mjs';
import { serve } from '../lib/service.mjs';
import { sleep, until } from '../lib/wait.mjs';

const MiB = 2 ** 20;
const body = `
  local events = 0
  service:message("echo", function(data) return data end)
  service:event("event", function() events = events + 1 end)
  service:message("events", function() return events end)
  service:message("wait", function(ms) roost.sleep(ms) return ms end)
`;

/** Keeps asking on a connection of its own, and tells how many answers were right. */
async function watch(t, host) {
  const peer = await connect(t, host.port);
  let stop = false;
  const asking = (async () => {
    let asked = 0;
    while (!stop) {
      assert.equal(await peer.call('echo', asked), asked);
      asked++;
      await sleep(2);
      peer.forget();
    }
    return asked;
  })();
  asking.catch(() => {});
  return () => {
    stop = true;
    return asking;
  };
}

describe('many frames', () => {
  test('a conversation one byte at a time', async (t) => {
    const { peer } = await serve(t, body);
    const frames = Array.from({ length: 20 },
      (_, i) => packet({ pattern: 'echo', data: '😀', id: i }));
    for (const byte of Buffer.from(frames.join(''))) {
      await peer.write(Buffer.of(byte));
      if (byte === 0x23) await sleep(1); // here and there a pause, so that reads differ
    }
    for (let i = 0; i < 20; i++) assert.equal(await peer.frame(), last('"😀"', i));
  });

  test('12,000 requests in one write', async (t) => {
    const { host, peer } = await serve(t, body);
    const answered = await watch(t, host);
    const ids = Array.from({ length: 12000 }, (_, i) => i);
    await peer.write(ids.map((id) => packet({ pattern: 'echo', data: [id], id })).join(''));
    for (const id of ids) assert.equal(await peer.frame(), last(`[${id}]`, id));
    assert.ok(await answered() > 0);
  });

  test('12,000 events in one write', async (t) => {
    const { peer } = await serve(t, body);
    await peer.write(packet({ pattern: 'event', data: 1 }).repeat(12000));
    await until(async () => (await peer.call('events')) === 12000, 'all events');
  });

  test('requests that wait, many at once', async (t) => {
    const { host, peer } = await serve(t, body, { server: { max_in_flight: 100000 } });
    const before = host.rss;
    const ids = Array.from({ length: scaled(10000, 2000) }, (_, i) => i);
    await peer.write(ids.map((id) => packet({ pattern: 'wait', data: 200, id })).join(''));
    const seen = new Set();
    for (const _ of ids) seen.add((await peer.reply()).id);
    assert.equal(seen.size, ids.length);
    // Each one had a coroutine; what Lua has collected it need not give back at once.
    host.checkGrowth(before, 48 * MiB);
  });
});

describe('many connections', () => {
  test('10,000 opened and dropped', async (t) => {
    const { host, peer } = await serve(t, body);
    const { integer } = random(7);
    const frame = packet({ pattern: 'wait', data: 20, id: '1' });
    const dropOne = async () => {
      const one = await connect({ after() {} }, host.port);
      await one.write(frame.slice(0, integer(0, frame.length)));
      if (integer(0, 1)) one.reset();
      else one.destroy();
    };
    const dropMany = async (count) => {
      for (let done = 0; done < count; done += 100) {
        await Promise.all(Array.from({ length: 100 }, dropOne));
      }
    };
    await dropMany(200);
    await peer.call('echo', 1);
    const { rss, descriptors } = host;
    const answered = await watch(t, host);
    await dropMany(scaled(10000, 2000));
    assert.ok(await answered() > 0);
    await until(() => host.descriptors <= descriptors + 1, 'the descriptors');
    await host.returnsTo(rss);
    assert.equal(await peer.call('echo', 2), 2);
  });

  test('500 peers that never finish a frame', async (t) => {
    const { host, peer } = await serve(t, body,
      { server: { incomplete_message_timeout: 1500 } });
    await peer.call('echo', 1);
    const { rss, descriptors } = host;
    const answered = await watch(t, host);
    const peers = [];
    for (let i = 0; i < scaled(500, 200); i++) {
      const one = await connect(t, host.port);
      one.write(`70000#{"pattern":"echo","data":"${'x'.repeat(60000)}`);
      peers.push(one);
    }
    await Promise.all(peers.map((one) => one.closed()));
    for (const one of peers) assert.equal(one.received, '');
    assert.ok(await answered() > 0);
    for (const one of peers) one.destroy();
    await until(() => host.descriptors <= descriptors + 1, 'the descriptors');
    await host.returnsTo(rss);
  });

  test('peers that never read', async (t) => {
    const { host, peer } = await serve(t, body, { server: { max_send_buffer_size: MiB } });
    await peer.call('echo', 1);
    const { rss } = host;
    const answered = await watch(t, host);
    const frame = packet({ pattern: 'echo', data: 'x'.repeat(100000), id: '1' });
    const peers = await Promise.all(Array.from({ length: 10 }, () => connect(t, host.port)));
    for (const one of peers) {
      one.pause();
      for (let i = 0; i < 150; i++) one.write(frame);
    }
    await sleep(1000);
    host.checkGrowth(rss, 64 * MiB);
    assert.ok(await answered() > 0);
    for (const one of peers) one.reset();
    await host.returnsTo(rss);
  });

  test('out of descriptors: accepting pauses and goes on', async (t) => {
    const { host, peer } = await serve(t, body,
      { launch: ['sh', '-c', 'ulimit -n 100; exec "$@"', 'sh'] });
    const peers = await Promise.all(Array.from({ length: 100 }, () => connect(t, host.port)));
    const asked = peers.map((one, i) => one.call('echo', i));
    const complaint = ({ msg, err }) =>
      /descriptor|EMFILE|too many open files/i.test(`${msg} ${err}`);
    await host.logged(complaint);
    assert.equal(await peer.call('echo', 'still here'), 'still here');
    const ticks = host.ticks;
    await sleep(500);
    assert.ok(host.ticks - ticks < 25, `${host.ticks - ticks} ticks of 50 spent on waiting`);
    // Those that were answered leave; the others get their places.
    const answer = (one, i) => asked[i].then((value) => {
      assert.equal(value, i);
      one.destroy();
    });
    await Promise.all(peers.map(answer));
    assert.equal(await peer.call('echo', 'after'), 'after');
    assert.equal(host.find(complaint).length, 1, host.log);
  });

  test('random bytes on many connections', async (t) => {
    const { host, peer } = await serve(t, body);
    const { integer, pick } = random(8);
    const pieces = ['#', '5#', '2#{}', '"', '{', '}', '[', ']', ':', ',', '\\', '\\u00', 'null',
      '1e9', '{"pattern":"echo","data":', ',"id":1}', '38#{"pattern":"echo","data":1,"id":"1"}',
      '\xff', '\0', '0', '39#', ' '];
    const answered = await watch(t, host);
    for (let round = 0; round < scaled(40, 10); round++) {
      await Promise.all(Array.from({ length: 50 }, async () => {
        const one = await connect(t, host.port);
        const text = Array.from({ length: integer(1, 60) }, () => pick(pieces)).join('');
        await one.write(Buffer.from(text, 'latin1'));
        one.fin();
        await one.closed();
      }));
    }
    assert.ok(await answered() > 0);
    assert.equal(await peer.call('echo', 1), 1);
  });
});
