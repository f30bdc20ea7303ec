// What Roost does with Kafka that no other transport has: keys and partitions, order, offsets,
// dead letters, users and TLS.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { clientOf, startCaller } from '../lib/caller.mjs';
import { startKafka } from '../lib/brokers/kafka.mjs';
import { memorySlack, roostBin } from '../lib/env.mjs';
import { startHost } from '../lib/host.mjs';
import { makeAuthority } from '../lib/tls.mjs';
import { luaService } from '../lib/service.mjs';
import { connect, freePort } from '../lib/peer.mjs';
import { sleep, suiteScope, until } from '../lib/wait.mjs';

const scope = suiteScope();
let broker;
let number = 0;
before(async () => (broker = await startKafka(scope)));

/** A topic of the test's own, with so many partitions. */
async function topic(partitions = 1) {
  const name = `topic-${++number}`;
  await broker.createTopics([name, `${name}.reply`], partitions);
  return name;
}

/** A host with this service behind Kafka and on TCP, once it reads; `note` and "notes" as in serve. */
async function start(t, body, { entry = {}, group = `group-${++number}`, ...more } = {}) {
  const host = await startHost(t, {
    service: luaService(body),
    servers: [{}, { name: 'kafka', transport: 'kafka', client: { brokers: broker.brokers },
      consumer: { group_id: group, session_timeout: 6000 }, ...entry }],
    ...more,
  });
  await host.logged((line) => line.msg === 'connected' && line.server === 'kafka');
  const watcher = await connect(t, host.port);
  const notes = (count) => until(async () => {
    const list = await watcher.call('notes');
    return list.length >= count && list;
  }, `${count} notes`);
  return { host, notes, group };
}

const produce = (name, messages) =>
  broker.producer((producer) => producer.send({ topic: name, messages }));

/** What a server's group has committed, by partition; -1: nothing. */
async function offsets(group, name) {
  const [{ partitions }] = await broker.admin((admin) =>
    admin.fetchOffsets({ groupId: `${group}-server`, topics: [name] }));
  return partitions.sort((a, b) => a.partition - b.partition).map(({ offset }) => Number(offset));
}

test('a key, a partition and headers, as a consumer sees them', async (t) => {
  const name = await topic(3);
  const reading = await broker.read(t, name);
  const caller = await startCaller(t, {
    clients: { default: clientOf({ transport: 'kafka', client: { brokers: broker.brokers },
      producer_only_mode: true }) },
  });
  const sent = await caller.emit(name, { a: 1 },
    { key: 'the key', partition: 2, metadata: { trace: 'x' } });
  assert.deepEqual(sent, { values: [], completed: true });
  assert.deepEqual(await caller.emit(name, 'text'), { values: [], completed: true });
  const [first, second] = (await reading(2)).sort((a, b) => (a.key ? -1 : 1) - (b.key ? -1 : 1));
  assert.deepEqual(first, { partition: 2, key: 'the key', value: '{"a":1}', headers: { trace: 'x' } });
  assert.deepEqual([second.key, second.value], [null, 'text']);
});

test('a reply topic nobody has subscribed to', async (t) => {
  const caller = await startCaller(t, {
    clients: { default: clientOf({ transport: 'kafka', client: { brokers: broker.brokers },
      consumer: { group_id: `group-${++number}` } }) },
  });
  const { err } = await caller.call('somewhere', 1);
  assert.match(err.text, /The client consumer did not subscribe to the corresponding reply topic \(somewhere\.reply\)\./);
});

test('subscribe_to_response_of while it is connected', async (t) => {
  const name = await topic();
  await start(t, `service:message("${name}", function(data) return data end)`);
  const caller = await startCaller(t, {
    clients: { default: clientOf({ transport: 'kafka', client: { brokers: broker.brokers },
      consumer: { group_id: `group-${++number}` } }) },
    more: `service:message("late", function(name)
      local client = clients.default
      client:connect()
      client:subscribe_to_response_of(name)
      return client:call(name, { a = 1 })
    end)`,
  });
  assert.deepEqual(await caller.ask('late', name), { a: 1 });
});

test('a stream misses nothing while its client subscribes to more and others of its group come', async (t) => {
  const [name, other] = [await topic(), await topic()];
  const { notes } = await start(t, `
    service:message("${name}", function(data)
      note("begun")
      return roost.stream.interval(10):take(data.count):map(function(i) return { i = i } end)
    end)
    service:message("${other}", function(data) return data end)`);
  const callers = { clients: { default: clientOf({ transport: 'kafka',
    client: { brokers: broker.brokers }, consumer: { group_id: `group-${++number}` } }) },
    prepare: `client:subscribe_to_response_of("${name}")`,
    more: `service:message("more", function(name)
      clients.default:subscribe_to_response_of(name)
      return clients.default:call(name, { a = 1 })
    end)` };
  const caller = await startCaller(t, callers);
  const streaming = caller.send(name, { count: 200 });
  await notes(1);
  assert.deepEqual(await caller.ask('more', other), { a: 1 });
  const second = await startCaller(t, callers); // their topics have one partition each
  assert.deepEqual((await second.send(name, { count: 2 })).values, [{ i: 0 }, { i: 1 }]);
  const { values, completed } = await streaming;
  assert.deepEqual(values.map(({ i }) => i), Array.from({ length: 200 }, (_, i) => i));
  assert.ok(completed);
});

test('what is known of a record', async (t) => {
  const name = await topic();
  const { notes } = await start(t, `service:event("${name}", function(_, ctx)
    local record = ctx:unwrap()
    note(roost.json.encode { record.topic, record.partition, record.offset, record.key, ctx.metadata.h })
  end)`);
  await produce(name, [{ key: 'k', value: '1', headers: { h: 'v' } }]);
  assert.deepEqual(JSON.parse((await notes(1))[0]), [name, 0, '0', 'k', 'v']);
});

test('events of a partition are handled one after the other', async (t) => {
  const name = await topic();
  const { notes } = await start(t, `service:event("${name}", function(data)
    note("begin " .. data) roost.sleep(data == "1" and 100 or 0) note("end " .. data)
  end)`);
  await produce(name, ['1', '2', '3'].map((value) => ({ value })));
  assert.deepEqual(await notes(6), ['1', '2', '3'].flatMap((i) => [`begin ${i}`, `end ${i}`]));
});

test('requests of a partition are handled at the same time', async (t) => {
  const name = await topic();
  await start(t, `service:message("${name}", function()
    roost.store:incr("all", 1)
    while roost.store:get("all") < 20 do roost.sleep(5) end
    return { all = roost.store:get("all") }
  end)`);
  const caller = await startCaller(t, {
    clients: { default: clientOf({ transport: 'kafka', client: { brokers: broker.brokers },
      consumer: { group_id: `group-${++number}` } }) },
    prepare: `client:subscribe_to_response_of("${name}")`,
  });
  const list = Array.from({ length: 20 }, () => ({ a: 1 }));
  assert.deepEqual(await caller.ask('many', { pattern: name, list }), list.map(() => ({ all: 20 })));
});

test('more than is handled at a time waits in the broker', async (t) => {
  const name = await topic(2);
  const { host, notes } = await start(t, `
    service:event("${name}", function() roost.sleep(1) note("x") end)`);
  for (let i = 0; i < 20; i++) {
    await produce(name, Array.from({ length: 100 }, (_, at) =>
      ({ value: 'x'.repeat(2000), partition: at % 2 })));
  }
  assert.equal((await notes(2000)).length, 2000);
  assert.ok(host.rss < 200 * 2 ** 20 + memorySlack, `${host.rss}`);
});

test('what was handled before a drain is not handled after it, and nothing is lost', async (t) => {
  const name = await topic(2);
  const body = `service:event("${name}", function(data) note(data) roost.sleep(2) end)`;
  const first = await start(t, body);
  await produce(name, Array.from({ length: 100 }, (_, i) => ({ value: `${i}`, partition: i % 2 })));
  const before = (await first.notes(20)).length;
  assert.ok(before < 100);
  first.host.signal('SIGTERM');
  await first.host.exited;
  const second = await start(t, body, { group: first.group });
  await sleep(0);
  const handled = await second.notes(1);
  const rest = await until(async () => {
    const list = await second.notes(1);
    return list.includes('98') && list.includes('99') && list;
  }, 'the last events');
  assert.ok(rest.length < 100 && handled.length > 0, `${rest.length}`);
  assert.equal(new Set(rest).size, rest.length);
});

test('an event that was refused with requeue comes again', async (t) => {
  const name = await topic();
  const { notes } = await start(t, `service:event("${name}", function(data, ctx)
    local tries = roost.store:incr("tries", 1)
    note(data .. " " .. tries)
    if data == "a" and tries < 3 then ctx:nack(true) end
  end)`);
  await produce(name, [{ value: 'a' }, { value: 'b' }]);
  assert.deepEqual(await notes(4), ['a 1', 'a 2', 'a 3', 'b 4']);
});

test('what always fails becomes a dead letter, once, and the others are handled', async (t) => {
  const name = await topic();
  const letters = await topic();
  const reading = await broker.read(t, letters);
  const { notes, host, group } = await start(t, `service:event("${name}", function(data, ctx)
    note(data)
    if data == "bad" then error("no good") end
    if data == "again" then ctx:nack(true) end
  end)`, { entry: { dead_letter: letters } });
  await produce(name, [{ key: 'k', value: 'bad', headers: { h: 'v' } }, { value: 'again' }, { value: 'good' }]);
  const [bad, again] = await reading(2);
  assert.deepEqual(bad, { partition: 0, key: 'k', value: 'bad', headers: { h: 'v',
    'kafka_dlt-original-topic': name, 'kafka_dlt-original-partition': '0',
    'kafka_dlt-original-offset': '0' } });
  assert.equal(again.value, 'again');
  assert.deepEqual(await notes(7), ['bad', ...Array(5).fill('again'), 'good']);
  await host.stop();
  const second = await start(t, `service:event("${name}", function(data) note(data) end)`, { group });
  await produce(name, [{ value: 'new' }]);
  assert.deepEqual(await second.notes(1), ['new']);
});

test('a record larger than max_buffer_size is one, too', async (t) => {
  const name = await topic();
  const letters = await topic();
  const reading = await broker.read(t, letters);
  const { notes } = await start(t, `service:event("${name}", function(data) note(#data) end)`,
    { entry: { dead_letter: letters, max_buffer_size: 1000 } });
  await produce(name, [{ value: 'x'.repeat(1001) }, { value: 'x'.repeat(1000) }]);
  assert.equal((await reading(1))[0].value.length, 1001);
  assert.deepEqual(await notes(1), ['1000']);
});

test('a second host of the group takes its part, and the rest when the first ends', async (t) => {
  const name = await topic(4);
  const body = `service:event("${name}", function(data) note(data) end)`;
  const first = await start(t, body);
  const second = await start(t, body, { group: first.group });
  await until(async () => {
    await produce(name, [0, 1, 2, 3].map((partition) => ({ value: 'x', partition })));
    return (await first.notes(0)).length > 0 && (await second.notes(0)).length > 0;
  }, 'both having some', { every: 200 });
  await first.host.stop();
  const now = (await second.notes(0)).length;
  await produce(name, [0, 1, 2, 3].map((partition) => ({ value: 'y', partition })));
  const list = await second.notes(now + 4);
  assert.equal(list.filter((value) => value === 'y').length, 4);
});

test('a new group that handled nothing yet goes on from where it began, however its host ends', async (t) => {
  const name = await topic(2);
  const body = `service:event("${name}", function(data) note(data) end)`;
  await produce(name, [{ value: 'before', partition: 0 }]); // there was no group yet
  const first = await start(t, body);
  await until(async () => (await offsets(first.group, name)).join() === '1,0', 'its beginning');
  await first.host.kill();
  await produce(name, [0, 1].map((partition) => ({ value: `between ${partition}`, partition })));
  const second = await start(t, body, { group: first.group });
  assert.deepEqual((await second.notes(2)).sort(), ['between 0', 'between 1']);
});

test('a partition that was not read any more is, once the group has changed', async (t) => {
  const name = await topic(2);
  const count = 800; // of each partition more than a host holds
  const body = `service:event("${name}", function(data)
    if roost.store:incr(data, 1) == 1 and (data == "2" or data == "3") then roost.sleep(8000) end
    note(data)
  end)`;
  const from = (first, end) => produce(name, Array.from({ length: end - first }, (_, i) =>
    ({ value: `${first + i}`, partition: (first + i) % 2 })));
  const first = await start(t, body);
  await from(0, 2);
  await first.notes(2); // from here on there is an offset to go on from
  await from(2, count);
  const second = await start(t, body, { group: first.group });
  await until(async () => {
    const handled = new Set([...await first.notes(0), ...await second.notes(0)]);
    return handled.size === count;
  }, 'every event', { every: 100, ms: 30_000 });
});

test('a drain while nobody is there ends in time', async (t) => {
  const away = { transport: 'kafka', client: { brokers: ['127.0.0.1:1'] } };
  const host = await startHost(t, {
    service: luaService(`local client = roost.client("C")
      client:subscribe_to_response_of("a")
      service:event("a", function() end)
      service:message("go", function() return select(2, pcall(client.call, client, "a", 1)).code end)`),
    servers: [{}, away], clients: { C: away },
  });
  await host.logged(/^disconnected$/);
  assert.equal(await (await connect(t, host.port)).call('go', 1), 'ECONNREFUSED');
});

test('a broker that never is there is given up after retry_attempts', async (t) => {
  const begun = Date.now();
  const host = await startHost(t, { service: luaService('service:event("x", function() end)'),
    log: { level: 'debug' }, servers: [{ transport: 'kafka', retry_delay: 400, retry_attempts: 2,
      client: { brokers: [`127.0.0.1:${await freePort()}`] } }] });
  await host.logged((line) => line.msg === 'gave up connecting' && /^ECONNREFUSED/.test(line.err));
  assert.ok(Date.now() - begun > 2 * 300); // librdkafka's waits are from 3/4 of it on
  const tries = () => host.find(/^reconnecting$/).length;
  const then = tries();
  await sleep(2000);
  assert.equal(tries(), then);
});

test('roost call and roost emit', async (t) => {
  const name = await topic();
  const { notes } = await start(t, `
    service:message("${name}", function(data, ctx) note(ctx.kind) return data end)`);
  const roost = (...args) => promisify(execFile)(roostBin, args);
  const url = `kafka://${broker.brokers[0]}`;
  const { stdout } = await roost('call', '--url', url, name, '{"a":1}');
  assert.equal(stdout, '{"a":1}\n');
  await roost('emit', '--url', url, name, '{"a":1}');
  assert.deepEqual(await notes(2), ['message', 'event']);
});

describe('users and TLS', () => {
  const file = suiteScope();
  let secured;
  before(async () => {
    const authority = await makeAuthority(file);
    const { key, cert } = await authority.issue('localhost');
    const pem = [key, cert].map((path) => readFileSync(path, 'latin1')).join('');
    secured = await startKafka(file, {
      listeners: ['SECURE'],
      files: { 'server.pem': pem },
      'listener.security.protocol.map': 'CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SECURE:SASL_SSL',
      'ssl.keystore.type': 'PEM',
      'ssl.keystore.location': 'server.pem',
      'sasl.enabled.mechanisms': 'PLAIN',
      'listener.name.secure.plain.sasl.jaas.config':
        'org.apache.kafka.common.security.plain.PlainLoginModule required user_alice="secret";',
    });
    secured.ca = authority.ca;
    await secured.createTopics(['secure', 'secure.reply'], 1);
  });
  const entry = (password, ssl = { ca: secured.ca }) => ({ transport: 'kafka', client: {
    brokers: [`127.0.0.1:${secured.listeners.SECURE}`], ssl,
    sasl: { mechanism: 'plain', username: 'alice', password },
  }, consumer: { group_id: `group-${++number}` } });

  test('a server and a client by SASL and TLS', async (t) => {
    const host = await startHost(t, {
      service: luaService('service:message("secure", function(data) return data end)'),
      servers: [{}, entry('secret')],
    });
    await host.logged(/^connected$/);
    const caller = await startCaller(t, { clients: { default: clientOf(entry('secret')) },
      prepare: 'client:subscribe_to_response_of("secure")' });
    assert.deepEqual(await caller.call('secure', { a: 1 }), { values: [{ a: 1 }], completed: true });
    assert.ok(!host.log.includes('secret'), 'no password in the log');
  });

  test('a wrong password, and a certificate of somebody else', async (t) => {
    for (const [client, code] of [[entry('wrong'), /Authentication failed/i], [entry('secret', true), /ETLS/]]) {
      const caller = await startCaller(t, { clients: { default: clientOf(client) },
        prepare: 'client:subscribe_to_response_of("secure")' });
      const { err } = await caller.call('secure', 1);
      assert.equal(err.name, 'ConnectionError');
      assert.match(`${err.code} ${err.text} ${err.detail}`, code);
    }
  });
});
