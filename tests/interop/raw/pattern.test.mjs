// Patterns: which of them are the same, and which handler a packet reaches.
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { onNest } from '../lib/env.mjs';
import { frame, last, noHandler } from '../lib/frames.mjs';
import { connect } from '../lib/peer.mjs';
import { checkRows } from '../lib/rows.mjs';
import { startTarget } from '../lib/target.mjs';
import { suiteScope } from '../lib/wait.mjs';

const text = JSON.stringify;
const numbered = (count) =>
  Object.fromEntries(Array.from({ length: count }, (_, i) => [`k${i}`, i]));
/** Objects in objects, `depth` of them. */
const nested = (depth, inner) => (depth ? { n: nested(depth - 1, inner) } : inner);

// Registered pattern, JSON texts that reach it, JSON texts that reach nothing.
const table = [
  ['plain', ['"plain"', '"\\u0070lain"'], ['" plain"', '"plain "', '"Plain"', '["plain"]']],
  ['with space', ['"with space"'], ['"with  space"']],
  ['a.b', ['"a.b"'], ['"a.*"', '"*.b"', '"a.>"', '">"', '"*"', '"a.c"']],
  ['star.*', ['"star.*"'], ['"star.x"']],
  ['é😀', ['"é😀"', '"\\u00e9\\ud83d\\ude00"'], ['"é"']],
  ['quo"te\\', ['"quo\\"te\\\\"'], ['"quote"']],
  ['{"broken":', ['"{\\"broken\\":"'], ['"{\\"broken\\""']],
  ['null and', ['"null and"'], ['"null"', 'null', '"undefined"']],
  ['true', ['"\\"true\\""'], ['"true"', 'true', '"false"', 'false']],
  ['01', ['"01"'], []],
  ['1.', ['"1."'], []],
  ['0x10', ['"0x10"'], ['16', '"16"']],

  [1, ['1', '"1"', '1.0', '"1.0"', '1e0', '"1e0"', '" 1 "', '10e-1', '"0.1e1"', '"\\n1"',
    '"\\"1\\""'], ['"+1"', '"1x"', '-1', '[1]', '"001"']],
  [42, ['42', '"42"', '"42.0"', '42.0', '4.2e1'], ['"042"', '43']],
  [0, ['0', '"0"', '-0', '"-0"', '0.0', '"-0.0"', '0e5', '1e-400'], []],
  [-7, ['-7', '"-7"', '-7.0'], ['"- 7"', '"--7"']],
  [1.5, ['1.5', '"1.5"', '1.50', '"15e-1"'], []],
  [1e21, ['1e21', '"1e21"', '1e+21', '"1e+21"', '1000000000000000000000',
    '"1000000000000000000000"'], []],
  [1e-7, ['1e-7', '"1e-7"', '0.0000001', '"0.0000001"'], []],
  ['Infinity', ['"Infinity"', '"1e400"'], ['1e400', '"-Infinity"']],
  ['1.0', ['"\\"1.0\\""'], []],
  ['1e3', ['"\\"1e3\\""'], ['"1e3"', '1000', '1e3', '"1000"']],
  ['9007199254740993', ['"\\"9007199254740993\\""'], ['"9007199254740993"']],
  [9007199254740991, ['9007199254740991', '"9007199254740991"'], []],

  [{ cmd: 'sum' }, ['{"cmd":"sum"}', '{ "cmd" : "sum" }', '"{\\"cmd\\":\\"sum\\"}"',
    '"{ \\"cmd\\" : \\"sum\\" }"', '{"c\\u006dd":"s\\u0075m"}', '{"cmd":"x","cmd":"sum"}',
    '"\\"{\\\\\\"cmd\\\\\\":\\\\\\"sum\\\\\\"}\\""'],
  ['{"cmd":"Sum"}', '{"cmd":["sum"]}', '"cmd"', '{"cmd":"sum","x":1}', '{}', '{"cmd":null}',
    '[{"cmd":"sum"}]', '"\\"{ \\\\\\"cmd\\\\\\":\\\\\\"sum\\\\\\"}\\""']],
  [{ b: 1, a: 2 }, ['{"a":2,"b":1}', '{"b":1,"a":2}', '"{\\"b\\":1,\\"a\\":2}"'],
    ['{"a":1,"b":2}', '{"a":2}']],
  [{ m: 2 }, ['{"m":2}', '{"m":2.0}', '{"m":20e-1}'], []],
  [{ m: '2' }, ['{"m":"2"}'], ['{"m":"2.0"}']],
  [{ t: true }, ['{"t":true}'], ['{"t":1}', '{"t":false}']],
  [{ t: 'true' }, ['{"t":"true"}'], []],
  [{ z: null }, ['{"z":null}'], ['{"z":0}', '{"z":{}}', '{"z":[]}']],
  [{ o: {} }, ['{"o":{}}', '{"o":[]}', '{ "o" : { } }'], []],
  [{ 0: 1, 1: 'z' }, ['{"0":1,"1":"z"}', '[1,"z"]', '"[1,\\"z\\"]"', '{"1":"z","0":1}'],
    ['["z",1]', '[1]']],
  [{ a: { 0: 1, 1: { 0: null } } }, ['{"a":[1,[null]]}', '{"a":{"1":[null],"0":1}}'], []],
  [{ n: { z: 1, y: { x: 'w', v: 'u' } } },
    ['{"n":{"z":1,"y":{"x":"w","v":"u"}}}', '{"n":{"y":{"v":"u","x":"w"},"z":1}}'], []],
  [{ b: 1, A: 2, a: 3, _: 4, '-': 5, 10: 6, 9: 7, é: 8, z: 9, '': 10, ' ': 11, ß: 12, 日: 13 },
    ['{"b":1,"A":2,"a":3,"_":4,"-":5,"10":6,"9":7,"é":8,"z":9,"":10," ":11,"ß":12,"日":13}',
      '{"日":13,"ß":12," ":11,"":10,"z":9,"é":8,"9":7,"10":6,"-":5,"_":4,"a":3,"A":2,"b":1}'], []],
  [{ 'k"\\': 'v"\\' }, ['{"k\\"\\\\":"v\\"\\\\"}'], ['{"k":"v"}']],
  [{ control: 'a\nb\u0001' }, ['{"control":"a\\nb\\u0001"}'], ['{"control":"ab"}']],
  [{ slash: '/' }, ['{"slash":"/"}', '{"slash":"\\/"}'], []],
  [numbered(20), [text(numbered(20))], []],
  [nested(5, { end: 1 }), [text(nested(5, { end: 1 }))], [text(nested(5, { end: 2 }))]],

  ['', ['""', '"\\"\\""'], ['" "']],
  ['echoed', ['"echoed"', '"\\"echoed\\""'], ['"\\"\\\\\\"echoed\\\\\\"\\""']],
  // What becomes of patterns that are too large: texts, which only a text can register.
  ['[TOO_MANY_KEYS]', [text(numbered(21)), text(numbered(500)), '"[TOO_MANY_KEYS]"',
    `[${'1,'.repeat(20)}1]`], []],
  [`{"n":`.repeat(6) + '[MAX_DEPTH_REACHED]' + '}'.repeat(6),
    [text(nested(6, {})), text(nested(6, { end: 1 })), text(nested(40, []))], []],
  ['{"n":[TOO_MANY_KEYS]}', [text({ n: numbered(21) })], []],
];

describe('patterns', () => {
  const suite = suiteScope();
  let target;
  before(async () => {
    target = await startTarget(suite, {}, table.map(([registered]) => registered));
  });

  const short = (json) => (json.length > 70 ? `${json.slice(0, 70)}...` : json);
  const send = (json) => frame(`{"pattern":${json},"data":1,"id":"1"}`);
  checkRows(() => target.port, table.flatMap(([registered, hits, misses], position) => [
    ...hits.map((json) => ({ name: `${short(json)} reaches ${short(text(registered))}`,
      send: send(json), replies: [last(position)] })),
    ...misses.map((json) => ({ name: `${short(json)} does not reach ${short(text(registered))}`,
      send: send(json), replies: [noHandler()] })),
  ]));

  test('a thousand different patterns, twice: no cache mixes them up', async (t) => {
    const peer = await connect(t, target.port);
    const position = table.findIndex(([registered]) => registered === 'plain');
    const ask = (pattern, id) => frame(`{"pattern":"${pattern}","data":1,"id":${id}}`);
    const rounds = Array.from({ length: 1000 }, (_, i) => i);
    await peer.write(rounds.map((i) => ask(`plain ${i % 500}`, i) + ask('plain', -i - 1)).join(''));
    for (const _ of [...rounds, ...rounds]) {
      const reply = await peer.frame();
      const { id } = JSON.parse(reply);
      assert.equal(reply, id < 0 ? last(position, id) : noHandler(id));
    }
  });

  if (onNest) {
    test('50,000 arrays', async (t) => {
      const peer = await connect(t, target.port);
      await peer.write(send('['.repeat(5e4) + ']'.repeat(5e4)));
      assert.equal(await peer.frame(), noHandler());
    });
  } else {
    test('50,000 arrays are too deep', async (t) => {
      const peer = await connect(t, target.port);
      await peer.write(send('['.repeat(5e4) + ']'.repeat(5e4)));
      assert.equal(await peer.closed(), 'fin');
      assert.equal(peer.received, '');
    });
  }
});
