// What becomes of messages behind mosquitto: when they are acknowledged, and what happens to them
// when the host or the broker dies.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { mqttClient, startMosquitto } from '../lib/brokers/mqtt.mjs';
import { startBehindMqtt } from '../lib/brokers/mqtt-host.mjs';
import { startHost } from '../lib/host.mjs';
import { luaService, mostAtOnce } from '../lib/service.mjs';
import { sleep, until } from '../lib/wait.mjs';

const durable = { clean: false, client_id: 'orders', subscribe_options: { qos: 2 } };
const event = (data) => JSON.stringify({ pattern: 'order', data });

/** Notes the data at once, and again when it is done, after data.ms. */
const slowly = `service:event("order", function(data)
  note("begun " .. data.n)
  roost.sleep(data.ms or 0)
  note("done " .. data.n)
end)
service:message("ping", function() return "pong" end)`;

/** Whether the broker keeps nothing for the client that is gone: it comes back and hears no more. */
async function nothingLeft(t, broker, options = durable) {
  const host = await startBehindMqtt(t, broker, slowly, { entry: options });
  const client = await mqttClient(t, broker);
  await client.publish('order', event({ n: 'last' }), { qos: 1 });
  assert.deepEqual(await host.notes(2), ['begun last', 'done last']);
  await host.stop();
}

for (const qos of [1, 2]) {
  test(`QoS ${qos}: what a host was at work on when it was killed comes again`, async (t) => {
    const broker = await startMosquitto(t);
    const client = await mqttClient(t, broker);
    const first = await startBehindMqtt(t, broker, slowly, { entry: durable });
    await client.publish('order', event({ n: 1 }), { qos });
    assert.deepEqual(await first.notes(2), ['begun 1', 'done 1']);
    await client.publish('order', event({ n: 2, ms: 60_000 }), { qos });
    assert.deepEqual((await first.notes(3)).at(-1), 'begun 2');
    await first.kill();
    await client.publish('order', event({ n: 3 }), { qos });

    const second = await startBehindMqtt(t, broker, `service:event("order", function(data)
      note("again " .. data.n) end)`, { entry: durable });
    assert.deepEqual((await second.notes(2)).sort(), ['again 2', 'again 3']);
    await second.stop();
    await nothingLeft(t, broker);
  });

  test(`QoS ${qos}: what runs while the broker is away is neither lost nor begun again`, async (t) => {
    const broker = await startMosquitto(t);
    const host = await startBehindMqtt(t, broker, slowly, { entry: durable });
    const client = await mqttClient(t, broker, { clientId: 'sender', clean: false });
    await client.publish('order', event({ n: 1, ms: 1500 }), { qos });
    await host.notes(1);
    await sleep(1200); // mosquitto has saved it
    await broker.kill();
    await broker.start();
    await host.connected(2);
    assert.deepEqual(await host.notes(2), ['begun 1', 'done 1']);
    await host.stop();
    await nothingLeft(t, broker);
  });

  test(`QoS ${qos}: what is done while the broker is away is acknowledged later`, async (t) => {
    const broker = await startMosquitto(t);
    const host = await startBehindMqtt(t, broker, slowly, { entry: durable });
    const client = await mqttClient(t, broker, { clientId: 'sender', clean: false });
    await client.publish('order', event({ n: 1, ms: 2000 }), { qos });
    await host.notes(1);
    await sleep(1200);
    await broker.kill();
    assert.deepEqual(await host.notes(2), ['begun 1', 'done 1']);
    await broker.start();
    await host.connected(2);
    assert.equal(await host.ask('ping', 0), 'pong');
    await host.stop();
    await nothingLeft(t, broker);
  });
}

test('what was sent while nobody was there is waiting', async (t) => {
  const broker = await startMosquitto(t);
  const first = await startBehindMqtt(t, broker, slowly, { entry: durable });
  await first.stop();
  const client = await mqttClient(t, broker);
  for (const n of [1, 2, 3]) await client.publish('order', event({ n }), { qos: 1 });
  const second = await startBehindMqtt(t, broker, slowly, { entry: durable });
  const notes = await second.notes(6);
  assert.deepEqual(notes.filter((text) => text.startsWith('begun')), ['begun 1', 'begun 2', 'begun 3']);
});

test('a drain finishes what runs, answers it, and leaves the rest to the broker', async (t) => {
  const broker = await startMosquitto(t);
  const client = await mqttClient(t, broker);
  await client.subscribe('slow/reply');
  const body = `service:message("slow", function(ms) note("begun") roost.sleep(ms) return "done" end)
    ${slowly}`;
  const host = await startBehindMqtt(t, broker, body,
    { entry: durable, reload: { drain_timeout: 10_000 } });
  await client.publish('slow', JSON.stringify({ pattern: 'slow', data: 500, id: 'a' }), { qos: 1 });
  await host.notes(1);
  const stopped = host.stop();
  await client.receive(({ text }) => text.includes('"done"'), 'the reply');
  await client.publish('order', event({ n: 'late' }), { qos: 1 });
  await stopped;
  assert.equal(host.find(/disconnected|cannot/).length, 0, host.log);
  const next = await startBehindMqtt(t, broker, slowly, { entry: durable });
  assert.deepEqual(await next.notes(2), ['begun late', 'done late']);
});

test('what was done before a drain is acknowledged, although the broker has more to send', async (t) => {
  const broker = await startMosquitto(t);
  const client = await mqttClient(t, broker);
  const service = luaService(`service:event("order", function(data)
    roost.log:info("begun " .. data.n) roost.sleep(data.ms) end)`);
  const servers = [{ ...durable, transport: 'mqtt', url: broker.url, max_in_flight: 4 }];
  const start = () => startHost(t, { service, servers, reload: { drain_timeout: 10_000 } });
  const begun = (host) => host.find(/^begun/).map(({ msg }) => msg);
  for (let round = 0; round < 6; round++) {
    const first = await start(); // it ends with the broker's connection: there is nothing else
    await first.logged(/^connected$/);
    for (let n = 0; n < 10; n++) await client.publish('order', event({ n, ms: 300 }), { qos: 1 });
    await until(() => begun(first).length >= 4, 'four');
    await first.stop();
    const next = await start();
    await until(() => begun(first).length + begun(next).length >= 10, 'all');
    assert.deepEqual([...begun(first), ...begun(next)].sort(),
      Array.from({ length: 10 }, (_, n) => `begun ${n}`), `in round ${round}`);
    await next.stop();
  }
});

test('a clean session gives its subscriptions back when it drains', async (t) => {
  const broker = await startMosquitto(t, { log_type: 'all' });
  const client = await mqttClient(t, broker);
  await client.subscribe('slow/reply');
  const host = await startBehindMqtt(t, broker,
    'service:message("slow", function(ms) note("begun") roost.sleep(ms) return "done" end)',
    { reload: { drain_timeout: 10_000 } });
  for (const id of ['a', 'b', 'c']) {
    await client.publish('slow', JSON.stringify({ pattern: 'slow', data: 300, id }));
  }
  await host.notes(3);
  await host.stop();
  assert.equal(client.received.filter(({ text }) => text.includes('"done"')).length, 3);
  await until(() => /Received UNSUBSCRIBE from roost_.*Received DISCONNECT from roost_/s.test(broker.log),
    'UNSUBSCRIBE, then DISCONNECT');
});

test('an event whose handler fails is over, one that is put back comes again', async (t) => {
  const broker = await startMosquitto(t);
  const body = `service:event("fails", function() note("fails") error("on purpose") end)
    service:event("back", function(_, ctx) note("back " .. tostring(ctx:nack(true)))
      note("twice " .. tostring(ctx:nack(true))) end)
    service:event("early", function(_, ctx) note("early " .. tostring(ctx:ack())) roost.sleep(60000) end)`;
  const host = await startBehindMqtt(t, broker, body, { entry: durable });
  const client = await mqttClient(t, broker);
  for (const topic of ['fails', 'back', 'early']) {
    await client.publish(topic, JSON.stringify({ pattern: topic, data: 1 }), { qos: 1 });
  }
  const expected = ['back true', 'early true', 'fails', 'twice false'];
  assert.deepEqual((await host.notes(4)).sort(), expected);
  await host.kill();
  const next = await startBehindMqtt(t, broker, body, { entry: durable });
  assert.deepEqual(await next.notes(2), ['back true', 'twice false']);
});

test('no more than max_in_flight run, and what is not read yet stays with the broker', async (t) => {
  const broker = await startMosquitto(t);
  const host = await startBehindMqtt(t, broker, `${mostAtOnce}
    service:event("order", function()
      note(most_at_once(function() roost.sleep(5) end))
    end)`, { entry: { ...durable, max_in_flight: 7 } });
  const client = await mqttClient(t, broker);
  for (let n = 0; n < 300; n += 10) { // mosquitto takes 20 at a time from each
    await Promise.all(Array.from({ length: 10 }, (_, i) =>
      client.publish('order', event({ n: n + i }), { qos: i % 3 })));
  }
  const notes = await host.notes(300);
  assert.equal(notes.at(-1), '7');
});

test('a service slower than what is published costs no memory', async (t) => {
  const broker = await startMosquitto(t);
  const host = await startBehindMqtt(t, broker, `local count = 0
    service:event("flood", function(data) roost.sleep(20) count = count + 1 end)
    service:message("count", function() return count end)
    service:event("last", function() note("last") end)`, { entry: { max_in_flight: 50 } });
  const client = await mqttClient(t, broker);
  const text = JSON.stringify({ pattern: 'flood', data: 'x'.repeat(10_000) });
  const before = host.rss;
  for (let round = 0; round < 20; round++) {
    for (let i = 0; i < 500; i++) client.raw.publish('flood', text);
    await client.publish('flood', text, { qos: 1 });
  }
  host.checkGrowth(before, 24 * 2 ** 20);
  await until(async () => await host.ask('count', 0) > 100, 'the service going on');
  await until(async () => {
    await client.publish('last', '1', { qos: 1 });
    return (await host.notes()).length > 0;
  }, 'what was published last', { every: 200, ms: 60_000 }); // mosquitto drops what it has no room for
});
