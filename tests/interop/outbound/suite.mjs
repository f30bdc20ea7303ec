// What a Lua service gets from a real Nest server. Run against Nest 12 and Nest 11 servers.
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { startCaller, tcpClient } from '../lib/caller.mjs';
import { stateTest } from '../lib/env.mjs';
import { noHandlerText } from '../lib/frames.mjs';
import { freePort } from '../lib/peer.mjs';
import { startNestServer } from '../lib/target.mjs';
import { suiteScope, until } from '../lib/wait.mjs';

export function outboundSuite(version) {
  describe(`Lua client of a Nest ${version} server`, () => {
    const suite = suiteScope();
    const parts = {};
    before(async () => {
      parts.nest = await startNestServer(suite, {}, [], version);
      parts.caller = await startCaller(suite,
        { clients: { default: tcpClient(parts.nest.port) } });
    });
    const caller = () => parts.caller;
    requests(caller, version);
    errors(caller);
    events(caller, parts);
    connections(version);
  });
}

const done = (...values) => ({ values, completed: true });

function requests(caller, version) {
  for (const value of [true, false, 0, -1.5, 1e21, '', 'é€😀\u2028"\\\n\u0000', [], {}, [[]],
    { a: [1, { b: 'c' }] }, [null], { a: null }, '\ud83d']) {
    test(`echo ${JSON.stringify(value)}`, async () => {
      assert.deepEqual(await caller().call('echo', value), done(value));
    });
  }
  test('sum, by an object pattern', async () => {
    assert.deepEqual(await caller().call({ cmd: 'sum' }, [1, 2, 3]), done(6));
  });
  for (const [name, value] of [['null', null], ['no', false], ['zero', 0], ['empty', ''],
    ['nan', null], ['empty_list', []], ['empty_object', {}]]) {
    test(`value ${name}`, async () => {
      assert.deepEqual(await caller().call('value', name), done(value));
    });
  }
  test('undefined completes without a value', async () => {
    assert.deepEqual(await caller().call('value', 'undefined'), done());
    assert.deepEqual(await caller().send('value', 'undefined'), done());
  });
  const streams = {
    of: [1, 2, 3], from: ['a', 'b'], empty: [], one: ['only'], nulls: [null, null],
    ticks: [0, 1, 2], 'late end': [1], 'late stream': [1, 2],
    'undefined item': [null, 2], 'undefined last': [1],
  };
  for (const [name, items] of Object.entries(streams)) {
    test(`stream: ${name}`, async () => {
      assert.deepEqual(await caller().send('stream', name), done(...items));
      assert.deepEqual((await caller().call('stream', name)).values, items.slice(-1));
    });
  }
  test('a stream of 1,000', async () => {
    const { values } = await caller().send('count', { upto: 1000 });
    assert.deepEqual(values, Array.from({ length: 1000 }, (_, i) => i + 1));
    assert.deepEqual((await caller().send('count', { upto: 50, ms: 1 })).values.length, 50);
  });
  test('1 MiB there and back', async () => {
    const text = '😀é€a'.repeat(2 ** 20 / 10);
    const { values } = await caller().call('echo', text);
    assert.ok(values[0] === text);
  });
  test('200 at once, each with its own answer', async () => {
    const answers = await Promise.all(Array.from({ length: 200 }, (_, i) =>
      caller().call('wait', { ms: (i * 37) % 50, value: i })));
    assert.deepEqual(answers, Array.from({ length: 200 }, (_, i) => done(i)));
  });
  test('bytes arrive as a Buffer, and come back as one', async () => {
    assert.deepEqual(await caller().drive({ pattern: 'echo', lua: 'roost.bytes "\\0\\255a"' }),
      done({ type: 'Buffer', data: [0, 255, 97] }));
  });
  test('the pattern is sent as it was given', async () => {
    const { values: [text] } = await caller().call('pattern', 1);
    assert.equal(text, 'pattern');
  });
  if (version >= 12) {
    test('metadata', async () => {
      assert.deepEqual(await caller().call('metadata', 1, { metadata: { traceparent: '00-é', n: [1] } }),
        done({ traceparent: '00-é', n: [1] }));
    });
  } else {
    test('metadata does not disturb one that knows none', async () => {
      assert.deepEqual(await caller().call('echo', 1, { metadata: { a: 1 } }), done(1));
    });
  }
  test('a time-out, and the late reply is nobody\'s', async () => {
    const { err } = await caller().call('wait', { ms: 200, value: 'late' }, { timeout: 20 });
    assert.deepEqual([err.name, err.code, err.message],
      ['TimeoutError', 'ETIMEDOUT', 'Timeout has occurred']);
    assert.deepEqual(await caller().call('wait', { ms: 300, value: 'in time' }), done('in time'));
    const stream = await caller().send('stream', 'never', { timeout: 50 });
    assert.deepEqual(stream.values, [1]);
    assert.equal(stream.err.name, 'TimeoutError');
  });
}

function errors(caller) {
  const plain = (message) => ({ status: 'error', message });
  const masked = plain('Internal server error');
  const rows = {
    'rpc text': plain('boom'), 'rpc empty': plain(''), 'rpc number': plain(5),
    'rpc object': { code: 42, message: 'm', extra: [1] }, 'rpc list': [1, 2], error: masked,
    http: masked, text: masked, number: masked, object: masked, nothing: masked,
    later: plain('later'),
  };
  for (const [name, response] of Object.entries(rows)) {
    test(`error: ${name}`, async () => {
      const { err, values } = await caller().call('fail', name);
      assert.equal(values, undefined);
      assert.equal(err.name, 'RpcError');
      assert.deepEqual(err.response, response);
      assert.equal(err.code, response.code);
      const { message } = response;
      assert.equal(err.message, typeof message === 'string' ? message : JSON.stringify(response));
    });
  }
  test('an Error that is returned is an object', async () => {
    assert.deepEqual(await caller().call('fail', 'returned'), done({}));
  });
  const filters = {
    'filter_throws_a_text': 'text', 'filter_throws_an_object': { a: [1] },
    'filter_throws_true': true, 'filter_throws_an_Error': {}, 'filter_gives_nothing': masked,
    guarded: plain('Forbidden resource'),
  };
  for (const [pattern, response] of Object.entries(filters)) {
    test(`error: ${pattern}`, async () => {
      assert.deepEqual((await caller().call(pattern, 1)).err.response, response);
    });
  }
  test('an empty text as error is the end', async () => {
    assert.deepEqual(await caller().send('filter_throws_an_empty_text', 1), done());
  });
  test('a filter\'s values', async () => {
    assert.deepEqual(await caller().send('filter_gives_values', 1), done(1, 2));
  });
  test('errors of streams come after their items', async () => {
    const early = await caller().send('stream', 'error after items');
    assert.deepEqual([early.values, early.err.response], [[1, 2], plain('too much')]);
    const late = await caller().send('stream', 'late error');
    assert.deepEqual([late.values, late.err.response], [[1], masked]);
  });
  for (const pattern of ['nobody', { cmd: 'nobody' }, 12345]) {
    test(`error: no handler for ${JSON.stringify(pattern)}`, async () => {
      const { err } = await caller().call(pattern, 1);
      assert.deepEqual([err.response, err.message, err.code], [noHandlerText, noHandlerText, undefined]);
    });
  }
  test('nil and null are refused, and nothing is sent', async () => {
    for (const request of [{ data: 1 }, { pattern: 'echo' }, { pattern: null, data: 1 },
      { pattern: 'echo', data: null }]) {
      for (const method of ['call', 'send', 'emit']) {
        const { err } = await caller().drive({ method, ...request });
        assert.deepEqual([err.name, err.code, err.message], ['InvalidMessageError', 'EINVAL',
          'The invalid data or message pattern (undefined/null)']);
      }
    }
  });
}

function events(caller, parts) {
  const rows = [
    ['text pattern', 'one', ['one']], ['several handlers', 'chain', ['first', 'second', 'third']],
    ['a message handler', 'message', ['message']], ['failing handler', 'failing', ['failing']],
    ['object pattern', { action: 'created', kind: 'user' }, ['object']], ['number', 7, ['seven']],
  ];
  for (const [name, pattern, handlers] of rows) {
    test(`event: ${name}`, async () => {
      assert.deepEqual(await caller().emit(pattern, { tag: name }), done());
      const list = await until(async () => {
        const { values: [ran] } = await caller().call('runs', { tag: name });
        return ran.length >= handlers.length && ran;
      }, `${handlers.length} handlers`);
      assert.deepEqual(list, handlers);
    });
  }
  test('event: nobody there', async () => {
    assert.deepEqual(await caller().emit('nobody', 1), done());
    assert.deepEqual(await caller().call('echo', 1), done(1));
  });
  test('event: 200 in a row all arrive', async () => {
    await Promise.all(Array.from({ length: 200 }, () => caller().emit('one', { tag: 'many' })));
    await until(async () =>
      (await caller().call('runs', { tag: 'many' })).values[0].length === 200, '200 events');
  });
  test('status, once connected', async () => {
    const info = await caller().drive({ method: 'unwrap' });
    assert.equal(info.transport, 'tcp');
    assert.equal(info.connected, true);
    assert.deepEqual(info.remote, { address: '127.0.0.1', port: parts.nest.port });
    assert.equal(info.local.address, '127.0.0.1');
    assert.ok(info.fd > 2);
  });
}

function connections(version) {
  stateTest('the server is killed in the middle of requests; the next call connects again', async (t) => {
    const first = await startNestServer(t, {}, [], version);
    const { call, send, drive, ask } = await startCaller(t,
      { clients: { default: tcpClient(first.port) } });
    assert.match((await drive({ method: 'unwrap' })).err.text,
      /Not initialized\. Please call the "connect" method first\./);
    await ask('watch', 'default');
    assert.deepEqual(await call('echo', 'up'), done('up'));
    const pending = [call('wait', { ms: 60000, value: 1 }), send('stream', 'never')];
    assert.deepEqual(await call('echo', 'both running'), done('both running'));
    await first.kill();
    for (const { err } of await Promise.all(pending)) {
      assert.deepEqual([err.name, err.code, err.message],
        ['ConnectionError', 'ECLOSED', 'Connection closed']);
    }
    const { err } = await call('echo', 1);
    assert.deepEqual([err.name, err.code, err.message, err.detail], ['ConnectionError',
      'ECONNREFUSED', `connect ECONNREFUSED 127.0.0.1:${first.port}`, 'Connection refused']);
    await startNestServer(t, { port: first.port }, [], version);
    assert.deepEqual(await call('echo', 'up again'), done('up again'));
    assert.deepEqual(await send('stream', 'of'), done(1, 2, 3));
    const told = await ask('told');
    assert.deepEqual(told.filter((line) => line.startsWith('status')),
      ['status connected', 'status disconnected', 'status connected']);
    assert.ok(told.includes('error ConnectionError ECONNREFUSED'), told.join('; '));
    assert.equal(told.at(-1), 'connect');
  });

  test('close fails what is pending, and the next call connects again', async (t) => {
    const nest = await startNestServer(t, {}, [], version);
    const { call, send, drive } = await startCaller(t,
      { clients: { default: tcpClient(nest.port) } });
    const pending = [call('wait', { ms: 60000, value: 1 }), send('stream', 'never')];
    assert.deepEqual(await call('echo', 1), done(1));
    assert.deepEqual(await drive({ method: 'close' }), { completed: true });
    for (const { err } of await Promise.all(pending)) assert.equal(err.message, 'Connection closed');
    assert.deepEqual(await call('echo', 2), done(2));
  });

  test('connect raises where nobody is, and returns where somebody is', async (t) => {
    const port = await freePort();
    const { drive } = await startCaller(t, { clients: { default: tcpClient(port) } });
    assert.equal((await drive({ method: 'connect' })).err.code, 'ECONNREFUSED');
    await startNestServer(t, { port }, [], version);
    assert.deepEqual(await drive({ method: 'connect' }), { completed: true });
    assert.equal((await drive({ method: 'unwrap' })).connected, true);
  });
}
