// Framing: the length text, UTF-16 units, UTF-8, and bodies that are no packets.
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { onNest, scaled } from '../lib/env.mjs';
import { frame, frameBytes, last, packet, request, requestText } from '../lib/frames.mjs';
import { connect } from '../lib/peer.mjs';
import { random } from '../lib/random.mjs';
import { checkRows, sameText } from '../lib/rows.mjs';
import { startTarget } from '../lib/target.mjs';
import { sleep, suiteScope } from '../lib/wait.mjs';

const good = request('echo', '5', 'good');
const goodReply = last('5', '"good"');

/** A request whose header is `header` and whose body has as many units as that should mean. */
const withHeader = (header, units) => {
  const body = requestText('echo', '5', 'good').padEnd(units);
  assert.equal(body.length, units);
  return `${header}#${body}`;
};
/** The same, where the header means `units` and the body needs no fixed size. */
const foreign = (header, body) => [`${header}#${body}`, good].join('');

describe('frame length', () => {
  const suite = suiteScope();
  let target;
  before(async () => (target = await startTarget(suite)));

  const units = 50;
  checkRows(() => target.port, [
    ...[
      ['plain', '50'], ['CR LF and a space in front', '\r\n 50'], ['a tab in front', '\t50'],
      ['vertical tab and form feed in front', '\v\f50'], ['plus sign', '+50'],
      ['leading zeros', '0050'], ['letters behind', '50abc'], ['a fraction', '50.9'],
      ['a blank behind', '50 '], ['blank, sign and rubbish', ' +050e9 x'],
      ['60 digits, mostly zeros', '50'.padStart(60, '0')],
    ].map(([name, header]) => ({ name, send: withHeader(header, units), replies: [goodReply] })),
    ...[
      ['a non-breaking space in front', '\u00a050'], ['a BOM in front', '\ufeff50'],
      ['a line separator in front', '\u202850'], ['an em space in front', '\u200350'],
    ].map(([name, header]) => ({ name, send: withHeader(header, units), replies: [goodReply] })),
    { name: '3.6e1 means 3', send: foreign('3.6e1', '{} '), replies: [goodReply] },
    { name: '1e2 means 1', send: foreign('1e2', '7'), replies: [goodReply] },
    ...[
      ['0x24 means 0', '0x24#'], ['0', '0#'], ['minus', '-5#'], ['minus zero', '-0#'],
      ['empty', '#{}'], ['letters', 'abc#{}'], ['Infinity', 'Infinity#{}'], ['NaN', 'NaN#{}'],
      ['only a sign', '+#{}'], ['only blanks', ' \r\n#{}'], ['two signs', '+-5#{}'],
      ['a sign and a blank', '- 5#{}'], ['a point in front', '.5#{}'],
    ].map(([name, send]) => ({ name: `${name}: refused`, send: send + good, ends: true })),
  ]);

  test('99999999999999999999 is refused at once', async (t) => {
    const peer = await connect(t, target.port);
    await peer.write('99999999999999999999#{"a":1}');
    if (onNest) { // waits for ever
      await sleep(300);
      assert.equal(peer.ended, null);
    } else {
      assert.equal(await peer.closed(), 'fin');
    }
  });

  test('a header that does not end within 64 bytes is refused', async (t) => {
    const peer = await connect(t, target.port);
    await peer.write('0'.repeat(65));
    if (onNest) {
      await peer.write(withHeader('50', units));
      assert.equal(await peer.frame(), goodReply);
    } else {
      assert.equal(await peer.closed(), 'fin');
    }
  });
});

describe('length in UTF-16 units', () => {
  const suite = suiteScope();
  let target;
  before(async () => (target = await startTarget(suite)));

  const characters = ['e', 'é', '€', '😀', 'é€😀', '\u{10ffff}', '\uffff', '\u{10000}', '߿ࠀ'];
  const wrong = requestText('echo', '"é😀"', 'wrong');
  checkRows(() => target.port, [
    ...characters.map((text) => ({
      name: `echo of ${JSON.stringify(text)}`,
      send: request('echo', JSON.stringify(text)),
      replies: [last(JSON.stringify(text))],
    })),
    { name: 'a character in pattern, id and key',
      send: frame('{"pattern":"echo","data":{"é😀":1},"id":"€😀"}'),
      replies: [last('{"é😀":1}', '"€😀"')] },
    { name: 'a byte length eats the next frame',
      send: `${Buffer.byteLength(wrong)}#${wrong}${good}`, ends: true },
    { name: 'a code point length cuts the text',
      send: `${[...wrong].length}#${wrong}${good}`, ends: true },
    { name: 'frames back to back',
      send: good + good + request('echo', '"😀"') + good,
      replies: [goodReply, goodReply, last('"😀"'), goodReply] },
  ]);

  const text = characters.join('');
  const stream = Buffer.from(request('echo', JSON.stringify(text), 'é') + good);
  const answer = frame(last(JSON.stringify(text), '"é"')) + frame(goodReply);

  test('two frames split at every byte', async (t) => {
    const offsets = Array.from({ length: stream.length - 1 }, (_, i) => i + 1);
    await Promise.all(offsets.map(async (offset) => {
      const peer = await connect(t, target.port);
      await peer.writeParts([stream.subarray(0, offset), stream.subarray(offset)], 20);
      await peer.frame();
      await peer.frame();
      assert.equal(peer.received, answer, `split at byte ${offset}`);
    }));
  });

  test('one byte at a time', async (t) => {
    const peer = await connect(t, target.port);
    await peer.writeParts(Array.from(stream, (_, i) => stream.subarray(i, i + 1)));
    await peer.frame();
    await peer.frame();
    assert.equal(peer.received, answer);
  });
});

describe('bytes that are not UTF-8', () => {
  const suite = suiteScope();
  let target;
  before(async () => (target = await startTarget(suite)));

  const around = (bytes) => Buffer.concat(
    [Buffer.from('{"pattern":"echo","data":"'), bytes, Buffer.from('","id":"1"}')]);
  const repaired = (bytes) => bytes.toString('utf8');
  const row = (hex, replaced) => {
    const bytes = Buffer.from(hex.replaceAll(' ', ''), 'hex');
    assert.equal(repaired(bytes), replaced, hex);
    return {
      name: `${hex} becomes ${JSON.stringify(replaced)}`,
      send: frameBytes(around(bytes)),
      replies: [last(JSON.stringify(replaced))],
    };
  };
  const bad = '\ufffd';
  checkRows(() => target.port, [
    row('ff', bad), row('fe', bad), row('80', bad), row('bf', bad), row('c3', bad),
    row('e2 82', bad), row('f0 9f 98', bad), row('f0 9f', bad), row('f0', bad),
    row('ed a0 80', bad.repeat(3)), row('ed bf bf', bad.repeat(3)),
    row('c0 af', bad.repeat(2)), row('c1 bf', bad.repeat(2)),
    row('e0 80 80', bad.repeat(3)), row('e0 9f bf', bad.repeat(3)),
    row('f0 80 80 80', bad.repeat(4)), row('f4 90 80 80', bad.repeat(4)),
    row('f5 80 80 80', bad.repeat(4)), row('f8 88 80 80 80', bad.repeat(5)),
    row('c3 41', `${bad}A`), row('e2 82 41', `${bad}A`), row('e2 41 82', `${bad}A${bad}`),
    row('f0 9f 98 f0 9f 98 80', `${bad}😀`), row('c3 c3 a9', `${bad}é`),
    row('e2 c3 a9', `${bad}é`), row('ed a0 bd ed b8 80', bad.repeat(6)),
    row('f4 8f bf bf', '\u{10ffff}'), row('ed 9f bf', '\ud7ff'), row('ee 80 80', '\ue000'),
    { name: 'in the id: the reply is UTF-8 all the same',
      send: frameBytes(Buffer.concat([Buffer.from('{"pattern":"echo","data":1,"id":"'),
        Buffer.from('ff', 'hex'), Buffer.from('"}')])),
      replies: [last('1', `"${bad}"`)] },
    { name: 'in a key', send: frameBytes(Buffer.concat([
      Buffer.from('{"pattern":"echo","id":"1","data":{"'), Buffer.from('e282', 'hex'),
      Buffer.from('":1}}')])), replies: [last(`{"${bad}":1}`)] },
    { name: 'in the length text', send: Buffer.concat([Buffer.from('50'),
      Buffer.from('ff', 'hex'), Buffer.from(withHeader('', 50))]), replies: [goodReply] },
    { name: 'cut off by the next frame', send: Buffer.concat([
      frameBytes(around(Buffer.from('f09f', 'hex'))), Buffer.from(good)]),
    replies: [last(`"${bad}"`), goodReply] },
    { name: 'a BOM before the body is no JSON', send: frame('\ufeff{}') + good, ends: true },
    { name: 'a BOM inside a text is kept', send: request('echo', '"\ufeffx"'),
      replies: [last('"\ufeffx"')] },
  ]);

  test('random bytes are repaired as node does it, wherever they are split', async (t) => {
    const { integer, pick } = random(1);
    const pieces = ['41', '7f', '80', '8f', '90', '9f', 'a0', 'bf', 'c0', 'c2', 'c3', 'df', 'e0',
      'e2', 'ed', 'ef', 'f0', 'f1', 'f4', 'f5', 'ff', 'c3a9', 'e282ac', 'f09f9880'];
    const peer = await connect(t, target.port);
    for (let round = 0; round < scaled(300, 60); round++) {
      const bytes = Buffer.from(
        Array.from({ length: integer(1, 40) }, () => pick(pieces)).join(''), 'hex');
      const frame = frameBytes(around(bytes));
      // Node's own incremental decoder, which Nest uses, errs at some splits.
      const at = onNest ? frame.length : integer(1, frame.length - 1);
      await peer.writeParts([frame.subarray(0, at), frame.subarray(at)], 1);
      const reply = last(JSON.stringify(repaired(bytes)));
      assert.equal(await peer.frame(), reply, bytes.toString('hex'));
    }
  });
});

describe('bodies', () => {
  const suite = suiteScope();
  let target;
  before(async () => (target = await startTarget(suite)));

  const ignored = ['null', '0', 'false', '""', '5', '-1.5', 'true', '"text"', '"echo"', '[]', '[1]',
    '["echo",1]', '{}', '{"a":1}', '{"id":"x"}', '{"id":"x","response":1}',
    '{"response":1,"isDisposed":true,"id":"1"}', '{"metadata":{},"id":"1"}', ' \t\r\n{} '];
  checkRows(() => target.port, [
    ...ignored.map((body) => ({ name: `${body.trim()} is ignored`, send: frame(body) })),
    { name: 'JSON white space around everything',
      send: frame(' \t\r\n{ "pattern"\n:\t"echo" , "data" :\r[ 1 , 2 ] , "id" : "1" }\n '),
      replies: [last('[1,2]')] },
    { name: 'members in another order',
      send: frame('{"id":"1","data":[1],"pattern":"echo"}'), replies: [last('[1]')] },
    { name: 'members nobody knows',
      send: frame('{"x":{"pattern":"no","id":[1]},"pattern":"echo","y":[],"data":1,"id":"1"}'),
      replies: [last('1')] },
    { name: 'of equal members the last wins',
      send: frame('{"pattern":"no","id":"a","data":1,"pattern":"echo","data":2,"id":"b"}'),
      replies: [last('2', '"b"')] },
    { name: 'escapes in the names of members',
      send: frame('{"p\\u0061ttern":"echo","\\u0064ata":3,"i\\u0064":"1"}'),
      replies: [last('3')] },
    { name: 'members look alike inside data',
      send: frame('{"pattern":"echo","data":{"id":"no"},"id":"1"}'),
      replies: [last('{"id":"no"}')] },
    { name: 'quotes, brackets and backslashes in texts',
      send: frame('{"pattern":"echo","data":"}]\\"\\\\{[","id":"1"}'),
      replies: [last('"}]\\"\\\\{["')] },
    { name: 'two good frames around ignored ones',
      send: good + frame('null') + frame('{"a":1}') + frame('7') + good,
      replies: [goodReply, goodReply] },
  ]);

  test('1 MiB of text with characters of every width', async (t) => {
    const peer = await connect(t, target.port);
    const text = 'aé€😀'.repeat(2 ** 20 / 10);
    await peer.write(packet({ pattern: 'echo', data: text, id: '1' }));
    sameText(await peer.frame(), last(JSON.stringify(text)));
  });
});
