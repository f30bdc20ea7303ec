// Crashes under load over Kafka, of it and of hosts, and how hosts share. ROOST_BROKER_LOAD=1: as often
// and as much as a release must stand; figures are printed as notes of the tests.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { startKafka } from '../lib/brokers/kafka.mjs';
import { startHost, temporaryDir } from '../lib/host.mjs';
import { lua } from '../lib/lua.mjs';
import { connect } from '../lib/peer.mjs';
import { sleep, undo, until } from '../lib/wait.mjs';

const full = process.env.ROOST_BROKER_LOAD === '1';
const brokerCrashes = full ? 50 : 2; // it takes seconds to come back
const hostCrashes = full ? 50 : 3; // a group takes seconds to notice
const shared = full ? 100_000 : 5000;
const partitions = 6;

const service = (body) => `local roost = require "roost"
local service = roost.service()
${body}
return service
`;

/** Answers requests, and notes each event in a file that all hosts share. */
const worker = (notes) => service(`
local file = io.open(${lua(notes)}, "a")
file:setvbuf("no")
local calls = 0
service:message("add", function(data) calls = calls + 1 return { sum = data.a + data.b } end)
service:message("calls", { transport = "tcp" }, function() return calls end)
service:event("event", function(data)
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

async function start(t) {
  const broker = await startKafka(t);
  await broker.createTopics(['add', 'event'], partitions);
  await broker.createTopics(['add.reply'], 1);
  return broker;
}

/** A host with the worker behind Kafka, which also answers over TCP. */
async function serve(t, broker, notes) {
  const host = await startHost(t, { service: worker(notes.path), servers: [{}, {
    transport: 'kafka', client: { brokers: broker.brokers },
    consumer: { group_id: 'workers', session_timeout: 2000, heartbeat_interval: 300 },
  }] });
  await host.logged(/^connected$/);
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

/** A host whose tasks call all the while, or so often; `figures` says what came of it. */
async function load(t, broker, most = 1e9) {
  const host = await startHost(t, { service: service(`
local client = roost.client("C")
client:subscribe_to_response_of("add")
local asked, answered, wrong, failed, stop = 0, 0, 0, {}, false
service:message("start", function()
  for i = 1, 50 do
    roost.spawn(function()
      while not stop and asked < ${most} do
        asked = asked + 1
        local a = asked
        local ok, result = pcall(function()
          return client:call("add", { a = a, b = i }, { timeout = 10000 })
        end)
        if ok then
          answered = answered + 1
          if result.sum ~= a + i then wrong = wrong + 1 end
        else
          local name = result.code or result.name or tostring(result)
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
end)`), clients: { C: { transport: 'kafka', client: { brokers: broker.brokers } } } });
  const peer = await connect(t, host.port);
  const figures = () => peer.call('figures', 0);
  await peer.call('start', 0);
  const over = () => until(async () => {
    const now = await figures();
    const failures = Object.values(now.failed).reduce((a, b) => a + b, 0);
    return now.answered + failures === now.asked && now;
  }, 'an end of every request', { ms: 30_000 });
  return {
    figures,
    over,
    async stop() {
      await peer.call('stop', 0);
      return over();
    },
  };
}

/** Publishes events until it is stopped; `kept` are the numbers of those the broker has confirmed. */
function publish(t, broker) {
  const kept = new Set();
  let over = false;
  let n = 0;
  const running = (async () => {
    while (!over) {
      await broker.producer(async (producer) => {
        while (!over) {
          const numbers = Array.from({ length: 5 }, () => ++n);
          await producer.send({ topic: 'event', acks: -1,
            messages: numbers.map((number) => ({ value: JSON.stringify({ n: number }) })) });
          for (const number of numbers) kept.add(number);
          await sleep(5);
        }
      }).catch(() => {});
      await sleep(50);
    }
  })();
  const stop = () => {
    over = true;
    return running;
  };
  undo(t, stop);
  return { kept, stop };
}

/** Waits until every event that was confirmed has been handled. */
async function allHandled(kept, notes) {
  await until(() => {
    const counts = notes.counts();
    return [...kept].every((number) => counts.has(number));
  }, 'every event', { ms: 60_000, every: 200 }).catch((err) => {
    const counts = notes.counts();
    assert.fail(`${err.message}: ${[...kept].filter((number) => !counts.has(number)).length} are lost`);
  });
  return [...notes.counts().values()].filter((times) => times > 1).length;
}

test(`the broker dies ${brokerCrashes} times`, async (t) => {
  const broker = await start(t);
  const notes = notebook(t);
  await serve(t, broker, notes);
  const calling = await load(t, broker);
  const events = publish(t, broker);
  for (let i = 0; i < brokerCrashes; i++) {
    const { answered } = await calling.figures();
    await until(async () => (await calling.figures()).answered > answered + 100, 'answers', { ms: 60_000 });
    await broker.restart();
  }
  const { answered } = await calling.figures();
  await until(async () => (await calling.figures()).answered > answered + 100, 'answers', { ms: 60_000 });
  await events.stop();
  const figures = await calling.stop();
  const twice = await allHandled(events.kept, notes);
  t.diagnostic(JSON.stringify({ ...figures, events: events.kept.size, twice }));
  assert.equal(figures.wrong, 0);
});

test(`a host of three dies ${hostCrashes} times`, async (t) => {
  const broker = await start(t);
  const notes = notebook(t);
  const hosts = [];
  for (let i = 0; i < 3; i++) hosts.push(await serve(t, broker, notes));
  const calling = await load(t, broker);
  const events = publish(t, broker);
  for (let i = 0; i < hostCrashes; i++) {
    const { answered } = await calling.figures();
    await until(async () => (await calling.figures()).answered > answered + 100, 'answers', { ms: 60_000 });
    await hosts[i % 3].host.kill();
    hosts[i % 3] = await serve(t, broker, notes);
  }
  await events.stop();
  const figures = await calling.stop();
  const twice = await allHandled(events.kept, notes);
  t.diagnostic(JSON.stringify({ ...figures, events: events.kept.size, twice }));
  assert.equal(figures.wrong, 0);
});

test(`two hosts share ${shared} requests`, async (t) => {
  const broker = await start(t);
  const notes = notebook(t);
  const hosts = [await serve(t, broker, notes), await serve(t, broker, notes)];
  const began = Date.now();
  const calling = await load(t, broker, shared);
  await until(async () => (await calling.figures()).asked >= shared, 'all requests', { ms: 600_000, every: 100 });
  const figures = await calling.over();
  const calls = await Promise.all(hosts.map(({ calls: of }) => of()));
  t.diagnostic(JSON.stringify({ ...figures, calls, per_second: Math.round(shared / (Date.now() - began) * 1000) }));
  assert.deepEqual([figures.wrong, figures.failed], [0, {}]);
  for (const count of calls) assert.ok(count >= 0.4 * (calls[0] + calls[1]), `${calls}`);
});
