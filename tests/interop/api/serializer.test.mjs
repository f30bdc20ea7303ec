// serializer and deserializer: modules between packets and what is sent.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { frame, item, last, noHandler } from '../lib/frames.mjs';
import { startHost } from '../lib/host.mjs';
import { loadNest, nestClient } from '../lib/nest.mjs';
import { connect } from '../lib/peer.mjs';
import { luaService } from '../lib/service.mjs';
import { until } from '../lib/wait.mjs';

const body = `
  service:message("echo", function(data) return data end)
  service:message("count", function(n, ctx) for i = 1, n do ctx:emit(i) roost.sleep(1) end end)
  service:message("fail", function() error(roost.rpc_error("no")) end)
  service:event("note", function(data) note(data) end)
`;

/** Packets in an outer object, as some gateways want them. */
const wrapped = `
  local wrapped = {}
  function wrapped.serialize(packet)
    if packet.response == "refuse me" then error "refused" end
    return { v = 1, packet = packet }
  end
  function wrapped.deserialize(value)
    if value.v ~= 1 then error("version " .. tostring(value.v)) end
    return value.packet
  end
  return wrapped
`;

/** Anything but JSON: the text, each byte plus one. */
const shifted = `
  local roost = require "roost"
  local shifted = {}
  local function shift(text, by)
    return (text:gsub(".", function(c) return string.char((c:byte() + by) % 256) end))
  end
  function shifted.encode(packet) return shift(roost.json.encode(packet), 1) end
  function shifted.decode(bytes) return roost.json.decode(shift(bytes, -1)) end
  return shifted
`;

const files = { 'lua/wrapped.lua': wrapped, 'services/lib/shifted.lua': shifted };

const serve = async (t, keys) => {
  const host = await startHost(t, { service: luaService(body), files, server: keys });
  return { host, peer: await connect(t, host.port) };
};

describe('serializers of a listener', () => {
  test('serialize and deserialize', async (t) => {
    const { host, peer } = await serve(t, { serializer: 'wrapped', deserializer: 'wrapped' });
    const send = (packet) => peer.send({ v: 1, packet });
    const ask = async (pattern, data) => {
      await send({ pattern, data, id: 'x' });
      return peer.reply();
    };
    for (const data of [{ a: [], b: {}, c: null, d: 2 ** 53 }, 'é€😀', [], 0, false]) {
      assert.deepEqual(await ask('echo', data),
        { v: 1, packet: { response: data, isDisposed: true, id: 'x' } });
    }
    await send({ pattern: 'count', data: 2, id: 'y' });
    assert.deepEqual(await peer.reply(), { v: 1, packet: { response: 1, id: 'y' } });
    assert.deepEqual(await peer.reply(), { v: 1, packet: { response: 2, id: 'y' } });
    assert.deepEqual(await peer.reply(), { v: 1, packet: { isDisposed: true, id: 'y' } });
    assert.deepEqual((await ask('fail', 1)).packet.err, { status: 'error', message: 'no' });
    assert.deepEqual((await ask('gone', 1)).packet, JSON.parse(noHandler('"x"')));
    await send({ pattern: 'note', data: 'n' });
    assert.deepEqual((await ask('notes', 1)).packet.response, ['n']);
    assert.deepEqual(host.find(({ level }) => level === 'error'), []);
  });

  test('what a serializer does not take is answered with an error, and logged', async (t) => {
    const { host, peer } = await serve(t, { serializer: 'wrapped' });
    await peer.send({ pattern: 'echo', data: 'refuse me', id: 'x' });
    assert.deepEqual((await peer.reply()).packet,
      { err: { status: 'error', message: 'Internal server error' }, isDisposed: true, id: 'x' });
    const entry = await host.logged(/^a reply cannot be sent/);
    assert.equal(entry.level, 'error');
    assert.match(entry.err, /^serializer: .*wrapped\.lua:4: refused/);
    await peer.send({ pattern: 'echo', data: 1, id: 'x' });
    assert.equal((await peer.reply()).packet.response, 1);
  });

  test('what a deserializer does not take is a broken frame', async (t) => {
    const { host, peer } = await serve(t, { deserializer: 'wrapped' });
    await peer.send({ v: 1, packet: { pattern: 'echo', data: 1, id: '1' } });
    await peer.send({ v: 2, packet: { pattern: 'echo', data: 1, id: '2' } });
    assert.equal(await peer.frame(), last('1'));
    assert.equal(await peer.closed(), 'fin');
    const entry = await host.logged(/^bad frame/);
    assert.match(entry.err, /^deserializer: .*wrapped\.lua:8: version 2/);
  });

  test('a value that is no packet is foreign', async (t) => {
    const { host, peer } = await serve(t, { deserializer: 'wrapped' });
    await peer.send({ v: 1, packet: 5 });
    await peer.send({ v: 1, packet: { pattern: 'echo', data: 1, id: '1' } });
    assert.equal(await peer.frame(), last('1'));
    await host.logged(/^not a message/);
  });

  test('encode and decode, of any bytes', async (t) => {
    const { host } = await serve(t, {
      serializer: 'shifted', deserializer: 'shifted', framing: 'length32',
    });
    const peer = await connect(t, host.port);
    peer.socket.removeAllListeners('data');
    let got = Buffer.alloc(0);
    peer.socket.on('data', (chunk) => { got = Buffer.concat([got, chunk]); });
    const text = '{"pattern":"echo","data":"é€😀\\u007f","id":"1"}';
    const bytes = Buffer.from(text).map((byte) => (byte + 1) % 256);
    await peer.write(Buffer.concat([Buffer.from([0, 0, 0, bytes.length]), bytes]));
    await until(() => got.length >= 4 && got.length >= 4 + got.readUInt32BE(), 'a reply');
    const reply = JSON.parse(Buffer.from(got.subarray(4).map((byte) => (byte + 255) % 256)));
    assert.deepEqual(reply, { response: 'é€😀\u007f', isDisposed: true, id: '1' });
  });

  test("bytes that Nest's frame cannot count are an error", async (t) => {
    const { host, peer } = await serve(t, { serializer: 'shifted' });
    await peer.write(frame('{"pattern":"echo","data":"é","id":"1"}')); // c3 a9 becomes c4 aa: fine
    assert.ok(await peer.frame());
    await peer.write(frame('{"pattern":"echo","data":"\u007f","id":"1"}')); // 80 alone is not UTF-8
    assert.ok(await peer.frame()); // the masked error can be sent
    await host.logged(({ err }) => /not UTF-8 wants framing = "length32"/.test(err));
  });

  test('lua-cjson as it is', async (t) => {
    const { peer } = await serve(t, { serializer: 'cjson', deserializer: 'cjson' });
    assert.deepEqual(await peer.call('echo', { a: [1, 2.5, 'é', null, true] }),
      { a: [1, 2.5, 'é', null, true] });
    await peer.send({ pattern: 'count', data: 1, id: '1' });
    assert.deepEqual(await peer.reply(), JSON.parse(item(1)));
  });
});

describe('serializers of clients', () => {
  const caller = luaService(`
    local other = roost.client "OTHER"
    service:message("call", function(data) return other:call("echo", data) end)
    service:message("count", function(n) return other:send("count", n):collect() end)
    service:message("emit", function(data) other:emit("note", data):last() return "sent" end)
    service:message("fails", function(data)
      local ok, err = pcall(other.call, other, "echo", data)
      return { ok, err.name, err.code, err.message, err.detail }
    end)
    service:message("table", function(name)
      local ok, err = pcall(roost.client, { port = 1, serializer = name })
      return { ok, tostring(err) }
    end)`);
  const picky = `return {
    serialize = function(packet)
      if packet.data == "refuse me" then error "refused" end
      return packet
    end,
    deserialize = function(packet)
      if packet.response == "refuse me too" then error "refused, too" end
      return packet
    end }`;

  const start = async (t, client, server) => {
    const other = await serve(t, server);
    const host = await startHost(t, {
      service: caller,
      files: { ...files, 'lua/picky.lua': picky },
      clients: { OTHER: { port: other.host.port, ...client } },
    });
    return { host, peer: await connect(t, host.port), other };
  };

  for (const [name, keys] of Object.entries({
    wrapped: { serializer: 'wrapped', deserializer: 'wrapped' },
    'wrapped, in lines': { serializer: 'wrapped', deserializer: 'wrapped', framing: 'ndjson' },
    shifted: { serializer: 'shifted', deserializer: 'shifted', framing: 'length32' },
    cjson: { serializer: 'cjson', deserializer: 'cjson' },
  })) {
    test(name, async (t) => {
      const { peer } = await start(t, keys, keys);
      assert.deepEqual(await peer.call('call', { a: ['é€😀', 1.5] }), { a: ['é€😀', 1.5] });
      assert.deepEqual(await peer.call('count', 3), [1, 2, 3]);
      assert.equal(await peer.call('emit', 'x'), 'sent');
    });
  }

  test('what they do not take fails the call, and the log of a bad name says why', async (t) => {
    const { host, peer } = await start(t, { serializer: 'picky', deserializer: 'picky' }, {});
    for (let i = 0; i < 2; i++) { // without a connection, and with one
      const [ok, name, code, message, detail] = await peer.call('fails', 'refuse me');
      assert.deepEqual([ok, name, code], [false, 'InvalidMessageError', 'EINVAL']);
      assert.equal(message, 'the packet cannot be serialized');
      assert.match(detail, /^serializer: .*picky\.lua:3: refused/);
      assert.equal(await peer.call('call', 1), 1);
    }
    const [ok, name, code, , detail] = await peer.call('fails', 'refuse me too');
    assert.deepEqual([ok, name, code], [false, 'ConnectionError', 'ECLOSED']);
    assert.match(detail, /^deserializer: .*refused, too/);
    assert.equal(await peer.call('call', 2), 2);
    assert.match((await peer.call('table', 'gone'))[1], /its serializer cannot be loaded/);
    await host.logged(/^serializer: module 'gone' not found/);
  });
});

for (const version of [11, 12]) {
  test(`a Nest ${version} client with serializers of its own`, async (t) => {
    const nest = await loadNest(version);
    const { host } = await serve(t, { serializer: 'wrapped', deserializer: 'wrapped' });
    const client = nestClient(t, nest, host.port, {
      serializer: { serialize: (packet) => ({ v: 1, packet }) },
      deserializer: { deserialize: ({ packet }) => packet },
    });
    const all = (pattern, data) =>
      nest.lastValueFrom(client.send(pattern, data).pipe(nest.toArray()));
    assert.deepEqual(await all('echo', { text: 'é' }), [{ text: 'é' }]);
    assert.deepEqual(await all('count', 3), [1, 2, 3]);
    await assert.rejects(all('fail', 1), (err) => err.message === 'no');
  });
}

test('where nothing at all can be serialized, that is logged and nothing hangs', async (t) => {
  const host = await startHost(t, {
    service: luaService(body),
    files: { 'lua/never.lua': 'return { encode = function() error "never" end }' },
    server: { serializer: 'never' },
  });
  const peer = await connect(t, host.port);
  await peer.send({ pattern: 'echo', data: 1, id: '1' });
  await peer.send({ pattern: 'note', data: 'x' });
  await host.logged(({ err }) => /never/.test(err));
  assert.equal(peer.received, '');
});
