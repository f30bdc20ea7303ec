// Limits of a listener: at the limit something waits or ends, the rest goes on.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { perWorkerTest } from '../lib/env.mjs';
import { failure, item, last, packet } from '../lib/frames.mjs';
import { connect } from '../lib/peer.mjs';
import { serve } from '../lib/service.mjs';
import { sleep, until } from '../lib/wait.mjs';

const MiB = 2 ** 20;
const echo = 'service:message("echo", function(data) return data end)';
const naming = (limit) => (entry) => JSON.stringify(entry).includes(limit);

/** A connection that is turned away: accepted by the kernel, closed by the host. */
async function turnedAway(t, port, options) {
  const peer = await connect(t, port, options).catch((err) => err);
  if (peer instanceof Error) return peer.code === 'ECONNRESET';
  await peer.closed();
  return peer.received === '';
}

describe('connections', () => {
  test('max_connections', async (t) => {
    const { host, peer } = await serve(t, echo, { server: { max_connections: 3 } });
    const third = await connect(t, host.port); // serve() made two
    assert.equal(await third.call('echo', 3), 3);
    assert.equal(await turnedAway(t, host.port), true);
    assert.ok(await host.logged(naming('max_connections')));
    assert.equal(await peer.call('echo', 1), 1);
    third.destroy();
    const again = await until(async () => {
      const next = await connect(t, host.port).catch(() => null);
      return next?.call('echo', 4).catch(() => null);
    }, 'a place');
    assert.equal(again, 4);
  });

  test('max_connections_per_ip', async (t) => {
    const { host, peer } = await serve(t, echo, { server: { max_connections_per_ip: 2 } });
    assert.equal(await turnedAway(t, host.port), true);
    const other = await connect(t, host.port, { localAddress: '127.0.0.2' });
    assert.equal(await other.call('echo', 2), 2);
    assert.equal(await peer.call('echo', 1), 1);
    const entry = await host.logged(naming('max_connections_per_ip'));
    assert.match(entry.peer, /^127\.0\.0\.1\b/);
  });

  test('idle_timeout ends idle connections, not those that wait for a reply', async (t) => {
    const { host } = await serve(t, `
      service:message("slow", function() roost.sleep(900) return "done" end)
      service:message("quick", function() return "quick" end)
    `, { server: { idle_timeout: 300 } });
    const [idle, waiting, active] = await Promise.all(
      Array.from({ length: 3 }, () => connect(t, host.port)));
    await waiting.send({ pattern: 'slow', id: '1' });
    const ends = idle.closed();
    for (let i = 0; i < 6; i++) {
      assert.equal(await active.call('quick'), 'quick');
      await sleep(100);
    }
    assert.equal(await ends, 'fin');
    assert.equal(await waiting.frame(), last('"done"'));
    await waiting.closed();
  });
});

describe('requests of one connection', () => {
  const gated = `
    local running, most, open = 0, 0, false
    service:message("hold", function(n)
      running = running + 1
      most = math.max(most, running)
      while not open do roost.sleep(5) end
      running = running - 1
      return n
    end)
    service:event("count", function() note("event") end)
    service:message("most", function() return { running, most } end)
    service:message("open", function() open = true return running end)
  `;

  perWorkerTest('max_in_flight: reading waits, nothing is lost', async (t) => {
    const { host, peer } = await serve(t, gated, { server: { max_in_flight: 4 } });
    const other = await connect(t, host.port);
    const all = Array.from({ length: 20 }, (_, i) => i);
    await peer.write(all.map((i) => packet({ pattern: 'hold', data: i, id: i })).join(''));
    await until(async () => (await other.call('most'))[0] === 4, 'four running');
    const entry = await host.logged(naming('max_in_flight'));
    assert.equal(entry.peer, `127.0.0.1:${peer.socket.localPort}`);
    assert.deepEqual(await other.call('most'), [4, 4]);
    await other.call('open');
    const replies = [];
    for (const _ of all) replies.push((await peer.reply()).response);
    assert.deepEqual(replies.sort((a, b) => a - b), all);
    assert.equal((await other.call('most'))[1], 4);
    assert.equal(host.find(naming('max_in_flight')).length, 1);
  });

  test('a stream stops counting with its first item', async (t) => {
    const { peer } = await serve(t, `
      service:message("silent", function(_, ctx) ctx:emit("first") roost.sleep(3600000) end)
      service:message("quick", function() return "quick" end)
    `, { server: { max_in_flight: 2 } });
    for (let i = 0; i < 6; i++) {
      await peer.send({ pattern: 'silent', id: i });
      assert.equal(await peer.frame(), item('"first"', i));
    }
    assert.equal(await peer.call('quick'), 'quick');
  });

  test('max_streams', async (t) => {
    const { peer } = await serve(t, `
      local open = false
      service:message("stream", function(_, ctx)
        ctx:emit("first")
        while not open do roost.sleep(5) end
      end)
      service:message("open", function() open = true end)
      service:message("quick", function() return "quick" end)
    `, { server: { max_streams: 3 } });
    for (let i = 0; i < 3; i++) {
      await peer.send({ pattern: 'stream', id: i });
      assert.equal(await peer.frame(), item('"first"', i));
    }
    assert.equal(await peer.ask('stream'),
      failure('{"status":"error","message":"Too many streams"}', '"ask"'));
    assert.equal(await peer.call('quick'), 'quick');
    await peer.send({ pattern: 'open', id: 'open' });
    for (let i = 0; i < 4; i++) await peer.frame(); // three ends and the answer to "open"
    assert.equal(await peer.ask('stream'), last('"first"', '"ask"'));
  });

  test('a stream that is one too many is over, also where it was returned', async (t) => {
    const { peer } = await serve(t, `
      local over = 0
      service:provide("mark", function() return { close = function() over = over + 1 end } end)
      service:message("stream", function(_, ctx)
        ctx:get "mark"
        return roost.stream.create(function(observer) observer:next("first") end)
      end)
      service:message("over", function() return over end)
    `, { server: { max_streams: 1 }, limits: { request_timeout: 0 } });
    await peer.send({ pattern: 'stream', id: 0 });
    assert.equal(await peer.frame(), item('"first"', 0));
    assert.equal(await peer.ask('stream'),
      failure('{"status":"error","message":"Too many streams"}', '"ask"'));
    await until(async () => await peer.call('over') === 1, 'the end of the second');
  });
});

describe('a peer that does not read', () => {
  test('a handler that emits waits for it, and every item arrives', async (t) => {
    const upto = 20000;
    const { host, peer } = await serve(t, `
      local text = ("x"):rep(1000)
      service:message("flood", function(upto, ctx)
        for i = 1, upto do
          if i % 1000 == 0 then note(i) end
          ctx:emit({ i, text })
        end
      end)
      service:message("quick", function() return "quick" end)
    `, { server: { max_send_buffer_size: MiB } });
    const other = await connect(t, host.port);
    const before = host.rss;
    peer.pause();
    await peer.send({ pattern: 'flood', data: upto, id: '1' });
    await until(async () => (await other.call('notes')).length, 'the first thousand');
    await sleep(300);
    assert.equal(await other.call('quick'), 'quick');
    const sent = (await other.call('notes')).length;
    assert.ok(sent < upto / 1000, `${sent} thousand items are out`);
    host.checkGrowth(before, 16 * MiB);
    peer.resume();
    for (let i = 1; i <= upto; i++) {
      const { response, isDisposed } = await peer.reply();
      assert.equal(response[0], i);
      assert.equal(isDisposed, i === upto ? true : undefined);
      if (i % 1000 === 0) peer.forget();
    }
  });

  test('its requests wait, its memory is bounded, nothing is lost', async (t) => {
    const { host, peer } = await serve(t, echo);
    const other = await connect(t, host.port);
    const text = 'x'.repeat(64 * 1024);
    const count = 600; // 38 MiB, more than both kernel buffers and max_send_buffer_size hold
    const before = host.rss;
    peer.pause();
    for (let i = 0; i < count; i++) peer.write(packet({ pattern: 'echo', data: text, id: i }));
    await sleep(1000);
    assert.equal(await other.call('echo', 1), 1);
    host.checkGrowth(before, 48 * MiB);
    peer.resume();
    for (let i = 0; i < count; i++) {
      assert.deepEqual(await peer.reply(), { response: text, isDisposed: true, id: i });
      peer.forget();
    }
  });

  test('max_send_buffer_size: beyond it the peer is dropped', async (t) => {
    const { host, peer } = await serve(t, `
      service:message("big", function() return ("x"):rep(16 * 1024 * 1024) end)
      ${echo}
    `, { server: { max_send_buffer_size: MiB } });
    const other = await connect(t, host.port);
    peer.pause();
    await peer.send({ pattern: 'big', id: '1' }); // more than the kernel takes
    const entry = await host.logged(naming('max_send_buffer_size'));
    assert.equal(entry.peer, `127.0.0.1:${peer.socket.localPort}`);
    assert.equal(await other.call('echo', 1), 1);
    peer.resume();
    await peer.closed();
  });
});

describe('buffers of all connections', () => {
  test('limits.buffer_memory: the largest are not read, small ones are served', async (t) => {
    const { host, peer } = await serve(t, echo, { limits: { buffer_memory: 4 * MiB } });
    const { rss: before, descriptors } = host;
    const large = await Promise.all(Array.from({ length: 12 }, () => connect(t, host.port)));
    const part = `${4 * MiB}#{"pattern":"echo","id":1,"data":"${'x'.repeat(4 * MiB - 1000)}`;
    for (const one of large) one.write(part); // 48 MiB in all
    await sleep(1000);
    host.checkGrowth(before, 24 * MiB);
    for (let i = 0; i < 20; i++) assert.equal(await peer.call('echo', i), i);
    for (const one of large) one.destroy();
    await until(() => host.descriptors <= descriptors, 'their end being noticed');
    await host.returnsTo(before, 8 * MiB);
  });

  test('a declared length costs nothing', async (t) => {
    const { host, peer } = await serve(t, echo);
    const before = host.rss;
    const idle = await Promise.all(Array.from({ length: 100 }, () => connect(t, host.port)));
    for (const one of idle) await one.write(`${16 * MiB}#{"pattern":"echo","data":"`);
    assert.equal(await peer.call('echo', 1), 1);
    host.checkGrowth(before, 8 * MiB);
  });
});
