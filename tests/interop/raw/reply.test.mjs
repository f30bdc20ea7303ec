// Replies as they stand on the wire: values, streams, errors, ids.
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import {
  end, failure, frame, item, last, masked, noHandler, packet, request, requestText,
} from '../lib/frames.mjs';
import { connect } from '../lib/peer.mjs';
import { checkRows, sameText } from '../lib/rows.mjs';
import { differs, startTarget } from '../lib/target.mjs';
import { suiteScope } from '../lib/wait.mjs';

const text = JSON.stringify;

describe('a single reply', () => {
  const suite = suiteScope();
  let target;
  before(async () => (target = await startTarget(suite)));

  const values = {
    null: 'null', no: 'false', yes: 'true', zero: '0', empty: '""', text: '"é€😀"',
    nan: 'null', infinity: 'null', minus_infinity: 'null', minus_zero: '0',
    whole_float: '3', fraction: '0.1', tiny: '5e-324', huge: '1e+21', third: '0.3333333333333333',
    list: '[1,2]', empty_list: '[]', empty_object: '{}',
    bytes: '{"type":"Buffer","data":[0,97,255]}',
  };
  checkRows(() => target.port, [
    ...Object.entries(values).map(([name, reply]) =>
      ({ name: `value ${name}`, send: request('value', text(name)), replies: [last(reply)] })),
    { name: 'value undefined', send: request('value', '"undefined"'), replies: [end()] },
    { name: 'a sum', send: frame('{"pattern":{"cmd":"sum"},"data":[1,2,3],"id":"1"}'),
      replies: [last('6')] },
    { name: 'undefined data', send: frame('{"pattern":"echo","id":"1"}'), replies: [end()] },
    { name: 'null data', send: request('echo', 'null'), replies: [last('null')] },
    { name: 'no pattern but data', send: frame('{"data":1,"id":"1"}'), replies: [noHandler()] },
    { name: 'null pattern', send: frame('{"pattern":null,"id":"1"}'), replies: [noHandler()] },
    { name: 'unknown pattern', send: request('unknown', '1'), replies: [noHandler()] },
    { name: 'null data and no pattern', send: frame('{"data":null,"id":"1"}'),
      replies: [noHandler()] },
    { name: 'a handler that waits', send: request('wait', '{"ms":10,"value":[1]}'),
      replies: [last('[1]')] },
    { name: 'metadata',
      send: frame('{"pattern":"metadata","data":1,"metadata":{"Trace-Id":"é"},"id":"1"}'),
      replies: [last('{"Trace-Id":"é"}')] },
    { name: 'no metadata', send: request('metadata', '1'),
      replies: [differs({ roost: last('{}'), nest: end() })] },
  ]);
});

describe('ids', () => {
  const suite = suiteScope();
  let target;
  before(async () => (target = await startTarget(suite)));

  const ids = ['"3dcfcb87bd4bf06ff701b"', '""', '"é😀"', '"a\\"\\\\b"', '"\\ud800"', '"\\u0000"',
    '0', '7', '-1', '1.5', 'null', 'true', 'false', '[]', '{}', '[1,[2,{"a":null}]]',
    '{"b":1,"a":[2]}'];
  checkRows(() => target.port, ids.flatMap((id) => [
    { name: `${id} comes back with a value`, send: frame(`{"pattern":"echo","data":1,"id":${id}}`),
      replies: [last('1', id)] },
    { name: `${id} comes back with no handler`, send: frame(`{"pattern":"?","data":1,"id":${id}}`),
      replies: [noHandler(id)] },
    { name: `${id} comes back with an error`,
      send: frame(`{"pattern":"fail","data":"rpc text","id":${id}}`),
      replies: [failure('{"status":"error","message":"boom"}', id)] },
    { name: `${id} comes back with a stream`,
      send: frame(`{"pattern":"stream","data":"of","id":${id}}`),
      replies: [item('1', id), item('2', id), last('3', id)] },
  ]));

  test('an id with blanks and escapes comes back with the same value', async (t) => {
    const peer = await connect(t, target.port);
    await peer.write(frame('{"pattern":"echo","data":1,"id": [ 1 , {"\\u0061" : "\\u0041"} ] }'));
    assert.deepEqual(await peer.reply(), { response: 1, isDisposed: true, id: [1, { a: 'A' }] });
  });

  test('requests with one id are requests of their own', async (t) => {
    const peer = await connect(t, target.port);
    await peer.write(request('echo', '1', 'x') + request('echo', '2', 'x'));
    assert.equal(await peer.frame(), last('1', '"x"'));
    assert.equal(await peer.frame(), last('2', '"x"'));
  });
});

describe('streams', () => {
  const suite = suiteScope();
  let target;
  before(async () => (target = await startTarget(suite)));

  const tooMuch = failure('{"status":"error","message":"too much"}');
  const streams = {
    of: [item('1'), item('2'), last('3')],
    from: [item('"a"'), last('"b"')],
    one: [last('"only"')],
    empty: [end()],
    nulls: [item('null'), last('null')],
    ticks: [item('0'), item('1'), last('2')],
    'late end': [item('1'), end()],
    'undefined item': ['{"id":"1"}', last('2')],
    'undefined last': [item('1'), end()],
    'error after items': [item('1'), item('2'), tooMuch],
    'late error': [item('1'), masked()],
    'late stream': [item('1'), last('2')],
    never: [item('1')],
  };
  checkRows(() => target.port, Object.entries(streams).map(([name, replies]) =>
    ({ name, send: request('stream', text(name)), replies })));

  test('two streams on one connection', async (t) => {
    const peer = await connect(t, target.port);
    const upto = 20;
    await peer.write(request('count', text({ upto, ms: 2 }), 'a') +
      request('count', text({ upto, ms: 3 }), 'b'));
    const got = { a: [], b: [] };
    for (let ends = 0; ends < 2;) {
      const { id, response, isDisposed } = await peer.reply();
      got[id].push(response);
      if (isDisposed) ends++;
    }
    const all = Array.from({ length: upto }, (_, i) => i + 1);
    assert.deepEqual(got, { a: all, b: all });
  });

  test('a stream of 1,000 items comes in order', async (t) => {
    const peer = await connect(t, target.port);
    await peer.write(request('count', '{"upto":1000}'));
    for (let i = 1; i < 1000; i++) assert.equal(await peer.frame(), item(i));
    assert.equal(await peer.frame(), last('1000'));
  });
});

describe('errors', () => {
  const suite = suiteScope();
  let target;
  before(async () => (target = await startTarget(suite)));

  const plain = (message) => failure(`{"status":"error","message":${text(message)}}`);
  const errors = {
    'rpc text': plain('boom'), 'rpc empty': plain(''), 'rpc number': plain(5),
    'rpc list': failure('[1,2]'), error: masked(), text: masked(), number: masked(),
    object: masked(), nothing: masked(), later: plain('later'),
  };
  checkRows(() => target.port, Object.entries(errors).map(([name, reply]) =>
    ({ name, send: request('fail', text(name)), replies: [reply] })));

  test('rpc object', async (t) => {
    const peer = await connect(t, target.port);
    await peer.write(request('fail', '"rpc object"'));
    const reply = await peer.frame();
    assert.match(reply, /^\{"err":\{.*\},"isDisposed":true,"id":"1"\}$/);
    assert.deepEqual(JSON.parse(reply).err, { code: 42, message: 'm', extra: [1] });
  });
});

describe('order', () => {
  const suite = suiteScope();
  let target;
  before(async () => (target = await startTarget(suite)));

  checkRows(() => target.port, [
    { name: 'replies go out as they are ready',
      send: request('wait', '{"ms":60,"value":"slow"}', 'a') +
        request('wait', '{"ms":20,"value":"quick"}', 'b') + request('echo', '"now"', 'c'),
      replies: [last('"now"', '"c"'), last('"quick"', '"b"'), last('"slow"', '"a"')] },
    { name: 'requests start in the order they came',
      send: Array.from({ length: 50 }, (_, i) => request('echo', i, String(i))).join(''),
      replies: Array.from({ length: 50 }, (_, i) => last(i, `"${i}"`)) },
  ]);

  test('connections do not see each other\'s replies', async (t) => {
    const [a, b] = [await connect(t, target.port), await connect(t, target.port)];
    await a.write(request('wait', '{"ms":20,"value":"a"}'));
    await b.write(request('wait', '{"ms":10,"value":"b"}'));
    assert.equal(await b.frame(), last('"b"'));
    assert.equal(await a.frame(), last('"a"'));
    assert.deepEqual([a.rest, b.rest], ['', '']);
  });

  test('1 MiB there and back', async (t) => {
    const peer = await connect(t, target.port);
    const data = text(Array.from({ length: 2 ** 17 }, (_, i) => i)); // 0.8 MB of numbers
    await peer.write(frame(requestText('echo', data)));
    sameText(await peer.frame(), last(data));
    const long = 'x'.repeat(2 ** 20);
    await peer.write(packet({ pattern: 'echo', data: long, id: '1' }));
    sameText(await peer.frame(), last(text(long)));
  });
});
