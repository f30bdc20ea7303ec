// Crashes under load behind mosquitto, of it and of hosts, and how hosts share. ROOST_BROKER_LOAD=1:
// as often and as much as a release must stand; figures are printed as notes of the tests.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { binding, startMosquitto } from '../lib/brokers/mqtt.mjs';
import { npmDir } from '../lib/env.mjs';
import { startHost, temporaryDir } from '../lib/host.mjs';
import { lua } from '../lib/lua.mjs';
import { connect } from '../lib/peer.mjs';
import { sleep, undo, until } from '../lib/wait.mjs';

const full = process.env.ROOST_BROKER_LOAD === '1';
const crashes = full ? 50 : 3;
const shared = full ? 100_000 : 10_000;

const service = (body) => `local roost = require "roost"
local service = roost.service()
${body}
return service
`;

/** Answers requests, and counts them. */
const adder = service(`
local calls = 0
service:message("$share/group/add", function(data) calls = calls + 1 return data.a + data.b end)
service:message("calls", function() return calls end)`);

/** Notes each event in a file that all hosts share. */
const noter = (notes, { topic, options = '{}' }) => service(`
local file = io.open(${lua(notes)}, "a")
file:setvbuf("no")
service:event("${topic}", ${options}, function(data)
  roost.sleep(1)
  file:write(data.n .. "\\n")
end)`);

/** A file for notes: how often each event was handled, by its number. */
function notebook(t) {
  const path = join(temporaryDir(t), 'notes');
  writeFileSync(path, '');
  const counts = () => {
    const times = new Map();
    for (const line of readFileSync(path, 'utf8').split('\n').filter(Boolean)) {
      times.set(Number(line), (times.get(Number(line)) ?? 0) + 1);
    }
    return times;
  };
  return { path, counts };
}

/**
 * A host that answers in a session that goes with it, and takes events in one that the broker keeps
 * under `name`; it also answers over TCP.
 */
async function serve(t, broker, notes, name, events = { topic: '$share/group/event' }) {
  const host = await startHost(t, {
    services: 'services',
    files: { 'services/adder.lua': adder, 'services/noter.lua': noter(notes.path, events) },
    servers: [{ services: ['adder'] },
      binding.roost(broker, { name: 'requests', services: ['adder'], retry_delay: 50 }),
      binding.roost(broker, { name: 'events', services: ['noter'], retry_delay: 50, clean: false,
        client_id: name, subscribe_options: { qos: 1 }, max_in_flight: 100 })],
  });
  await until(() => host.find(/^connected$/).length >= 2, 'both sessions');
  const calls = async () => {
    const peer = await connect(t, host.port);
    try {
      return await peer.call('calls', 0);
    } finally {
      peer.destroy();
    }
  };
  return { host, calls };
}

/** A host whose clients call all the while, from when they are told to until they are. */
async function load(t, broker) {
  const host = await startHost(t, { service: service(`
local asked, answered, wrong, failed, stop = 0, 0, 0, {}, false
service:message("start", function()
  for i = 1, 50 do
    roost.spawn(function()
      while not stop do
        asked = asked + 1
        local a = asked
        local ok, result = pcall(function()
          return roost.client("C"):call("add", { a = a, b = i }, { timeout = 3000 })
        end)
        if ok then
          answered = answered + 1
          if result ~= a + i then wrong = wrong + 1 end
        else
          local name = result.code or result.name
          failed[name] = (failed[name] or 0) + 1
          roost.sleep(20)
        end
      end
    end)
  end
  return true
end)
service:message("stop", function() stop = true return true end)
service:message("figures", function()
  return { asked = asked, answered = answered, wrong = wrong, failed = failed }
end)`), clients: { C: binding.roost(broker) } });
  const peer = await connect(t, host.port);
  const figures = () => peer.call('figures', 0);
  await peer.call('start', 0);
  return {
    figures,
    async stop() {
      await peer.call('stop', 0);
      return until(async () => {
        const now = await figures();
        const failures = Object.values(now.failed).reduce((a, b) => a + b, 0);
        return now.answered + failures === now.asked && now;
      }, 'an end of every request', { ms: 30_000 });
    },
  };
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

/** Waits until every event that was kept has been handled. */
async function allHandled(kept, notes) {
  await until(() => {
    const counts = notes.counts();
    return [...kept].every((n) => counts.has(n));
  }, 'every event', { ms: 60_000, every: 200 }).catch(() => {});
  const counts = notes.counts();
  return {
    lost: [...kept].filter((n) => !counts.has(n)),
    twice: [...counts.values()].filter((times) => times > 1).length,
  };
}

test(`a broker that dies ${crashes} times under load`, async (t) => {
  const broker = await startMosquitto(t);
  const notes = notebook(t);
  // mosquitto forgets by a crash that a session had a share in something, not what else it had.
  const { host } = await serve(t, broker, notes, 'one',
    { topic: 'event', options: '{ once = function(data) return data.n end }' });
  const events = publish(t, broker);
  const requests = await load(t, broker);
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
  const requests = await load(t, broker);
  for (let i = 0; i < crashes; i++) {
    const before = (await requests.figures()).answered;
    await until(async () => (await requests.figures()).answered > before + 100, 'answers');
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
  const start = (name) => serve(t, broker, notes, name);
  const group = [await start('one'), await start('two')];
  const caller = await startHost(t, { service: service(`
local wrong
service:message("ask", function(count)
  local client, next, left, bad = roost.client("C"), 0, 64, 0
  wrong = nil
  for i = 1, 64 do
    roost.spawn(function()
      while next < count do
        next = next + 1
        local n = next
        local ok, sum = pcall(client.call, client, "add", { a = n, b = 1 }, { timeout = 0 })
        if not ok or sum ~= n + 1 then bad = bad + 1 end
      end
      left = left - 1
      if left == 0 then wrong = bad end
    end)
  end
  return true
end)
service:message("wrong", function() return wrong end)`),
  clients: { C: binding.roost(broker) } });
  const peer = await connect(t, caller.port);
  const ask = async (count) => {
    await peer.call('ask', count);
    const wrong = await until(async () => [await peer.call('wrong', 0)].filter(Number.isInteger)[0]
      ?.toString(), 'all answers', { ms: 120_000 });
    assert.equal(wrong, '0');
  };
  const calls = () => Promise.all(group.map((one) => one.calls()));
  const began = performance.now();
  await ask(shared);
  const rate = Math.round(shared / (performance.now() - began) * 1000);
  const two = await calls();
  assert.equal(two[0] + two[1], shared);
  group.push(await start('three'));
  await ask(shared / 10);
  const part = (await calls())[2] / (shared / 10);
  const draining = ask(shared / 5);
  await sleep(50);
  await group[0].host.stop();
  await draining;
  t.diagnostic(`shares ${two.join(' : ')}, the third's part ${part}, ${rate} requests/s`);
  for (const share of two) assert.ok(share >= shared * 0.4, `shares ${two}`);
  assert.ok(part > 0.2 && part < 0.5, `the third has ${part}`);
});
