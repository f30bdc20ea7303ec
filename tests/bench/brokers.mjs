// Requests through each broker: NestJS at both ends against Roost at both ends, in turns, on the same
// broker.
//
//   brokers [--rounds N] [--seconds N] [--in-flight N] [--only NAME] [--markdown]
//
// Server and client run on CPU 0, the broker on CPU 1 with what measures. Of each round: replies per
// second, and the processor time of server, client and broker per request; the medians are printed.
// A broker that is busy all the time is the limit of both.
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { bindingOf } from '../interop/lib/brokers/binding.mjs';
import { lua } from '../interop/lib/lua.mjs';
import { here, keepAwake, medians, npmDir, percent, ratio, roostBin, runTime, start, stop, table,
  time, waitForLine } from './lib.mjs';

const names = ['nats', 'redis', 'mqtt', 'rmq', 'kafka'];
const env = { ...process.env, ROOST_NPM_DIR: npmDir };
const nestScript = join(here, 'brokers_nest.mjs');

/** What a Nest process must know of a broker. */
const place = ({ port, dir, url, servers, brokers }) =>
  JSON.stringify({ port, dir, url, servers, brokers });

const peers = {
  nest: {
    server: (binding, broker) => ({
      command: [process.execPath, nestScript, 'server', binding.name, place(broker)],
      ready: (child) => waitForLine(child, child.stdout, /^(ready)$/),
    }),
    client: (binding, broker, load) =>
      [process.execPath, nestScript, 'client', binding.name, place(broker), ...load],
  },
  roost: {
    server: (binding, broker, dir) => {
      const file = join(dir, 'host.lua');
      writeFileSync(file, `return ${lua({
        services: [join(here, 'service.lua')], servers: [binding.roost(broker)],
        admin: { socket: false, http: false },
      })}\n`);
      return {
        command: [roostBin, 'run', file],
        ready: (child) => waitForLine(child, child.stderr, /msg="?(connected)/),
      };
    },
    client: (binding, broker, load) => {
      const entry = binding.client ? binding.roost(broker, binding.client({}))
        : binding.roost(broker);
      return [roostBin, 'exec', join(here, 'brokers_client.lua'), JSON.stringify(entry), ...load];
    },
  },
};

/** One side's figures in one round. */
async function measure({ server, client }, binding, broker, load, dir) {
  const { command, ready } = server(binding, broker, dir);
  const serving = start(0, command, { env, stdio: ['ignore', 'pipe', 'pipe'] });
  serving.stdout.resume();
  await ready(serving);
  serving.stderr.resume();
  const calling = start(0, client(binding, broker, load), { env });
  await waitForLine(calling, calling.stdout, /^(measuring)$/);
  const before = [serving.pid, broker.pid].map(runTime);
  const figures = JSON.parse(await waitForLine(calling, calling.stdout, /^(\{.*\})$/));
  const [served, carried] = [serving.pid, broker.pid].map((pid, at) =>
    (runTime(pid) - before[at]) / 1000 / figures.requests);
  await Promise.race([once(calling, 'exit'), stop(calling)]);
  await stop(serving);
  return { rate: figures.requests / figures.seconds, server: served,
    client: figures.cpu_us / figures.requests, broker: carried,
    busy: carried * figures.requests / figures.seconds / 1e6 };
}

async function brokerFigures(name, { rounds, load }) {
  const undone = [];
  const owner = { after: (fn) => undone.push(fn) };
  const binding = await bindingOf(name);
  const dir = mkdtempSync(join(tmpdir(), 'roost-bench-'));
  const results = { nest: [], roost: [] };
  try {
    const broker = await binding.start(owner);
    if (broker.createTopics) {
      await broker.createTopics(['sum'], 10);
      await broker.createTopics(['sum.reply'], 1);
    }
    for (let round = 0; round < rounds; round++)
      for (const [peer, how] of Object.entries(peers))
        results[peer].push(await measure(how, binding, broker, load, dir));
  } finally {
    for (const fn of undone) await fn();
    rmSync(dir, { recursive: true });
  }
  return { name, nest: medians(results.nest), roost: medians(results.roost) };
}

const { values: options } = parseArgs({
  options: {
    rounds: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '3' },
    'in-flight': { type: 'string', default: '64' },
    only: { type: 'string' },
    markdown: { type: 'boolean', default: false },
  },
});
keepAwake([0, 1]);
const load = [options['in-flight'], options.seconds];
const rows = [];
for (const name of options.only ? [options.only] : names) {
  console.error(`${name} ...`);
  const { nest, roost } = await brokerFigures(name, { rounds: Number(options.rounds), load });
  const row = (peer, of, by) => [name, peer, of.rate.toFixed(0), by(of.rate, nest.rate),
    time(of.server), time(of.client), time(of.broker), percent(of.busy)];
  rows.push(row('NestJS', nest, () => ''), row('Roost', roost, ratio));
}
console.log(`sum through brokers, ${options['in-flight']} in flight, median of `
  + `${options.rounds} rounds\n`);
console.log(table(['broker', 'both ends', 'replies/s', 'more', 'server CPU', 'client CPU',
  'broker CPU', 'broker busy'], rows, options.markdown, 2));
process.exit(0);
