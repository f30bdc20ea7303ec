// What TLS costs a server: requests on connections that are there, new connections, resumed ones;
// how long a new connection takes to its first reply; and a call within a host against the same one
// over TCP.
//
//   tls [--rounds N] [--seconds N] [--connections N] [--only REGEX] [--markdown]
//
// --connections: how many are made per measurement; --only: the parts whose title matches (load,
// new, local). Servers run on CPU 0, whoever calls them on CPU 1. In each round all servers take
// turns, each in a fresh process; medians over the rounds. What counts is the server's own CPU time.
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { makeCertificate } from './certificate.mjs';
import { here, keepAwake, median, ratio, roostBin,
  run, runTime, stop, table, takeTurns, time } from './lib.mjs';
import { sum } from './loads.mjs';
import { bench } from './measure.mjs';
import { launch, servers } from './servers.mjs';
import { visitsTls } from './visits.mjs';

const { values: options } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '2' },
    connections: { type: 'string', default: '400' },
    only: { type: 'string', default: '' },
    markdown: { type: 'boolean', default: false },
  },
});
const rounds = Number(options.rounds);
const names = ['nest', 'roost', 'c'];
const isWanted = (title) => new RegExp(options.only, 'i').test(title);

const files = makeCertificate();

/** measure(server) for all servers in turns: the medians of each figure, by server. */
async function measureAll(measure) {
  const figures = await takeTurns(rounds, names, async (name) => {
    const running = await launch(servers[name], files);
    return measure(running).finally(() => stop(running.child));
  });
  return Object.fromEntries(names.map((name, at) => [name, figures[at]]));
}

/** Nest's, ours and C's; how many times less than Nest's ours is, and how much more than C's. */
const compared = (figures, key) => [...names.map((name) => time(figures[name][key])),
  ratio(figures.nest[key], figures.roost[key]), ratio(figures.roost[key], figures.c[key])];
const head = (what) => [what, 'NestJS', 'Roost', 'C only', 'Nest/Roost', 'Roost/C'];

// Requests on connections that are there

async function load({ child, port }, connections, inFlight) {
  const put = (seconds) =>
    bench(port, { ...sum, tls: true, connections, inFlight }, seconds, files.cert);
  await put(1); // warms up
  const before = runTime(child.pid);
  // the handshakes are in it, too: a few, against many thousand requests
  const { requests } = await put(Number(options.seconds));
  return { us: (runTime(child.pid) - before) / 1000 / requests };
}

// New connections

async function connections({ child, port }) {
  const count = Number(options.connections);
  const figures = {};
  for (const [name, resumes] of [['whole', false], ['resumed', true]]) {
    await visitsTls(port, count >> 2, files.cert, resumes); // warms up
    const before = runTime(child.pid);
    const times = await visitsTls(port, count, files.cert, resumes);
    figures[name] = (runTime(child.pid) - before) / 1000 / count;
    figures[`${name} time`] = median(times);
  }
  return figures;
}

// Calls within a host

const within = { ...servers.roost, command: () => [roostBin, 'run', join(here, 'host.lua'), '--set',
  `services=${join(here, 'within.lua')}`] };

/** Microseconds of a call that a host makes of itself, both ends together. */
async function callWithin({ port }, overTcp, inFlight) {
  const { code, stdout, stderr } = await run(1, [roostBin, 'call', '--url', `tcp://127.0.0.1:${port}`,
    'measure', JSON.stringify({ ...(overTcp && { port }), in_flight: inFlight,
      ms: 1000 * Number(options.seconds) })]);
  if (code !== 0) throw new Error(stderr);
  return Number(stdout);
}

async function callsWithin(inFlight) {
  const results = { tcp: [], local: [] };
  for (let round = 0; round < rounds; round++) {
    const server = await launch(within);
    for (const name of Object.keys(results))
      results[name].push(await callWithin(server, name === 'tcp', inFlight));
    await stop(server.child);
  }
  const [tcp, local] = [median(results.tcp), median(results.local)];
  return [`${inFlight} in flight`, time(tcp), time(local), ratio(tcp, local)];
}

keepAwake([0, 1]);
console.log(`Medians of ${rounds} rounds; CPU time of the server\n`);
if (isWanted('load')) {
  const rows = [];
  for (const [count, inFlight] of [[10, 1], [10, 16]]) {
    const figures = await measureAll((server) => load(server, count, inFlight));
    rows.push([`${count} x ${inFlight}`, ...compared(figures, 'us')]);
  }
  console.log(table(head("a request {cmd:'sum'} over TLS"), rows, options.markdown), '\n');
}
if (isWanted('new')) {
  const figures = await measureAll(connections);
  console.log(table(head('a new connection and one request'), [
    ['CPU, whole handshake', ...compared(figures, 'whole')],
    ['CPU, session resumed', ...compared(figures, 'resumed')],
    ['until the reply, whole handshake', ...compared(figures, 'whole time')],
    ['until the reply, session resumed', ...compared(figures, 'resumed time')],
  ], options.markdown), '\n');
}
if (isWanted('local')) {
  const rows = [await callsWithin(1), await callsWithin(64)];
  console.log(table(['a call of the same host, both ends', 'TCP', 'local', 'TCP/local'], rows,
    options.markdown));
}
process.exit(0);
