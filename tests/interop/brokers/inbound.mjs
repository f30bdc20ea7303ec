// What an unmodified Nest client sees of a server, whatever is between them. client/suite.mjs has the
// rows over TCP with some more of its own; brokers/NAME.test.mjs over a broker, for Nest 12 and 11.
// How a transport differs, its binding says: lib/brokers/binding.mjs.
//   TARGET=nest node --test brokers/redis.test.mjs    the same against a Nest server
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { onNest, scaled, workers } from '../lib/env.mjs';
import { noHandlerText } from '../lib/frames.mjs';
import { loadNest } from '../lib/nest.mjs';
import { sameText } from '../lib/rows.mjs';
import { startBehind } from '../lib/target.mjs';
import { suiteScope, undo, until, within } from '../lib/wait.mjs';

/** What a client's requests and events have come to, for the client that `client()` gives. */
export function outcomes(nest, client) {
  /** All values of a reply, as a list. */
  const all = (pattern, data, from = client()) => within(nest().lastValueFrom(
    from.send(pattern, data).pipe(nest().toArray())), `reply to ${JSON.stringify(pattern)}`);
  /** The value of a reply that is exactly one value. */
  const one = async (pattern, data, from) => {
    const values = await all(pattern, data, from);
    assert.equal(values.length, 1, JSON.stringify(values));
    return values[0];
  };
  const fails = (pattern, data, from) => all(pattern, data, from).then(
    (values) => assert.fail(`answered ${JSON.stringify(values)}`), (err) => err);
  const emit = (pattern, data) =>
    within(nest().lastValueFrom(client().emit(pattern, data), { defaultValue: null }), 'emit');
  /** Which handlers have run for this tag, once there are so many. */
  const ran = (tag, count) => until(async () => {
    const list = await one('runs', { tag });
    return list.length >= count && list;
  }, `${count} handlers`);
  return { all, one, fails, emit, ran, client, nest };
}

/** test(), for rows that this transport can do; `checked()` fails for a name that is no row's. */
export function rowsBut(cannot) {
  const names = new Set(Object.keys(cannot));
  const row = (name, fn) => names.delete(name) || test(name, fn);
  row.checked = () => assert.deepEqual([...names], [], 'rows that a binding says it can\'t do');
  return row;
}

/** The rows that are the same everywhere. */
export function inboundRows({ row, binding, version, ...parts }) {
  requests(row, binding, parts);
  streams(row, binding, parts);
  events(row, parts);
  errors(row, binding, parts);
  headers(row, binding, version, parts);
}

/** Registers all rows for clients of one Nest version behind a broker: { port, .. } of its start. */
export function inboundSuite(version, binding, broker) {
  describe(`Nest ${version} client over ${binding.name}`, () => {
    const suite = suiteScope();
    const row = rowsBut(binding.cannot('inbound', version));
    let nest, client;
    const parts = outcomes(() => nest, () => client);
    before(async () => {
      nest = await loadNest(version);
      nest.Logger.overrideLogger(false);
      const target = await startBehind(suite, binding, broker());
      client = await dial(suite, nest, binding, broker());
      await answers(parts, target);
    });
    inboundRows({ row, binding, version, ...parts });
    clients(row, binding, broker, parts);
    if (binding.poison) poison(row, binding, broker, parts);
    row.checked();
  });
  if (binding.wild) wildcards(version, binding, broker);
  if (version === 12) restart(binding, broker);
}

/** The patterns the handlers of services/wire.lua reply to. */
export const replyPatterns = ['runs', 'echo', { cmd: 'sum' }, 'wait', 'as_text', 'metadata', 'subject',
  'value', 'fail', 'stream', 'count', 'one', 'chain', 'nobody', { cmd: 'nobody' }, 12345];

/** And more of those of lib/nest-server.mjs. */
export const nestPatterns = [...replyPatterns, 'guarded', 'filter_throws_a_text',
  'filter_throws_an_object', 'filter_throws_true', 'filter_throws_an_Error', 'filter_gives_nothing',
  'filter_throws_an_empty_text', 'filter_gives_values'];

/** A Nest client of a broker, closed when `t` is over. */
async function dial(t, nest, binding, broker, { options, patterns = replyPatterns } = {}) {
  const client = nest.ClientProxyFactory.create(binding.nest(nest, broker, options));
  if (!binding.mute) client.on?.('error', () => {}); // Nest logs them
  undo(t, () => client.close());
  await binding.prepare?.(client, patterns);
  return client;
}

/** Waits until a server that was started answers: the broker may not know of it yet. */
async function answers({ nest, client }, target, pattern = 'echo') {
  await until(() => nest().lastValueFrom(client().send(pattern, 'up').pipe(nest().timeout(500)),
    { defaultValue: null }).then(() => true, () => false), 'the first answer', { ms: 60_000 })
    .catch((err) => assert.fail(`${err.message}; the log is:\n${target.log}`));
}

/** What `fn` gives while a request is held open on the pattern, where Nest's client needs that. */
async function held({ binding, one, client }, pattern, data, fn) {
  if (!binding.holds) return fn();
  const hold = client().send(pattern, { ...data, ms: 60_000 }).subscribe({ error() {} });
  try {
    for (let i = 0; i < 2; i++) await one('echo', 'the reply topic is subscribed now');
    return await fn();
  } finally {
    hold.unsubscribe();
  }
}

function requests(row, binding, { one, all, client }) {
  const becomes = binding.becomes ?? ((value) => value);
  const same = [true, false, 0, 1, -1, 1.5, 1e21, 5e-324, Number.MAX_SAFE_INTEGER, '', 'text',
    'é€😀\u2028"\\\n\u0000', [], {}, [[]], [{}], { a: [] }, { a: {} }, [null], { a: null },
    [1, [2, [3]]], { user: { name: 'Zoë', tags: ['😀', ''], age: 0, gone: false } }];
  for (const value of same) {
    row(`echo ${JSON.stringify(value)}`, async () => {
      assert.deepEqual(await one('echo', value), becomes(value));
    });
  }

  const altered = [
    ['an undefined member', { a: undefined, b: 1 }, { b: 1 }],
    ['undefined in a list', [undefined, 1], [null, 1]],
    ['a Date', new Date(0), '1970-01-01T00:00:00.000Z'],
    ['a Buffer', Buffer.from([0, 127, 255]), { type: 'Buffer', data: [0, 127, 255] }],
    ['a Map', new Map([[1, 2]]), {}],
    ['NaN in a list', [NaN, Infinity], [null, null]],
    ['minus zero', -0, 0],
    ['a lone surrogate', '\ud83d', '\ud83d'],
  ];
  for (const [name, sent, received] of altered) {
    row(`echo ${name}`, async () => assert.deepEqual(await one('echo', sent), becomes(received)));
  }

  row('sum, by an object pattern', async () => {
    assert.equal(await one({ cmd: 'sum' }, [1, 2, 3]), becomes(6));
  });
  row('null', async () => assert.deepEqual(await all('value', 'null'), [null]));
  row('undefined completes without a value', async () => {
    assert.deepEqual(await all('value', 'undefined'), []);
  });
  for (const [name, value] of [['no', false], ['zero', 0], ['empty', ''], ['empty_list', []],
    ['empty_object', {}], ['nan', null]]) {
    row(`value ${name}`, async () => assert.deepEqual(await all('value', name), [becomes(value)]));
  }
  row('integers past 2^53 are integers', async () => {
    assert.equal(await one('as_text', 2 ** 53), becomes('9007199254740992'));
    assert.equal(await one('as_text', -(2 ** 62)), becomes('-4611686018427388000'));
  });
  row('the subject', async () => assert.equal(await one('subject', 1), 'subject'));

  row('500 KiB there and back', async () => {
    const text = '😀é€a'.repeat(500 * 2 ** 10 / 10);
    sameText(await one('echo', text), text);
    const list = Array.from({ length: 2 ** 15 }, (_, i) => ({ i }));
    assert.deepEqual(await one('echo', list), list);
  });

  row('100 at once, each with its own answer', async () => {
    await held({ binding, one, client }, 'wait', { value: {} }, async () => {
      const answers = await Promise.all(Array.from({ length: 100 }, (_, i) =>
        one('wait', { ms: (i * 37) % 50, value: { i } })));
      assert.deepEqual(answers, Array.from({ length: 100 }, (_, i) => ({ i })));
    });
  });

  row('1,000 in flight', async () => {
    await held({ binding, one, client }, 'wait', { value: {} }, async () => {
      const numbers = Array.from({ length: scaled(1000, 300) }, (_, i) => i);
      const answers = await Promise.all(numbers.map((i) => one('wait', { ms: 50, value: { i } })));
      assert.deepEqual(answers, numbers.map((i) => ({ i })));
    });
  });
}

function streams(row, binding, { all, client, nest }) {
  const becomes = binding.becomes ?? ((value) => value);
  const expected = {
    of: [1, 2, 3], from: ['a', 'b'], empty: [], one: ['only'], nulls: [null, null],
    ticks: [0, 1, 2], 'late end': [1], 'late stream': [1, 2],
  };
  for (const [name, items] of Object.entries(expected)) {
    row(`stream: ${name}`, async () => assert.deepEqual(await all('stream', name), items.map(becomes)));
  }

  row('stream: undefined as an item', async () => {
    const items = await all('stream', 'undefined item');
    // Nest 11 takes {"id":..} for a foreign packet and its only value.
    if (nest().version >= 12) assert.deepEqual(items, [undefined, 2]);
    else assert.equal(items.length, 1);
  });

  for (const [name, items, err] of [
    ['error after items', [1, 2], { status: 'error', message: 'too much' }],
    ['late error', [1], { status: 'error', message: 'Internal server error' }],
  ]) {
    row(`stream: ${name}`, async () => {
      const seen = [];
      const failed = new Promise((resolve, reject) => client().send('stream', name).subscribe({
        next: (value) => seen.push(value),
        error: resolve,
        complete: () => reject(Error('completed')),
      }));
      assert.deepEqual(await within(failed, 'the error'), err);
      assert.deepEqual(seen, items.map(becomes));
    });
  }

  row('20 streams at once', async () => {
    const items = Array.from({ length: 30 }, (_, i) => i + 1);
    const lists = await Promise.all(Array.from({ length: 20 }, (_, i) =>
      all('count', { upto: 30, ms: 1 + (i % 3) })));
    for (const list of lists) assert.deepEqual(list, items.map(becomes));
  });

  row('a stream of 5,000 items', async () => {
    const upto = scaled(5000, 1000);
    const list = await all('count', { upto });
    assert.deepEqual(list, Array.from({ length: upto }, (_, i) => becomes(i + 1)));
  });

  row('leaving a stream early does not disturb the connection', async () => {
    const taken = await within(nest().lastValueFrom(client().send('count', { upto: 50, ms: 2 })
      .pipe(nest().take(2), nest().toArray())), 'two items');
    assert.deepEqual(taken, [1, 2].map(becomes));
    assert.deepEqual(await all('stream', 'of'), [1, 2, 3].map(becomes));
  });
}

/** Handlers on several workers begin when each of these comes to it. */
export const inAnyOrder = (list) => (workers > 1 ? [...list].sort() : list);

function events(row, { ran, emit, nest }) {
  const tag = (name) => `${nest().version}: ${name}`;
  const rows = [
    ['text pattern', 'one', ['one']], ['several handlers', 'chain', ['first', 'second', 'third']],
    ['a message handler', 'message', ['message']],
    ['object pattern', { action: 'created', kind: 'user' }, ['object']], ['number', 7, ['seven']],
    ['failing handler', 'failing', ['failing']], ['streaming handler', 'streaming', ['subscribed']],
  ];
  for (const [name, pattern, handlers] of rows) {
    row(`event: ${name}`, async () => {
      await emit(pattern, { tag: tag(name) });
      const list = await ran(tag(name), handlers.length);
      assert.deepEqual(inAnyOrder(list), inAnyOrder(handlers));
    });
  }

  row('event: nobody there', async () => {
    await emit('nobody', 1);
    assert.deepEqual(await ran(tag('nobody'), 0), []);
  });

  row('event: 200 in a row all arrive', async () => {
    await Promise.all(Array.from({ length: 200 }, () => emit('one', { tag: tag('many') })));
    assert.equal((await ran(tag('many'), 200)).length, 200);
  });
}

function errors(row, binding, { one, fails, client }) {
  const plain = (message) => ({ status: 'error', message });
  const masked = plain('Internal server error');
  const rows = {
    'rpc text': plain('boom'), 'rpc empty': plain(''), 'rpc number': plain(5),
    'rpc object': { code: 42, message: 'm', extra: [1] }, 'rpc list': [1, 2], error: masked,
    text: masked, number: masked, object: masked, nothing: masked, later: plain('later'),
  };
  for (const [name, err] of Object.entries(rows)) {
    row(`error: ${name}`, async () => assert.deepEqual(await fails('fail', name), err));
  }
  const ends = {
    told: async (pattern) => assert.equal(await fails(pattern, 1), noHandlerText),
    empty: async (pattern) => assert.match((await fails(pattern, 1)).message,
      /^Empty response. There are no subscribers listening to that message/),
    // Neither before nor after an answer to what was sent later.
    async silent(pattern) {
      let told;
      const request = client().send(pattern, 1).subscribe({
        next: (value) => (told = value), error: (err) => (told = err), complete: () => (told ??= 'end'),
      });
      for (let i = 0; i < 3; i++) await one('echo', i);
      request.unsubscribe();
      assert.equal(told, undefined);
    },
  };
  for (const pattern of ['nobody', { cmd: 'nobody' }, 12345]) {
    row(`error: no handler for ${JSON.stringify(pattern)}`, () => ends[binding.nobody](pattern));
  }
}

function headers(row, binding, version, { ran, client, nest }) {
  const sent = { traceparent: '00-abc-01', tenant: `of ${version}` };
  const withHeaders = async (t, ...args) => {
    const { sent: observable, done = () => {} } = binding.withHeaders(nest(), client(), ...args);
    try {
      return await within(nest().lastValueFrom(observable, { defaultValue: null }), 'headers');
    } finally {
      done();
    }
  };
  row('headers of a request', async (t) => {
    const got = await withHeaders(t, 'send', 'metadata', { a: 1 }, sent);
    for (const [key, value] of Object.entries(sent)) assert.equal(got[key], value, JSON.stringify(got));
  });
  row('headers of an event', async (t) => {
    const tag = `${version}: headers`;
    await withHeaders(t, 'emit', 'headed', { tag }, sent);
    assert.deepEqual(await ran(tag, 1), [sent.tenant]);
  });
}

function clients(row, binding, broker, { one, fails, nest }) {
  const dialled = (t) => dial(t, nest(), binding, broker());

  row('the client says connected', async (t) => {
    const client = await dialled(t);
    await within(client.connect(), 'connect');
    assert.equal(await within(nest().firstValueFrom(client.status), 'status'), 'connected');
  });

  row('a time-out of the client: its late reply is ignored', async (t) => {
    const client = await dialled(t);
    assert.equal(await one('wait', { ms: 0, value: 'ready' }, client), 'ready');
    const late = client.send('wait', { ms: 150, value: 'late' }).pipe(nest().timeout(20));
    await assert.rejects(nest().lastValueFrom(late), { name: 'TimeoutError' });
    assert.equal(await one('wait', { ms: 250, value: 'in time' }, client), 'in time');
  });

  row('20 clients at once', async (t) => {
    const many = await Promise.all(Array.from({ length: 20 }, () => dialled(t)));
    const values = await Promise.all(many.map((client, i) =>
      one('wait', { ms: 10, value: { i } }, client)));
    assert.deepEqual(values, many.map((_, i) => ({ i })));
  });

  row('close in the middle of requests and streams, then use again', async (t) => {
    const client = await dialled(t);
    assert.equal(await one('echo', 'up', client), 'up');
    const pending = [fails('wait', { ms: 5000, value: 1 }, client), fails('stream', 'never', client)];
    assert.equal(await one('echo', 'running', client), 'running');
    await client.close();
    for (const err of await Promise.all(pending)) assert.equal(err.message, 'Connection closed');
    await until(() => one('echo', 'again', client).catch(() => null), 'the new connection');
  });
}

function poison(row, binding, broker, { one, all }) {
  row('what is not JSON does no harm', async (t) => {
    await binding.poison(t, broker());
    assert.equal(await one('echo', 'still here'), 'still here');
    assert.deepEqual(await all('stream', 'of'), [1, 2, 3].map(binding.becomes ?? ((value) => value)));
  });
}

/** A server of its own, since some brokers do it only where an option says so. */
function wildcards(version, binding, broker) {
  describe(`Nest ${version} client over ${binding.name}, wildcards`, () => {
    const suite = suiteScope();
    const { options, patterns } = binding.wild;
    const names = Object.values(patterns);
    let nest, client;
    const parts = outcomes(() => nest, () => client);
    before(async () => {
      nest = await loadNest(version);
      nest.Logger.overrideLogger(false);
      const target = await startBehind(suite, binding, broker(),
        { options, wild: Object.keys(patterns) });
      client = await dial(suite, nest, binding, broker(), { options, patterns: names });
      await answers(parts, target, names[0]);
    });
    for (const [pattern, name] of Object.entries(patterns)) {
      test(`${pattern} takes ${name}`, async () => {
        const got = await parts.one(name, 1);
        assert.equal(got.subject, name);
        assert.equal(got.pattern, pattern);
        // A Nest server takes its own replies for more calls.
        if (!onNest) assert.equal((await parts.one(name, 2)).calls, got.calls + 1);
      });
    }
  });
}

/** The last, since the others' clients may be lost with the broker. */
function restart(binding, broker) {
  describe(`A server over ${binding.name} whose broker dies`, () => {
    const suite = suiteScope();
    let nest;
    before(async () => {
      nest = await loadNest(12);
      nest.Logger.overrideLogger(false);
    });
    for (const how of ['kill', 'stop']) {
      test(`comes back (${how})`, async (t) => {
        const target = await startBehind(t, binding, broker());
        const first = await dial(t, nest, binding, broker());
        const at = (client) => outcomes(() => nest, () => client);
        await answers(at(first), target);
        if (binding.fragile) await first.close();
        await broker()[how]();
        await broker().start();
        const second = await dial(suite, nest, binding, broker());
        await answers(at(second), target);
        assert.deepEqual(await at(second).one('echo', [1, 2]), [1, 2]);
      });
    }
  });
}
