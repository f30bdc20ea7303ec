// Crashes under load behind mosquitto, of it and of hosts, and how hosts share. ROOST_BROKER_LOAD=1:
// as often and as much as a release must stand; figures are printed as notes of the tests.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { test } from 'node:test';
import { binding, startMosquitto } from '../lib/brokers/mqtt.mjs';
import { allHandled, askOver, full, load, notebook, noting, service, sharing }
  from '../lib/brokers/stress.mjs';
import { npmDir } from '../lib/env.mjs';
import { startHost } from '../lib/host.mjs';
import { sleep, undo, until } from '../lib/wait.mjs';

const crashes = full ? 50 : 3;
const shared = full ? 100_000 : 10_000;

/** Answers requests, and counts them. */
const adder = service(`
local calls = 0
service:message("$share/group/add", function(data) calls = calls + 1 return data.a + data.b end)
service:message("calls", function() return calls end)`);

/**
 * A host that answers in a session that goes with it, and takes events in one that the broker keeps
 * under `name`; it also answers over TCP.
 */
async function serve(t, broker, notes, name, events = { topic: '$share/group/event' }) {
  const host = await startHost(t, {
    services: 'services',
    files: { 'services/adder.lua': adder, 'services/noter.lua': service(noting(notes, events.topic, events.options)) },
    servers: [{ services: ['adder'] },
      binding.roost(broker, { name: 'requests', services: ['adder'], retry_delay: 50 }),
      binding.roost(broker, { name: 'events', services: ['noter'], retry_delay: 50, clean: false,
        client_id: name, subscribe_options: { qos: 1 }, max_in_flight: 100 })],
  });
  await until(() => host.find(/^connected$/).length >= 2, 'both sessions');
  return { host, calls: () => askOver(t, host, 'calls') };
}

/**
 * Publishes events until it is stopped. `kept` are the numbers of those the broker has acknowledged.
 * mosquitto does so before it has saved them: what it was given in the moment before a crash is
 * taken out by `crashed`.
 */
function publish(t, broker) {
  const require = createRequire(join(npmDir, 'nest12', 'package.json'));
  const client = require('mqtt').connect(broker.url, { protocolVersion: 5, reconnectPeriod: 50 });
  client.on('error', () => {});
  undo(t, () => client.endAsync(true));
  const kept = new Set();
  let latest = [];
  let over = false;
  let n = 0;
  const running = (async () => {
    while (!over) {
      const number = ++n;
      const data = JSON.stringify({ pattern: 'event', data: { n: number } });
      const acknowledged = await Promise.race([
        client.publishAsync('event', data, { qos: 1 }).then(() => true, () => false),
        sleep(5000).then(() => false)]);
      if (acknowledged) {
        kept.add(number);
        latest.push([number, Date.now()]);
        latest = latest.slice(-1000);
      }
      await sleep(1);
    }
  })();
  return {
    kept,
    crashed() {
      const before = Date.now() - 1000;
      for (const [number, at] of latest) if (at > before) kept.delete(number);
    },
    stop() {
      over = true;
      return running;
    },
  };
}

test(`a broker that dies ${crashes} times under load`, async (t) => {
  const broker = await startMosquitto(t);
  const notes = notebook(t);
  // mosquitto forgets by a crash that a session had a share in something, not what else it had.
  const { host } = await serve(t, broker, notes, 'one',
    { topic: 'event', options: '{ once = function(data) return data.n end }' });
  const events = publish(t, broker);
  const requests = await load(t, binding.roost(broker));
  const goOn = async () => {
    const [before, acknowledged] = [(await requests.figures()).answered, events.kept.size];
    await until(async () => (await requests.figures()).answered > before + 200 &&
      events.kept.size > acknowledged + 20, 'answers and events', { ms: 60_000 });
  };
  await goOn();
  const { rss } = host;
  for (let i = 0; i < crashes; i++) {
    await broker.kill();
    events.crashed();
    await broker.start();
    await goOn();
  }
  await events.stop();
  const figures = await requests.stop();
  const { lost, twice } = await allHandled(events.kept, notes);
  t.diagnostic(`${JSON.stringify(figures)}; ${events.kept.size} events kept, ` +
    `${lost.length} lost, ${twice} handled twice`);
  assert.deepEqual([lost, twice, figures.wrong], [[], 0, 0]);
  host.checkGrowth(rss, 20 * 2 ** 20);
});

test(`three hosts of a group that die ${crashes} times under load`, async (t) => {
  const broker = await startMosquitto(t);
  const notes = notebook(t);
  const start = (i) => serve(t, broker, notes, `host${i}`);
  const group = [await start(0), await start(1), await start(2)];
  const events = publish(t, broker);
  const requests = await load(t, binding.roost(broker));
  for (let i = 0; i < crashes; i++) {
    await requests.answers(100);
    await group[i % 3].host.kill();
    group[i % 3] = await start(i % 3);
  }
  await events.stop();
  const figures = await requests.stop();
  const { lost, twice } = await allHandled(events.kept, notes);
  t.diagnostic(`${JSON.stringify(figures)}; ${events.kept.size} events acknowledged, ` +
    `${lost.length} lost, ${twice} handled twice`);
  assert.deepEqual([lost, figures.wrong], [[], 0]);
  // Whom a host had a request of when it died hears nothing of it, and gives up.
  assert.deepEqual(Object.keys(figures.failed).filter((name) => name !== 'ETIMEDOUT'), []);
});

test(`two hosts share ${shared} requests, a third takes its part, a drained one loses none`, async (t) => {
  const broker = await startMosquitto(t);
  const notes = notebook(t);
  await sharing(t, { start: (name) => serve(t, broker, notes, name), client: binding.roost(broker),
    shared });
});
