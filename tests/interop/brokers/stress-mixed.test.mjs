// Traffic of every kind through all five brokers at once, with memory and descriptors that stay what
// they are. One host serves all of them, and is saved every few seconds; a second one calls through a
// client of each, beside clients that come and go, of Roost's and of Nest's.
// ROOST_BROKER_MINUTES=60: for so long, as a release must stand; else for some seconds, without a look
// at the memory, which needs minutes to find its size. ROOST_BROKER_SAMPLES=FILE: what was seen every
// ten seconds, as CSV. Figures are printed as notes of the test.
import assert from 'node:assert/strict';
import { appendFileSync, readFileSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { adminSocket, askAdmin } from '../lib/admin.mjs';
import { bindingOf } from '../lib/brokers/binding.mjs';
import { startKafka } from '../lib/brokers/kafka.mjs';
import { startMosquitto } from '../lib/brokers/mqtt.mjs';
import { startNats } from '../lib/brokers/nats.mjs';
import { startRedis } from '../lib/brokers/redis.mjs';
import { startRmq } from '../lib/brokers/rmq.mjs';
import { nestVersions } from '../lib/env.mjs';
import { serviceFile } from '../lib/host.mjs';
import { lua } from '../lib/lua.mjs';
import { loadNest } from '../lib/nest.mjs';
import { connect } from '../lib/peer.mjs';
import { save, startWatching } from '../lib/reload.mjs';
import { sleep, until, within } from '../lib/wait.mjs';

const minutes = Number(process.env.ROOST_BROKER_MINUTES ?? 0);
const samples = process.env.ROOST_BROKER_SAMPLES;
const everyMs = minutes ? 10_000 : 1000;
const lastMs = minutes ? minutes * 60_000 : 12_000;
/** Tasks that call through each client, and what they wait in between. */
const load = { lanes: 4, pause_ms: 40 };
const names = ['nats', 'redis', 'mqtt', 'rmq', 'kafka'];
/** Pools, caches and the collector's steps: what a host may have grown by from its tenth minute on. */
const growth = 2 * 2 ** 20;

const text = (name) => readFileSync(serviceFile(name), 'utf8');

/** All five; Kafka forgets soon what it has, or large payloads fill the disk. */
async function startAll(t) {
  const [nats, redis, mqtt, rmq, kafka] = await Promise.all([
    startNats(t, { jetstream: true }), startRedis(t), startMosquitto(t), startRmq(t),
    startKafka(t, { 'log.segment.bytes': 16 * 2 ** 20, 'log.retention.bytes': 64 * 2 ** 20,
      'log.retention.check.interval.ms': 30_000 }),
  ]);
  const topics = ['sum', 'echo', 'headed', 'wait', 'stream', 'fail', 'break', 'nobody', 'event']
    .map((name) => `mixed.${name}`);
  await kafka.createTopics(topics, 3);
  await kafka.createTopics(topics.map((name) => `${name}.reply`), 1);
  return { nats, redis, mqtt, rmq, kafka };
}

/** What each server is told besides where its broker is: events are kept where a broker can. */
const serving = {
  nats: { queue: 'mixed', durable: 'mixed' },
  mqtt: { clean: false, client_id: 'mixed', subscribe_options: { qos: 1 } },
  rmq: { queue: 'mixed', no_ack: false, prefetch_count: 50 },
};
const calling = { rmq: { queue: 'mixed', persistent: true } };
const nestCalling = { rmq: { queue: 'mixed' } };

const bindings = Object.fromEntries(await Promise.all(
  names.map(async (name) => [name, await bindingOf(name)])));
const entries = (brokers, more) => Object.fromEntries(names.map((name) =>
  [name, bindings[name].roost(brokers[name], more[name])]));

/** The host that serves: TCP to be asked by, and all five. */
async function startServer(t, brokers) {
  const host = await startWatching(t, {
    service: text('mixed'),
    reload: { drain_timeout: 20_000 }, // what runs on the old code ends there, however busy the machine is
    servers: [{}, ...Object.entries(entries(brokers, serving)).map(([name, entry]) => ({ name, ...entry }))],
  });
  await until(() => host.find(/^connected$/).length >= names.length, 'all sessions', { ms: 60_000 });
  return host;
}

/** The host that calls through a client of each, and has visitors. */
async function startCaller(t, brokers) {
  return startWatching(t, {
    services: 'services',
    files: {
      'services/caller.lua': text('mixed_caller'),
      'services/visitor.lua': text('mixed_visitor'),
      'services/lib/entries.lua': `return ${lua(entries(brokers, calling))}\n`,
    },
    clients: entries(brokers, calling),
  });
}

/** What a Nest client does while it is there. The first answer may come before Kafka reads for it. */
async function visit(nest, client, visits) {
  const ask = (a, ms) => nest.lastValueFrom(client.send('mixed.sum', { a, b: 1 }).pipe(nest.timeout(ms)));
  await until(() => ask(0, 1000).then(() => true, () => false), 'the first answer', { ms: 60_000 });
  for (let i = 0; i < 5; i++) {
    assert.deepEqual(await ask(i, 30_000), { sum: i + 1 });
    visits.asked++;
    const n = ++visits.count;
    visits.total += n;
    await nest.lastValueFrom(client.emit('mixed.event', { from: 'nest', n }), { defaultValue: null });
  }
}

/** A Nest client of each broker in turn, of each version, that asks some, tells some, and leaves. */
async function keepNestComing(brokers, over) {
  const visits = { asked: 0, count: 0, total: 0, failed: [] };
  const nests = await Promise.all(nestVersions.map(loadNest));
  for (const nest of nests) nest.Logger.overrideLogger(false);
  for (let turn = 0; !over(); turn++) {
    const name = names[turn % names.length];
    const nest = nests[Math.floor(turn / names.length) % nests.length];
    const client = nest.ClientProxyFactory.create(bindings[name].nest(nest, brokers[name], nestCalling[name]));
    if (!bindings[name].mute) client.on?.('error', () => {});
    try {
      await bindings[name].prepare?.(client, ['mixed.sum']);
      await within(visit(nest, client, visits), 'a visit', 120_000);
    } catch (err) {
      visits.failed.push(`Nest ${nest.version} over ${name}: ${err.message}`);
    } finally {
      await client.close();
    }
    for (let i = 0; i < 20 && !over(); i++) await sleep(everyMs / 40);
  }
  return visits;
}

/**
 * Has the services of both be saved again and again. Gives how often that was not followed by a reload
 * soon: one is built when there is time for it.
 */
async function keepSaving(server, caller, over) {
  let late = 0;
  const reload = (host, file, name, n) => host.reload(file, `${text(name)}-- ${n}\n`).catch(() => late++);
  for (let saves = 1; !over(); saves++) {
    await reload(server, 'services/test.lua', 'mixed', saves);
    await sleep(everyMs / 8);
    await reload(caller, 'services/visitor.lua', 'mixed_visitor', saves);
    for (let i = 0; i < 20 && !over(); i++) await sleep(everyMs / 40);
  }
  return late;
}

const sum = (list) => list.reduce((a, b) => a + b, 0);

/** What a host has at this moment, by itself and by its admin pages. */
async function look(host) {
  const status = (await askAdmin({ socketPath: adminSocket(host) }, '/status')).json();
  const services = Object.values(status.services);
  return {
    rss: host.rss,
    fds: host.descriptors,
    memory: status.memory_bytes,
    lua: sum(services.map((one) => one.memory_bytes)),
    draining: sum(services.map((one) => one.draining)),
    store: status.store.bytes,
    in_flight: sum(services.map((one) => one.in_flight)),
    pending: sum(Object.values(status.clients).map((one) => one.pending)),
    ticks: host.ticks,
  };
}

function note(row, first) {
  if (!samples) return;
  if (first) writeFileSync(samples, `${Object.keys(row).join()}\n`);
  appendFileSync(samples, `${Object.values(row).join()}\n`);
}

/** Looks at both every ten seconds for as long as it is to last. */
async function watch(hosts) {
  const began = performance.now();
  const rows = [];
  while (performance.now() - began < lastMs) {
    const row = { seconds: Math.round((performance.now() - began) / 1000) };
    for (const [name, host] of Object.entries(hosts)) {
      for (const [key, value] of Object.entries(await look(host))) row[`${name}_${key}`] = value;
    }
    note(row, rows.length === 0);
    rows.push(row);
    await sleep(everyMs);
  }
  return rows;
}

/** What a list does not fall below but in a quarter: large payloads and clients that pass are above it. */
const base = (list) => [...list].sort((a, b) => a - b)[list.length >> 2];

/** Neither memory nor descriptors are more in the last sixth than they were after the first. */
function checkFlat(t, rows) {
  const part = Math.floor(rows.length / 6);
  const [early, late] = [rows.slice(part, 2 * part), rows.slice(-part)];
  for (const name of ['server', 'caller']) {
    for (const [key, most] of Object.entries({ rss: growth, lua: growth, store: growth, fds: 2 })) {
      const [before, after] = [early, late].map((list) => base(list.map((row) => row[`${name}_${key}`])));
      t.diagnostic(`${name} ${key}: ${before} to ${after}`);
      assert.ok(after <= before + most, `${name}: ${key} went from ${before} to ${after}`);
    }
  }
}

test(`${minutes ? `${minutes} minutes` : 'some seconds'} of mixed traffic through five brokers`, async (t) => {
  const brokers = await startAll(t);
  const server = await startServer(t, brokers);
  const caller = await startCaller(t, brokers);
  const driver = await connect(t, caller.port);
  const ask = async (host, pattern) => {
    const peer = await connect(t, host.port);
    return peer.call(pattern, 0).finally(() => peer.destroy());
  };
  await driver.call('start', { names, ...load });
  let over = false;
  const coming = keepNestComing(brokers, () => over);
  const saving = keepSaving(server, caller, () => over);
  const rows = await watch({ server, caller });
  over = true;
  const [nest, late] = await Promise.all([coming, saving]);

  const visits = await ask(caller, 'visits');
  await driver.call('stop', 0);
  const figures = await until(async () => {
    const now = await ask(caller, 'figures');
    return now.ended === now.begun && now;
  }, 'an end of every request', { ms: 60_000, every: 100 });
  const sent = { ...figures.events, nest: { count: nest.count, total: nest.total } };
  const handled = await until(async () => {
    const now = await ask(server, 'events');
    return names.every((name) => now[name]?.count >= sent[name].count) && now;
  }, 'every event', { ms: 60_000, every: 100 }).catch(() => ask(server, 'events'));
  t.diagnostic(JSON.stringify({ asked: figures.asked, events: handled, nest, visits,
    reloads: [server.counts, caller.counts], late }));
  assert.deepEqual(figures.wrong, {});
  assert.deepEqual(handled, sent);
  assert.deepEqual([visits.failed, nest.failed], [0, []]);
  const left = async (host) => {
    const { pending, in_flight: inFlight, draining } = await look(host);
    return pending + draining + inFlight;
  };
  await until(async () => await left(server) + await left(caller) === 0, 'nothing in flight');
  if (minutes >= 10) checkFlat(t, rows);
});
