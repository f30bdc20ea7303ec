// What a request costs the host, a NestJS server, luv with lua-cjson, Tarantool, and the host's own
// net/ and wire/ without Lua ("C only": the limit); and what the README says beside that.
//
//   run [--quick] [--rounds N] [--seconds N] [--only REGEX] [--servers LIST] [--markdown]
//
// All of it takes less than 25 minutes; --quick, less than 3, is one round of the README's loads, with
// start, reload and generator. --only: the loads whose title matches, and of the other parts (start,
// newcomers, memory, reload, generator, handoff, client) those whose name does. --servers:
// nest,luv,tarantool,roost,c. --markdown writes page/ and the README's figures anew; `page
// build/bench.json` does so afterwards.
//
// Servers run on CPU 0, the load generator (roost bench) on CPU 1. In each round all servers take
// turns under each load, and the median over the rounds is printed: the machine's other work then
// meets all of them alike. What counts is the server's own CPU time per request; requests/s and
// latencies depend on what else goes on. Every reply is checked. Needs Linux, two CPUs, taskset, chrt.
import { parseArgs } from 'node:util';
import { makeCertificate } from './certificate.mjs';
import { clientFigures } from './client.mjs';
import { keepFigures } from './figures.mjs';
import { generatorFigures } from './generator.mjs';
import { handoffFigures } from './handoff.mjs';
import { keepAwake, medians, runTime, stop } from './lib.mjs';
import { groupsOf } from './loads.mjs';
import { busyShare, describeMachine } from './machine.mjs';
import { bench, measure } from './measure.mjs';
import { memoryFigures } from './memory.mjs';
import { newcomerFigures } from './newcomers.mjs';
import { show, writePage } from './page.mjs';
import { reloadFigures } from './reload.mjs';
import { launch, servers } from './servers.mjs';
import { startTimes } from './start.mjs';

const QUIET = 0.05; // of the machine's CPU time may go elsewhere
const WARM_UP_SECONDS = 0.3; // of a load, by a server that is warm
const PACED_TIMES = 3; // as long: the slowest of a thousand are looked for
const WARM_NS = 5e8; // what a server has worked when it is warm: V8 has compiled the path by then
const WARM_UPS = 5; // at most

const { values: options } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    rounds: { type: 'string' },
    seconds: { type: 'string' },
    only: { type: 'string', default: '' },
    servers: { type: 'string', default: Object.keys(servers).join() },
    markdown: { type: 'boolean', default: false },
  },
});
const rounds = Number(options.rounds ?? (options.quick ? 1 : 3));
const seconds = Number(options.seconds ?? (options.quick ? 0.6 : 1));
const names = options.servers.split(',');
for (const name of names) if (!servers[name]) throw new Error(`there is no server ${name}`);
if (options.markdown && (options.quick || options.only || names.length < Object.keys(servers).length))
  throw new Error('the page shows all of it: neither --quick nor --only nor --servers');

const files = makeCertificate();

const quoted = (word) => (/^[\w,./=-]+$/.test(word) ? word : `'${word}'`);

function progress(text) {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`);
}

/** One server under one load; null where it can't take it. */
async function measureOne(name, server, load) {
  try {
    await measure(server, load, WARM_UP_SECONDS, files.cert);
    return await measure(server, load, load.rate ? PACED_TIMES * seconds : seconds,
      files.cert);
  } catch (err) {
    console.error(`${servers[name].title}, ${load.title}: ${err.message}`);
    return null;
  }
}

async function warmUp({ child, port }, load) {
  const inFlight = load.data.length < 10000 ? 16 : 1;
  const began = runTime(child.pid);
  for (let i = 0; i < WARM_UPS && runTime(child.pid) - began < WARM_NS; i++)
    await bench(port, { ...load, rate: 0, connections: 10, inFlight }, 1, files.cert);
}

/** All servers under all loads of a group, one after the other, in processes of their own. */
async function measureGroup(group, results) {
  const [{ tls }] = group;
  const taking = Object.keys(results.get(group[0]));
  const running = new Map(await Promise.all(taking.map(async (name) =>
    [name, await launch(servers[name], tls && files)])));
  for (const name of taking) await warmUp(running.get(name), group[0]);
  for (const load of group) {
    for (const name of taking) {
      const result = await measureOne(name, running.get(name), load);
      if (result) results.get(load)[name].push(result);
    }
  }
  await Promise.all(taking.map((name) => stop(running.get(name).child)));
}

/** The medians of all rounds; null where one is missing. spread: of us, around its median. */
function sumUp(list) {
  if (list.length < rounds) return null;
  const figures = medians(list);
  const us = list.map((result) => result.us);
  return { ...figures, spread: (Math.max(...us) - Math.min(...us)) / figures.us };
}

async function measureLoads() {
  const groups = groupsOf(options);
  const results = new Map(groups.flat().map((load) => [load, Object.fromEntries(names
    .filter((name) => !load.tls || servers[name].tls).map((name) => [name, []]))]));
  for (let round = 0; round < rounds; round++) {
    for (const group of groups) {
      progress(`round ${round + 1} of ${rounds}: ${group[0].title} ...`);
      await measureGroup(group, results);
    }
  }
  return [...results].map(([{ title, request, connections, inFlight, rate }, lists]) =>
    ({ title, request, connections, inFlight, rate, servers: Object.fromEntries(
      Object.entries(lists).map(([name, list]) => [name, sumUp(list)])) }));
}

/** What is measured beside the loads. */
const parts = {
  start: () => startTimes(names, 3 * rounds),
  newcomers: () => newcomerFigures(names, files, rounds),
  memory: () => memoryFigures(names),
  reload: () => reloadFigures(rounds, 3 * seconds),
  generator: () => generatorFigures(rounds, seconds),
  handoff: () => handoffFigures(rounds),
  client: () => clientFigures(rounds, seconds),
};

const quickParts = ['start', 'reload', 'generator'];

const began = Date.now();
const busy = await busyShare();
if (busy > QUIET)
  console.error(`bench: this machine is busy with something else (${(100 * busy).toFixed(0)} % of ` +
    'its CPU time): ratios may be off, latencies are');
keepAwake([0, 1]);
const figures = { date: new Date().toISOString().slice(0, 10), machine: describeMachine(), busy,
  command: ['./dev bench', ...process.argv.slice(2).map(quoted)].join(' '), names, rounds, seconds,
  loads: await measureLoads() };
for (const [name, part] of Object.entries(parts)) {
  if (!new RegExp(options.only, 'i').test(name) || (options.quick && !quickParts.includes(name)))
    continue;
  progress(name);
  figures[name] = await part();
}
progress('');
figures.minutes = (Date.now() - began) / 60000;
show(figures);
keepFigures(figures);
if (options.markdown) writePage(figures);
process.exit(0);
