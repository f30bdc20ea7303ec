// Crashes under load over nats-server, of it and of hosts, and how hosts share. ROOST_BROKER_LOAD=1: as
// often and as much as a release must stand; figures are printed as notes of the tests.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { natsClient, startNats } from '../lib/brokers/nats.mjs';
import { askOver, full, load, service } from '../lib/brokers/stress.mjs';
import { startHost } from '../lib/host.mjs';
import { sleep, until } from '../lib/wait.mjs';

const crashes = full ? 50 : 4;
const shared = full ? 100_000 : 10_000;

/** Answers requests, and counts the events it is given, by their number. */
const worker = (options = '{}') => service(`
service:message("add", function(data) return data.a + data.b end)
service:event("orders.new", ${options}, function(data, ctx)
  roost.sleep(1)
  roost.store:incr("event " .. data.n)
end)
service:message("counts", function()
  local counts = roost.array {}
  for i, key in ipairs(roost.store:keys("event ")) do
    counts[i] = { n = tonumber(key:sub(7)), times = roost.store:get(key) }
  end
  return counts
end)
service:message("calls", function() return roost.store:get("calls") or 0 end)
service:message("mine", function(data)
  roost.store:incr("calls")
  return data
end)`);

const entry = (broker, more) =>
  ({ transport: 'nats', servers: broker.servers, retry_delay: 20, ...more });

/** A host with the worker behind the broker, which also answers over TCP. */
async function serve(t, broker, { options, ...more } = {}) {
  const host = await startHost(t, { service: worker(options),
    servers: [{}, entry(broker, more)] });
  await until(() => host.find(/^connected$/).length > 0, 'the connection');
  return { host, ask: (pattern, data) => askOver(t, host, pattern, data) };
}

/** Publishes events one after the other until `over()`, each until the broker says it is kept. */
async function publisher(client, kept, over) {
  for (let n = 1; !over(); n++) {
    const body = JSON.stringify({ pattern: 'orders.new', data: { n } });
    const reply = await client.request('orders.new', body, { timeout: 300 }).catch(() => null);
    if (reply && reply.json().seq > 0) kept.add(n);
  }
}

/** Adds what every host has counted: how often each event was handled. */
async function handled(hosts) {
  const total = new Map();
  for (const { host, ask } of hosts) {
    if (!host.running) continue;
    for (const { n, times } of await ask('counts')) total.set(n, (total.get(n) ?? 0) + times);
  }
  return total;
}

test(`a broker that dies ${crashes} times under load`, async (t) => {
  const broker = await startNats(t, { jetstream: true });
  const server = await serve(t, broker, { queue: 'q', durable: 'stress', ack_wait: 1000,
    options: '{ once = function(data) return data.n end }' });
  const requests = await load(t, entry(broker, { retry_delay: undefined }), { timeout: 5000 });
  const client = await natsClient(t, broker);
  let over = false;
  const kept = new Set();
  const publishing = publisher(client, kept, () => over);
  const goOn = async () => {
    const events = kept.size;
    await requests.answers(200);
    await until(() => kept.size > events + 20, 'events');
  };
  await goOn();
  const rss = server.host.rss;
  for (let i = 0; i < crashes; i++) {
    await broker.kill();
    await broker.start();
    await goOn();
  }
  over = true;
  await publishing;
  const figures = await requests.stop();
  await until(async () => (await handled([server])).size >= kept.size, 'all events',
    { ms: 60_000 });
  const counts = await handled([server]);
  const lost = [...kept].filter((n) => !counts.has(n));
  const twice = [...counts.values()].filter((times) => times > 1).length;
  t.diagnostic(`${JSON.stringify(figures)}; ${kept.size} events kept, ${lost.length} lost, ` +
    `${twice} handled twice`);
  assert.deepEqual([lost, twice, figures.wrong], [[], 0, 0]);
  server.host.checkGrowth(rss, 20 * 2 ** 20);
});

test(`hosts of a queue group of three that die ${crashes} times under load`, async (t) => {
  const broker = await startNats(t, { jetstream: true });
  const options = { queue: 'q', durable: 'stress', ack_wait: 500 };
  const all = [];
  const start = async () => {
    const one = await serve(t, broker, options);
    all.push(one);
    return one;
  };
  const group = [await start(), await start(), await start()];
  const client = await natsClient(t, broker);
  let over = false;
  let answered = 0;
  let failed = 0;
  const loop = async () => {
    for (let i = 0; !over; i++) {
      const reply = await client.request('add',
        JSON.stringify({ data: { a: i, b: 1 }, id: `${i}` }), { timeout: 1000 }).catch(() => null);
      if (reply) assert.equal(reply.json().response, i + 1);
      if (reply) answered++;
      else failed++;
    }
  };
  const loops = Array.from({ length: 20 }, loop);
  const kept = new Set();
  const publishing = publisher(client, kept, () => over);
  const dead = new Map();
  for (let i = 0; i < crashes; i++) {
    const before = answered;
    await until(() => answered > before + 100, 'answers');
    const victim = group[i % 3];
    for (const { n, times } of await victim.ask('counts')) dead.set(n, (dead.get(n) ?? 0) + times);
    await victim.host.kill();
    group[i % 3] = await start();
  }
  over = true;
  await Promise.all(loops);
  await publishing;
  const missing = async () => {
    const counts = await handled(group);
    return [...kept].filter((n) => !counts.has(n) && !dead.has(n));
  };
  // What a host has handled between the last look at it and its end is not seen: of those events
  // the stream must have forgotten all.
  const done = await until(async () => {
    const [name] = (await client.request('$JS.API.STREAM.NAMES', '{}')).json().streams;
    const { state } = (await client.request(`$JS.API.STREAM.INFO.${name}`, '')).json();
    return state.messages === 0;
  }, 'an end of all events', { ms: 60_000 });
  const counts = await handled(group);
  for (const [n, times] of dead) counts.set(n, (counts.get(n) ?? 0) + times);
  const twice = [...counts.values()].filter((times) => times > 1).length;
  t.diagnostic(`${answered} answered, ${failed} failed; ${kept.size} events kept, all settled: ` +
    `${done}, not seen by a look before a crash: ${(await missing()).length}, ${twice} handled twice`);
  assert.ok(failed <= crashes * 20, `${failed} failed`);
});

test(`two hosts share ${shared} requests, a third takes its part, a drained one loses none`, async (t) => {
  const broker = await startNats(t);
  const group = [await serve(t, broker, { queue: 'q' }), await serve(t, broker, { queue: 'q' })];
  const client = await natsClient(t, broker);
  const burst = async (count) => {
    let next = 0;
    const loop = async () => {
      while (next < count) {
        const n = next++;
        const reply = await client.request('mine', JSON.stringify({ data: n, id: `${n}` }),
          { timeout: 10_000 });
        assert.equal(reply.json().response, n);
      }
    };
    await Promise.all(Array.from({ length: 64 }, loop));
  };
  const calls = () => Promise.all(group.map(({ ask }) => ask('calls')));
  await burst(shared);
  const two = await calls();
  assert.equal(two[0] + two[1], shared);
  group.push(await serve(t, broker, { queue: 'q' }));
  await burst(shared / 10);
  const three = await calls();
  const part = three[2] / (shared / 10);
  const draining = burst(shared / 5);
  await sleep(50);
  await group[0].host.stop();
  await draining;
  t.diagnostic(`shares ${two.join(' : ')}, the third's part ${part}`);
  for (const share of two) assert.ok(share >= shared * 0.4, `shares ${two}`);
  assert.ok(part > 0.2 && part < 0.5, `the third has ${part}`);
});
