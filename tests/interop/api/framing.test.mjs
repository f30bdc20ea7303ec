// framing: lines of JSON and lengths in bytes in the place of Nest's frames.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { describe, test } from 'node:test';
import { failure, item, last, end } from '../lib/frames.mjs';
import { loadNest, nestClient } from '../lib/nest.mjs';
import { startHost } from '../lib/host.mjs';
import { connect } from '../lib/peer.mjs';
import { luaService } from '../lib/service.mjs';
import { undo, until } from '../lib/wait.mjs';

const body = `
  service:message("echo", function(data) return data end)
  service:message("count", function(n, ctx) for i = 1, n do ctx:emit(i) roost.sleep(1) end end)
  service:message("fail", function() error(roost.rpc_error("no")) end)
  service:event("note", function(data) note(data) end)
`;

const length32 = (text) => {
  const bytes = Buffer.from(text);
  const frame = Buffer.alloc(4 + bytes.length);
  frame.writeUInt32BE(bytes.length);
  bytes.copy(frame, 4);
  return frame;
};
const line = (text) => Buffer.from(`${text}\n`);
const write = { ndjson: line, length32 };

/** Takes whole frames out of `bytes`, a list of texts, and gives the rest. */
const cut = {
  ndjson(bytes, texts) {
    const end = bytes.lastIndexOf(10) + 1;
    texts.push(...bytes.subarray(0, end).toString().split('\n').slice(0, -1));
    return bytes.subarray(end);
  },
  length32(bytes, texts) {
    while (bytes.length >= 4 && bytes.length >= 4 + bytes.readUInt32BE()) {
      const end = 4 + bytes.readUInt32BE();
      texts.push(bytes.subarray(4, end).toString());
      bytes = bytes.subarray(end);
    }
    return bytes;
  },
};

/** A connection that gives frames' texts; what the tests' usual peer expects is Nest's framing. */
async function speak(t, port, framing) {
  const peer = await connect(t, port);
  peer.socket.removeAllListeners('data');
  let rest = Buffer.alloc(0);
  const texts = [];
  peer.socket.on('data', (chunk) => { rest = cut[framing](Buffer.concat([rest, chunk]), texts); });
  return {
    peer,
    write: (...parts) => peer.write(Buffer.concat(parts.map((text) => write[framing](text)))),
    next: () => until(() => texts.length > 0 && [texts.shift()], 'a frame').then(([text]) => text),
    closed: () => peer.closed(),
  };
}

const start = (t, framing, server = {}) =>
  startHost(t, { service: luaService(body), server: { framing, ...server } });

const ask = (pattern, data, id = '1') => JSON.stringify({ pattern, data, id });

for (const framing of ['ndjson', 'length32']) {
  describe(framing, () => {
    test('requests, streams, errors and events', async (t) => {
      const host = await start(t, framing);
      const one = await speak(t, host.port, framing);
      const data = { text: 'é€😀\n\r', list: [], number: 2 ** 53 };
      await one.write(ask('echo', data), ask('count', 2, '2'));
      assert.deepEqual(JSON.parse(await one.next()),
        { response: data, isDisposed: true, id: '1' });
      assert.equal(await one.next(), item(1, '"2"'));
      assert.equal(await one.next(), item(2, '"2"'));
      assert.equal(await one.next(), end('"2"'));
      await one.write(ask('fail', 1), JSON.stringify({ pattern: 'note', data: 'n' }),
        ask('notes', 1));
      assert.equal(await one.next(), failure('{"status":"error","message":"no"}'));
      assert.equal(await one.next(), last('["n"]'));
    });

    test('a frame in any pieces', async (t) => {
      const host = await start(t, framing);
      const one = await speak(t, host.port, framing);
      const bytes = write[framing](ask('echo', '€😀'));
      for (const byte of bytes) await one.peer.writeParts([Buffer.from([byte])], 0);
      assert.equal(await one.next(), last('"€😀"'));
      await one.peer.write(Buffer.concat([bytes, bytes, bytes.subarray(0, 9)]));
      await one.next();
      await one.next();
      await one.peer.write(bytes.subarray(9));
      assert.equal(await one.next(), last('"€😀"'));
    });

    test('a large frame both ways, and one that is too large', async (t) => {
      const host = await start(t, framing, { max_buffer_size: 2 ** 20 });
      const one = await speak(t, host.port, framing);
      const text = 'x'.repeat(2 ** 20 - 100);
      await one.write(ask('echo', text));
      assert.equal(await one.next(), last(JSON.stringify(text)));
      await one.write(ask('echo', 'x'.repeat(2 ** 20)));
      await one.closed();
      await host.logged((entry) => /max_buffer_size/.test(entry.err));
    });

    test('what is no JSON ends the connection after what is owed', async (t) => {
      const host = await start(t, framing);
      const one = await speak(t, host.port, framing);
      await one.write(ask('echo', 1), 'nonsense', ask('echo', 2));
      assert.equal(await one.next(), last('1'));
      assert.equal(await one.closed(), 'fin');
      await host.logged(/^bad frame/);
    });

    test('a frame that is never finished ends the connection', async (t) => {
      const host = await start(t, framing, { incomplete_message_timeout: 100 });
      const one = await speak(t, host.port, framing);
      await one.peer.write(write[framing](ask('echo', 1)).subarray(0, 12));
      await one.closed();
      await host.logged(/^incomplete frame/);
    });

    test('a Roost client and server speak it with each other', async (t) => {
      const server = await start(t, framing);
      const host = await startHost(t, {
        service: luaService(`
          local other = roost.client "OTHER"
          service:message("call", function(data) return other:call("echo", data) end)
          service:message("count", function(n) return other:send("count", n):collect() end)
          service:message("fail", function()
            local ok, err = pcall(other.call, other, "fail", 1)
            return { ok, err.name, err.message }
          end)
          service:message("emit", function(data) other:emit("note", data):last() return "sent" end)
        `),
        clients: { OTHER: { port: server.port, framing } },
      });
      const peer = await connect(t, host.port);
      assert.deepEqual(await peer.call('call', { a: ['€\n', null, 1.5] }), { a: ['€\n', null, 1.5] });
      assert.equal((await peer.call('call', 'x'.repeat(200000))).length, 200000);
      assert.deepEqual(await peer.call('count', 5), [1, 2, 3, 4, 5]);
      assert.deepEqual(await peer.call('fail', 1), [false, 'RpcError', 'no']);
      assert.equal(await peer.call('emit', 'hello'), 'sent');
      const one = await speak(t, server.port, framing);
      await one.write(ask('notes', 1));
      assert.equal(await one.next(), last('["hello"]'));
    });

    for (const version of [11, 12]) {
      test(`a Nest ${version} client with a socketClass of its own`, async (t) => {
        const nest = await loadNest(version);
        class Socket extends nest.TcpSocket {
          rest = Buffer.alloc(0);

          handleSend(message, callback) {
            this.socket.write(write[framing](JSON.stringify(message)), callback);
          }

          handleData(chunk) {
            const texts = [];
            this.rest = cut[framing](Buffer.concat([this.rest, chunk]), texts);
            for (const text of texts) this.emitMessage(text);
          }
        }
        const host = await start(t, framing);
        const client = nestClient(t, nest, host.port, { socketClass: Socket });
        const all = (pattern, data) =>
          nest.lastValueFrom(client.send(pattern, data).pipe(nest.toArray()));
        assert.deepEqual(await all('echo', { text: 'é😀' }), [{ text: 'é😀' }]);
        assert.deepEqual(await all('count', 10), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
        await assert.rejects(all('fail', 1), (err) => err.message === 'no');
      });
    }
  });
}

describe('ndjson by hand', () => {
  test('blank lines and carriage returns', async (t) => {
    const host = await start(t, 'ndjson');
    const one = await speak(t, host.port, 'ndjson');
    await one.peer.write(`\n\r\n  \n${ask('echo', 1)}\r\n\n${ask('echo', 2)}\n`);
    assert.equal(await one.next(), last('1'));
    assert.equal(await one.next(), last('2'));
  });

  test('what a shell can do with a pipe', async (t) => {
    const host = await start(t, 'ndjson');
    const shell = spawn('bash', ['-c', `
      exec 3<>/dev/tcp/127.0.0.1/${host.port}
      echo '{"pattern":"echo","data":{"a":1},"id":1}' >&3
      read -r reply <&3
      echo "$reply"`]);
    undo(t, () => shell.kill());
    let out = '';
    shell.stdout.on('data', (chunk) => { out += chunk; });
    await until(() => out.endsWith('\n'), 'a reply');
    assert.equal(out, `${last('{"a":1}', 1)}\n`);
  });
});
