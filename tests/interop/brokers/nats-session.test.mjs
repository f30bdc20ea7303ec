// What a session with nats-server does besides the rows of all brokers: limits, drains, queue groups,
// what is no packet, and what is larger than the server takes.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { natsClient, startNats } from '../lib/brokers/nats.mjs';
import { startHost } from '../lib/host.mjs';
import { mostAtOnce } from '../lib/service.mjs';
import { sleep, until, within } from '../lib/wait.mjs';

const service = (body) => `local roost = require "roost"
local service = roost.service()
${body}
return service
`;

const serve = (t, broker, text, options = {}, more = {}) => startHost(t, {
  service: text,
  servers: [{ transport: 'nats', servers: broker.servers, retry_delay: 50, ...options }],
  ...more,
});

const connected = (host, times = 1) =>
  until(() => host.find(/^connected$/).length >= times, 'the connection');

/** Sends a packet, or any text, and gives the reply's text; null where none comes in time. */
const ask = (client, subject, data, { id = 'x', timeout = 5000, text } = {}) => client.request(subject,
  text ?? JSON.stringify({ pattern: subject, data, id }), { timeout }).then((reply) => reply.string());

/** The same once the host has subscribed: until then nobody is there. */
const first = (client, subject, data) => until(() =>
  ask(client, subject, data).catch(() => null), `an answer to ${subject}`);

const echo = service(`
service:message("echo", function(data) return data end)
service:message("wait", function(ms, ctx)
  ctx.log:debug("waits")
  roost.sleep(ms)
  return "waited"
end)`);

describe('requests over NATS', () => {
  test('what is not JSON is answered, what is no request is not', async (t) => {
    const broker = await startNats(t);
    const client = await natsClient(t, broker);
    const host = await serve(t, broker, echo);
    await first(client, 'echo', 1);
    for (const text of ['nonsense', '', '{"data":1,"id":', '\u0000']) {
      assert.equal(await ask(client, 'echo', 0, { text }),
        '{"err":"Could not parse JSON","isDisposed":true}');
    }
    assert.equal(await ask(client, 'echo', 0, { text: '{"data":[1,],"id":"x"}' }),
      '{"err":"Could not parse JSON","isDisposed":true}');
    for (const text of ['{"id":"x"}', '7', '"text"', '[1]', 'null']) {
      await assert.rejects(ask(client, 'echo', 0, { text, timeout: 100 }), /timeout/i);
    }
    assert.equal(await ask(client, 'echo', 0, { text: '{"data":1,"id":7}' }),
      '{"response":1,"isDisposed":true,"id":7}');
    await until(() => host.find(/^a message is refused$/).length >= 5, 'the lines of the log');
  });

  test('a subject decides, not the pattern in the body', async (t) => {
    const broker = await startNats(t);
    const client = await natsClient(t, broker);
    await serve(t, broker, echo);
    await first(client, 'echo', 1);
    assert.equal(await ask(client, 'echo', 0, { text: '{"pattern":"wait","data":5,"id":"x"}' }),
      '{"response":5,"isDisposed":true,"id":"x"}');
  });

  test('a reply that the server would not take is an error', async (t) => {
    const broker = await startNats(t, { config: 'max_payload: 10000' });
    const client = await natsClient(t, broker);
    const host = await serve(t, broker, service(`
service:message("large", function(n) return ("x"):rep(n) end)
service:message("items", function(n, ctx) ctx:emit(("x"):rep(n)) ctx:emit(1) end)`));
    await first(client, 'large', 1);
    assert.equal(JSON.parse(await ask(client, 'large', 9000)).response.length, 9000);
    assert.deepEqual(JSON.parse(await ask(client, 'large', 20000)), {
      err: { status: 'error', message: 'Internal server error' }, isDisposed: true, id: 'x' });
    assert.deepEqual(JSON.parse(await ask(client, 'items', 20000)),
      { response: 1, isDisposed: true, id: 'x' });
    assert.match((await host.logged(/too large/)).err, /max_payload of the server of NATS is 10000/);
  });

  test('many at once: what is over max_in_flight waits, what is too much is told so', async (t) => {
    const broker = await startNats(t);
    const client = await natsClient(t, broker);
    const host = await serve(t, broker, service(`${mostAtOnce}
service:message("wait", function(ms)
  return most_at_once(function() roost.sleep(ms) end)
end)`), { max_in_flight: 10, max_buffer_size: 100_000 });
    await first(client, 'wait', 1);
    const answers = await Promise.all(Array.from({ length: 200 }, (_, i) =>
      ask(client, 'wait', 5, { id: `${i}` })));
    for (const [i, text] of answers.entries()) {
      const { response, id } = JSON.parse(text);
      assert.equal(id, `${i}`);
      assert.ok(response <= 10, `${response} at once`);
    }
    const flood = await Promise.all(Array.from({ length: 1000 }, (_, i) =>
      ask(client, 'wait', 20, { id: `${i}`, timeout: 20_000 })));
    const refused = flood.filter((text) => JSON.parse(text).err === 'Too many requests');
    assert.ok(refused.length > 100 && refused.length < 990, `${refused.length} refused`);
    await host.logged(/^too many messages/);
    assert.equal(JSON.parse(await ask(client, 'wait', 1)).response, 10);
  });

  test('headers of several values, and odd ones', async (t) => {
    const broker = await startNats(t);
    const client = await natsClient(t, broker);
    await serve(t, broker, service(`
service:message("headers", function(_, ctx) return ctx.headers end)`));
    await first(client, 'headers', 1);
    const headers = client.headers();
    headers.append('a', '1');
    headers.append('a', '2');
    headers.append('B-c', ' x: y ');
    const reply = await client.request('headers', '{"data":1,"id":"x"}', { headers, timeout: 2000 });
    assert.deepEqual(reply.json().response, { a: ['1', '2'], 'B-c': 'x: y' });
  });
});

describe('queue groups over NATS', () => {
  test('hosts in one share; a handler may have one of its own', async (t) => {
    const broker = await startNats(t);
    const client = await natsClient(t, broker);
    const text = service(`
service:message("who", function() return 1 end)
service:event("each", function(n, ctx) ctx.log:info("each", { n = n }) end)
service:event("shared", { queue = "own" }, function(n, ctx) ctx.log:info("shared", { n = n }) end)`);
    const hosts = [await serve(t, broker, text), await serve(t, broker, text)];
    for (const host of hosts) await connected(host);
    await until(async () => {
      client.publish('each', '{"data":0}');
      await client.flush();
      return hosts.every((host) => host.find(/^each$/).length > 0);
    }, 'both');
    for (let n = 1; n <= 50; n++) client.publish('shared', JSON.stringify({ data: n }));
    const shared = () => hosts.flatMap((host) => host.find(/^shared$/).map(({ n }) => Number(n)));
    await until(() => shared().length >= 50, '50 events');
    await sleep(100);
    assert.equal(shared().length, 50);
    for (const host of hosts) assert.ok(host.find(/^shared$/).length > 5);
  });

  test('one that is drained loses none, and finishes what it has', async (t) => {
    const broker = await startNats(t);
    const client = await natsClient(t, broker);
    const hosts = [];
    for (let i = 0; i < 3; i++) hosts.push(await serve(t, broker, echo, { queue: 'q' }));
    for (const host of hosts) await connected(host);
    await first(client, 'wait', 1);
    let over = false;
    let asked = 0;
    const loop = async () => {
      while (!over) {
        assert.equal(JSON.parse(await ask(client, 'wait', 20)).response, 'waited');
        asked++;
      }
    };
    const loops = Array.from({ length: 20 }, loop);
    for (const host of hosts.slice(1)) {
      const before = asked;
      await until(() => asked > before + 50, 'some answers');
      await host.stop();
    }
    const before = asked;
    await until(() => asked > before + 50, 'some answers of the last');
    over = true;
    await Promise.all(loops);
  });
});

describe('a broken connection to NATS', () => {
  test('who waits over it still gets his answer', async (t) => {
    const broker = await startNats(t);
    const client = await natsClient(t, broker);
    const host = await serve(t, broker, echo, {}, { log: { level: 'debug' } });
    await first(client, 'echo', 1);
    const replies = [];
    client.subscribe('my.inbox', { callback: (_, message) => replies.push(message.string()) });
    client.publish('wait', '{"data":600,"id":"x"}', { reply: 'my.inbox' });
    await host.logged(/^waits$/);
    await broker.kill();
    await host.logged(/^disconnected$/);
    await sleep(700); // its handler is done by then
    await broker.start();
    await connected(host, 2);
    await until(() => replies.length > 0, 'the answer').catch((err) =>
      assert.fail(`${err.message}: ${host.log}`));
    assert.deepEqual(replies, ['{"response":"waited","isDisposed":true,"id":"x"}']);
  });

  test('its host starts without a server, and stops without one', async (t) => {
    const broker = await startNats(t);
    await broker.kill();
    const host = await serve(t, broker, echo);
    await host.logged(/^cannot connect$/);
    await broker.start();
    await connected(host);
    const client = await natsClient(t, broker);
    await first(client, 'echo', 1);
    await broker.kill();
    await host.logged(/^disconnected$/);
    await within(host.stop(), 'the stop');
  });
});

describe('the routes of a service over NATS', () => {
  test('are those of its last reload', async (t) => {
    const broker = await startNats(t);
    const client = await natsClient(t, broker);
    const host = await serve(t, broker, echo);
    await first(client, 'echo', 1);
    writeFileSync(join(host.dir, 'services', 'test.lua'), service(`
service:message("other", function(data) return data end)`));
    host.signal('SIGHUP');
    await first(client, 'other', 1);
    await until(() => ask(client, 'echo', 1).then(() => false, (err) => /responders/.test(err.message)),
      'nobody at the old route');
  });

  test('one that can be no subject is said so', async (t) => {
    const broker = await startNats(t);
    const client = await natsClient(t, broker);
    const host = await serve(t, broker, service(`
service:message("with blank", function() end)
service:message("fine", function(data) return data end)`));
    assert.match((await host.logged(/cannot be subscribed/)).err, /neither blanks/);
    await first(client, 'fine', 1);
  });
});

/** A host whose service answers "run" over TCP with what a Lua expression of a client comes to. */
async function callers(t, broker, options = {}) {
  const host = await startHost(t, { service: service(`
service:message("run", function(text)
  local client = roost.client("C")
  local ok, result = pcall(load("local client, roost = ... return " .. text), client, roost)
  if ok then return { value = result } end
  return { name = result.name, code = result.code, message = result.message or tostring(result) }
end)`), clients: { C: { transport: 'nats', servers: broker.servers, timeout: 3000, ...options } } });
  const { connect } = await import('../lib/peer.mjs');
  const peer = await connect(t, host.port);
  return { host, run: (text) => peer.call('run', text) };
}

describe('clients over NATS', () => {
  test('take what others than Nest answer', async (t) => {
    const broker = await startNats(t);
    const client = await natsClient(t, broker);
    const bodies = { scalar: '5', text: '"x"', object: '{"a":1}', bare: '{"response":7}',
      end: '{"response":7,"isDisposed":true}', error: '{"err":"no","isDisposed":true}',
      bad: 'not JSON', empty: '' };
    client.subscribe('odd', { callback: (_, message) => {
      message.respond(bodies[message.json().data]);
      if (message.json().data === 'bare') message.respond('{"isDisposed":true}');
    } });
    client.subscribe('other', { callback: (_, message) => {
      message.respond('{"response":1,"isDisposed":true,"id":"somebody else\'s"}');
      message.respond(JSON.stringify({ response: 2, isDisposed: true, id: message.json().id }));
    } });
    await client.flush();
    const { run } = await callers(t, broker);
    const call = (data) => run(`client:call("odd", ${JSON.stringify(data)})`);
    assert.deepEqual(await call('scalar'), { value: 5 });
    assert.deepEqual(await call('text'), { value: 'x' });
    assert.deepEqual(await call('object'), { value: { a: 1 } });
    assert.deepEqual(await call('bare'), { value: 7 });
    assert.deepEqual(await call('end'), { value: 7 });
    assert.deepEqual(await call('error'), { name: 'RpcError', message: 'no' });
    assert.deepEqual(await call('bad'), { name: 'RpcError', message: 'The reply is not JSON' });
    assert.deepEqual(await call('empty'), { name: 'RpcError', message:
      'Empty response. There are no subscribers listening to that message ("odd")' });
    assert.deepEqual(await run('client:call("other", 1)'), { value: 2 });
    assert.deepEqual(await run('client:call({ cmd = "nobody" }, 1)'), { name: 'RpcError', message:
      'Empty response. There are no subscribers listening to that message ("{"cmd":"nobody"}")' });
  });

  test('say what cannot be sent, and send the next', async (t) => {
    const broker = await startNats(t, { config: 'max_payload: 10000' });
    const client = await natsClient(t, broker);
    const seen = [];
    client.subscribe('>', { callback: (_, message) => {
      if (!message.reply) return;
      seen.push(message.subject);
      message.respond(JSON.stringify({ response: 1, isDisposed: true, id: message.json().id }));
    } });
    await client.flush();
    const { run } = await callers(t, broker);
    const refused = async (text, why) => {
      for (let i = 0; i < 2; i++) { // while it is not connected yet, and once it is
        const { name, message } = await run(text);
        assert.equal(name, 'InvalidMessageError');
        assert.match(message, why);
      }
    };
    await refused('client:call("x", ("y"):rep(20000))', /has 2\d+ bytes, and .* takes 10000/);
    await refused('client:call("with blank", 1)', /neither blanks/);
    await refused('client:call("x", 1, { metadata = { ["a b"] = "1" } })', /name has a blank/);
    await refused('client:call("x", 1, { metadata = { a = "1\\r\\n" } })', /value has a line's end/);
    assert.deepEqual(await run('client:call("fine", 1)'), { value: 1 });
    assert.deepEqual(seen, ['fine']);
  });

  test('send the headers of their configuration below those of a message', async (t) => {
    const broker = await startNats(t);
    const client = await natsClient(t, broker);
    client.subscribe('headers', { callback: (_, message) => {
      const all = Object.fromEntries([...message.headers ?? []]);
      message.respond(JSON.stringify({ response: all, isDisposed: true }));
    } });
    await client.flush();
    const { run } = await callers(t, broker, { headers: { a: '1', b: '2' } });
    assert.deepEqual(await run('client:call("headers", 1)'), { value: { a: ['1'], b: ['2'] } });
    assert.deepEqual(await run('client:call("headers", 1, { metadata = { b = "3", c = { "4", "5" } } })'),
      { value: { a: ['1'], b: ['3'], c: ['4', '5'] } });
  });

  test('inboxes begin as the configuration says', async (t) => {
    const broker = await startNats(t);
    const client = await natsClient(t, broker);
    const replies = [];
    client.subscribe('where', { callback: (_, message) => {
      replies.push(message.reply);
      message.respond('{"response":1,"isDisposed":true}');
    } });
    await client.flush();
    const { run } = await callers(t, broker, { inbox_prefix: 'my.own' });
    assert.deepEqual(await run('client:call("where", 1)'), { value: 1 });
    assert.match(replies[0], /^my\.own\.[A-Za-z0-9]{22}\.[0-9a-f]{21}\.where$/);
  });
});
