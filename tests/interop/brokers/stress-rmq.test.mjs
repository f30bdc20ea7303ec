// Crashes under load over rabbitmq-server, of it and of hosts, and how hosts share. ROOST_BROKER_LOAD=1:
// as often and as much as a release must stand; figures are printed as notes of the tests.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { binding, connectTo, startRmq } from '../lib/brokers/rmq.mjs';
import { allHandled, askOver, full, load, notebook, noting, service, sharing }
  from '../lib/brokers/stress.mjs';
import { startHost } from '../lib/host.mjs';
import { sleep, undo, until } from '../lib/wait.mjs';

const brokerCrashes = full ? 50 : 2; // it takes seconds to come back
const hostCrashes = full ? 50 : 5;
const shared = full ? 100_000 : 10_000;
const queue = 'stress';

/** Answers requests, and notes each event in a file that all hosts share. */
const worker = (notes, options) => service(`
local calls = 0
service:message("add", function(data) calls = calls + 1 return data.a + data.b end)
service:message("calls", { transport = "tcp" }, function() return calls end)
${noting(notes, 'event', options)}`);

const remembered = 256; // bytes that `once` keeps of an event, for hours

/** A host with the worker behind the broker, which also answers over TCP. */
async function serve(t, broker, notes, { options, ...more } = {}) {
  const host = await startHost(t, { service: worker(notes, options),
    servers: [{}, binding.roost(broker, { queue, no_ack: false, retry_delay: 50, ...more })] });
  await until(() => host.find(/^connected$/).length > 0, 'the consumer');
  return { host, calls: () => askOver(t, host, 'calls') };
}

/** Publishes events until it is stopped; `kept` are the numbers of those the broker has confirmed. */
function publish(t, broker) {
  const kept = new Set();
  let over = false;
  let n = 0;
  const once = async () => {
    const connection = await connectTo(broker);
    const lost = new Promise((resolve) => connection.on('close', resolve));
    connection.on('error', () => {});
    const channel = await connection.createConfirmChannel();
    channel.on('error', () => {});
    while (!over) {
      const number = ++n;
      const confirmed = new Promise((resolve) => {
        channel.sendToQueue(queue, Buffer.from(JSON.stringify({ pattern: 'event', data: { n: number } })),
          { persistent: true }, (err) => resolve(!err));
      });
      if (!await Promise.race([confirmed, lost.then(() => false)])) break;
      kept.add(number);
    }
    await connection.close().catch(() => {});
  };
  const running = (async () => {
    while (!over) {
      await once().catch(() => {});
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

test(`a broker that dies ${brokerCrashes} times under load`, async (t) => {
  const broker = await startRmq(t);
  const notes = notebook(t);
  const { host } = await serve(t, broker, notes,
    { options: '{ once = function(data) return data.n end }' });
  const events = publish(t, broker);
  const requests = await load(t, binding.roost(broker, { queue }), { timeout: 10_000 });
  const goOn = async () => {
    const [before, confirmed] = [(await requests.figures()).answered, events.kept.size];
    await until(async () => (await requests.figures()).answered > before + 200 &&
      events.kept.size > confirmed + 20, 'answers and events', { ms: 60_000 });
  };
  await goOn();
  const { rss } = host;
  for (let i = 0; i < brokerCrashes; i++) {
    await broker.kill();
    await broker.start();
    await goOn();
  }
  await events.stop();
  const figures = await requests.stop();
  const { lost, twice } = await allHandled(events.kept, notes);
  t.diagnostic(`${JSON.stringify(figures)}; ${events.kept.size} events confirmed, ` +
    `${lost.length} lost, ${twice} handled twice`);
  assert.deepEqual([lost, twice, figures.wrong], [[], 0, 0]);
  host.checkGrowth(rss, 20 * 2 ** 20 + remembered * events.kept.size);
});

test(`three hosts of a queue that die ${hostCrashes} times under load`, async (t) => {
  const broker = await startRmq(t);
  const notes = notebook(t);
  const start = () => serve(t, broker, notes, { prefetch_count: 20 });
  const group = [await start(), await start(), await start()];
  const events = publish(t, broker);
  const requests = await load(t, binding.roost(broker, { queue }), { timeout: 10_000 });
  for (let i = 0; i < hostCrashes; i++) {
    await requests.answers(100);
    await group[i % 3].host.kill();
    group[i % 3] = await start();
  }
  await events.stop();
  const figures = await requests.stop();
  const { lost, twice } = await allHandled(events.kept, notes);
  t.diagnostic(`${JSON.stringify(figures)}; ${events.kept.size} events confirmed, ` +
    `${lost.length} lost, ${twice} handled twice`);
  assert.deepEqual([lost, figures.wrong, figures.failed], [[], 0, {}]);
});

test(`two hosts share ${shared} requests, a third takes its part, a drained one loses none`, async (t) => {
  const broker = await startRmq(t);
  const notes = notebook(t);
  await sharing(t, { start: () => serve(t, broker, notes, { prefetch_count: 100 }),
    client: binding.roost(broker, { queue }), shared });
});
