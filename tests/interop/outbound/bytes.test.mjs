// The bytes that a Lua client sends, as a recorder on a plain socket sees them.
import assert from 'node:assert/strict';
import net from 'node:net';
import { once } from 'node:events';
import { describe, test } from 'node:test';
import { roost } from '../lib/cli.mjs';
import { packet } from '../lib/frames.mjs';
import { freePort } from '../lib/peer.mjs';
import { temporaryDir } from '../lib/host.mjs';
import { lua } from '../lib/lua.mjs';
import { undo, within } from '../lib/wait.mjs';

/**
 * Listens and keeps what comes. answer(socket, text, all), if given, is called for what has come;
 * otherwise everything with an id is answered with 1.
 */
async function recorder(t, answer) {
  const connections = [];
  const sockets = new Set();
  const server = net.createServer({ allowHalfOpen: true }, (socket) => {
    const connection = { received: '', ended: once(socket, 'end') };
    connection.ended.catch(() => {});
    connections.push(connection);
    sockets.add(socket);
    socket.setEncoding('utf8');
    socket.on('error', () => {});
    socket.on('data', (text) => {
      connection.received += text;
      if (answer) {
        answer(socket, text, connection.received);
        return;
      }
      for (const [, id] of text.matchAll(/"id":"([0-9a-f]*)"}/g)) {
        socket.write(packet({ response: 1, isDisposed: true, id }));
      }
    });
    socket.on('end', () => socket.end());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  undo(t, () => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return { port: server.address().port, connections };
}

/** Runs a program with `client`, a client of that port, and expects it to end well. */
async function run(t, port, body, keys = {}) {
  const cwd = temporaryDir(t, { 'main.lua': `local roost = require "roost"
local client = roost.client ${lua({ transport: 'tcp', host: '127.0.0.1', port, ...keys })}
${body}` });
  const { code, stdout, stderr } = await roost(['exec', 'main.lua'], { cwd });
  assert.deepEqual({ code, stderr }, { code: 0, stderr: '' });
  return stdout;
}

const anyId = (text) => text.replace(/"id":"[0-9a-f]{21}"/g, '"id":"#"');

describe('bytes of a Lua client', () => {
  // WIRE.md section 5; the ids' length counts, what they are does not. Lua has no order of keys.
  const rows = [
    ['call', '{ b = 1, a = 2 }', '{ 1, 2 }',
      ['67#{"pattern":{"b":1,"a":2},"data":[1,2],"id":"#"}',
        '67#{"pattern":{"a":2,"b":1},"data":[1,2],"id":"#"}']],
    ['call', '"str"', '"x"', ['57#{"pattern":"str","data":"x","id":"#"}']],
    ['call', '7', '0', ['51#{"pattern":7,"data":0,"id":"#"}']],
    ['call', '"é😀"', '"é😀"', ['59#{"pattern":"é😀","data":"é😀","id":"#"}']],
    ['emit', '"notify"', '{ v = 1 }', ['35#{"pattern":"notify","data":{"v":1}}']],
    ['emit', '7', '{ v = 1 }', ['30#{"pattern":"7","data":{"v":1}}']],
    ['emit', '{ b = 1, a = "q\\"\\\\" }', '{ v = 1 }',
      ['58#{"pattern":"{\\"a\\":\\"q\\\\\\"\\\\\\\\\\",\\"b\\":1}","data":{"v":1}}']],
    ['emit', '{ "a", "b" }', '{ v = 1 }',
      ['54#{"pattern":"{\\"0\\":\\"a\\",\\"1\\":\\"b\\"}","data":{"v":1}}']],
    ['emit', '{ a = { 1, "z", roost.null, true } }', '{ v = 1 }',
      ['80#{"pattern":"{\\"a\\":{\\"0\\":1,\\"1\\":\\"z\\",\\"2\\":null,\\"3\\":true}}","data":{"v":1}}']],
    ['call', '"m"', '1, { metadata = { k = "v" } }',
      ['74#{"pattern":"m","data":1,"metadata":{"k":"v"},"id":"#"}']],
    ['emit', '"m"', '1, { metadata = { k = "v" } }',
      ['45#{"pattern":"m","data":1,"metadata":{"k":"v"}}']],
    ['call', '"m"', '{ f = 2.0, z = -0.0 }',
      ['65#{"pattern":"m","data":{"f":2,"z":0},"id":"#"}',
        '65#{"pattern":"m","data":{"z":0,"f":2},"id":"#"}']],
  ];
  for (const [method, pattern, data, expected] of rows) {
    test(`${method}(${pattern}, ${data})`, async (t) => {
      const { port, connections } = await recorder(t);
      await run(t, port, `local result = client:${method}(${pattern}, ${data})
        if type(result) == "table" then result:last() end`);
      await within(connections[0].ended, 'the end');
      const got = anyId(connections[0].received);
      const [header, body] = [got.slice(0, got.indexOf('#')), got.slice(got.indexOf('#') + 1)];
      assert.equal(Number(header), body.replace('"#"', `"${'0'.repeat(21)}"`).length);
      assert.ok(expected.map((text) => text.slice(text.indexOf('#'))).includes(`#${body}`), got);
      assert.ok(expected.map((text) => text.slice(0, text.indexOf('#'))).includes(header), got);
    });
  }

  test('ids differ, and are hex digits', async (t) => {
    const { port, connections } = await recorder(t);
    await run(t, port, `local fns = {}
      for i = 1, 500 do fns[i] = function() client:call("p", i) end end
      roost.all(fns) roost.all(fns)`);
    const ids = [...connections[0].received.matchAll(/"id":"([0-9a-f]{21})"/g)].map(([, id]) => id);
    assert.equal(ids.length, 1000);
    assert.equal(new Set(ids).size, 1000);
  });

  test('parallel first calls share one connection; send is cold; unsubscribing sends nothing', async (t) => {
    const { port, connections } = await recorder(t, (socket, text) => {
      for (const [, id] of text.matchAll(/"id":"([0-9a-f]*)"}/g)) {
        socket.write(packet({ response: 1, id }));
        if (!text.includes('endless')) socket.write(packet({ isDisposed: true, id }));
      }
    });
    await run(t, port, `local fns = {}
      local cold = client:send("cold", 1) -- luacheck: ignore
      for i = 1, 5 do fns[i] = function() client:call("p", i) end end
      roost.all(fns)
      client:send("endless", 1):first()
      client:call("last", 1)`);
    assert.equal(connections.length, 1);
    const patterns = [...connections[0].received.matchAll(/"pattern":"(\w+)"/g)].map(([, p]) => p);
    assert.deepEqual(patterns, ['p', 'p', 'p', 'p', 'p', 'endless', 'last']);
  });

  test('what was emitted before close, or before the program\'s end, arrives', async (t) => {
    const { port, connections } = await recorder(t);
    await run(t, port, `client:connect()
      client:emit("first", 1)
      client:close()
      client:emit("second", 1):last()
      do local scoped <close> = client scoped:emit("third", 1) end
      client:emit("last", ("x"):rep(5000000))`);
    await Promise.all(connections.map(({ ended }) => within(ended, 'the end')));
    const all = connections.map(({ received }) => received).join('');
    for (const name of ['first', 'second', 'third', 'last']) assert.ok(all.includes(`"${name}"`), name);
    assert.ok(all.endsWith(`"data":"${'x'.repeat(5000000)}"}`));
  });

  test('serializers of a program', async (t) => {
    const { port, connections } = await recorder(t, (socket, text) => {
      const [, id] = /"id":"([0-9a-f]*)"/.exec(text);
      socket.write(packet({ v: 1, packet: { response: 'in', isDisposed: true, id } }));
    });
    const cwd = temporaryDir(t, {
      'lua/wrapped.lua': `return {
        serialize = function(packet) return { v = packet } end,
        deserialize = function(value) return value.packet end,
      }`,
      'main.lua': `local roost = require "roost"
        local function client(module)
          return roost.client { port = ${port}, serializer = module, deserializer = module }
        end
        print(client("wrapped"):call("p", "out"))
        print(select(2, pcall(client, "absent")))`,
    });
    const { code, stdout, stderr } = await roost(['exec', 'main.lua'], { cwd });
    assert.equal(code, 0);
    assert.match(connections[0].received, /^\d+#\{"v":\{/);
    assert.match(stdout, /^in\n.*its serializer cannot be loaded/);
    assert.match(stderr, /serializer: module 'absent' not found/);
  });

  const silent = () => {};
  const broken = {
    'a length that is none': 'abc#{}', 'no JSON': '3#{,}', 'half a JSON text': '6#{"id":',
    'a frame over max_buffer_size': '2000#', 'a header that does not end': '1'.repeat(100),
  };
  for (const [name, bytes] of Object.entries(broken)) {
    test(`a server that sends ${name}`, async (t) => {
      const { port } = await recorder(t, (socket, text, all) => all.endsWith('}') && socket.write(bytes));
      assert.match(await run(t, port, `
        client:on("error", function(err) print(type(err), err.name) end)
        local ok, err = pcall(client.call, client, "p", 1)
        print(ok, err.name, err.code, err.message, #err.detail > 0)
        roost.sleep(20)`, { max_buffer_size: 1000 }),
      /^false\tConnectionError\tECLOSED\tConnection closed\ttrue\ntable\tConnectionError\n$/);
    });
  }
  test('a server that stops in the middle of a reply', async (t) => {
    const { port } = await recorder(t, (socket) => socket.write('40#{"resp'));
    assert.equal(await run(t, port, 'print(pcall(client.call, client, "p", 1))',
      { incomplete_message_timeout: 50 }), 'false\tConnectionError: Connection closed\n');
  });
  test('a server that closes at once, and one that resets', async (t) => {
    for (const how of ['end', 'resetAndDestroy']) {
      const { port } = await recorder(t, (socket) => socket[how]());
      assert.equal(await run(t, port, 'print(pcall(client.call, client, "p", 1))'),
        'false\tConnectionError: Connection closed\n');
    }
  });
  test('a server that answers what was never asked, and more than once', async (t) => {
    const { port } = await recorder(t, (socket, text) => {
      const [, id] = /"id":"([0-9a-f]*)"/.exec(text);
      socket.write([{ response: 0, id: 'x' }, { response: 0 }, { response: 0, id: 7 }, 5, 'text', null,
        { response: 1, isDisposed: true, id }, { response: 2, isDisposed: true, id },
        { err: 'late', id }].map(packet).join(''));
    });
    assert.equal(await run(t, port, `for _ = 1, 3 do print(client:call("p", 1)) end`), '1\n1\n1\n');
  });
  test('a server that answers nothing', async (t) => {
    const { port } = await recorder(t, silent);
    assert.equal(await run(t, port, 'print(pcall(client.call, client, "p", 1, { timeout = 30 }))'),
      'false\tTimeoutError: Timeout has occurred\n');
    assert.equal(await run(t, port, 'print(pcall(client.call, client, "p", 1))', { timeout: 30 }),
      'false\tTimeoutError: Timeout has occurred\n');
  });
  test('a server that does not read: calls wait, and run out of time', async (t) => {
    const { port } = await recorder(t, (socket) => socket.pause());
    assert.equal(await run(t, port, `local fns, failed = {}, {}
      client:connect()
      for i = 1, 100 do
        fns[i] = function()
          local ok, err = pcall(client.call, client, "p", ("x"):rep(1000000), { timeout = 300 })
          failed[ok and "ok" or err.name] = true
        end
      end
      roost.all(fns)
      for name in pairs(failed) do print(name) end
      roost.sleep(0)
      client:close()`, { max_send_buffer_size: 4000000 }), 'TimeoutError\n');
  });

  test('retries with a growing delay until somebody is there', async (t) => {
    const port = await freePort();
    const late = net.createServer((socket) => socket.on('data', (text) => {
      const [, id] = /"id":"([0-9a-f]*)"/.exec(text);
      socket.end(packet({ response: 'at last', isDisposed: true, id }));
    }));
    undo(t, () => late.close());
    setTimeout(() => late.listen(port, '127.0.0.1'), 300);
    assert.equal(await run(t, port, 'print(client:call("p", 1))',
      { retry_attempts: 20, retry_delay: 20 }), 'at last\n');
  });
});
