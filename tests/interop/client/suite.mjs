// What an unmodified Nest client sees. Run with Nest 12 and Nest 11 clients, plain and over TLS.
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { scaled } from '../lib/env.mjs';
import { loadNest, nestClient } from '../lib/nest.mjs';
import { noHandlerText } from '../lib/frames.mjs';
import { sameText } from '../lib/rows.mjs';
import { startTarget } from '../lib/target.mjs';
import { makeAuthority } from '../lib/tls.mjs';
import { suiteScope, until, within } from '../lib/wait.mjs';

/** Registers the suite for clients of one Nest version. */
export function clientSuite(version, { secure = false } = {}) {
  describe(`Nest ${version} client${secure ? ' over TLS' : ''}`, () => {
    const suite = suiteScope();
    let nest, target, client;
    /** What the listener and the clients are given besides. */
    const options = { server: {}, client: {} };
    const serve = (t, more) => startTarget(t, { ...options.server, ...more });
    const dial = (t, port) => nestClient(t, nest, port, options.client);
    before(async () => {
      nest = await loadNest(version);
      nest.Logger.overrideLogger(false);
      if (secure) {
        const authority = await makeAuthority(suite);
        const { key, cert } = await authority.issue('server');
        options.server = { tls: { key, cert } };
        options.client = { tlsOptions: authority.trust };
      }
      target = await serve(suite);
      client = dial(suite, target.port);
    });

    /** All values of a reply, as a list. */
    const all = (pattern, data, from = client) => within(
      nest.lastValueFrom(from.send(pattern, data).pipe(nest.toArray())), `reply to ${pattern}`);
    /** The value of a reply that is exactly one value. */
    const one = async (pattern, data, from) => {
      const values = await all(pattern, data, from);
      assert.equal(values.length, 1, JSON.stringify(values));
      return values[0];
    };
    const fails = (pattern, data, from) => all(pattern, data, from).then(
      (values) => assert.fail(`answered ${JSON.stringify(values)}`), (err) => err);
    const ran = (tag, count) => until(async () => {
      const list = await one('runs', { tag });
      return list.length >= count && list;
    }, `${count} handlers`);

    requests({ one, all, fails });
    streams({ all, client: () => client, nest: () => nest });
    events({ ran, client: () => client, nest: () => nest });
    errors({ fails });
    connections({ one, all, fails, serve, dial, nest: () => nest, target: () => target });
    if (version >= 12) metadata({ one, client: () => client });
  });
}

function requests({ one, all }) {
  const same = [true, false, 0, 1, -1, 1.5, 1e21, 5e-324, Number.MAX_SAFE_INTEGER, '', 'text',
    'é€😀\u2028"\\\n\u0000', [], {}, [[]], [{}], { a: [] }, { a: {} }, [null], { a: null },
    [1, [2, [3]]], { user: { name: 'Zoë', tags: ['😀', ''], age: 0, gone: false } }];
  for (const value of same) {
    test(`echo ${JSON.stringify(value)}`, async () => {
      assert.deepEqual(await one('echo', value), value);
    });
  }

  const becomes = [
    ['an undefined member', { a: undefined, b: 1 }, { b: 1 }],
    ['undefined in a list', [undefined, 1], [null, 1]],
    ['a Date', new Date(0), '1970-01-01T00:00:00.000Z'],
    ['a Buffer', Buffer.from([0, 127, 255]), { type: 'Buffer', data: [0, 127, 255] }],
    ['a Map', new Map([[1, 2]]), {}],
    ['NaN in a list', [NaN, Infinity], [null, null]],
    ['minus zero', -0, 0],
    ['a lone surrogate', '\ud83d', '\ud83d'],
  ];
  for (const [name, sent, received] of becomes) {
    test(`echo ${name}`, async () => assert.deepEqual(await one('echo', sent), received));
  }

  test('sum, by an object pattern', async () => {
    assert.equal(await one({ cmd: 'sum' }, [1, 2, 3]), 6);
  });
  test('null', async () => assert.deepEqual(await all('value', 'null'), [null]));
  test('undefined completes without a value', async () => {
    assert.deepEqual(await all('value', 'undefined'), []);
  });
  for (const [name, value] of [['no', false], ['zero', 0], ['empty', ''], ['empty_list', []],
    ['empty_object', {}], ['nan', null]]) {
    test(`value ${name}`, async () => assert.deepEqual(await all('value', name), [value]));
  }
  test('integers past 2^53 are integers', async () => {
    assert.equal(await one('as_text', 2 ** 53), '9007199254740992');
    assert.equal(await one('as_text', -(2 ** 62)), '-4611686018427388000');
  });

  test('1 MiB there and back', async () => {
    const text = '😀é€a'.repeat(2 ** 20 / 10);
    sameText(await one('echo', text), text);
    const list = Array.from({ length: 2 ** 17 }, (_, i) => ({ i }));
    assert.deepEqual(await one('echo', list), list);
  });

  test('100 at once, each with its own answer', async () => {
    const answers = await Promise.all(Array.from({ length: 100 }, (_, i) =>
      one('wait', { ms: (i * 37) % 50, value: { i } })));
    assert.deepEqual(answers, Array.from({ length: 100 }, (_, i) => ({ i })));
  });

  test('1,000 at once without waiting', async () => {
    const numbers = Array.from({ length: scaled(1000, 300) }, (_, i) => i);
    assert.deepEqual(await Promise.all(numbers.map((i) => one('echo', i))), numbers);
  });
}

function streams({ all, client, nest }) {
  const expected = {
    of: [1, 2, 3], from: ['a', 'b'], empty: [], one: ['only'], nulls: [null, null],
    ticks: [0, 1, 2], 'late end': [1], 'late stream': [1, 2],
  };
  for (const [name, items] of Object.entries(expected)) {
    test(`stream: ${name}`, async () => assert.deepEqual(await all('stream', name), items));
  }

  test('stream: undefined as an item', async () => {
    const items = await all('stream', 'undefined item');
    // Nest 11 takes {"id":..} for a foreign packet and its only value.
    if (nest().version >= 12) assert.deepEqual(items, [undefined, 2]);
    else assert.equal(items.length, 1);
  });

  for (const [name, items, err] of [
    ['error after items', [1, 2], { status: 'error', message: 'too much' }],
    ['late error', [1], { status: 'error', message: 'Internal server error' }],
  ]) {
    test(`stream: ${name}`, async () => {
      const seen = [];
      const failed = new Promise((resolve, reject) => client().send('stream', name).subscribe({
        next: (value) => seen.push(value),
        error: resolve,
        complete: () => reject(Error('completed')),
      }));
      assert.deepEqual(await within(failed, 'the error'), err);
      assert.deepEqual(seen, items);
    });
  }

  test('20 streams at once', async () => {
    const items = Array.from({ length: 30 }, (_, i) => i + 1);
    const lists = await Promise.all(Array.from({ length: 20 }, (_, i) =>
      all('count', { upto: 30, ms: 1 + (i % 3) })));
    for (const list of lists) assert.deepEqual(list, items);
  });

  test('a stream of 5,000 items', async () => {
    const upto = scaled(5000, 1000);
    const list = await all('count', { upto });
    assert.deepEqual(list, Array.from({ length: upto }, (_, i) => i + 1));
  });

  test('leaving a stream early does not disturb the connection', async () => {
    const taken = await within(nest().lastValueFrom(client().send('count', { upto: 50, ms: 2 })
      .pipe(nest().take(2), nest().toArray())), 'two items');
    assert.deepEqual(taken, [1, 2]);
    assert.deepEqual(await all('stream', 'of'), [1, 2, 3]);
  });
}

function events({ ran, client, nest }) {
  const emit = (pattern, data) =>
    within(nest().lastValueFrom(client().emit(pattern, data), { defaultValue: null }), 'emit');
  const tag = (name) => `${nest().version}: ${name}`;
  const rows = [
    ['text pattern', 'one', ['one']], ['several handlers', 'chain', ['first', 'second', 'third']],
    ['a message handler', 'message', ['message']],
    ['object pattern', { action: 'created', kind: 'user' }, ['object']], ['number', 7, ['seven']],
    ['failing handler', 'failing', ['failing']], ['streaming handler', 'streaming', ['subscribed']],
  ];
  for (const [name, pattern, handlers] of rows) {
    test(`event: ${name}`, async () => {
      await emit(pattern, { tag: tag(name) });
      assert.deepEqual(await ran(tag(name), handlers.length), handlers);
    });
  }

  test('event: nobody there', async () => {
    await emit('nobody', 1);
    assert.deepEqual(await ran(tag('nobody'), 0), []);
  });

  test('event: 200 in a row all arrive', async () => {
    await Promise.all(Array.from({ length: 200 }, () => emit('one', { tag: tag('many') })));
    assert.equal((await ran(tag('many'), 200)).length, 200);
  });
}

function errors({ fails }) {
  const plain = (message) => ({ status: 'error', message });
  const masked = plain('Internal server error');
  const rows = {
    'rpc text': plain('boom'), 'rpc empty': plain(''), 'rpc number': plain(5),
    'rpc object': { code: 42, message: 'm', extra: [1] }, 'rpc list': [1, 2], error: masked,
    text: masked, number: masked, object: masked, nothing: masked, later: plain('later'),
  };
  for (const [name, err] of Object.entries(rows)) {
    test(`error: ${name}`, async () => assert.deepEqual(await fails('fail', name), err));
  }
  for (const pattern of ['nobody', { cmd: 'nobody' }, 12345]) {
    test(`error: no handler for ${JSON.stringify(pattern)}`, async () => {
      assert.equal(await fails(pattern, 1), noHandlerText);
    });
  }
}

function connections({ one, all, fails, serve, dial, nest, target }) {
  test('the client says connected', async (t) => {
    const client = dial(t, target().port);
    await within(client.connect(), 'connect');
    assert.equal(await within(nest().firstValueFrom(client.status), 'status'), 'connected');
  });

  test('a time-out of the client: its late reply is ignored', async (t) => {
    const client = dial(t, target().port);
    const late = client.send('wait', { ms: 150, value: 'late' }).pipe(nest().timeout(20));
    await assert.rejects(nest().lastValueFrom(late), { name: 'TimeoutError' });
    assert.equal(await one('wait', { ms: 250, value: 'in time' }, client), 'in time');
  });

  test('20 clients at once', async (t) => {
    const clients = Array.from({ length: 20 }, () => dial(t, target().port));
    const values = await Promise.all(clients.map((client, i) =>
      one('wait', { ms: 10, value: i }, client)));
    assert.deepEqual(values, clients.map((_, i) => i));
  });

  test('close in the middle of requests and streams, then use again', async (t) => {
    const client = dial(t, target().port);
    const [request, stream] = [fails('wait', { ms: 100, value: 1 }, client),
      fails('count', { upto: 1e6, ms: 5 }, client)];
    assert.equal(await one('echo', 1, client), 1);
    client.close();
    for (const err of await Promise.all([request, stream])) {
      assert.equal(err.message, 'Connection closed');
    }
    // Nest 11 may take the old socket's end for the new one's, so the old one's is awaited.
    await until(() => one('echo', 2, client).catch(() => null), 'the new connection');
  });

  test('the host dies in the middle of a request, comes back, and is used again', async (t) => {
    const first = await serve(t);
    const client = dial(t, first.port);
    assert.equal(await one('echo', 'up', client), 'up');
    const pending = [fails('wait', { ms: 5000 }, client), fails('stream', 'never', client)];
    assert.equal(await one('echo', 'both running', client), 'both running');
    await first.kill();
    for (const err of await Promise.all(pending)) assert.equal(err.message, 'Connection closed');
    assert.equal((await fails('echo', 1, client)).code, 'ECONNREFUSED');
    await serve(t, { port: first.port });
    assert.equal(await one('echo', 'up again', client), 'up again');
    assert.deepEqual(await all('stream', 'of', client), [1, 2, 3]);
  });
}

function metadata({ one, client }) {
  test('metadata', async () => {
    client().setOnDispatchHook((packet) => (packet.metadata = { traceparent: '00-é' }));
    try {
      assert.deepEqual(await one('metadata', 1), { traceparent: '00-é' });
    } finally {
      client().setOnDispatchHook(undefined);
    }
  });
}
