// Which handler runs for what: kinds, chains, patterns that are not there.
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { end, frame, last, noHandler, packet } from '../lib/frames.mjs';
import { connect } from '../lib/peer.mjs';
import { checkRows } from '../lib/rows.mjs';
import { differs, startTarget } from '../lib/target.mjs';
import { suiteScope, until } from '../lib/wait.mjs';
import { onNest } from '../lib/env.mjs';

describe('requests', () => {
  const suite = suiteScope();
  let target;
  before(async () => (target = await startTarget(suite)));

  const ask = (pattern) => packet({ pattern, data: { tag: 'request' }, id: '1' });
  checkRows(() => target.port, [
    { name: 'an event handler answers a request', send: ask('one'),
      replies: [last('"from an event"')] },
    { name: 'message then event: the message handler answers', send: ask('message_then_event'),
      replies: [last('"from a message"')] },
    { name: 'event then message: the message handler answers', send: ask('event_then_message'),
      replies: [last('"from a message"')] },
    { name: 'two message handlers on one pattern: the later one', send: ask('twice'),
      replies: [last('"later"')] },
    { name: 'an event handler without a result', send: ask({ kind: 'user', action: 'created' }),
      replies: [end()] },
    { name: 'several event handlers: the first one\'s result', send: ask('chain'),
      replies: [differs({ roost: last('"first"'), nest: last('{"current":"first","next":{}}') })] },
  ]);

  test('several event handlers called by a request: all run', async (t) => {
    const peer = await connect(t, target.port);
    await peer.ask('chain', { tag: 'chain by request' });
    assert.deepEqual(await peer.call('runs', { tag: 'chain by request' }),
      ['first', 'second', 'third']);
  });
});

describe('events', () => {
  const suite = suiteScope();
  let target;
  before(async () => (target = await startTarget(suite)));

  /** The event is sent, nothing comes back, and these handlers have run. */
  const rows = {
    'one handler': ['one', ['one']],
    'several handlers': ['chain', ['first', 'second', 'third']],
    'a message handler': ['message', ['message']],
    'message then event': ['message_then_event',
      differs({ roost: ['event'], nest: ['message'] })],
    'event then message': ['event_then_message', differs({ roost: ['event'], nest: ['message'] })],
    'a handler that fails': ['failing', ['failing']],
    'a stream is subscribed once': ['streaming', ['subscribed']],
    'an object pattern': [{ action: 'created', kind: 'user' }, ['object']],
    'an object pattern as text': ['{"action":"created","kind":"user"}', ['object']],
    'an object pattern as text with blanks': ['{ "kind" : "user", "action" : "created" }',
      ['object']],
    'a number': [7, ['seven']],
    'a number as text': ['7', ['seven']],
    'nobody there': ['nobody', []],
    'no pattern': [undefined, []],
    'null as pattern': [null, []],
    'true as pattern': [true, []],
  };
  for (const [name, [pattern, ran]] of Object.entries(rows)) {
    test(name, async (t) => {
      const peer = await connect(t, target.port);
      await peer.send({ pattern, data: { tag: name } });
      await until(async () =>
        (await peer.call('runs', { tag: name })).length >= ran.length, 'the handlers');
      assert.deepEqual(await peer.call('runs', { tag: name }), ran);
      assert.equal(peer.rest, '');
    });
  }

  test('an event handler that waits is done after its caller has left', async (t) => {
    const [caller, watcher] = [await connect(t, target.port), await connect(t, target.port)];
    await caller.send({ pattern: 'wait', data: { ms: 50, tag: 'event, caller left' } });
    caller.fin();
    assert.equal(await caller.closed(), 'fin');
    await until(async () =>
      (await watcher.call('runs', { tag: 'event, caller left' })).length, 'the handler');
  });

  test('null is no missing id', async (t) => {
    const peer = await connect(t, target.port);
    await peer.write(frame('{"pattern":"nobody","data":1,"id":null}'));
    assert.equal(await peer.frame(), noHandler('null'));
  });

  if (!onNest) {
    test('an event nobody handles is logged', async (t) => {
      const host = await startTarget(t);
      const peer = await connect(t, host.port);
      await peer.send({ pattern: { no: 'such' }, data: 1 });
      const entry = await host.logged(/no matching event handler/);
      assert.match(JSON.stringify(entry), /such/);
    });
  }
});

describe('callers that leave', () => {
  const suite = suiteScope();
  let target;
  before(async () => (target = await startTarget(suite)));

  for (const how of ['fin', 'reset', 'destroy']) {
    test(`${how}: the handler runs to its end`, async (t) => {
      const [caller, watcher] = [await connect(t, target.port), await connect(t, target.port)];
      const tag = `request, ${how}`;
      await caller.send({ pattern: 'wait', data: { ms: 50, tag, value: 1 }, id: '1' });
      await watcher.call('wait', { ms: 20 }); // the request has been read
      caller[how]();
      await until(async () => (await watcher.call('runs', { tag })).length, 'the handler');
    });
  }
});
