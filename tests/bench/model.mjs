// What the measured costs say about machines that were not measured.
//
//   model [FIGURES]     prints it for page/figures.json, or for another file; each run leaves its
//                       figures in build/bench.json
//
// The calculation: a host of N workers shares nothing on the path of a request, so it answers N/c
// requests a second, c being the CPU of one. Two things are not that easy, and are counted:
//
// - A service with `instances = 1` lives on one worker, its home. A request that comes in on another
//   one is handed there and its reply handed back: h of CPU, half of it on either side. The home
//   bounds the host then, as in Amdahl's law, with a serial part that was measured.
// - Connections are handed to workers by count, not by load. `balance` is a simulation: connections
//   whose rates differ as Pareto's do (alpha 1.5: a tenth of them sends 46 % of all requests) are
//   dealt out evenly by number; the busiest worker is full when the others still have room.
//
// Left out: what a network card costs more than loopback, frequency that sinks
// with the number of busy cores, and whatever a kernel of that many cores shares.
import { fileURLToPath } from 'node:url';
import { readFigures } from './figures.mjs';
import { median, percent, table } from './lib.mjs';

const CORES = [1, 2, 8, 64];
const ALPHA = 1.5;
const LARGE_BYTES = 65536;
const COPIES = 4; // of each byte that is echoed
const MOST_RATES = 1e6; // that one cell of the simulation draws, as long as it draws FEWEST times
const FEWEST = 5;

/** Numbers from 0 to 1, the same in every run: Marsaglia's xorshift32. */
function dice(seed) {
  let state = seed;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}

/**
 * The share of N workers' capacity that is used when the busiest of them is full, with so many
 * connections: the median of many draws.
 */
export function balance(workers, connections) {
  const random = dice(workers * 1000003 + connections);
  const draws = Math.max(FEWEST, Math.min(400, Math.floor(MOST_RATES / connections)));
  const shares = [];
  for (let draw = 0; draw < draws; draw++) {
    const loads = new Float64Array(workers);
    let total = 0;
    for (let i = 0; i < connections; i++) {
      const rate = (1 - random()) ** (-1 / ALPHA);
      loads[i % workers] += rate; // the worker with the fewest connections takes it
      total += rate;
    }
    shares.push(total / workers / Math.max(...loads));
  }
  return median(shares);
}

let simulated;

/** A row for so many connections, with the balance of each number of workers; the same each time. */
function simulate() {
  simulated ??= [100, 1000, 10000, 100000, 1000000].map((connections) =>
    [connections, ...CORES.slice(1).map((workers) => balance(workers, connections))]);
  return simulated;
}

/**
 * Requests a second of N workers. c: microseconds of a request, own: how many of them are spent in
 * its service, share: of the requests that go to a service on one worker, h: of a handoff there and
 * back.
 */
export function capacity(workers, { c, own }, share = 0, h = 0) {
  const forwarded = share * (workers - 1) / workers; // of all requests
  const network = (c - own) / workers; // all of these: microseconds per request of the host
  const spread = (1 - share) * own / workers;
  const home = network + spread + share * own + forwarded * h / 2;
  const other = network + spread + share / workers * h / 2;
  return 1e6 / Math.max(home, workers > 1 ? other : 0);
}

const find = (figures, title) => figures.loads.find((load) => load.title === title)?.servers;

/** The measured costs the predictions are made of; null where a figure is missing. */
export function costs(figures) {
  const [alone, batched] = ['sum, 10 x 1', 'sum, 100 x 16'].map((title) => find(figures, title));
  if (![alone, batched].every((it) => it?.roost && it.c) || !figures.newcomers?.roost ||
    !figures.memory?.roost || !figures.handoff) return null;
  const cost = ({ roost, c }) => ({ c: roost.us, own: Math.max(roost.us - c.us, 0) });
  return { alone: cost(alone), batched: cost(batched), newcomer: figures.newcomers.roost,
    bytes: figures.memory.roost, handoff: figures.handoff,
    large: find(figures, 'text, 64 KiB, 10 x 1')?.roost };
}

/** 1234567 as 1.2 M, 12345 as 12 k. */
function count(value) {
  const [n, unit] = value >= 999500 ? [value / 1e6, ' M'] : [value / 1e3, ' k'];
  return `${n.toFixed(n < 9.95 ? 1 : 0)}${unit}`;
}


/** The tables: of cores, of balance; and what a million connections take. */
function predict(known, markdown) {
  const { alone, batched, newcomer, handoff } = known;
  const cores = table(['cores = workers', 'sum, 1 in flight', 'sum, 16 in flight',
    'a tenth to a service on one worker', 'all to one worker', 'new TLS connections'],
  CORES.map((workers) => [String(workers), capacity(workers, alone), capacity(workers, batched),
    capacity(workers, batched, 0.1, handoff.many_us), capacity(workers, batched, 1, handoff.many_us),
    // worker 0 accepts, at the price of a whole plain connection; then TLS is the others' as well
    1e6 / Math.max(newcomer.tls / workers, newcomer.tcp)]
    .map((cell) => (typeof cell === 'string' ? cell : `${count(cell)}/s`))), markdown);
  const balances = table(['connections', ...CORES.slice(1).map((workers) => `${workers} workers`)],
    simulate().map(([connections, ...shares]) =>
      [connections.toLocaleString('en'), ...shares.map(percent)]), markdown);
  return { cores, balances };
}

/** What a million connections take: memory when idle, time to come back, CPU when they ask little. */
function millionText({ alone, newcomer, bytes }) {
  const gib = (each) => (each * 1e6 / 2 ** 30).toFixed(1);
  const [most] = CORES.slice(-1);
  const seconds = (us) => us.toFixed(0); // of a million
  return `A million idle connections take ${gib(bytes.server)} GiB of the host and ` +
    `${gib(bytes.kernel)} GiB of the kernel. When all of them connect anew, that takes at least ` +
    `${seconds(newcomer.tcp)} s, and over TLS ${seconds(newcomer.tls / CORES[2])} s on ${CORES[2]} cores, ` +
    `${seconds(Math.max(newcomer.tls / most, newcomer.tcp))} s on ${most}. If each sends a request a ` +
    `minute, that is ${(1e6 / 60 * alone.c / 1e6).toFixed(2)} cores' work.`;
}

/** Where the bytes of large requests are the limit rather than the cores. */
function bandwidthText({ large }) {
  if (!large) return null;
  const [most] = CORES.slice(-1);
  const perSecond = (workers) => workers * 1e6 / large.us * COPIES * 2 * LARGE_BYTES / 1e9;
  return `Large requests stop before that: an echo of 64 KiB copies its bytes ${COPIES} times (out of the ` +
    'kernel, to Lua, from Lua, into the kernel), which reads and writes ' +
    `${perSecond(1).toFixed(1)} GB/s on one core where caches don't help; ${most} cores would want ` +
    `${perSecond(most).toFixed(0)} GB/s of memory.`;
}

/** All of it as text, in Markdown or for a terminal; null where figures are missing. */
export function modelText(figures, markdown) {
  const known = costs(figures);
  if (!known) return null;
  const { alone, batched, newcomer, bytes, handoff } = known;
  const { cores, balances } = predict(known, markdown);
  const us = (value) => `${value.toFixed(value < 9.95 ? 2 : 1)} us`;
  const measured = table(['measured, of one worker', ''], [
    ['a request alone in its turn (sum, 10 x 1)', us(alone.c)],
    ['a request among others (sum, 100 x 16)', us(batched.c)],
    ['of which its service takes (Roost less C only)', us(batched.own)],
    ['a new connection and its request', us(newcomer.tcp)],
    ['the same over TLS, whole handshake', us(newcomer.tls)],
    ['a handoff to another worker and back, many at once', us(handoff.many_us)],
    ['the same, one at a time: both workers sleep in between', us(handoff.one_us)],
    ['an idle connection, of the host\'s memory', `${(bytes.server / 1024).toFixed(2)} KiB`],
    ['an idle connection, of the kernel\'s memory', `${(bytes.kernel / 1024).toFixed(2)} KiB`],
  ], markdown);
  return [measured, `Predicted capacity, every core busy with nothing else:\n\n${cores}`,
    'Connections stay on their worker, which is full before the others where there are few of them.\n' +
    `How much of the capacity above is left (simulated; a tenth sends 46 %):\n\n${balances}`,
    millionText(known), bandwidthText(known)].filter((text) => text).join('\n\n');
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const text = modelText(readFigures(process.argv[2]), false);
  if (!text) throw new Error('these figures are of a part only: ./dev bench makes all of them');
  console.log(text);
}
