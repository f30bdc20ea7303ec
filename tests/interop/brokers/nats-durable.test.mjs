// Events that JetStream keeps until a handler has returned: durable, max_deliver, dead_letter.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { natsClient, startNats } from '../lib/brokers/nats.mjs';
import { startHost } from '../lib/host.mjs';
import { sleep, until, within } from '../lib/wait.mjs';

const service = (body) => `local roost = require "roost"
local service = roost.service()
${body}
return service
`;

/** Logs each event it is given, with its number and how often it has come. */
const logging = service(`
service:event("orders.*", function(data, ctx)
  ctx.log:info("got", { n = data.n, subject = ctx.subject, tries = ctx:unwrap().deliveries })
end)
service:message("ping", function(data) return data end)`);

/** A host with that service whose events are kept, and what it has got. */
async function serve(t, broker, text, options = {}) {
  const host = await startHost(t, {
    service: text,
    servers: [{ transport: 'nats', servers: broker.servers, durable: 'shop', retry_delay: 50,
      ack_wait: 1000, ...options }],
  });
  const got = () => host.find(/^got$/).map(({ n }) => Number(n));
  return { host, got };
}

/** The names of all streams, once there are so many: who asks for one may make it. */
async function streams(client, count) {
  return until(async () => {
    const reply = await client.request('$JS.API.STREAM.NAMES', '{}', { timeout: 2000 });
    const names = reply.json().streams ?? [];
    return names.length >= count && names;
  }, `${count} streams`);
}

/** Waits until the consumers of all streams are there. */
async function consumers(client, count) {
  return until(async () => {
    let found = 0;
    for (const name of await streams(client, 0)) {
      const reply = await client.request(`$JS.API.CONSUMER.NAMES.${name}`, '{}', { timeout: 2000 });
      found += reply.json().consumers?.length ?? 0;
    }
    return found >= count;
  }, `${count} consumers`);
}

/** Publishes an event, and waits until it is kept. */
async function publish(client, subject, data, headers) {
  const reply = await client.request(subject, typeof data === 'string' ? data
    : JSON.stringify({ pattern: subject, data }), { timeout: 2000, headers });
  const { seq, error } = reply.json();
  assert.ok(seq > 0, JSON.stringify(error));
}

/** All messages of a stream, as { subject, text, headers }. */
async function letters(client, stream, count) {
  await until(async () => {
    const reply = await client.request(`$JS.API.STREAM.INFO.${stream}`, '', { timeout: 2000 });
    return reply.json().state.messages >= count;
  }, `${count} dead letters`);
  const list = [];
  for (let seq = 1; seq <= count; seq++) {
    const reply = await client.request(`$JS.API.STREAM.MSG.GET.${stream}`, JSON.stringify({ seq }),
      { timeout: 2000 });
    const { message } = reply.json();
    list.push({
      subject: message.subject,
      text: Buffer.from(message.data ?? '', 'base64').toString(),
      headers: Buffer.from(message.hdrs ?? '', 'base64').toString(),
    });
  }
  return list;
}

const lettersStream = async (client) =>
  (await until(async () => (await streams(client, 1)).find((name) => name.startsWith('dead')),
    'the stream of dead letters'));

describe('durable events over NATS', () => {
  test('are handled once each, and what comes while nobody is there is kept', async (t) => {
    const broker = await startNats(t, { jetstream: true });
    const client = await natsClient(t, broker);
    const first = await serve(t, broker, logging);
    await consumers(client, 1);
    for (let n = 1; n <= 20; n++) await publish(client, 'orders.new', { n });
    await until(() => first.got().length >= 20, '20 events');
    await first.host.stop();
    for (let n = 21; n <= 40; n++) await publish(client, 'orders.paid', { n });
    const second = await serve(t, broker, logging);
    await until(() => second.got().length >= 20, '20 more');
    await sleep(300);
    assert.deepEqual(first.got(), Array.from({ length: 20 }, (_, i) => i + 1));
    assert.deepEqual(second.got(), Array.from({ length: 20 }, (_, i) => i + 21));
    assert.equal(second.host.find(/^got$/)[0].subject, 'orders.paid');
  });

  test('requests go on beside them, and events nobody keeps', async (t) => {
    const broker = await startNats(t, { jetstream: true });
    const client = await natsClient(t, broker);
    await serve(t, broker, logging);
    await consumers(client, 1);
    const reply = await until(() => client.request('ping',
      '{"pattern":"ping","data":7,"id":"x"}', { timeout: 500 }).catch(() => null), 'the answer');
    assert.deepEqual(reply.json(), { response: 7, isDisposed: true, id: 'x' });
  });

  test('a stream that is there already is used', async (t) => {
    const broker = await startNats(t, { jetstream: true });
    const client = await natsClient(t, broker);
    await client.request('$JS.API.STREAM.CREATE.OWN', JSON.stringify({
      name: 'OWN', subjects: ['orders.>'], storage: 'memory' }), { timeout: 2000 });
    await publish(client, 'orders.early', { n: 1 });
    const { got } = await serve(t, broker, logging);
    await publish(client, 'orders.late', { n: 2 });
    await until(() => got().length >= 2, 'both events');
    assert.deepEqual(await streams(client, 1), ['OWN']);
  });

  test('one that fails is tried again, then becomes a dead letter', async (t) => {
    const broker = await startNats(t, { jetstream: true });
    const client = await natsClient(t, broker);
    const { host, got } = await serve(t, broker, service(`
service:event("orders.*", function(data, ctx)
  ctx.log:info("got", { n = data.n, tries = ctx:unwrap().deliveries })
  if data.n == 1 and ctx:unwrap().deliveries < 2 or data.n == 2 then error("no") end
end)`), { max_deliver: 2, dead_letter: 'dead.orders' });
    await consumers(client, 1);
    const headers = client.headers();
    headers.set('tenant', 'é');
    await publish(client, 'orders.a', { n: 1 });
    await publish(client, 'orders.b', { n: 2 }, headers);
    await publish(client, 'orders.c', { n: 3 });
    const stream = await lettersStream(client);
    const [letter] = await letters(client, stream, 1);
    assert.equal(letter.subject, 'dead.orders');
    assert.equal(letter.text, '{"pattern":"orders.b","data":{"n":2}}');
    for (const line of ['tenant: é', 'Roost-Subject: orders.b', 'Roost-Deliveries: 2',
      'Roost-Sequence: 2', 'Roost-Error: its handler has failed']) {
      assert.ok(letter.headers.includes(`\r\n${line}\r\n`), letter.headers);
    }
    await sleep(300);
    assert.deepEqual(got().sort(), [1, 1, 2, 2, 3]);
    assert.equal(host.find(/dead letter/).length, 1);
  });

  test('what is no message becomes a dead letter at once, and the others go on', async (t) => {
    const broker = await startNats(t, { jetstream: true });
    const client = await natsClient(t, broker);
    const { got } = await serve(t, broker, logging,
      { dead_letter: 'dead.orders', max_buffer_size: 1000 });
    await consumers(client, 1);
    const bad = ['not JSON', '{"pattern":"orders.x","data":{"n":', '{"data":{"n":1]}',
      JSON.stringify({ pattern: 'orders.x', data: { n: 1, text: 'x'.repeat(2000) } })];
    for (const text of bad) await publish(client, 'orders.x', text);
    await publish(client, 'orders.x', { n: 9 });
    const stream = await lettersStream(client);
    const list = await letters(client, stream, bad.length);
    assert.deepEqual(list.map(({ text }) => text), [...bad.slice(0, 3), '']);
    await until(() => got().length === 1, 'the good one');
  });

  test('a host that dies leaves its events to the next', async (t) => {
    const broker = await startNats(t, { jetstream: true });
    const client = await natsClient(t, broker);
    const stuck = await serve(t, broker, service(`
service:event("orders.*", function(data, ctx)
  ctx.log:info("begun", { n = data.n })
  roost.sleep(60000)
end)`));
    await consumers(client, 1);
    for (let n = 1; n <= 5; n++) await publish(client, 'orders.new', { n });
    await until(() => stuck.host.find(/^begun$/).length === 5, 'all are begun');
    await sleep(1500); // longer than ack_wait: it says that it is working on them
    assert.equal(stuck.host.find(/^begun$/).length, 5);
    await stuck.host.kill();
    const next = await serve(t, broker, logging);
    await until(() => next.got().length >= 5, 'all five');
    assert.deepEqual(next.got().sort(), [1, 2, 3, 4, 5]);
  });

  test('ack and nack by hand', async (t) => {
    const broker = await startNats(t, { jetstream: true });
    const client = await natsClient(t, broker);
    const { host, got } = await serve(t, broker, service(`
service:event("orders.*", function(data, ctx)
  ctx.log:info("got", { n = data.n })
  if data.n == 1 then
    ctx.log:info("acked", { first = ctx:ack(), second = ctx:ack() })
    error("too late")
  elseif ctx:unwrap().deliveries == 1 then
    ctx:nack(true)
  end
end)`));
    await consumers(client, 1);
    await publish(client, 'orders.new', { n: 1 });
    await publish(client, 'orders.new', { n: 2 });
    await until(() => got().length === 3, 'three deliveries');
    await sleep(500);
    assert.deepEqual(got().sort(), [1, 2, 2]);
    const [{ first, second }] = host.find(/^acked$/);
    assert.deepEqual([first, second], ['true', 'false']);
  });

  test('a broker that dies and comes back loses none', async (t) => {
    const broker = await startNats(t, { jetstream: true });
    const client = await natsClient(t, broker);
    const { got } = await serve(t, broker, logging);
    await consumers(client, 1);
    const sent = [];
    for (let round = 0; round < 3; round++) {
      for (let n = round * 10; n < round * 10 + 10; n++) {
        await until(() => publish(client, 'orders.new', { n }).then(() => true, () => false),
          'publishing');
        sent.push(n);
      }
      await broker.kill();
      await broker.start();
    }
    await until(() => new Set(got()).size === sent.length, 'all events');
    assert.deepEqual([...new Set(got())].sort((a, b) => a - b), sent);
  });

  test('without JetStream the log says so, and requests are answered', async (t) => {
    const broker = await startNats(t);
    const client = await natsClient(t, broker);
    const { host } = await serve(t, broker, logging);
    const line = await host.logged(/durable events cannot be had/);
    assert.match(line.err, /JetStream is not on/);
    const reply = await within(client.request('ping', '{"pattern":"ping","data":7,"id":"x"}',
      { timeout: 2000 }), 'the answer');
    assert.equal(reply.json().response, 7);
  });
});
