// How many system calls a request costs a server, counted by strace: with one request in flight and
// with 16, on one connection and on ten.
//
//   calls [--seconds N] [--servers LIST] [--markdown]
//
// Counted is the thread with the event loop, over a whole run; a turn of it is a wait for events. What
// making the connections takes is among the others.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { stop, table } from './lib.mjs';
import { sum as request } from './loads.mjs';
import { bench } from './measure.mjs';
import { launch, servers } from './servers.mjs';

const { values: options } = parseArgs({
  options: {
    seconds: { type: 'string', default: '2' },
    servers: { type: 'string', default: 'nest,luv,roost,c' },
    markdown: { type: 'boolean', default: false },
  },
});
const names = options.servers.split(',');
const dir = mkdtempSync(join(tmpdir(), 'roost-bench-'));
process.on('exit', () => rmSync(dir, { recursive: true }));

const READS = ['read', 'recvfrom', 'recvmsg', 'readv'];
const WRITES = ['write', 'sendto', 'sendmsg', 'writev'];
const WAITS = ['epoll_wait', 'epoll_pwait'];

const sum = (counts, list) => list.reduce((total, name) => total + (counts[name] ?? 0), 0);

function read(file) {
  const counts = {};
  for (const line of readFileSync(file, 'utf8').split('\n')) {
    const match = /^\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:\d+\s+)?(\w+)$/.exec(line);
    if (match && match[2] !== 'total') counts[match[2]] = Number(match[1]);
  }
  return counts;
}

/** A row of the table: what a whole run has called, by request. */
async function measure(name, connections, inFlight) {
  const { child, port } = await launch(servers[name]);
  const file = join(dir, 'calls');
  const tracer = spawn('strace', ['-c', '-o', file, '-p', String(child.pid)], { stdio: 'ignore' });
  await sleep(300); // until it is attached
  const { requests } = await bench(port, { ...request, connections, inFlight }, options.seconds)
    .finally(async () => {
      tracer.kill('SIGINT');
      await once(tracer, 'close');
      await stop(child);
    });
  const counts = read(file);
  const [reads, writes, waits] = [READS, WRITES, WAITS].map((list) => sum(counts, list));
  const others = sum(counts, Object.keys(counts)) - reads - writes - waits;
  return [`${connections} x ${inFlight}`, servers[name].title,
    ...[reads, writes, waits, others].map((count) => (count / requests).toFixed(3)),
    (reads / waits).toFixed(2), (requests / reads).toFixed(2)];
}

const rows = [];
for (const [connections, inFlight] of [[1, 1], [10, 1], [1, 16], [10, 16]])
  for (const name of names) rows.push(await measure(name, connections, inFlight));
console.log(table(['load', 'server', 'reads', 'writes', 'waits', 'others', 'reads/turn',
  'requests/read'], rows, options.markdown, 2));
process.exit(0);
