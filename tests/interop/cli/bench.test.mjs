// roost bench: what it counts, what it finds, how it ends; against a host, and against Nest 12.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import net from 'node:net';
import { before, describe, test } from 'node:test';
import { roost } from '../lib/cli.mjs';
import { patience, roostBin, stateTest } from '../lib/env.mjs';
import { noHandlerText, packet } from '../lib/frames.mjs';
import { serviceFile, startHost } from '../lib/host.mjs';
import { freePort } from '../lib/peer.mjs';
import { luaService } from '../lib/service.mjs';
import { startNestServer } from '../lib/target.mjs';
import { makeAuthority } from '../lib/tls.mjs';
import { suiteScope, undo, until, within } from '../lib/wait.mjs';

const body = `
local calls = 0
local function call(n)
  calls = calls + 1
  return calls % n == 0
end
service:message("calls", function() return calls end)
service:message("count me", function() calls = calls + 1 return "x" end)
service:message("sometimes wrong", function() return call(5) and "bad" or "good" end)
service:message("sometimes fails", function()
  if call(4) then error(roost.rpc_error("no luck")) end
  return 1
end)
service:message("changing", function() return call(1) and calls end)
service:message("any order", function() -- a table that was larger once has another order
  local t = { a = 1, b = { 2, 3 }, c = "x" }
  if call(3) then for i = 1, 20 do t["k" .. i] = i end for i = 1, 20 do t["k" .. i] = nil end end
  return t
end)
service:message("wait", function(ms) roost.sleep(ms) return ms end)
service:message("never", function() roost.sleep(3600000) end)
service:message("endless", function(_, ctx) while ctx:emit(1) do roost.sleep(1) end end)
`;

/** Runs it with one line of JSON for a report, which is added as \`report\`. */
async function bench(port, args, options) {
  const result = await roost(['bench', '--json', '--url', `tcp://127.0.0.1:${port}`, ...args],
    options);
  return { ...result, report: result.stdout ? JSON.parse(result.stdout) : null };
}

/** It ended well, and everything adds up. */
function isFine({ code, stderr, report }, message) {
  assert.equal(stderr, '', message);
  assert.equal(code, 0, message);
  assert.ok(report.requests > 0, message);
  assert.deepEqual([report.errors, report.wrong, report.unanswered], [0, 0, 0], message);
  assert.deepEqual(report.messages, [], message);
  const { min, p50, p90, p99, p99_9: p999, max } = report.latency_us;
  assert.ok(min > 0 && min <= p50 && p50 <= p90 && p90 <= p99 && p99 <= p999 && p999 <= max,
    JSON.stringify(report.latency_us));
}

/** A TCP server that does with each request what a test says; gives its port. */
async function fakeServer(t, onRequest) {
  const server = net.createServer((socket) => {
    let text = '';
    socket.on('error', () => {});
    socket.on('data', (chunk) => {
      text += chunk;
      for (let match; (match = /^(\d+)#/.exec(text)) !== null;) {
        const stop = match[0].length + Number(match[1]);
        if (text.length < stop) return;
        onRequest(JSON.parse(text.slice(match[0].length, stop)), socket);
        text = text.slice(stop);
      }
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const sockets = new Set();
  server.on('connection', (socket) => sockets.add(socket));
  undo(t, () => {
    server.close();
    sockets.forEach((socket) => socket.destroy());
  });
  return server.address().port;
}

describe('roost bench', () => {
  const suite = suiteScope();
  let host, port;
  before(async () => {
    host = await startHost(suite, {
      services: [serviceFile('wire'), 'services'], service: luaService(body),
    });
    ({ port } = host);
  });

  const fine = (name, args, options) => test(name, async () => {
    isFine(await bench(port, ['-d', '0.2', ...args], options));
  });

  fine('an object pattern', ['{"cmd":"sum"}', '[1,2,3]']);
  fine('many in flight', ['-c', '20', '-p', '50', '{"cmd":"sum"}', '[1,2,3]']);
  fine('one at a time', ['-c', '1', '-p', '1', 'echo', 'hello world']);
  fine('no data', ['echo']);
  fine('characters of every width', ['-p', '4', 'echo', '{"é":"€😀","plain":[1,2]}']);
  fine('data from stdin', ['echo', '-'], { input: '{"a":[1,{"b":null}]}\n' });
  fine('1 MiB', ['-c', '3', '-p', '2', 'echo', '-'], { input: `"${'€😀x'.repeat(2 ** 17)}"` });
  fine('no value', ['value', 'undefined']);
  fine('null', ['value', 'null']);
  fine('a stream', ['-p', '8', 'stream', 'of']);
  fine('a stream with its end apart', ['-p', '8', 'stream', 'late end']);
  fine('an empty stream', ['stream', 'empty']);
  fine('a long stream', ['count', '{"upto":1000}']);
  fine('members in any order', ['-c', '2', 'any order']);
  fine('any value', ['--any', 'changing']);
  fine('an expected value', ['--expect', '6', '{"cmd":"sum"}', '[1,2,3]']);
  fine('an expected object, in another order', ['--expect', '{"b":"x","a":[1.0]}', 'echo',
    '{"a":[1],"b":"\\u0078"}']);
  fine('a warm-up', ['--warmup', '0.1', 'echo', '1']);

  stateTest('counts every request', async () => {
    const calls = async () => Number((await roost(['call', '--url', `tcp://127.0.0.1:${port}`,
      'calls'])).stdout);
    const earlier = await calls();
    const { report } = await bench(port, ['-d', '0.3', '-p', '3', '--expect', 'x', 'count me']);
    assert.equal(await calls() - earlier, report.requests);
  });

  test('a rate: as many requests as it says', async () => {
    const result = await bench(port, ['-d', '0.5', '--rate', '2000', '-c', '7', 'echo', '1']);
    isFine(result);
    assert.equal(result.report.requests, 1000);
    assert.ok(result.report.seconds >= 0.5);
  });

  test('a rate with a warm-up: what came before does not count', async () => {
    const result = await bench(port,
      ['-d', '0.4', '--warmup', '0.2', '--rate', '1000', 'echo', '1']);
    isFine(result);
    assert.equal(result.report.requests, 400);
  });

  test('a rate: slow handlers delay nothing', async () => {
    const result = await bench(port, ['-d', '0.5', '--rate', '400', '-c', '2', 'wait', '50']);
    isFine(result);
    assert.equal(result.report.requests, 200);
    assert.ok(result.report.latency_us.min >= 49_000, JSON.stringify(result.report));
  });

  test('a rate: what waits for its turn counts from when it was due', async () => {
    const { report } = await bench(port,
      ['-d', '0.3', '--rate', '100', '-c', '1', '-p', '1', 'wait', '20']);
    assert.equal(report.requests, 30);
    assert.ok(report.latency_us.max >= 250_000, JSON.stringify(report)); // 30 x 20 ms in 300 ms
  });

  test('a rate that cannot be: 1', async () => {
    const { code, stderr, report } = await bench(port,
      ['-d', '5', '--rate', '1000', '-c', '1', '-p', '1', '--timeout', String(300 * patience), 'wait', '50']);
    assert.equal(code, 1);
    assert.match(stderr, /does not keep up/);
    assert.ok(report.requests > 0 && report.requests < 1000);
  });

  test('wrong values: 1', async () => {
    const { code, stderr, report } = await bench(port, ['-d', '0.2', 'sometimes wrong']);
    assert.equal(code, 1);
    assert.match(stderr, /wrong value: "(bad|good)"; expected "(bad|good)"/);
    assert.ok(report.wrong > 0 && report.wrong < report.requests);
    assert.equal(report.messages.reduce((sum, { count }) => sum + count, 0), report.wrong);
  });

  test('not the expected value: 1', async () => {
    const { code, stderr, report } = await bench(port, ['-d', '0.1', '--expect', '7', 'echo', '8']);
    assert.equal(code, 1);
    assert.match(stderr, /\d+ x wrong value: 8; expected 7/);
    assert.equal(report.wrong, report.requests);
  });

  test('errors: 1', async () => {
    const { code, stderr, report } = await bench(port,
      ['-d', '0.2', '--expect', '1', 'sometimes fails']);
    assert.equal(code, 1);
    assert.match(stderr, /\d+ x error: no luck/);
    assert.ok(report.errors > 0 && report.errors < report.requests);
    assert.equal(report.wrong, 0);
    assert.deepEqual(report.messages, [{ count: report.errors, text: 'error: no luck' }]);
  });

  test('an error after items: 1', async () => {
    const { code, report } = await bench(port, ['-d', '0.1', 'stream', 'error after items']);
    assert.equal(code, 1);
    assert.equal(report.errors, report.requests);
  });

  test('nobody handles it: 1', async () => {
    const { code, stderr, report } = await bench(port, ['-d', '0.1', 'nobody']);
    assert.equal(code, 1);
    assert.ok(stderr.includes(noHandlerText));
    assert.equal(report.errors, report.requests);
  });

  test('the first call is not answered: 4', async () => {
    for (const pattern of ['never', 'endless']) {
      const { code, stdout, stderr } = await bench(port, ['--timeout', '200', pattern]);
      assert.equal(code, 4);
      assert.equal(stdout, '');
      assert.match(stderr, /not answered within 200 ms/);
    }
  });

  test('nothing is answered: 4', async () => {
    const { code, stderr, report } = await bench(port,
      ['-c', '3', '-p', '2', '-d', '0.1', '--timeout', '200', '--any', 'never']);
    assert.equal(code, 4);
    assert.match(stderr, /unanswered/);
    assert.deepEqual([report.requests, report.unanswered], [0, 6]);
  });

  test('some requests are never answered: 1', async (t) => {
    let count = 0;
    const silent = await fakeServer(t, ({ id }, socket) => {
      if (count++ !== 100) socket.write(packet({ response: 1, isDisposed: true, id }));
    });
    const { code, stderr, report } = await bench(silent, ['-d', '0.3', '--timeout', '300', 'x']);
    assert.equal(code, 1);
    assert.match(stderr, /unanswered/);
    assert.equal(report.unanswered, 1);
  });

  test('wrong ids: 1', async (t) => {
    let count = 0;
    const confused = await fakeServer(t, ({ id }, socket) => {
      if (count++ === 100) socket.write(packet({ response: 1, isDisposed: true, id: `${id}0` }));
      socket.write(packet({ response: 1, isDisposed: true, id }));
    });
    const { code, stderr, report } = await bench(confused, ['-d', '0.2', 'x']);
    assert.equal(code, 1);
    assert.match(stderr, /1 x a reply to no request that is in flight/);
    assert.deepEqual([report.wrong, report.unanswered], [1, 0]);
  });

  test('no Nest peer: 1', async (t) => {
    const http = await fakeServer(t, (_, socket) => socket.write('HTTP/1.1 400 Bad Request\r\n#'));
    for (const args of [['x'], ['--any', 'x']]) {
      const { code, stderr } = await bench(http, args);
      assert.equal(code, 1);
      assert.match(stderr, /Corrupted length/);
    }
  });

  test('a server that does not read: it does not hang', async (t) => {
    const deaf = net.createServer((socket) => socket.pause()).listen(0, '127.0.0.1');
    await once(deaf, 'listening');
    const sockets = new Set();
    deaf.on('connection', (socket) => sockets.add(socket));
    undo(t, () => {
      deaf.close();
      sockets.forEach((socket) => socket.destroy());
    });
    const { code } = await bench(deaf.address().port,
      ['-d', '0.2', '-p', '64', '--timeout', '300', '--any', 'x', '-'],
      { input: 'x'.repeat(2 ** 20) });
    assert.equal(code, 4);
  });

  test('nobody listens: 3', async () => {
    for (const args of [['x'], ['--any', 'x']]) {
      const { code, stdout, stderr } = await bench(await freePort(), args);
      assert.equal(code, 3);
      assert.equal(stdout, '');
      assert.match(stderr, /could not connect to tcp:.*refused/i);
    }
  });

  test('a host that cannot be resolved: 3', async () => {
    for (const args of [[], ['--any']]) {
      const result = await roost(['bench', ...args, '--url', 'tcp://no-such-host.invalid:1', 'x']);
      assert.equal(result.code, 3);
    }
  });

  for (const rate of [[], ['--rate', '5000']]) {
    test(`the server dies: 1 ${rate.join(' ')}`, async (t) => {
      const other = await startHost(t, { services: [serviceFile('wire')] });
      const { descriptors } = other;
      const result = bench(other.port, ['-d', '60', ...rate, 'echo', '1']);
      await until(() => other.descriptors >= descriptors + 10, 'the load');
      await other.kill();
      const { code, stderr, report } = await within(result, 'the end');
      assert.equal(code, 1);
      assert.match(stderr, /^roost bench: a connection was lost: [^\n]*\n$/);
      assert.ok(report.requests >= 0);
    });
  }

  test('SIGINT ends it early, with a report', async () => {
    const { descriptors } = host;
    const child = spawn(roostBin, ['bench', '--url', `tcp://127.0.0.1:${port}`, '-d', '600',
      '-c', '3', 'echo', '1'], { stdio: ['ignore', 'pipe', 'inherit'] });
    let output = '';
    child.stdout.setEncoding('utf8').on('data', (text) => (output += text));
    const closed = once(child, 'close');
    await until(() => host.descriptors >= descriptors + 3, 'the load');
    child.kill('SIGINT');
    assert.deepEqual(await within(closed, 'the end'), [0, null]);
    assert.match(output, /^3 connections, 1 in flight on each, .* s\nrequests {3}\d+, \d+\/s\n/);
    assert.match(output, /\nerrors {5}0, wrong replies 0, unanswered 0\n/);
    assert.match(output, /\nlatency {4}min .*, p50 .*, p90 .*, p99 .*, p99\.9 .*, max /);
    assert.match(output, /\nbytes {6}\d.* sent, \d.* received\n/);
    assert.match(output, /\ngenerator {2}CPU \d+ %/);
  });

  const usage = {
    'no pattern': [], 'too many arguments': ['a', '1', '2'], 'no connections': ['-c', '0', 'x'],
    'a time that is none': ['-d', 'soon', 'x'], 'a rate that is none': ['--rate', '-1', 'x'],
    'no value': ['-p'], 'an unknown option': ['--no-such', 'x'],
    'a contradiction': ['--any', '--expect', '1', 'x'], 'a bad URL': ['--url', 'nonsense', 'x'],
    'too many in flight': ['-c', '60000', '-p', '1000000', 'x'],
  };
  for (const [name, args] of Object.entries(usage)) {
    test(`usage, ${name}: 2`, async () => {
      const { code, stdout, stderr } = await roost(['bench', ...args]);
      assert.equal(code, 2);
      assert.equal(stdout, '');
      assert.match(stderr, /^roost bench: .*; see roost bench --help\n$/);
    });
  }
});

describe('roost bench against Nest 12', () => {
  const suite = suiteScope();
  let port;
  before(async () => {
    ({ port } = await startNestServer(suite));
  });

  const loads = {
    'a request': ['-p', '16', '{"cmd":"sum"}', '[1,2,3]'],
    'an object, in the order of another': ['--expect', '{"b":[true],"a":"é😀"}', 'echo',
      '{"a":"é😀","b":[true]}'],
    'a stream': ['stream', 'of'],
    'a stream with its end apart': ['-p', '4', 'stream', 'ticks'],
    'no value': ['value', 'undefined'],
    'a rate': ['--rate', '500', 'echo', '1'],
  };
  for (const [name, args] of Object.entries(loads)) {
    test(name, async () => isFine(await bench(port, ['-d', '0.3', ...args])));
  }

  test('errors', async () => {
    const { code, stderr, report } = await bench(port, ['-d', '0.2', 'fail', 'rpc text']);
    assert.equal(code, 1);
    assert.match(stderr, /\d+ x error: boom/);
    assert.equal(report.errors, report.requests);
  });
});

for (const [peer, start] of [
  ['a host', (t, tls) => startHost(t, { services: [serviceFile('wire')], server: { tls } })],
  ['Nest 12', (t, { key, cert }) => startNestServer(t, {
    tlsOptions: { key: readFileSync(key, 'utf8'), cert: readFileSync(cert, 'utf8') } })],
]) {
  describe(`roost bench over TLS against ${peer}`, () => {
    const suite = suiteScope();
    let authority, port;
    before(async () => {
      authority = await makeAuthority(suite);
      const { key, cert } = await authority.issue('server');
      ({ port } = await start(suite, { key, cert }));
    });
    const secure = async (...args) => {
      const result = await roost(['bench', '--url', `tls://127.0.0.1:${port}`, '-d', '0.3', '--json',
        ...args]);
      return { ...result, report: result.stdout && JSON.parse(result.stdout) };
    };

    test('a request', async () => isFine(await secure('--tls-ca', authority.ca, '-p', '16',
      '{"cmd":"sum"}', '[1,2,3]')));
    test('a rate', async () => isFine(await secure('--tls-ca', authority.ca, '--rate', '500',
      'echo', '1')));
    test('requests and replies larger than a record', async () => isFine(await secure('--tls-ca',
      authority.ca, '-c', '3', '-p', '4', 'echo', JSON.stringify('x'.repeat(100_000)))));
    test('nobody is trusted: 3', async () => {
      const { code, stderr } = await secure('--any', 'echo', '1');
      assert.equal(code, 3);
      assert.match(stderr, /could not connect to tls:.*: the server's certificate: unable to get/);
    });
    test('nobody is trusted, without a first call: 3', async () => {
      const { code, stderr } = await secure('--expect', '1', 'echo', '1');
      assert.equal(code, 3);
      assert.match(stderr, /could not connect to tls:.*certificate/);
    });
    test('--insecure says so', async () => {
      const result = await secure('--insecure', 'echo', '1');
      assert.match(result.stderr, /--insecure: .*not verified/);
      assert.equal(result.code, 0);
    });
  });
}
