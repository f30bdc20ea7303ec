// Crashes under load over rabbitmq-server, of it and of hosts, and how hosts share. ROOST_BROKER_LOAD=1:
// as often and as much as a release must stand; figures are printed as notes of the tests.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { binding, connectTo, startRmq } from '../lib/brokers/rmq.mjs';
import { startHost, temporaryDir } from '../lib/host.mjs';
import { lua } from '../lib/lua.mjs';
import { connect } from '../lib/peer.mjs';
import { sleep, undo, until } from '../lib/wait.mjs';

const full = process.env.ROOST_BROKER_LOAD === '1';
const brokerCrashes = full ? 50 : 2; // it takes seconds to come back
const hostCrashes = full ? 50 : 5;
const shared = full ? 100_000 : 10_000;
const queue = 'stress';

const service = (body) => `local roost = require "roost"
local service = roost.service()
${body}
return service
`;

/** Answers requests, and notes each event in a file that all hosts share. */
const worker = (notes, options = '{}') => service(`
local file = io.open(${lua(notes)}, "a")
file:setvbuf("no")
local calls = 0
service:message("add", function(data) calls = calls + 1 return data.a + data.b end)
service:message("calls", { transport = "tcp" }, function() return calls end)
service:event("event", ${options}, function(data)
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

/** A host with the worker behind the broker, which also answers over TCP. */
async function serve(t, broker, notes, { options, ...more } = {}) {
  const host = await startHost(t, { service: worker(notes.path, options),
    servers: [{}, binding.roost(broker, { queue, no_ack: false, retry_delay: 50, ...more })] });
  await until(() => host.find(/^connected$/).length > 0, 'the consumer');
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
          return roost.client("C"):call("add", { a = a, b = i }, { timeout = 10000 })
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
end)`), clients: { C: binding.roost(broker, { queue }) } });
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

/** Waits until every event that was confirmed has been handled. */
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

test(`a broker that dies ${brokerCrashes} times under load`, async (t) => {
  const broker = await startRmq(t);
  const notes = notebook(t);
  const { host } = await serve(t, broker, notes,
    { options: '{ once = function(data) return data.n end }' });
  const events = publish(t, broker);
  const requests = await load(t, broker);
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
  host.checkGrowth(rss, 20 * 2 ** 20);
});

test(`three hosts of a queue that die ${hostCrashes} times under load`, async (t) => {
  const broker = await startRmq(t);
  const notes = notebook(t);
  const start = () => serve(t, broker, notes, { prefetch_count: 20 });
  const group = [await start(), await start(), await start()];
  const events = publish(t, broker);
  const requests = await load(t, broker);
  for (let i = 0; i < hostCrashes; i++) {
    const before = (await requests.figures()).answered;
    await until(async () => (await requests.figures()).answered > before + 100, 'answers');
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
  const start = () => serve(t, broker, notes, { prefetch_count: 100 });
  const group = [await start(), await start()];
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
  clients: { C: binding.roost(broker, { queue }) } });
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
  group.push(await start());
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
