// What is particular about MQTT: topics, wildcards and shares, user properties, QoS, retained
// messages, both versions of the protocol, who may connect.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { mqttClient, startMosquitto } from '../lib/brokers/mqtt.mjs';
import { startBehindMqtt } from '../lib/brokers/mqtt-host.mjs';
import { clientOf, startCaller } from '../lib/caller.mjs';
import { stateTest } from '../lib/env.mjs';
import { code } from '../lib/lua.mjs';
import { makeAuthority } from '../lib/tls.mjs';
import { sleep, until } from '../lib/wait.mjs';

const request = (data, id = 'id') => JSON.stringify({ pattern: 'x', data, id });
const echo = 'service:message("echo", function(data) return data end)';

/** A host that calls others by that broker. */
const startMqttCaller = (t, broker, keys = {}, more = {}) => startCaller(t, {
  clients: { default: clientOf({ transport: 'mqtt', url: broker.url, ...keys }) }, ...more,
});

test('what is no packet of Nest\'s is an event with all of it as data', async (t) => {
  const broker = await startMosquitto(t);
  const host = await startBehindMqtt(t, broker, `service:event("sensor/+", function(data, ctx)
    note(roost.json.encode(roost.array { data, ctx.subject, ctx.route, ctx.kind, ctx.metadata.unit or "none" }))
  end)`);
  const client = await mqttClient(t, broker);
  const userProperties = { unit: 'K' };
  const bodies = [['21.5', 21.5], ['{"t":21}', { t: 21 }], ['on', 'on'], ['', ''], ['[1,2]', [1, 2]],
    ['{"pattern":"other","data":{"a":1}}', { a: 1 }], ['{"t":', '{"t":'], ['null', null]];
  for (const [text, data] of bodies) {
    await client.publish('sensor/a', text, { qos: 1, properties: { userProperties } });
    const notes = await host.notes(1 + bodies.findIndex(([one]) => one === text));
    assert.deepEqual(JSON.parse(notes.at(-1)), [data, 'sensor/a', 'sensor/+', 'event', 'K']);
  }
  await client.publish('sensor/b', Buffer.from([0x41, 0xff]), { qos: 1 });
  const notes = await host.notes(bodies.length + 1);
  assert.deepEqual(JSON.parse(notes.at(-1)), ['A\ufffd', 'sensor/b', 'sensor/+', 'event', 'none']);
});

test('a response topic that is none is nobody\'s business', async (t) => {
  const broker = await startMosquitto(t);
  const host = await startBehindMqtt(t, broker, 'service:event("log", function(data) note(data) end)',
    { entry: { clean: false, client_id: 'logs', subscribe_options: { qos: 1 } } });
  const client = await mqttClient(t, broker);
  for (const responseTopic of ['a/#', '+', '']) {
    await client.publish('log', '"odd"', { qos: 1, properties: { responseTopic } });
  }
  await client.publish('log', '"last"', { qos: 1 });
  assert.deepEqual(await host.notes(4), ['odd', 'odd', 'odd', 'last']);
  assert.equal(host.find(/disconnected/).length, 0, host.log);
});

test('a request whose data is not JSON is answered, and logged once', async (t) => {
  const broker = await startMosquitto(t);
  const host = await startBehindMqtt(t, broker, echo);
  const client = await mqttClient(t, broker);
  await client.subscribe('echo/reply');
  await client.publish('echo', '{"pattern":"echo","data":[1,tru],"id":"1"}', { qos: 1 });
  await client.receive(({ text }) => text.includes('"id":"1"'));
  assert.match(client.received[0].text, /"err":\{"status":"error","message":"The message is not JSON"\}/);
  await client.publish('echo', request('after', '2'), { qos: 1 });
  await client.receive(({ text }) => text === '{"response":"after","isDisposed":true,"id":"2"}');
  assert.equal((await host.logged(/not JSON/)).pattern, 'echo');
  assert.equal(host.find(/not JSON/).length, 1);
});

for (const protocolVersion of [5, 4]) {
  test(`a message over max_buffer_size is passed over (version ${protocolVersion})`, async (t) => {
    const broker = await startMosquitto(t);
    const host = await startBehindMqtt(t, broker, echo, {
      entry: { max_buffer_size: 100_000, protocol_version: protocolVersion,
        subscribe_options: { qos: 2 } },
    });
    const client = await mqttClient(t, broker);
    await client.subscribe('echo/reply');
    const before = host.rss;
    for (const qos of [0, 1, 2]) {
      await client.publish('echo', request('x'.repeat(10 * 2 ** 20)), { qos });
    }
    await client.publish('echo', request('small'), { qos: 1 });
    await client.receive(({ text }) => text.includes('"small"'));
    host.checkGrowth(before, 8 * 2 ** 20);
    assert.equal(host.find(/^disconnected$/).length, 0);
    // A broker of version 5 is told the limit, and sends nothing that is larger.
    if (protocolVersion === 4) assert.equal(host.find(/message is too large/).length, 3);
  });
}

test('a wildcard hears its own replies, and takes none for a message', async (t) => {
  for (const protocolVersion of [5, 4]) {
    const broker = await startMosquitto(t);
    const host = await startBehindMqtt(t, broker,
      'service:message("h/#", function(data, ctx) note(ctx.subject) return data end)',
      { entry: { protocol_version: protocolVersion, subscribe_options: { qos: 1 } } });
    const client = await mqttClient(t, broker);
    await client.subscribe('h/a/reply');
    for (const id of ['1', '2', '3']) await client.publish('h/a', request(1, id), { qos: 1 });
    // Somebody else's replies.
    await client.publish('h/b/reply', '{"response":1,"isDisposed":true,"id":"x"}', { qos: 1 });
    await client.publish('h/b/reply', '{"err":{"status":"error"},"isDisposed":true,"id":"x"}', { qos: 1 });
    await until(() => client.received.length >= 3, 'three replies');
    await client.publish('h/reply', '{"pattern":1,"data":1}', { qos: 1 });
    assert.deepEqual(await host.notes(4), ['h/a', 'h/a', 'h/a', 'h/reply']);
    await host.stop();
  }
});

test('a request goes to the first route, exact ones before wildcards; an event to all', async (t) => {
  const broker = await startMosquitto(t);
  const patterns = ['a/+', 'a/#', 'a/b', '$share/g/s/+', '+/+/c'];
  const host = await startBehindMqtt(t, broker, patterns.map((pattern) =>
    `service:message("${pattern}", function(_, ctx) note("message " .. ctx.route .. " " .. ctx.subject) end)
     service:event("${pattern}", function(_, ctx) note("event " .. ctx.route .. " " .. ctx.subject) end)`)
    .join('\n'), { entry: { subscribe_options: { qos: 1 } } });
  const client = await mqttClient(t, broker);
  const routes = { 'a/b': ['a/b', 'a/+', 'a/#'], 'a/x': ['a/+', 'a/#'], a: ['a/#'],
    'a/x/c': ['a/#', '+/+/c'], 'b/x/c': ['+/+/c'], 's/1': ['$share/g/s/+'] };
  const expected = [];
  for (const [topic, [first, ...others]] of Object.entries(routes)) {
    await client.publish(topic, '{"data":1}', { qos: 1 });
    await client.publish(topic, request(1), { qos: 1 });
    expected.push(`message ${first} ${topic}`);
    for (const route of [first, ...others]) expected.push(`event ${route} ${topic}`);
  }
  assert.deepEqual((await host.notes(expected.length)).sort(), expected.sort());
  await client.publish('b/last/c', '{"data":1}', { qos: 1 });
  assert.equal((await host.notes(expected.length + 1)).length, expected.length + 1);
});

test('two hosts share what $share says, and a third takes its part', async (t) => {
  const broker = await startMosquitto(t);
  const body = 'service:event("$share/g/work/#", function() note("x") end)';
  const hosts = [await startBehindMqtt(t, broker, body), await startBehindMqtt(t, broker, body)];
  const client = await mqttClient(t, broker);
  const spread = async (count) => {
    const before = await Promise.all(hosts.map(async (host) => (await host.notes()).length));
    for (let n = 0; n < count; n++) await client.publish(`work/${n}`, '{"data":1}', { qos: 1 });
    const counts = async () => Promise.all(hosts.map(async (host, i) =>
      (await host.notes()).length - (before[i] ?? 0)));
    await until(async () => (await counts()).reduce((a, b) => a + b) === count, `${count} messages`);
    return counts();
  };
  for (const part of await spread(200)) assert.ok(part >= 80 && part <= 120, `${part} of 200`);
  hosts.push(await startBehindMqtt(t, broker, body));
  for (const part of await spread(300)) assert.ok(part >= 60 && part <= 140, `${part} of 300`);
});

test('qos, retain and user properties of what a Lua client sends', async (t) => {
  const broker = await startMosquitto(t);
  const listener = await mqttClient(t, broker);
  await listener.subscribe('#', 2);
  const caller = await startMqttCaller(t, broker, { user_properties: { from: 'roost', v: '1' } });
  await caller.emit('plain', 1);
  await caller.emit('first', 1, { qos: 1 });
  await caller.emit('second', 1, { qos: 2, metadata: { v: '2', list: ['a', 'b'], n: 5 } });
  await caller.emit('kept', { a: 1 }, { retain: true });
  await until(() => listener.received.length >= 4, 'four messages');
  const seen = Object.fromEntries(listener.received.map(({ topic, text, packet }) =>
    [topic, [packet.qos, text, { ...packet.properties?.userProperties }]]));
  const text = (pattern, data = 1) => JSON.stringify({ pattern, data });
  assert.deepEqual(seen, {
    plain: [0, text('plain'), { from: 'roost', v: '1' }],
    first: [1, text('first'), { from: 'roost', v: '1' }],
    second: [2, text('second'), { from: 'roost', v: '2', list: ['a', 'b'], n: '5' }],
    kept: [0, text('kept', { a: 1 }), { from: 'roost', v: '1' }],
  });
  const late = await mqttClient(t, broker);
  await late.subscribe('kept');
  assert.equal((await late.receive(() => true)).packet.retain, true);
  for (const [options, message] of [[{ qos: 3 }, /qos/], [{ retain: 1 }, /retain/]]) {
    const { err } = await caller.emit('plain', 1, options);
    assert.match(err.message ?? err.text, message);
  }
  for (const pattern of ['a/+', '#', '', 'x'.repeat(70_000)]) {
    const { err } = await caller.call(pattern, 1);
    assert.equal(err.name, 'InvalidMessageError', JSON.stringify(err));
  }
});

test('what the driver knows of a message', async (t) => {
  const broker = await startMosquitto(t);
  const host = await startBehindMqtt(t, broker, `service:event("a", function(_, ctx)
    local facts = ctx:unwrap()
    note(roost.json.encode { qos = facts.qos, retain = facts.retain, topic = facts.topic,
      transport = facts.transport, acks = ctx:ack() })
  end)`, { entry: { subscribe_options: { qos: 2 } } });
  const client = await mqttClient(t, broker);
  for (const qos of [0, 1, 2]) {
    await client.publish('a', '1', { qos });
    const facts = JSON.parse((await host.notes(qos + 1)).at(-1));
    assert.deepEqual(facts, { qos, retain: false, topic: 'a', transport: 'mqtt', acks: true });
  }
});

test('a handler\'s qos goes before that of subscribe_options', async (t) => {
  const broker = await startMosquitto(t);
  const host = await startBehindMqtt(t, broker, `
    service:event("zero", { qos = 0 }, function(_, ctx) note(ctx:unwrap().qos) end)
    service:event("other", function(_, ctx) note(ctx:unwrap().qos) end)`,
  { entry: { subscribe_options: { qos: 1 } } });
  const client = await mqttClient(t, broker);
  await client.publish('zero', '1', { qos: 2 });
  await host.notes(1);
  await client.publish('other', '1', { qos: 2 });
  assert.deepEqual(await host.notes(2), ['0', '1']);
});

test('version 3.1.1 on both sides', async (t) => {
  const broker = await startMosquitto(t);
  const host = await startBehindMqtt(t, broker,
    `${echo} service:event("noted", function(data, ctx) note(data .. " " .. tostring(ctx.metadata.k)) end)`,
    { entry: { protocol_version: 4 } });
  const caller = await startMqttCaller(t, broker, { protocol_version: 4 });
  assert.deepEqual(await caller.call('echo', { a: 1 }), { values: [{ a: 1 }], completed: true });
  await caller.emit('noted', 'event', { qos: 2, metadata: { k: 'v' } });
  assert.deepEqual(await host.notes(1), ['event v']); // metadata goes in the packet, as Nest 12 has it
  await until(() => /as roost_[0-9a-f]{16} \(p2/.test(broker.log), 'the version in mosquitto\'s log');
});

stateTest('many requests at once on one topic subscribe to its replies once', async (t) => {
  const broker = await startMosquitto(t, { log_type: 'all' });
  await startBehindMqtt(t, broker, 'service:message("wait", function(ms) roost.sleep(ms) return ms end)');
  const caller = await startMqttCaller(t, broker);
  const list = Array.from({ length: 500 }, (_, i) => i % 20);
  assert.deepEqual(await caller.ask('many', { pattern: 'wait', list }), list);
  assert.deepEqual(await caller.ask('many', { pattern: 'wait', list }), list);
  assert.equal(broker.log.match(/wait\/reply \(QoS 0\)/g).length, 1);
});

test('300 events of QoS 1 and 2 at once, through a window of 20', async (t) => {
  const broker = await startMosquitto(t);
  const host = await startBehindMqtt(t, broker, 'service:event("many", function(n) note(n) end)',
    { entry: { subscribe_options: { qos: 2 } } });
  const caller = await startMqttCaller(t, broker, {}, { more: `service:message("emit_all", function(count)
    local jobs = {}
    for i = 1, count do jobs[i] = function() clients.default:emit("many", i, { qos = 1 + i % 2 }):last() end end
    roost.all(jobs)
    return true
  end)` });
  await caller.ask('emit_all', 300);
  const notes = await host.notes(300);
  assert.deepEqual(notes.map(Number).sort((a, b) => a - b), Array.from({ length: 300 }, (_, i) => i + 1));
});

test('events of a client that is closed at once arrive', async (t) => {
  const broker = await startMosquitto(t);
  const host = await startBehindMqtt(t, broker, 'service:event("many", function(n) note(n) end)',
    { entry: { subscribe_options: { qos: 2 } } });
  const caller = await startMqttCaller(t, broker, {}, { more: `service:message("emit and close", function(count)
    clients.default:connect()
    for i = 1, count do clients.default:emit("many", i, { qos = 1 + i % 2 }) end
    clients.default:close()
    return true
  end)` });
  await caller.ask('emit and close', 300);
  const notes = await host.notes(300);
  assert.deepEqual(notes.map(Number).sort((a, b) => a - b), Array.from({ length: 300 }, (_, i) => i + 1));
});

test('a request of QoS 1 that nobody is subscribed to fails', async (t) => {
  const broker = await startMosquitto(t);
  const caller = await startMqttCaller(t, broker);
  const { err } = await caller.call('nobody', 1, { qos: 1, timeout: 10_000 });
  assert.match(err.message, /^Empty response. There are no subscribers listening to that message/);
});

test('who may not connect is told why, and no secret is in the log', async (t) => {
  const broker = await startMosquitto(t, { users: { roost: 'geheim' },
    acl: ['user roost', 'topic readwrite #', 'topic deny secret/#'] });
  const url = broker.url.replace('//', '//roost:falsch@');
  const caller = await startMqttCaller(t, { url });
  const { err } = await caller.call('echo', 1);
  assert.equal(err.name, 'ConnectionError');
  assert.equal(err.code, 'EACCES');
  assert.match(`${err.message} ${err.detail}`, /Not authorized|Bad User Name/i);

  const host = await startBehindMqtt(t, { ...broker, url, running: false }, echo);
  await until(() => host.find(/^cannot connect$/).length >= 2, 'two attempts');
  assert.match(host.find(/cannot connect/)[0].err, /Not authorized|Bad User Name/i);
  for (const { log } of [host, caller.host]) assert.doesNotMatch(log, /falsch/);
});

test('credentials of the URL or of their own keys', async (t) => {
  const broker = await startMosquitto(t, { users: { roost: 'geheim @/%' } });
  const url = broker.url.replace('//', `//roost:${encodeURIComponent('geheim @/%')}@`);
  await startBehindMqtt(t, broker, echo, { entry: { url } });
  const caller = await startMqttCaller(t, broker, { username: 'roost', password: 'geheim @/%' });
  assert.deepEqual((await caller.call('echo', 1)).values, [1]);
});

test('by TLS, to whoever has the right certificate', async (t) => {
  const authority = await makeAuthority(t);
  const { key, cert } = await authority.issue('localhost');
  const client = await authority.issue('client');
  const broker = await startMosquitto(t, { tls: { key, cert, ca: authority.ca } });
  const tls = { ca: authority.ca, key: client.key, cert: client.cert };
  await startBehindMqtt(t, broker, echo, { entry: { url: broker.tlsUrl, tls } });
  const caller = await startMqttCaller(t, broker, { url: broker.tlsUrl, tls });
  assert.deepEqual((await caller.call('echo', 1)).values, [1]);
  const info = await caller.drive({ method: 'connect and unwrap' });
  assert.match(info.tls.version, /^TLSv1/);

  const stranger = await startMqttCaller(t, broker, { url: broker.tlsUrl });
  const { err } = await stranger.call('echo', 1);
  assert.equal(err.code, 'ETLS', JSON.stringify(err));
});

test('a broker that says nothing any more is left, and found again', async (t) => {
  const broker = await startMosquitto(t);
  const host = await startBehindMqtt(t, broker, echo, { entry: { keepalive: 1 } });
  const caller = await startMqttCaller(t, broker, { keepalive: 1 },
    { reload: { drain_timeout: 30_000 } });
  assert.deepEqual((await caller.call('echo', 1)).values, [1]);
  await sleep(2500); // longer than the broker would have been silent without PINGREQ
  assert.equal(host.find(/^disconnected$/).length, 0);
  assert.deepEqual((await caller.call('echo', 2)).values, [2]);
  broker.freeze();
  await host.logged(/^disconnected$/);
  const { err } = await caller.call('echo', 3, { timeout: 20_000 });
  assert.equal(err.name, 'ConnectionError');
  broker.thaw();
  await host.connected(2);
  await until(async () => (await caller.call('echo', 4, { timeout: 1000 })).completed, 'an answer');
});

test('a service that is reloaded subscribes to what is new and leaves what is gone', async (t) => {
  const broker = await startMosquitto(t, { log_type: 'all' });
  const body = (topic) => `service:event("${topic}", function(data) note("${topic}") end)`;
  const host = await startBehindMqtt(t, broker, body('old'), { reload: { watch: true, debounce: 1 } });
  const { writeFileSync } = await import('node:fs');
  const { join } = await import('node:path');
  const { luaService } = await import('../lib/service.mjs');
  writeFileSync(join(host.dir, 'services/test.lua'), luaService(body('new')));
  await until(() => /Received UNSUBSCRIBE from roost_/.test(broker.log), 'UNSUBSCRIBE');
  const client = await mqttClient(t, broker);
  await client.publish('old', '1', { qos: 1 });
  await client.publish('new', '1', { qos: 1 });
  assert.deepEqual(await host.notes(1), ['new']);
});

test('no broker at the start: it is waited for, or given up', async (t) => {
  const broker = await startMosquitto(t);
  await broker.stop();
  const host = await startBehindMqtt(t, broker, echo);
  const given = await startBehindMqtt(t, broker, echo, { entry: { retry_attempts: 2 } });
  await given.logged(/^gave up connecting$/);
  assert.equal(given.find(/cannot connect/).length, 3);
  await broker.start();
  await host.connected();
  const caller = await startMqttCaller(t, broker);
  assert.deepEqual((await caller.call('echo', 1)).values, [1]);
});

stateTest('a service sees the state of its server, and why the broker was lost', async (t) => {
  const broker = await startMosquitto(t);
  const host = await startBehindMqtt(t, broker, `local server = roost.server("broker")
    service:on_start(function()
      server.status:subscribe(function(status) note(status) end)
      server:on("error", function(err) note(err.code .. ": " .. err.message) end)
    end)`);
  await host.notes(1);
  await broker.kill();
  await host.logged(/cannot connect/);
  await broker.start();
  await host.connected(2);
  const notes = await host.notes(7);
  assert.ok(notes.includes('ECLOSED: Connection closed'), `${notes}`);
  assert.ok(notes.includes('ECONNREFUSED: Connection refused'), `${notes}`);
  assert.deepEqual(notes.filter((text, i) => !text.startsWith('E') && text !== notes[i - 1])
    .slice(0, 4), ['disconnected', 'connected', 'disconnected', 'reconnecting']);
  await until(async () => (await host.notes()).at(-1) === 'connected', 'the last state');
});

test('a durable session wants a name', async (t) => {
  const broker = await startMosquitto(t);
  await assert.rejects(startBehindMqtt(t, broker, echo, { entry: { clean: false } }),
    /servers\[2\]\.clean: false wants a client_id/);
});
