// JSON: what is read, what is refused, and how values are written.
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { onNest, scaled } from '../lib/env.mjs';
import { frame, last, noHandler, request, requestText } from '../lib/frames.mjs';
import { connect } from '../lib/peer.mjs';
import { random } from '../lib/random.mjs';
import { checkRows } from '../lib/rows.mjs';
import { differs, startTarget } from '../lib/target.mjs';
import { suiteScope } from '../lib/wait.mjs';

const js = (text) => JSON.stringify(JSON.parse(text));

/** A value that is echoed as `reply` (when not given: as JavaScript writes it). */
const echoes = (text, reply = js(text), name = text) =>
  ({ name: name.slice(0, 60), send: request('echo', text), replies: [last(reply)] });
/** A value on which Nest loses something that Roost keeps. */
const exact = (text, reply = text) => echoes(text, differs({ roost: reply, nest: js(text) }));

describe('numbers', () => {
  const suite = suiteScope();
  let target;
  before(async () => (target = await startTarget(suite)));

  checkRows(() => target.port, [
    ...['0', '1', '-1', '42', '9007199254740991', '9007199254740992', '-9007199254740992',
      '1.5', '-0.25', '0.1', '0.2', '0.30000000000000004', '123.456', '1e5', '1E5', '1e+5', '1e-5',
      '1.0', '-1.0', '100.0', '1e2', '1.50', '0e0', '0.0', '0e999999999', '0.000001', '0.0000001',
      '1e-7', '123456789e-20', '1e20', '1e21', '1e22', '1.5e300', '-1.5e300', '1e100', '1e-100',
      '123456789012345680000', '1234567890123456800000', '5e-324', '-5e-324', '4.9e-324', '2e-324',
      '2.4703282292062327e-324', '2.4703282292062328e-324', '2.2250738585072011e-308',
      '2.2250738585072014e-308', '2.225073858507201e-308', '1.7976931348623157e308',
      '1.7976931348623158e308', '9007199254740993.0', '9007199254740992.5', '9007199254740993e0',
      '0.1000000000000000055511151231257827', '1e23', '8.41e21', '9.5e-5', '2.0e-3',
      '179769313486231570000000000000000000000e270', `0.${'3'.repeat(800)}`, `1${'0'.repeat(300)}`,
      `0.${'0'.repeat(320)}1234`, `${'9'.repeat(40)}.${'9'.repeat(40)}`,
    ].map((text) => echoes(text)),
    ...['-0', '-0.0', '-0e5', '-1e-400', '1e-400'].map((text) => echoes(text, '0')),
    ...['1e400', '-1e400', '1e309', '1e999999999', `1${'0'.repeat(400)}`]
      .map((text) => echoes(text, 'null')),
    ...['9007199254740993', '-9007199254740993', '9223372036854775807', '-9223372036854775808',
      '1700000000123456789', '1152921504606846976', '[9007199254740993,{"a":9007199254740995}]',
    ].map((text) => exact(text)),
    ...['9223372036854775808', '-9223372036854775809', '18446744073709551615',
      '123456789012345678901234567890'].map((text) => echoes(text)),
    ...['third', 'tiny', 'huge', 'whole_float', 'minus_zero'].map((name, i) => ({
      name: `a float made by the handler: ${name}`, send: request('value', `"${name}"`),
      replies: [last(['0.3333333333333333', '5e-324', '1e+21', '3', '0'][i])] })),
  ]);

  const roundTrip = async (t, texts) => {
    const peer = await connect(t, target.port);
    const sent = `[${texts.join(',')}]`;
    await peer.write(request('echo', sent));
    const { response } = JSON.parse(await peer.frame());
    const printed = peer.received.slice(peer.received.indexOf('[') + 1,
      peer.received.lastIndexOf(']')).split(',');
    texts.forEach((text, i) => assert.equal(printed[i], js(text), text));
    assert.equal(response.length, texts.length);
  };
  const batches = scaled(10, 2);
  const several = (make) => Array.from({ length: 1000 }, make);

  test('random doubles print as in JavaScript', async (t) => {
    const { double } = random(2);
    for (let i = 0; i < batches; i++) await roundTrip(t, several(() => JSON.stringify(double())));
  });

  test('random decimal texts are rounded and print as in JavaScript', async (t) => {
    const { integer, pick } = random(3);
    const digits = (n) => Array.from({ length: n }, () => integer(0, 9)).join('');
    const decimal = () => `${pick(['', '-'])}${integer(1, 9)}${digits(integer(0, 25))}.` +
      `${digits(integer(1, 25))}${pick(['', `e${integer(-330, 310)}`, `E+${integer(0, 20)}`])}`;
    for (let i = 0; i < batches; i++) await roundTrip(t, several(decimal));
  });

  test('random numbers of everyday size print as in JavaScript', async (t) => {
    const { integer } = random(4);
    const everyday = () => JSON.stringify(integer(-1e9, 1e9) / 10 ** integer(0, 12));
    for (let i = 0; i < batches; i++) await roundTrip(t, several(everyday));
  });

  test('values halfway between two doubles are rounded to even', async (t) => {
    const { integer } = random(5);
    const halfway = () => {
      const even = 2n ** 53n + 2n * BigInt(integer(0, 2 ** 30));
      return `${even * 2n ** 20n + 2n ** 20n}.${'0'.repeat(integer(1, 30))}${integer(0, 1)}`;
    };
    await roundTrip(t, several(halfway));
  });
});

describe('texts', () => {
  const suite = suiteScope();
  let target;
  before(async () => (target = await startTarget(suite)));

  const unit = (code) => `\\u${code.toString(16).padStart(4, '0')}`;
  checkRows(() => target.port, [
    ...['""', '"a"', '"\\""', '"\\\\"', '"\\/"', '"/"', '"\\b\\f\\n\\r\\t"', '"\\u0041"',
      '"\\u00e9"',
      '"\\u00E9"', '"\\u20ac"', '"\\ud83d\\ude00"', '"\\uD83D\\uDE00"', '"\\u0000"',
      '"a\\u0000b"', '"\\u001f\\u007f"', '"\u007f"', '"\u0080\u009f"', '"\u2028\u2029"',
      '"\\u2028"', '"\\ufeff"', '"\\uffff"', '"</script>"', '"\\u0022\\u005c"', '"\\\\u0041"',
    ].map((text) => echoes(text)),
    echoes(`"${Array.from({ length: 32 }, (_, code) => unit(code)).join('')}"`),
    ...['"\\ud800"', '"\\udc00"', '"\\udbff"', '"\\udfff"', '"\\uD800"', '"a\\ud83d"', '"\\ud83db"',
      '"\\ude00\\ud83d"', '"\\ud83d\\ud83d\\ude00"', '"\\ud83d\\ude00\\ude00"', '"\\ud83d\\u0041"',
      '"\\ud83d\\n"', '"\\ud83d😀"', '"\\ud83dé"', '["\\udfff",{"\\ud800":"\\ud801"}]',
    ].map((text) => echoes(text)),
    echoes('{"":1}'), echoes('{"\\u0061":1}', '{"a":1}'), echoes('{"a\\"\\\\\\n":"é😀"}'),
    echoes('"x'.padEnd(70000, 'y') + '"', undefined, 'a long text'),
    echoes(`"${'\\u00e9'.repeat(20000)}"`, undefined, 'a long text of escapes'),
  ]);

  test('random texts come back as they were', async (t) => {
    const { integer, pick } = random(6);
    const characters = ['a', 'Z', ' ', '"', '\\', '/', '\n', '\t', '\u0001', '\u001f', '\u007f',
      'é', '€', '😀', '\u2028', '\uffff', '\ud800', '\udc00', '\u{10ffff}', '{', '[', '#', '0'];
    const peer = await connect(t, target.port);
    for (let round = 0; round < scaled(500, 100); round++) {
      const text = Array.from({ length: integer(0, 60) }, () => pick(characters)).join('');
      await peer.write(request('echo', JSON.stringify(text)));
      assert.equal(await peer.frame(), last(JSON.stringify(text)));
    }
  });
});

describe('structure', () => {
  const suite = suiteScope();
  let target;
  before(async () => (target = await startTarget(suite)));

  checkRows(() => target.port, [
    ...['[]', '{}', '[[]]', '[{}]', '{"a":[]}', '{"a":{}}', '[[],{}]', '[{},[]]', '[[[]],[{}]]',
      '{"a":{"b":[]}}', '[null]', '[null,null]', '[1,null,3]', '[null,1]', '{"a":null}',
      '{"a":[null]}', '[[null],[]]', '[true,false,null]', '[0,"",false]', '[1,[2,[3,[4]]]]',
      '[{"a":1},{"a":2}]', '{"a":{"a":{"a":1}}}', '[1.5,"x",{"y":[]}]',
      '{"1":"text key"}', '{"0":1}', '{"a":"[]"}', '[ 1 , 2 ]', ' [ ] ', '{ "a" : [ ] }',
      '{"a":[1,2],"a":[]}', '{"a":1,"a":{"b":2}}', '{"a":1,"a":null}', '{"a":null,"a":1}',
    ].map((text) => echoes(text)),
  ]);

  test('objects with several members come back whole', async (t) => {
    const peer = await connect(t, target.port);
    const value =
      { a: 1, b: [], c: {}, d: null, é: 'é', 10: 'ten', nested: { x: [{ y: [null] }] } };
    await peer.send({ pattern: 'echo', data: value, id: '1' });
    assert.deepEqual((await peer.reply()).response, value);
  });

  test('an object with 1,000 members, an array with 10,000', async (t) => {
    const peer = await connect(t, target.port);
    const object = Object.fromEntries(Array.from({ length: 1000 }, (_, i) => [`k${i}`, i]));
    assert.deepEqual(await peer.call('echo', object), object);
    const array = Array.from({ length: 10000 }, (_, i) => i % 3 || null);
    assert.deepEqual(await peer.call('echo', array), array);
  });

  // A body may nest 1,000 deep. Whether the envelope's own object counts is left open here.
  const nested = (depth, open = '[', close = ']') => open.repeat(depth) + close.repeat(depth);
  const objects = (depth) => `${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}`;
  const tooDeep = (send) => (onNest ? { send } : { send, ends: true });
  checkRows(() => target.port, [
    echoes(nested(999), undefined, '999 arrays'), echoes(objects(999), undefined, '999 objects'),
    { name: '1,000 arrays as a body', send: frame(nested(1000)) },
    { name: '1,001 arrays as a body', ...tooDeep(frame(nested(1001))) },
    { name: '1,002 objects as a body', ...tooDeep(frame(objects(1002))) },
    { name: '1,001 arrays as data', ...tooDeep(request('echo', nested(1001))),
      ...(onNest && { replies: [last(nested(1001))] }) },
    { name: '1,001 arrays as data nobody reads', ...tooDeep(request('nobody', nested(1001))),
      ...(onNest && { replies: [noHandler()] }) },
    { name: '1,001 arrays as an event\'s data',
      ...tooDeep(frame(`{"pattern":"nobody","data":${nested(1001)}}`)) },
  ]);
  if (!onNest) {
    checkRows(() => target.port, [
      { name: '1,000,000 brackets', send: request('echo', '['.repeat(1e6)), ends: true },
      { name: '1,000,000 brackets as a pattern',
        send: frame(`{"pattern":${'['.repeat(1e6)},"id":1}`), ends: true },
    ]);
  }
});

describe('what RFC 8259 does not allow', () => {
  const suite = suiteScope();
  let target;
  before(async () => (target = await startTarget(suite)));

  const numbers = ['01', '-01', '00', '1.', '.5', '-.5', '+1', '-', '--1', '1e', '1e+', '1E-',
    '1.e5', '1..2', '1.2.3', '0x10', '1_000', '1e1.5', '0b1', '1a', '- 1', 'NaN', '-NaN',
    'Infinity', '-Infinity', 'inf', '１'];
  const words = ['nul', 'nulll', 'True', 'TRUE', 'tru', 'falsee', 'undefined', 'NULL', 'a', '?',
    '/**/1', '1//', '#1', '<1>'];
  const structures = ['[1,]', '[,1]', '[,]', '[1,,2]', '[1 2]', '[1:2]', '{"a":1,}', '{,}', '{"a"}',
    '{"a":}', '{:1}', '{"a" 1}', '{"a":1 "b":2}', '{a:1}', '{1:1}', '{null:1}', '{"a":1;"b":2}',
    '{"a"::1}', '{"a":1:2}', '{[]:1}', '(1)', '1 2', '[] []', '{}}', '[]]', '[1}', '{"a":1]',
    '[1,2', '{"a":1', '[{]}', '{"a":[}]'];
  const texts = ["'a'", '{\'a\':1}', '"\\x41"', '"\\a"', '"\\v"', '"\\0"', '"\\\'"', '"\\U0041"',
    '"\\u004"', '"\\u"', '"\\u004g"', '"\\u 041"', '"\\u+041"', '"\\', '"a', '"\\u00',
    '"\\ud83d\\u00"',
    ...Array.from({ length: 32 }, (_, code) => `"a${String.fromCharCode(code)}b"`),
    '"\\\n"', '{"a\tb":1}', '`a`', '“a”'];
  const blanks = ['\u00a01', '1\u00a0', '\v1', '\f1', '\ufeff1', '1\ufeff', '\u20281', '1\0',
    '[\u00a0]'];
  const refused = (name, send) => ({ name, send: send + request('echo', '1'), ends: true });

  const all = [...numbers, ...words, ...structures, ...texts, ...blanks];
  const shown = (text) => JSON.stringify(text);
  checkRows(() => target.port, [
    ...all.map((text) => refused(`${shown(text)} as data`, request('echo', text))),
    ...all.map((text) => refused(`${shown(text)} as a body`, frame(text))),
    refused('an empty body', '0#'), refused('a blank body', frame(' \n ')),
    refused('something behind the body', frame(`${requestText('echo', '1')}x`)),
    refused('a second value behind the body', frame(`${requestText('echo', '1')} {}`)),
    refused('a comma behind the last member', frame('{"pattern":"echo","data":1,"id":"1",}')),
    refused('no closing brace', frame('{"pattern":"echo","data":1,"id":"1"')),
    refused('no comma between members', frame('{"pattern":"echo" "data":1,"id":"1"}')),
    refused('no value', frame('{"pattern":"echo","data":,"id":"1"}')),
  ]);

  // Wherever a value stands, and whether or not somebody reads it.
  const places = {
    'the data of an event': (text) => `{"pattern":"one","data":${text}}`,
    'data nobody reads': (text) => `{"pattern":"nobody","data":${text},"id":"1"}`,
    'the data of an event nobody reads': (text) => `{"pattern":"nobody","data":${text}}`,
    'data before the pattern': (text) => `{"data":${text},"pattern":"echo","id":"1"}`,
    'data that is given twice': (text) => `{"pattern":"echo","data":${text},"data":1,"id":"1"}`,
    'the pattern': (text) => `{"pattern":${text},"data":1,"id":"1"}`,
    'the id': (text) => `{"pattern":"echo","data":1,"id":${text}}`,
    metadata: (text) => `{"pattern":"echo","data":1,"metadata":${text},"id":"1"}`,
    'a member nobody knows': (text) => `{"pattern":"echo","data":1,"x":${text},"id":"1"}`,
    'a body without pattern': (text) => `{"x":${text}}`,
    'deep inside': (text) => `{"pattern":"echo","data":[{"a":[1,${text}]}],"id":"1"}`,
  };
  const some = ['01', '1.', 'NaN', 'nul', '[1,]', '{"a":1,}', '{a:1}', '[1}', '"\\x41"', '"a\tb"',
    '"\\u00"', '\u00a01'];
  checkRows(() => target.port, Object.entries(places).flatMap(([place, body]) =>
    some.map((text) => refused(`${shown(text)} as ${place}`, frame(body(text))))));
});
