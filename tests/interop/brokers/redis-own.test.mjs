// What is Redis' own: users, TLS, channels that come and go, messages that are none, backpressure.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, describe, test } from 'node:test';
import { binding, redisCommands, startRedis } from '../lib/brokers/redis.mjs';
import { clientOf, startCaller } from '../lib/caller.mjs';
import { roost } from '../lib/cli.mjs';
import { stateTest } from '../lib/env.mjs';
import { startHost } from '../lib/host.mjs';
import { freePort } from '../lib/peer.mjs';
import { luaService, mostAtOnce } from '../lib/service.mjs';
import { makeAuthority } from '../lib/tls.mjs';
import { suiteScope, until } from '../lib/wait.mjs';
import { inAnyOrder } from './inbound.mjs';

const done = (...values) => ({ values, completed: true });

/** A host behind a broker with this service, and a caller through it. */
async function behind(t, broker, body, { server, client, ...rest } = {}) {
  const host = await startHost(t,
    { service: luaService(body), servers: [binding.roost(broker, server)], ...rest });
  const caller = await startCaller(t, { clients: { default: clientOf(binding.roost(broker, client)) } });
  await host.logged(/^connected$/);
  return { ...caller, host, caller };
}

const addUser = async (t, broker, name, ...rules) =>
  (await redisCommands(t, broker))('ACL', 'SETUSER', name, 'on', '+@all', 'allkeys', ...rules);

const echo = 'service:message("echo", function(data) return data end)';

describe('Redis: who one is', () => {
  test('a password, a user, a database', async (t) => {
    const broker = await startRedis(t);
    await addUser(t, broker, 'ann', '>annspass', 'allchannels');
    await addUser(t, broker, 'default', '>the-secret', 'resetpass', '>the-secret');
    const ann = { username: 'ann', password: 'annspass', db: 3 };
    const { call, host, caller } = await behind(t, broker, echo,
      { server: { password: 'the-secret' }, client: ann });
    assert.deepEqual(await call('echo', 1), done(1));
    const url = `redis://ann:annspass@127.0.0.1:${broker.port}/3`;
    const { stdout, code } = await roost(['call', '--url', url, 'echo', '[1]']);
    assert.deepEqual([stdout, code], ['[1]\n', 0]);
    assert.ok(!/the-secret|annspass/.test(host.log + caller.host.log));
  });

  test('a user who needs no password', async (t) => {
    const broker = await startRedis(t);
    await addUser(t, broker, 'ann', 'nopass', 'allchannels');
    const { call } = await behind(t, broker, echo, { client: { username: 'ann' } });
    assert.deepEqual(await call('echo', 1), done(1));
    const command = await redisCommands(t, broker);
    assert.match(await command('CLIENT', 'LIST'), /user=ann/);
  });

  test('a wrong password is told, and not told of', async (t) => {
    const broker = await startRedis(t, { args: ['--requirepass', 'the-secret'] });
    const host = await startHost(t, { service: luaService(echo),
      servers: [binding.roost(broker, { password: 'a-guess', retry_delay: 20 })] });
    const caller = await startCaller(t, { clients: {
      default: clientOf(binding.roost(broker, { password: 'a-guess' })),
      nobody: clientOf(binding.roost(broker)),
    } });
    const wrong = await caller.call('echo', 1);
    assert.deepEqual([wrong.err.name, wrong.err.code], ['ConnectionError', 'EAUTH']);
    assert.match(wrong.err.detail, /WRONGPASS/);
    const { err } = await caller.drive({ client: 'nobody', pattern: 'echo', data: 1 });
    assert.match(err.detail, /NOAUTH Authentication required/);
    const line = await host.logged(/^cannot connect$/);
    assert.match(line.err, /WRONGPASS/);
    await until(() => host.find(/^cannot connect$/).length > 1, 'another attempt');
    assert.ok(!/a-guess/.test(host.log + caller.host.log));
  });

  test('a channel that one may not use', async (t) => {
    const broker = await startRedis(t);
    await addUser(t, broker, 'ann', '>p', 'resetchannels', '&echo', '&echo.reply');
    const ann = { username: 'ann', password: 'p' };
    const { call, host } = await behind(t, broker, echo, { server: ann, client: ann });
    assert.match((await host.logged(/^subscription refused$/)).err, /NOPERM/); // of "notes"
    assert.deepEqual(await call('echo', 1), done(1));
    const { err } = await call('other', 1);
    assert.deepEqual([err.name, err.code], ['ConnectionError', 'ECLOSED']);
    assert.match(err.detail, /NOPERM/);
    assert.deepEqual(await call('echo', 2), done(2));
  });

  test('TLS', async (t) => {
    const authority = await makeAuthority(t);
    const { key, cert } = await authority.issue('redis');
    const broker = await startRedis(t, { tls: { key, cert, ca: authority.ca } });
    const tls = { ca: authority.ca };
    const { call, host } = await behind(t, broker, echo, { server: { tls }, client: { tls } });
    assert.deepEqual(await call('echo', 'é'.repeat(100_000)), done('é'.repeat(100_000)));
    const { stdout } = await roost(['call', '--url', `rediss://127.0.0.1:${broker.port}`,
      '--tls-ca', authority.ca, 'echo', '[2]']);
    assert.equal(stdout, '[2]\n');
    const stranger = await startCaller(t,
      { clients: { default: clientOf(binding.roost(broker, { tls: true })) } });
    assert.equal((await stranger.call('echo', 1)).err.code, 'ETLS');
    assert.equal(host.find(/failed/).length, 0);
  });
});

describe('Redis: channels', () => {
  const suite = suiteScope();
  let broker, command;
  before(async () => {
    broker = await startRedis(suite);
    command = await redisCommands(suite, broker);
  });
  const subscribers = async (channel) =>
    Number(/:(\d+)\r\n$/.exec(await command('PUBSUB', 'NUMSUB', channel))[1]);

  test('text that is not JSON, and JSON that is no packet, are events', async (t) => {
    const { call } = await behind(t, broker, `
      service:event("told", function(data) note(roost.json.encode(data)) end)`);
    for (const body of ['plain "text"', Buffer.from([0x61, 0xff]), '[1,{"a":null}]', '{"x":1}',
      '{"pattern":"elsewhere","data":5}']) await command('PUBLISH', 'told', body);
    const notes = await until(async () => {
      const { values: [list] } = await call('notes', {});
      return list.length >= 5 && list;
    }, 'five events');
    assert.deepEqual(inAnyOrder(notes), inAnyOrder(['"plain \\"text\\""', '"a\ufffd"',
      '[1,{"a":null}]', '{"x":1}', '5']));
  });

  test('a request that is not JSON within is told so, and the log has it', async (t) => {
    const { host } = await behind(t, broker, echo);
    const listener = await redisCommands(t, broker);
    await listener('SUBSCRIBE', 'echo.reply');
    await command('PUBLISH', 'echo', '{"pattern":"echo","data":{"a":},"id":"b"}');
    const line = await host.logged(/^a message is not JSON$/);
    assert.equal(line.pattern, 'echo');
    const reply = await listener('PING');
    assert.match(reply, /\{"err":\{"status":"error","message":"Internal server error"\},"isDisposed":true,"id":"b"\}/);
  });

  test('the context says the channel', async (t) => {
    const { call } = await behind(t, broker, `
      service:message("a.*.c", function(data, ctx)
        return { ctx.channel, ctx.subject, ctx.route, ctx.transport, ctx:unwrap().channel, ctx:ack() }
      end)`, { server: { wildcards: true } });
    assert.deepEqual(await call('a.b.c', 1),
      done(['a.b.c', 'a.b.c', 'a.*.c', 'redis', 'a.b.c', false]));
  });

  test('of several routes that match, a request runs the first, exact ones before', async (t) => {
    const { call, emit } = await behind(t, broker, `
      for _, route in ipairs { "w.*", "w.[ab]", "w.exact", "w.?" } do
        service:message(route, function() note("message " .. route) return route end)
        service:event(route, function() note("event " .. route) end)
      end`, { server: { wildcards: true } });
    const notes = async () => (await call('notes', {})).values[0];
    assert.deepEqual(await call('w.exact', 1), done('w.exact'));
    assert.deepEqual(await call('w.a', 1), done('w.*'));
    assert.deepEqual(await notes(), ['message w.exact', 'message w.*']);
    await emit('w.a', 1);
    await until(async () => (await notes()).length >= 5, 'all events');
    assert.deepEqual((await notes()).slice(2).sort(), ['event w.*', 'event w.?', 'event w.[ab]']);
  });

  stateTest('a reload subscribes to what is new, and gives up what is gone', async (t) => {
    const { host, call } = await behind(t, broker, `${echo}
      service:message("old", function() return "old" end)`, { reload: { watch: true, debounce: 20 } });
    assert.deepEqual(await call('old', 1), done('old'));
    writeFileSync(join(host.dir, 'services/test.lua'), luaService(`${echo}
      service:message("new", function() return "new" end)`));
    await until(async () => (await call('new', 1, { timeout: 500 })).completed, 'the new one');
    await until(async () => await subscribers('old') === 0, 'the old one to be gone');
    assert.deepEqual(await call('echo', 1), done(1));
  });

  stateTest('a reply channel that nobody waits for is given up', async (t) => {
    const { call } = await behind(t, broker, echo);
    await call('echo', 1);
    assert.equal(await subscribers('echo.reply'), 1);
    await call('echo', 2);
    await call('nobody here', 1, { timeout: 50 });
    for (const channel of ['echo.reply', 'nobody here.reply']) {
      await until(async () => await subscribers(channel) === 0, `${channel} given up`);
    }
    assert.deepEqual(await call('echo', 3), done(3));
  });
});

describe('Redis: how much, and when it is not there', () => {
  const slow = `${mostAtOnce}
    service:message("slow", function(data)
      most_at_once(function() roost.sleep(5) end)
      return data
    end)
    service:message("most", function() return roost.store:get("most") end)`;

  test('no more run at once than max_in_flight, and none is lost', async (t) => {
    const broker = await startRedis(t);
    const { ask, call } = await behind(t, broker, slow, { server: { max_in_flight: 10 } });
    const list = Array.from({ length: 500 }, (_, i) => i);
    assert.deepEqual(await ask('many', { pattern: 'slow', list }), list);
    assert.deepEqual(await call('most', 1), done(10));
  });

  test('what was published before the end is handled and answered', async (t) => {
    const broker = await startRedis(t);
    const { host, ask, call } = await behind(t, broker, `
      service:message("slow", function(data) roost.sleep(100) return data end)`,
    { reload: { drain_timeout: 10_000 }, server: { max_in_flight: 20 } });
    assert.deepEqual(await call('slow', 0), done(0));
    const list = Array.from({ length: 100 }, (_, i) => i);
    const answers = ask('many', { pattern: 'slow', list });
    const command = await redisCommands(t, broker);
    await until(async () => /:1\r\n$/.test(await command('PUBSUB', 'NUMSUB', 'slow')), 'the host');
    await until(async () => Number(/total_net_input_bytes:(\d+)/
      .exec(await command('INFO', 'stats'))[1]) > 5000, 'the requests');
    host.signal('SIGTERM');
    assert.deepEqual(await answers, list);
    assert.equal((await host.exited).code, 0);
  });

  test('a host starts without it, and is there once it is', async (t) => {
    const port = await freePort();
    const host = await startHost(t, { service: luaService(echo),
      servers: [binding.roost({ port }, { retry_delay: 20 })] });
    await host.logged(/^cannot connect$/);
    const broker = await startRedis(t, { port });
    await host.logged(/^connected$/);
    const { call } = await startCaller(t, { clients: { default: clientOf(binding.roost(broker)) } });
    assert.deepEqual(await call('echo', 1), done(1));
  });

  test('a serializer on both sides', async (t) => {
    const broker = await startRedis(t);
    const files = { 'lua/shifted.lua': `local roost = require "roost"
      local shifted = {}
      local function shift(text, by)
        return (text:gsub(".", function(c) return string.char((c:byte() + by) % 256) end))
      end
      function shifted.encode(packet)
        if packet.response == "refuse me" then error "refused" end
        return shift(roost.json.encode(packet), 1)
      end
      function shifted.decode(bytes) return roost.json.decode(shift(bytes, -1)) end
      return shifted` };
    const keys = { serializer: 'shifted', deserializer: 'shifted' };
    const host = await startHost(t, { service: luaService(`${echo}
      service:message("count", function(n, ctx) for i = 1, n do ctx:emit(i) end end)`), files,
    servers: [binding.roost(broker, keys)] });
    await host.logged(/^connected$/);
    const { call, send } = await startCaller(t, { files,
      clients: { default: clientOf(binding.roost(broker, keys)) } });
    assert.deepEqual(await call('echo', { a: 'é\u0000' }), done({ a: 'é\u0000' }));
    assert.deepEqual(await send('count', 3), done(1, 2, 3));
    assert.equal((await call('echo', 'refuse me')).err.message, 'Internal server error');
    const line = await host.logged(/^a reply cannot be sent$/);
    assert.match(line.err, /refused/);
    const command = await redisCommands(t, broker);
    await command('PUBLISH', 'echo', 'what nobody can shift');
    await host.logged(/^a message was lost$/);
    assert.deepEqual(await call('echo', 1), done(1));
  });

  test('its status', async (t) => {
    const broker = await startRedis(t);
    const { host, call } = await behind(t, broker, echo);
    await call('echo', 1);
    const status = async () => JSON.parse((await roost(['status', '--json', '--socket',
      join(host.dir, 'run/roost.sock')])).stdout).servers['1'];
    const up = await status();
    assert.deepEqual([up.transport, up.status, up.connections, up.address],
      ['redis', 'connected', 1, `127.0.0.1:${broker.port}`]);
    assert.ok(up.bytes_in > 0 && up.bytes_out > 0);
    await broker.kill();
    await until(async () => (await status()).status !== 'connected', 'it to be known');
  });

  test('it is given up after retry_attempts', async (t) => {
    const host = await startHost(t, { service: luaService(echo),
      servers: [binding.roost({ port: await freePort() }, { retry_delay: 5, retry_attempts: 3 })] });
    await host.logged(/^gave up connecting$/);
    assert.equal(host.find(/^cannot connect$/).length, 4);
  });
});
