// What ends a connection, and what is still answered before it ends.
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { onNest } from '../lib/env.mjs';
import { frame, item, last, packet, request, requestText } from '../lib/frames.mjs';
import { connect } from '../lib/peer.mjs';
import { checkRows } from '../lib/rows.mjs';
import { differs, startTarget } from '../lib/target.mjs';
import { sleep, suiteScope } from '../lib/wait.mjs';

const bad = 'rubbish#{}';
const good = request('echo', '5', 'good');
const goodReply = last('5', '"good"');
const slow = request('wait', '{"ms":60,"value":"slow"}', 'slow');
const slowReply = last('"slow"', '"slow"');

describe('after bytes that are no frame', () => {
  const suite = suiteScope();
  let target;
  before(async () => (target = await startTarget(suite)));

  const answered = (...replies) => differs({ roost: replies, nest: [] });
  checkRows(() => target.port, [
    { name: 'a corrupt length', send: bad, ends: true },
    { name: 'no JSON', send: '2#{]', ends: true },
    { name: 'a good request in the same write is answered first', send: good + bad,
      replies: answered(goodReply), ends: true },
    { name: 'a good request in an earlier write', send: [good, bad], replies: [goodReply],
      ends: true },
    { name: 'a slow request is answered first', send: [slow, bad], replies: answered(slowReply),
      ends: true },
    { name: 'several slow and quick ones', send: slow + good + good + bad,
      replies: answered(goodReply, goodReply, slowReply), ends: true },
    { name: 'an unhandled one', send: request('nobody', '1') + bad,
      replies: answered('{"id":"1","status":"error","err":"There is no matching message handler ' +
        'defined in the remote service."}'), ends: true },
    { name: 'a stream that ends', send: request('count', '{"upto":3,"ms":10}') + bad,
      replies: answered(item('1'), item('2'), last('3')), ends: true },
    { name: 'frames behind it are thrown away', send: bad + good + good, ends: true },
  ]);

  test('nothing that is sent later runs', async (t) => {
    const [peer, watcher] = [await connect(t, target.port), await connect(t, target.port)];
    const tag = 'after the end';
    await peer.write(bad + packet({ pattern: 'message', data: { tag }, id: '1' }));
    assert.equal(await peer.closed(), 'fin');
    await peer.write(packet({ pattern: 'message', data: { tag }, id: '2' }));
    await sleep(100);
    const ran = differs({ roost: [], nest: ['message'] });
    assert.deepEqual(await watcher.call('runs', { tag }), ran);
    assert.equal(peer.received, '');
  });

  test('other connections go on', async (t) => {
    const [peer, other] = [await connect(t, target.port), await connect(t, target.port)];
    const pending = other.ask('wait', { ms: 60, value: 1 }, '1');
    await peer.write(bad);
    assert.equal(await peer.closed(), 'fin');
    assert.equal(await pending, last('1'));
  });

  if (!onNest) {
    test('one line in the log names the peer', async (t) => {
      const host = await startTarget(t);
      const peer = await connect(t, host.port);
      const { localPort } = peer.socket;
      await peer.write(good + bad);
      await peer.closed();
      const from = (entry) => entry.peer === `127.0.0.1:${localPort}`;
      await host.logged(from);
      assert.equal(host.find(from).length, 1, host.log);
    });
  }
});

describe('half close by the peer', () => {
  const suite = suiteScope();
  let target;
  before(async () => (target = await startTarget(suite)));

  const halfClosed = (name, send, replies) => test(name, async (t) => {
    const peer = await connect(t, target.port);
    await peer.write(send);
    peer.fin();
    assert.equal(await peer.closed(), 'fin');
    assert.equal(peer.received, replies.map(frame).join(''));
  });

  halfClosed('nothing sent', '', []);
  halfClosed('half a frame', good.slice(0, -3), []);
  halfClosed('a quick reply still comes', good, [goodReply]);
  halfClosed('a slow reply still comes', slow, differs({ roost: [slowReply], nest: [] }));
  halfClosed('slow and quick ones', slow + good,
    differs({ roost: [goodReply, slowReply], nest: [goodReply] }));

  test('a running stream ends', async (t) => {
    const peer = await connect(t, target.port);
    await peer.write(request('count', '{"upto":1000000,"ms":20}'));
    await peer.frame();
    peer.fin();
    assert.equal(await peer.closed(), 'fin');
  });

  test('a silent stream ends', async (t) => {
    const peer = await connect(t, target.port);
    await peer.write(request('stream', '"never"'));
    assert.equal(await peer.frame(), item('1'));
    peer.fin();
    assert.equal(await peer.closed(), 'fin');
    assert.equal(peer.rest, '');
  });
});

describe('max_buffer_size', () => {
  const suite = suiteScope();
  let target;
  before(async () => (target = await startTarget(suite, { max_buffer_size: 100 })));

  const sized = (size) => requestText('echo', '1').padEnd(size);
  const wide = requestText('echo', `"${'é'.repeat(40)}"`);
  const small = frame(sized(39));
  checkRows(() => target.port, [
    { name: 'below it', send: frame(sized(90)), replies: [last('1')] },
    { name: 'exactly', send: frame(sized(100)),
      ...differs({ roost: { replies: [last('1')] }, nest: { ends: true } }) },
    { name: 'exactly, header first', send: ['100#', sized(100)], replies: [last('1')] },
    { name: 'one too many', send: frame(sized(101)), ends: true },
    { name: 'several frames that are larger only together', send: small.repeat(4),
      ...differs({ roost: { replies: Array(4).fill(last('1')) }, nest: { ends: true } }) },
    { name: 'fewer characters but more bytes', send: frame(wide),
      ...differs({ roost: { ends: true },
        nest: { replies: [last(`"${'é'.repeat(40)}"`)] } }) },
    { name: '101 digits', send: '1'.repeat(101), ends: true },
    { name: 'a good request before it is answered', send: [good, frame(sized(101))],
      replies: [goodReply], ends: true },
  ]);

  test('a declared length is refused before the bytes come', async (t) => {
    const peer = await connect(t, target.port);
    await peer.write('1000#');
    if (onNest) {
      await sleep(200);
      assert.equal(peer.ended, null);
      await peer.write('x'.repeat(101));
    }
    assert.equal(await peer.closed(), 'fin');
  });

  if (!onNest) {
    test('one line in the log names the limit and the peer', async (t) => {
      const host = await startTarget(t, { max_buffer_size: 100 });
      const peer = await connect(t, host.port);
      const { localPort } = peer.socket;
      await peer.write('1000#');
      await peer.closed();
      const from = (entry) => entry.peer === `127.0.0.1:${localPort}`;
      assert.match(JSON.stringify(await host.logged(from)), /max_buffer_size/);
      assert.equal(host.find(from).length, 1, host.log);
    });
  }
});

describe('incomplete_message_timeout', () => {
  const suite = suiteScope();
  let target;
  const timeout = 600;
  before(async () =>
    (target = await startTarget(suite, { incomplete_message_timeout: timeout })));

  for (const [name, start] of Object.entries({
    'in the length': '4', 'behind the length': '40#', 'in the body': good.slice(0, 20),
    'in a character': Buffer.from(request('echo', '"😀"')).subarray(0, -15),
    'behind a whole frame': good + '4',
  })) {
    test(`a peer that stops ${name} is dropped`, async (t) => {
      const peer = await connect(t, target.port);
      await peer.write(start);
      await peer.closed();
      assert.equal(peer.received, start.includes?.(good) ? frame(goodReply) : '');
    });
  }

  test('a slow peer is not', async (t) => {
    const peer = await connect(t, target.port);
    const cut = [5, 10, 15, 20, 30, 40].map((to, i, all) => good.slice(all[i - 1] ?? 0, to));
    await peer.writeParts([...cut, good.slice(40)], timeout / 4);
    assert.equal(await peer.frame(), goodReply);
  });

  test('a silent one is not, before, between and behind frames', async (t) => {
    const peer = await connect(t, target.port);
    for (let i = 0; i < 2; i++) {
      await sleep(timeout * 1.5);
      assert.equal(await peer.ask('echo', i), last(i, '"ask"'));
    }
    assert.equal(peer.ended, null);
  });
});
