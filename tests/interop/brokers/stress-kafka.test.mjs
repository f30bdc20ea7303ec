// Crashes under load over Kafka, of it and of hosts, and how hosts share. ROOST_BROKER_LOAD=1: as often
// and as much as a release must stand; figures are printed as notes of the tests.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startKafka } from '../lib/brokers/kafka.mjs';
import { allHandled, askOver, full, load, notebook, noting, service, sharing }
  from '../lib/brokers/stress.mjs';
import { startHost } from '../lib/host.mjs';
import { sleep, undo } from '../lib/wait.mjs';

const brokerCrashes = full ? 50 : 2; // it takes seconds to come back
const hostCrashes = full ? 50 : 3; // a group takes seconds to notice
const shared = full ? 100_000 : 5000;
const partitions = 6;

/** Answers requests, and notes each event in a file that all hosts share. */
const worker = (notes, options) => service(`
local calls = 0
service:message("add", function(data) calls = calls + 1 return { sum = data.a + data.b } end)
service:message("calls", { transport = "tcp" }, function() return calls end)
${noting(notes, 'event', options)}`);

async function start(t) {
  const broker = await startKafka(t);
  await broker.createTopics(['add', 'event'], partitions);
  await broker.createTopics(['add.reply'], 1);
  return broker;
}

/** A host with the worker behind Kafka, which also answers over TCP. */
async function serve(t, broker, notes, options) {
  const host = await startHost(t, { service: worker(notes, options), servers: [{}, {
    transport: 'kafka', client: { brokers: broker.brokers },
    consumer: { group_id: 'workers', session_timeout: 2000, heartbeat_interval: 300 },
  }] });
  await host.logged(/^connected$/);
  return { host, calls: () => askOver(t, host, 'calls') };
}

const client = (broker) => ({ transport: 'kafka', client: { brokers: broker.brokers } });
/** Replies of a Kafka are text unless they are objects. */
const asking = { prepare: 'client:subscribe_to_response_of("add")', sum: 'result.sum' };
const calls = (t, broker) => load(t, client(broker), { timeout: 10_000, ...asking });

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

test(`the broker dies ${brokerCrashes} times`, async (t) => {
  const broker = await start(t);
  const notes = notebook(t);
  await serve(t, broker, notes, '{ once = function(data) return data.n end }');
  const calling = await calls(t, broker);
  const events = publish(t, broker);
  for (let i = 0; i < brokerCrashes; i++) {
    await calling.answers(100);
    await broker.restart();
  }
  await calling.answers(100);
  await events.stop();
  const figures = await calling.stop();
  const { lost, twice } = await allHandled(events.kept, notes);
  t.diagnostic(JSON.stringify({ ...figures, events: events.kept.size, twice }));
  assert.deepEqual([lost, twice, figures.wrong], [[], 0, 0]);
  assert.deepEqual(Object.keys(figures.failed).filter((code) => !/^E[A-Z]+$/.test(code)), []);
});

test(`a host of three dies ${hostCrashes} times`, async (t) => {
  const broker = await start(t);
  const notes = notebook(t);
  const hosts = [];
  for (let i = 0; i < 3; i++) hosts.push(await serve(t, broker, notes));
  const calling = await calls(t, broker);
  const events = publish(t, broker);
  for (let i = 0; i < hostCrashes; i++) {
    await calling.answers(100);
    await hosts[i % 3].host.kill();
    hosts[i % 3] = await serve(t, broker, notes);
  }
  await events.stop();
  const figures = await calling.stop();
  const { lost, twice } = await allHandled(events.kept, notes);
  t.diagnostic(JSON.stringify({ ...figures, events: events.kept.size, twice }));
  assert.deepEqual([lost, figures.wrong], [[], 0]);
});

test(`two hosts share ${shared} requests, a third takes its part, a drained one loses none`, async (t) => {
  const broker = await start(t);
  const notes = notebook(t);
  await sharing(t, { start: () => serve(t, broker, notes), client: client(broker), shared, ...asking });
});
