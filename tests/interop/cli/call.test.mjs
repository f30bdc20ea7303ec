// roost call and roost emit, against a host.
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { roost } from '../lib/cli.mjs';
import { noHandlerText } from '../lib/frames.mjs';
import { serviceFile, startHost } from '../lib/host.mjs';
import { connect, freePort } from '../lib/peer.mjs';
import { sameText } from '../lib/rows.mjs';
import { suiteScope, until } from '../lib/wait.mjs';

describe('roost call', () => {
  const suite = suiteScope();
  let host, url;
  before(async () => {
    host = await startHost(suite, { services: [serviceFile('wire')] });
    url = `tcp://127.0.0.1:${host.port}`;
  });

  /** A call, with the options first and then pattern and data. */
  const call = (args, options) => roost(['call', '--url', url, ...args], options);
  const prints = (name, args, stdout, options) => test(name, async () => {
    assert.deepEqual(await call(args, options), { code: 0, stdout, stderr: '' });
  });

  prints('an object pattern', ['{"cmd":"sum"}', '[1,2,3]'], '6\n');
  prints('a text pattern, JSON data', ['echo', '{"a":[1,null]}'], '{"a":[1,null]}\n');
  prints('text that is no JSON', ['echo', 'hello world'], '"hello world"\n');
  prints('text that is nearly JSON', ['echo', '01'], '"01"\n');
  prints('a text in JSON', ['"echo"', '"quoted"'], '"quoted"\n');
  prints('no data', ['echo'], '{}\n');
  prints('data from stdin', ['echo', '-'], '[1,2]\n', { input: '[1,2]\n' });
  prints('text from stdin', ['echo', '-'], '"some text"\n', { input: 'some text' });
  prints('null', ['echo', 'null'], 'null\n');
  prints('false, 0 and ""', ['echo', '[false,0,""]'], '[false,0,""]\n');
  prints('no value', ['value', 'undefined'], '');
  prints('characters of every width', ['echo', '"é€😀"'], '"é€😀"\n');
  prints('int64', ['echo', '9223372036854775807'], '9223372036854775807\n');
  prints('past 2^53', ['echo', '[9007199254740993]'], '[9007199254740993]\n');
  prints('line ends stay escaped', ['echo', '"a\\nb"'], '"a\\nb"\n');
  prints('a stream, a line per reply', ['stream', 'of'], '1\n2\n3\n');
  prints('a stream that ends later', ['stream', 'late end'], '1\n');
  prints('an empty stream', ['stream', 'empty'], '');
  prints('metadata', ['--meta', 'b=x=y', 'metadata'], '{"b":"x=y"}\n');
  test('several members of metadata', async () => {
    const { stdout } = await call(['--meta', 'a=1', '--meta', 'b=é', 'metadata']);
    assert.deepEqual(JSON.parse(stdout), { a: '1', b: 'é' });
  });
  prints('within the time-out', ['--timeout', '60000', 'wait', '{"ms":20,"value":1}'], '1\n');
  prints('a time-out is per reply', ['--timeout', '1500', 'count', '{"upto":4,"ms":500}'],
    '1\n2\n3\n4\n');

  const fails = (name, args, code, stderr, stdout = '') => test(name, async () => {
    const result = await call(args);
    assert.equal(result.code, code, result.stderr);
    assert.match(result.stderr, stderr);
    assert.equal(result.stdout, stdout);
  });

  fails('nobody handles it: 1', ['nobody', '1'], 1,
    new RegExp(noHandlerText.replaceAll('.', '\\.')));
  fails('an error: 1', ['fail', 'rpc text'], 1, /boom/);
  fails('an error object: 1', ['fail', 'rpc object'], 1, /"code":42/);
  fails('a masked error: 1', ['fail', 'error'], 1, /Internal server error/);
  fails('an error after items: 1', ['stream', 'error after items'], 1, /too much/, '1\n2\n');
  fails('out of time: 4', ['--timeout', '100', 'wait', '{"ms":1000}'], 4, /./);
  fails('out of time after an item: 4', ['--timeout', '300', 'stream', 'never'], 4, /./, '1\n');

  test('nobody listens: 3', async () => {
    const result = await roost(['call', '--url', `tcp://127.0.0.1:${await freePort()}`, 'x']);
    assert.equal(result.code, 3);
    assert.match(result.stderr, /refused|ECONNREFUSED/i);
    assert.equal(result.stdout, '');
  });

  test('a host that cannot be resolved: 3', async () => {
    assert.equal((await roost(['call', '--url', 'tcp://no-such-host.invalid:1', 'x'])).code, 3);
  });

  test('the host dies during the call', async (t) => {
    const other = await startHost(t, { services: [serviceFile('wire')] });
    const { descriptors } = other;
    const result = roost(['call', '--url', `tcp://127.0.0.1:${other.port}`, 'stream', 'never']);
    await until(() => other.descriptors > descriptors, 'the call');
    await other.kill();
    const { code, stderr } = await result;
    assert.notEqual(code, 0);
    assert.match(stderr, /Connection closed|ECONNRESET/); // where it had not read the request yet
  });

  test('1 MiB through stdin', async () => {
    const text = JSON.stringify('😀é'.repeat(2 ** 20 / 6));
    const result = await call(['echo', '-'], { input: text });
    sameText(result.stdout, `${text}\n`);
  });

  const usage = {
    'no pattern': [], 'an unknown option': ['--no-such', 'x'],
    'too many arguments': ['a', '1', '2'],
    'a time-out that is no number': ['--timeout', 'soon', 'x'],
    'an option without its value': ['--timeout'], 'metadata without =': ['--meta', 'a', 'x'],
  };
  for (const [name, args] of Object.entries(usage)) fails(`usage, ${name}: 2`, args, 2, /./);
  test('a scheme that nobody has: 2, and those there are', async () => {
    const { code, stderr } = await roost(['call', '--url', 'foo://x', 'x']);
    assert.equal(code, 2);
    assert.match(stderr, /--url foo:\/\/x: its scheme is none of tcp, tls, .*nats.*redis.*mqtt.*amqp.*kafka/);
  });

  for (const bad of ['nonsense', 'http://127.0.0.1:1', 'tcp://127.0.0.1:notaport', 'tcp://:0:0']) {
    test(`usage, --url ${bad}: 2`, async () => {
      assert.equal((await roost(['call', '--url', bad, 'x'])).code, 2);
    });
  }
});

describe('roost emit', () => {
  const suite = suiteScope();
  let host, url;
  before(async () => {
    host = await startHost(suite, { services: [serviceFile('wire')] });
    url = `tcp://127.0.0.1:${host.port}`;
  });

  test('an event arrives, nothing is printed', async (t) => {
    const peer = await connect(t, host.port);
    for (const [pattern, handler] of [['one', 'one'], ['7', 'seven'],
      ['{"action":"created","kind":"user"}', 'object']]) {
      const result = await roost(['emit', '--url', url, pattern, `{"tag":"${pattern.length}"}`]);
      assert.deepEqual(result, { code: 0, stdout: '', stderr: '' });
      await until(async () =>
        (await peer.call('runs', { tag: String(pattern.length) })).includes(handler), handler);
    }
  });

  test('data from stdin', async (t) => {
    const peer = await connect(t, host.port);
    await roost(['emit', '--url', url, 'one', '-'], { input: '{"tag":"stdin"}' });
    await until(async () => (await peer.call('runs', { tag: 'stdin' })).length, 'the event');
  });

  test('nobody handles it: nobody knows, 0', async () => {
    assert.equal((await roost(['emit', '--url', url, 'nobody', '1'])).code, 0);
  });

  test('nobody listens: 3', async () => {
    const result = await roost(['emit', '--url', `tcp://127.0.0.1:${await freePort()}`, 'x']);
    assert.equal(result.code, 3);
    assert.equal(result.stdout, '');
  });

  test('no pattern: 2', async () => assert.equal((await roost(['emit', '--url', url])).code, 2));
});
