// What a Lua service gets from a server, whatever is between them. outbound/suite.mjs has the rows over
// TCP with some more of its own, outbound/local.test.mjs within one host; brokers/NAME.test.mjs over a
// broker, from Nest 12 and 11. How a transport differs, its binding says: lib/brokers/binding.mjs.
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { clientOf, startCaller } from '../lib/caller.mjs';
import { scaled, workers } from '../lib/env.mjs';
import { noHandlerText } from '../lib/frames.mjs';
import { sameText } from '../lib/rows.mjs';
import { startNestBehind } from '../lib/target.mjs';
import { suiteScope, until } from '../lib/wait.mjs';
import { nestPatterns, rowsBut } from './inbound.mjs';

/** The rows that are the same everywhere. */
export function outboundRows({ row, binding, version, caller }) {
  requests(row, binding, caller);
  streams(row, binding, caller);
  late(row, binding, caller);
  errors(row, binding, caller);
  events(row, binding, caller);
  headers(row, version, caller);
}

/** Registers all rows for a server of one Nest version behind a broker: { port, .. } of its start. */
export function outboundSuite(version, binding, broker) {
  describe(`Lua client of a Nest ${version} server over ${binding.name}`, () => {
    const suite = suiteScope();
    const row = rowsBut(binding.cannot('outbound', version));
    let caller;
    before(async () => {
      await startNestBehind(suite, binding, broker(), { version });
      caller = await dial(suite, binding, broker());
      await answers(caller);
    });
    outboundRows({ row, binding, version, caller: () => caller });
    row('the client\'s status', async () => {
      assert.equal((await caller.drive({ method: 'connect and unwrap' })).connected, true);
    });
    row.checked();
  });
  if (binding.wild) wildcards(version, binding, broker);
  if (version === 12) restart(binding, broker);
}

/** A host whose service calls through a client of that broker. */
const dial = (t, binding, broker, patterns = nestPatterns) => startCaller(t, {
  clients: { default: clientOf(binding.roost(broker, binding.client?.({}))) },
  prepare: binding.prepareLua?.(patterns),
});

/** Waits until a server answers: the broker may not know of it yet. */
const answers = ({ call }, pattern = 'echo') => until(async () =>
  (await call(pattern, 'up', { timeout: 500 })).completed, 'the first answer', { ms: 60_000 });

const done = (...values) => ({ values, completed: true });

function requests(row, binding, caller) {
  const becomes = binding.becomes ?? ((value) => value);
  for (const value of [true, false, 0, -1.5, 1e21, '', 'é€😀\u2028"\\\n\u0000', [], {}, [[]],
    { a: [1, { b: 'c' }] }, [null], { a: null }, '\ud83d']) {
    row(`echo ${JSON.stringify(value)}`, async () => {
      assert.deepEqual(await caller().call('echo', value), done(becomes(value)));
    });
  }
  row('sum, by an object pattern', async () => {
    assert.deepEqual(await caller().call({ cmd: 'sum' }, [1, 2, 3]), done(becomes(6)));
  });
  for (const [name, value] of [['null', null], ['no', false], ['zero', 0], ['empty', ''],
    ['nan', null], ['empty_list', []], ['empty_object', {}]]) {
    row(`value ${name}`, async () => {
      assert.deepEqual(await caller().call('value', name), done(becomes(value)));
    });
  }
  row('undefined completes without a value', async () => {
    assert.deepEqual(await caller().call('value', 'undefined'), done());
    assert.deepEqual(await caller().send('value', 'undefined'), done());
  });
  row('500 KiB there and back', async () => {
    const text = '😀é€a'.repeat(500 * 2 ** 10 / 10);
    const { values } = await caller().call('echo', text);
    sameText(values[0], text);
  });
  row('200 at once, each with its own answer', async () => {
    const answers = await Promise.all(Array.from({ length: 200 }, (_, i) =>
      caller().call('wait', { ms: (i * 37) % 50, value: { i } })));
    assert.deepEqual(answers, Array.from({ length: 200 }, (_, i) => done({ i })));
  });
  row('1,000 in flight', async () => {
    const numbers = Array.from({ length: scaled(1000, 300) }, (_, i) => i);
    const list = numbers.map((i) => ({ ms: 50, value: { i } }));
    assert.deepEqual(await caller().ask('many', { pattern: 'wait', list }),
      numbers.map((i) => ({ i })));
  });
  row('bytes arrive as a Buffer, and come back as one', async () => {
    assert.deepEqual(await caller().drive({ pattern: 'echo', lua: 'roost.bytes "\\0\\255a"' }),
      done({ type: 'Buffer', data: [0, 255, 97] }));
  });
  row('the subject', async () => {
    assert.deepEqual(await caller().call('subject', 1), done('subject'));
  });
}

function streams(row, binding, caller) {
  const becomes = binding.becomes ?? ((value) => value);
  const expected = {
    of: [1, 2, 3], from: ['a', 'b'], empty: [], one: ['only'], nulls: [null, null],
    ticks: [0, 1, 2], 'late end': [1], 'late stream': [1, 2],
    'undefined item': [null, 2], 'undefined last': [1],
  };
  for (const [name, items] of Object.entries(expected)) {
    row(`stream: ${name}`, async () => {
      assert.deepEqual(await caller().send('stream', name), done(...items.map(becomes)));
      assert.deepEqual((await caller().call('stream', name)).values,
        items.slice(-1).map(becomes));
    });
  }
  row('a stream of 1,000', async () => {
    const { values } = await caller().send('count', { upto: 1000 });
    assert.deepEqual(values, Array.from({ length: 1000 }, (_, i) => becomes(i + 1)));
    assert.deepEqual((await caller().send('count', { upto: 50, ms: 1 })).values.length, 50);
  });
}

function late(row, binding, caller) {
  const becomes = binding.becomes ?? ((value) => value);
  row('a time-out, and the late reply is nobody\'s', async () => {
    const { err } = await caller().call('wait', { ms: 200, value: 'late' }, { timeout: 20 });
    assert.deepEqual([err.name, err.code, err.message],
      ['TimeoutError', 'ETIMEDOUT', 'Timeout has occurred']);
    assert.deepEqual(await caller().call('wait', { ms: 300, value: 'in time' }), done('in time'));
    const stream = await caller().send('stream', 'never', { timeout: scaled(200, 1000) });
    assert.deepEqual(stream.values, [becomes(1)]);
    assert.equal(stream.err.name, 'TimeoutError');
  });
}

function errors(row, binding, caller) {
  const becomes = binding.becomes ?? ((value) => value);
  const plain = (message) => ({ status: 'error', message });
  const masked = plain('Internal server error');
  const rows = {
    'rpc text': plain('boom'), 'rpc empty': plain(''), 'rpc number': plain(5),
    'rpc object': { code: 42, message: 'm', extra: [1] }, 'rpc list': [1, 2], error: masked,
    http: masked, text: masked, number: masked, object: masked, nothing: masked,
    later: plain('later'),
  };
  for (const [name, response] of Object.entries(rows)) {
    row(`error: ${name}`, async () => {
      const { err, values } = await caller().call('fail', name);
      assert.equal(values, undefined);
      assert.equal(err.name, 'RpcError');
      assert.deepEqual(err.response, response);
      assert.equal(err.code, response.code);
      const { message } = response;
      assert.equal(err.message, typeof message === 'string' ? message : JSON.stringify(response));
    });
  }
  row('an Error that is returned is an object', async () => {
    assert.deepEqual(await caller().call('fail', 'returned'), done({}));
  });
  const filters = {
    'filter_throws_a_text': 'text', filter_throws_an_object: { a: [1] },
    filter_throws_true: true, filter_throws_an_Error: {}, filter_gives_nothing: masked,
    guarded: plain('Forbidden resource'),
  };
  for (const [pattern, response] of Object.entries(filters)) {
    row(`error: ${pattern}`, async () => {
      assert.deepEqual((await caller().call(pattern, 1)).err.response, response);
    });
  }
  row('an empty text as error is the end', async () => {
    assert.deepEqual(await caller().send('filter_throws_an_empty_text', 1), done());
  });
  row('a filter\'s values', async () => {
    assert.deepEqual(await caller().send('filter_gives_values', 1), done(...[1, 2].map(becomes)));
  });
  row('errors of streams come after their items', async () => {
    const early = await caller().send('stream', 'error after items');
    assert.deepEqual([early.values, early.err.response], [[1, 2].map(becomes), plain('too much')]);
    const late = await caller().send('stream', 'late error');
    assert.deepEqual([late.values, late.err.response], [[1].map(becomes), masked]);
  });
  const ends = {
    told: ({ response, message, code }) =>
      assert.deepEqual([response, message, code], [noHandlerText, noHandlerText, undefined]),
    empty: ({ message }) =>
      assert.match(message, /^Empty response. There are no subscribers listening to that message/),
    silent: ({ name }) => assert.equal(name, 'TimeoutError'),
  };
  for (const pattern of ['nobody', { cmd: 'nobody' }, 12345]) {
    row(`error: no handler for ${JSON.stringify(pattern)}`, async () => {
      const silent = binding.nobody === 'silent';
      const { err } = await caller().call(pattern, 1, { timeout: silent ? 200 : 0 });
      ends[binding.nobody](err);
    });
  }
  row('nil and null are refused, and nothing is sent', async () => {
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

function events(row, binding, caller) {
  const becomes = binding.becomes ?? ((value) => value);
  const rows = [
    ['text pattern', 'one', ['one']], ['several handlers', 'chain', ['first', 'second', 'third']],
    ['a message handler', 'message', ['message']], ['failing handler', 'failing', ['failing']],
    ['object pattern', { action: 'created', kind: 'user' }, ['object']], ['number', 7, ['seven']],
  ];
  for (const [name, pattern, handlers] of rows) {
    row(`event: ${name}`, async () => {
      assert.deepEqual(await caller().emit(pattern, { tag: name }), done());
      const list = await until(async () => {
        const { values: [ran] } = await caller().call('runs', { tag: name });
        return ran.length >= handlers.length && ran;
      }, `${handlers.length} handlers`);
      assert.deepEqual(list, handlers);
    });
  }
  row('event: nobody there', async () => {
    assert.deepEqual(await caller().emit('nobody', 1), done());
    assert.deepEqual(await caller().call('echo', 1), done(becomes(1)));
  });
  row('event: 200 in a row all arrive', async () => {
    await Promise.all(Array.from({ length: 200 }, () => caller().emit('one', { tag: 'many' })));
    await until(async () =>
      (await caller().call('runs', { tag: 'many' })).values[0].length === 200, '200 events');
  });
}

function headers(row, version, caller) {
  const metadata = { traceparent: '00-abc-01', tenant: `of ${version}` };
  row('headers of a request', async () => {
    const { values: [got] } = await caller().call('metadata', { a: 1 }, { metadata });
    for (const [key, value] of Object.entries(metadata)) assert.equal(got[key], value);
  });
  row('headers of an event', async () => {
    const tag = `${version}: headers`;
    assert.deepEqual(await caller().emit('headed', { tag }, { metadata }), done());
    await until(async () =>
      (await caller().call('runs', { tag })).values[0][0] === metadata.tenant, 'the event');
  });
  row('headers do not disturb a server that knows none', async () => {
    assert.deepEqual(await caller().call('echo', { a: 1 }, { metadata }), done({ a: 1 }));
  });
}

/** A server of its own, since some brokers do it only where an option says so. */
function wildcards(version, binding, broker) {
  const { options, patterns } = binding.wild;
  const cannot = binding.cannot('outbound wildcards', version);
  const rows = Object.entries(patterns).map(([pattern, name]) =>
    [`${pattern} takes ${name}`, pattern, name]);
  if (rows.every(([title]) => title in cannot)) return;
  describe(`Lua client of a Nest ${version} server over ${binding.name}, wildcards`, () => {
    const suite = suiteScope();
    const row = rowsBut(cannot);
    const names = Object.values(patterns);
    let caller;
    before(async () => {
      await startNestBehind(suite, binding, broker(),
        { options, wild: Object.keys(patterns), version });
      caller = await startCaller(suite, {
        clients: { default: clientOf(binding.roost(broker(), binding.client?.(options))) },
        prepare: binding.prepareLua?.(names),
      });
      await answers(caller, names[0]);
    });
    for (const [title, pattern, name] of rows) {
      row(title, async () => {
        const { values: [got] } = await caller.call(name, 1);
        assert.deepEqual([got.pattern, got.subject], [pattern, name]);
      });
    }
    row.checked();
  });
}

/** The last, since the others' clients are lost with the broker. */
function restart(binding, broker) {
  describe(`A Lua client over ${binding.name} whose broker dies`, () => {
    for (const how of ['kill', 'stop']) {
      test(`fails what is pending, and comes back (${how})`, async (t) => {
        await startNestBehind(t, binding, broker());
        const caller = await dial(t, binding, broker());
        await answers(caller);
        // Each worker has a client of its own, which is to be connected when the broker dies.
        await Promise.all(Array.from({ length: workers }, () =>
          caller.call('wait', { ms: 200, value: 1 })));
        const pending = [caller.call('wait', { ms: 60_000, value: 1 }),
          caller.send('stream', 'never')];
        if (!binding.serial) {
          assert.deepEqual(await caller.call('echo', 'both running'), done('both running'));
        }
        await broker()[how]();
        for (const { err } of await Promise.all(pending)) {
          assert.deepEqual([err.name, err.code, err.message],
            ['ConnectionError', 'ECLOSED', 'Connection closed']);
        }
        assert.equal((await caller.call('echo', 1, { timeout: 5000 })).err.name, 'ConnectionError');
        await broker().start();
        if (binding.fragile) await startNestBehind(t, binding, broker());
        await answers(caller);
        const stream = await until(async () => {
          const got = await caller.send('stream', 'of', { timeout: 1000 });
          return got.completed && got;
        }, 'a stream', { ms: 45_000 }); // of two servers, one may not read all of its topics yet
        assert.deepEqual(stream, done(...[1, 2, 3].map(binding.becomes ?? ((value) => value))));
      });
    }
  });
}
