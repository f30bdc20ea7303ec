// Server CPU per request of the host, of the same host without Lua (the limit), and of NestJS.
//
//   run [--rounds N] [--seconds N] [ROOST_BINARY]
//
// Servers run on CPU 0, the load generator on CPU 1; all servers take turns in each round, and the
// median over the rounds is printed: the machine's other work then meets all of them alike. An
// idle-priority spinner on each CPU keeps them from going to sleep. Needs linux, taskset and chrt.
// Where things are: ROOST_BIN, ROOST_BENCH_BIN (the benchmarks' programs), ROOST_NPM_DIR.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const here = dirname(fileURLToPath(import.meta.url));
const repo = dirname(dirname(here));
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '3' },
  },
});
const roostBin = positionals[0] ?? process.env.ROOST_BIN ?? join(repo, 'build', 'roost');
const benchBin = process.env.ROOST_BENCH_BIN ?? join(repo, 'build', 'tests', 'bench');
const npmDir = process.env.ROOST_NPM_DIR ?? join(repo, 'build', 'interop');

const item = { id: 17, name: 'spanner', tags: ['tool', 'steel'], price: 12.5, stock: true };
const nested = JSON.stringify({ order: 4711, user: { id: 7, name: 'Ada', roles: ['admin'] },
  items: [item, { ...item, id: 18, name: 'hammer' }] });
const loads = [
  { name: 'sum 10 x 1', connections: 10, inFlight: 1, pattern: '{"cmd":"sum"}',
    data: '[1,2,3]', response: '6' },
  { name: 'sum 10 x 16', connections: 10, inFlight: 16, pattern: '{"cmd":"sum"}',
    data: '[1,2,3]', response: '6' },
];
// A Lua table has no key order: an object's echo is another text, of the same length.
const echo = { name: `echo ${nested.length} B 10 x 16`, connections: 10, inFlight: 16,
  pattern: '"echo"', data: nested, response: nested, unordered: true };

const children = new Set();
process.on('exit', () => children.forEach((child) => child.kill('SIGKILL')));

function start(cpu, file, args, options = {}) {
  const child = spawn('taskset', ['-c', String(cpu), file, ...args],
    { stdio: ['ignore', 'pipe', 'inherit'], ...options });
  children.add(child);
  child.on('exit', () => children.delete(child));
  return child;
}

async function stop(child) {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGKILL');
  await once(child, 'exit');
}

async function firstLine(child) {
  const lines = createInterface({ input: child.stdout });
  const line = await Promise.race([once(lines, 'line'), once(child, 'exit').then(() => null)]);
  if (line === null) throw new Error('a server did not start');
  return line[0];
}

/** Nanoseconds that all threads of a process have run. */
function runTime(pid) {
  return readdirSync(`/proc/${pid}/task`)
    .map((task) => Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, 'utf8').split(' ')[0]))
    .reduce((sum, ns) => sum + ns, 0);
}

async function loadOnce(port, { connections, inFlight, pattern, data, response, unordered },
  seconds) {
  const args = [port, connections, inFlight, seconds, pattern, data, response].map(String);
  if (unordered) args.push('unordered');
  const child = start(1, join(benchBin, 'roost_bench_load'), args);
  const line = await firstLine(child);
  return JSON.parse(line);
}

const freePort = 23000 + (process.pid % 20000);
const servers = [
  { name: 'nest', launch: () => start(0, process.execPath, [join(here, 'nest_server.mjs')],
    { env: { ...process.env, ROOST_NPM_DIR: npmDir } }) },
  { name: 'c_server', launch: () => start(0, join(benchBin, 'roost_bench_c_server'), []) },
  existsSync(roostBin) && { name: 'roost', port: freePort,
    launch: () => start(0, roostBin, ['run', join(here, 'host.lua'), '--set',
      `services=${join(here, 'service.lua')}`, '--set', `servers.1.port=${freePort}`]) },
].filter(Boolean);

const median = (list) => list.toSorted((a, b) => a - b)[list.length >> 1];

async function waitForPort(port) {
  const { connect } = await import('node:net');
  for (let tries = 0; tries < 200; tries++) {
    const socket = connect(port, '127.0.0.1');
    const up = await Promise.race([once(socket, 'connect').then(() => true),
      once(socket, 'error').then(() => false, () => false)]).catch(() => false);
    socket.destroy();
    if (up) return;
    await new Promise((done) => setTimeout(done, 50));
  }
  throw new Error('the host does not listen');
}

/** One server under one load: warmed up, then measured. */
async function measure(server, load) {
  const child = server.launch();
  const port = server.port ?? await firstLine(child);
  if (server.port) await waitForPort(port);
  await loadOnce(port, load, 1);
  const before = runTime(child.pid);
  const result = await loadOnce(port, load, Number(values.seconds));
  const us = (runTime(child.pid) - before) / 1000 / result.requests;
  await stop(child);
  return { ...result, us };
}

async function main() {
  const spinners = [0, 1].map((cpu) =>
    start(cpu, 'chrt', ['--idle', '0', 'sh', '-c', 'while :; do :; done']));
  console.log('server CPU per request in us (median of %s rounds), how many times below nest,',
    values.rounds);
  console.log('and requests/s, p50 and p99 in us as the generator saw them\n');
  for (const load of [...loads, echo]) {
    const results = new Map(servers.map((server) => [server, []]));
    for (let round = 0; round < Number(values.rounds); round++)
      for (const server of servers) results.get(server).push(await measure(server, load));
    console.log(load.name);
    const us = (server) => median(results.get(server).map((result) => result.us));
    for (const server of servers) {
      const of = (key) => median(results.get(server).map((result) => result[key]));
      console.log('  %s %s us  %sx  %s/s  p50 %s  p99 %s', server.name.padEnd(9),
        us(server).toFixed(3).padStart(8), (us(servers[0]) / us(server)).toFixed(1).padStart(6),
        String(of('per_second')).padStart(8), of('p50_us'), of('p99_us'));
    }
  }
  await Promise.all(spinners.map(stop));
}

await main();
process.exit(0);
