// What a request costs the host, a NestJS server, luv with lua-cjson, and the host's own net/ and
// wire/ without Lua ("C only": the limit).
//
//   run [--rounds N] [--seconds N] [--all] [--only REGEX] [--servers LIST] [--markdown]
//
// --all measures every combination, --only those loads whose title matches, "start" among them;
// --servers nest,luv,roost,c. Servers run on CPU 0, the load generator (roost bench) on CPU 1. In
// each round all servers take turns under each load, each in a fresh process, and the median over
// the rounds is printed: the machine's other work then meets all of them alike. What counts is the
// server's own CPU time per request; requests/s and latencies depend on what else goes on. Every
// reply is checked. Needs Linux, two CPUs, taskset and chrt.
import { parseArgs } from 'node:util';
import { keepAwake, median, ratio, residentMb, roostBin, run, runTime, stop, table, time }
  from './lib.mjs';
import { loads } from './loads.mjs';
import { launch, servers } from './servers.mjs';
import { startTimes } from './start.mjs';

const CLIENT_CPU = 1;

const { values: options } = parseArgs({
  options: {
    rounds: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '2' },
    all: { type: 'boolean', default: false },
    only: { type: 'string', default: '' },
    servers: { type: 'string', default: Object.keys(servers).join() },
    markdown: { type: 'boolean', default: false },
  },
});
const rounds = Number(options.rounds);
const names = options.servers.split(',');
for (const name of names) if (!servers[name]) throw new Error(`there is no server ${name}`);

/** The generator's figures for one load on one port. */
async function bench(port, { connections, inFlight, rate, pattern, data }, seconds) {
  const { code, stdout, stderr } = await run(CLIENT_CPU, [roostBin, 'bench', '--json',
    '--url', `tcp://127.0.0.1:${port}`, '-c', String(connections), '-d', String(seconds),
    ...(rate ? ['--rate', String(rate)] : ['-p', String(inFlight)]), pattern, '-'], data);
  if (code !== 0) throw new Error(stderr.trim() || `roost bench ended with ${code}`);
  return JSON.parse(stdout);
}

/** One server under one load: warmed up, then measured; null where it can't take it. */
async function measure({ child, port }, load, title) {
  try {
    await bench(port, load, 1);
    const before = runTime(child.pid);
    const result = await bench(port, load, Number(options.seconds));
    return {
      us: (runTime(child.pid) - before) / 1000 / result.requests,
      perSecond: result.per_second,
      p50: result.latency_us.p50,
      p99: result.latency_us.p99,
      p999: result.latency_us.p99_9,
      rss: residentMb(child.pid),
      generator: result.generator_cpu,
    };
  } catch (err) {
    console.error(`${title}, ${load.title}: ${err.message}`);
    return null;
  }
}

/** All servers under one load, one after the other. */
async function takeTurns(load, results) {
  const running = new Map(await Promise.all(names.map(async (name) =>
    [name, await launch(servers[name])])));
  for (const name of names) {
    const result = await measure(running.get(name), load, servers[name].title);
    if (result) results[name].push(result);
    await stop(running.get(name).child);
  }
}

/** The medians of all rounds, by server; null where one is missing. */
function sumUp(results) {
  return Object.fromEntries(Object.entries(results).map(([name, list]) => [name,
    list.length < rounds ? null : Object.fromEntries(Object.keys(list[0]).map((key) =>
      [key, median(list.map((result) => result[key]))]))]));
}

const against = (from, to) => (from && to ? ratio(from.us, to.us) : '');

function showLong(all) {
  const head = ['load', 'server', 'CPU/request', 'Nest/it', 'it/C', 'requests/s', 'p50', 'p99',
    'p99.9', 'RSS', 'generator'];
  const rows = all.flatMap(({ load, figures }) => names.map((name) => {
    const it = figures[name];
    if (!it) return [load.title, servers[name].title, ...Array(9).fill('-')];
    return [load.title, servers[name].title, time(it.us), against(figures.nest, it),
      against(it, figures.c), it.perSecond.toFixed(0), time(it.p50), time(it.p99), time(it.p999),
      `${it.rss.toFixed(1)} MB`, `${(100 * it.generator).toFixed(0)} %`];
  }));
  console.log(table(head, rows, options.markdown, 2));
}

/** As the README has it: a row per load. */
function showShort(all) {
  const cpu = (figures, name) => {
    if (!figures[name]) return '-';
    const less = name !== 'nest' && figures.nest ? ` (${against(figures.nest, figures[name])})` : '';
    return `${time(figures[name].us)}${less}`;
  };
  console.log(`\nServer CPU per request, and how many times less than NestJS\n`);
  console.log(table(['load', ...names.map((name) => servers[name].title)],
    all.map(({ load, figures }) => [load.title, ...names.map((name) => cpu(figures, name))]),
    options.markdown));
  const paced = all.filter(({ load }) => load.rate);
  if (paced.length === 0) return;
  const latency = (it) => (it ? [it.p50, it.p99, it.p999].map(time).join(' / ') : '-');
  console.log('\nLatency at a fixed rate: p50 / p99 / p99.9\n');
  console.log(table(['load', ...names.map((name) => servers[name].title)],
    paced.map(({ load, figures }) => [load.title, ...names.map((name) => latency(figures[name]))]),
    options.markdown));
}

/** How long it takes until a program that was started answers, and its memory then. */
async function showStart() {
  if (!new RegExp(options.only, 'i').test('start')) return;
  console.log('\nStart to the first reply, and memory then (Roost with the shipped services)\n');
  const figures = await startTimes(names, 3 * rounds);
  console.log(table(['server', 'start to ready', 'RSS'], names.map((name) =>
    [servers[name].title, `${figures[name].ms.toFixed(1)} ms`, `${figures[name].rss.toFixed(1)} MB`]),
  options.markdown));
}

const chosen = loads(options);
const results = chosen.map(() => Object.fromEntries(names.map((name) => [name, []])));
keepAwake([0, CLIENT_CPU]);
for (let round = 0; round < rounds; round++) {
  for (const [at, load] of chosen.entries()) {
    if (process.stderr.isTTY) process.stderr.write(`\r\x1b[Kround ${round + 1}: ${load.title}`);
    await takeTurns(load, results[at]);
  }
}
if (process.stderr.isTTY) process.stderr.write('\r\x1b[K');
const all = chosen.map((load, at) => ({ load, figures: sumUp(results[at]) }));
if (all.length > 0) {
  console.log(`Medians of ${rounds} rounds of ${options.seconds} s; loads: connections x requests ` +
    'in flight on each\n');
  showLong(all);
  showShort(all);
}
await showStart();
process.exit(0);
