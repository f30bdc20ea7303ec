// What connections that do nothing cost: memory of the server for each, plain and with TLS, what is
// left of it once they are gone, and how fast the server answers others meanwhile.
//
//   idle [--connections N] [--tls N] [--rounds N] [--seconds N] [--servers LIST] [--markdown]
//
// Each has sent one request and stays. They come from several addresses of 127.0.0.0/8, so that ports
// don't run out; how many there can be is what descriptors allow (ulimit -n), 15,000 by default.
// Memory is the server's resident set, without the kernel's own for each socket. Its speed is
// {cmd:'sum'} over 10 connections with 16 in flight each, in turns with a second server that has no
// idle ones.
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import net from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import tls from 'node:tls';
import { parseArgs } from 'node:util';
import { makeCertificate } from './certificate.mjs';
import { keepAwake, median, residentMb, runTime, stop, table, time } from './lib.mjs';
import { sum } from './loads.mjs';
import { bench } from './measure.mjs';
import { launch, servers } from './servers.mjs';

const { values: options } = parseArgs({
  options: {
    connections: { type: 'string', default: '15000' },
    tls: { type: 'string', default: '2000' },
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '2' },
    servers: { type: 'string', default: 'roost,c' },
    markdown: { type: 'boolean', default: false },
  },
});
const names = options.servers.split(',');
// As many as come: more than a host takes by default.
const unlimited = {
  ...servers,
  roost: { ...servers.roost, command: (...args) => [...servers.roost.command(...args), '--set',
    'servers.1.max_connections=0'] },
};
const AT_ONCE = 100; // connections being made
const PER_ADDRESS = 5000;
const SETTLE_MS = 3000; // until a server has noticed

const text = '{"pattern":{"cmd":"sum"},"data":[1,2,3],"id":"1"}';
const request = `${text.length}#${text}`;

/** One more connection, which has had its reply. */
async function connect(port, index, ca) {
  const options = { host: '127.0.0.1', port,
    localAddress: `127.0.0.${2 + Math.floor(index / PER_ADDRESS)}` };
  const socket = ca ? tls.connect({ ...options, ca }) : net.connect(options);
  socket.setNoDelay(true);
  await once(socket, ca ? 'secureConnect' : 'connect');
  socket.write(request);
  const [bytes] = await once(socket, 'data');
  if (!/"response":6[,}]/.test(bytes)) throw new Error(`answered with ${bytes}`);
  socket.on('close', () => socket.isOver || console.error('an idle connection was closed'));
  return socket;
}

async function connectAll(sockets, port, count, ca) {
  while (sockets.length < count) {
    const some = Math.min(AT_ONCE, count - sockets.length);
    sockets.push(...await Promise.all(Array.from({ length: some }, (_, i) =>
      connect(port, sockets.length + i, ca))));
  }
}

async function disconnectAll(sockets) {
  for (const socket of sockets.splice(0)) {
    socket.isOver = true;
    socket.destroy();
  }
  await sleep(SETTLE_MS);
}

/** Server CPU per request in microseconds. */
async function load({ child, port }, seconds) {
  const before = runTime(child.pid);
  const { requests } = await bench(port, { ...sum, connections: 10, inFlight: 16 }, seconds);
  return { us: (runTime(child.pid) - before) / 1000 / requests };
}

const bytesEach = (mb, count) => mb * 2 ** 20 / count;

/** Memory at a third, two thirds and all of them: bytes for each further one. */
async function grow(server, count, ca) {
  const sockets = [];
  const points = [];
  for (const part of [1 / 3, 2 / 3, 1]) {
    await connectAll(sockets, server.port, Math.round(count * part), ca);
    await sleep(SETTLE_MS);
    points.push({ count: sockets.length, mb: residentMb(server.child.pid) });
  }
  return { sockets, points };
}

/** Beside a second server of the kind that has no idle connections: their speeds in turns. */
async function plain(name) {
  const server = await launch(unlimited[name]);
  const other = await launch(unlimited[name]);
  const seconds = Number(options.seconds);
  for (const it of [server, other]) await load(it, 1); // warms up
  const before = residentMb(server.child.pid);
  const { sockets, points } = await grow(server, Number(options.connections));
  const all = points[2];
  const alone = [];
  const beside = [];
  for (let round = 0; round < Number(options.rounds); round++) {
    alone.push(await load(other, seconds));
    beside.push(await load(server, seconds));
  }
  await disconnectAll(sockets);
  const after = residentMb(server.child.pid);
  await Promise.all([server, other].map(({ child }) => stop(child)));
  const us = (list) => median(list.map((it) => it.us));
  const slope = bytesEach(all.mb - points[0].mb, all.count - points[0].count);
  return [servers[name].title, String(all.count), `${bytesEach(all.mb - before, all.count).toFixed(0)} B`,
    `${slope.toFixed(0)} B`, `${(before + 100000 * slope / 2 ** 20).toFixed(0)} MB`,
    `${before.toFixed(1)} MB`, `${after.toFixed(1)} MB`, time(us(alone)), time(us(beside)),
    `${(100 * us(alone) / us(beside)).toFixed(0)} %`];
}

async function secure(name, files) {
  const server = await launch(unlimited[name], files);
  const ca = readFileSync(files.cert);
  const warm = [];
  await connectAll(warm, server.port, 50, ca);
  await disconnectAll(warm);
  const before = residentMb(server.child.pid);
  const { sockets, points } = await grow(server, Number(options.tls), ca);
  const all = points[2];
  await disconnectAll(sockets);
  const after = residentMb(server.child.pid);
  await stop(server.child);
  return [servers[name].title, String(all.count),
    `${(bytesEach(all.mb - before, all.count) / 1024).toFixed(1)} KiB`,
    `${(bytesEach(all.mb - points[0].mb, all.count - points[0].count) / 1024).toFixed(1)} KiB`,
    `${before.toFixed(1)} MB`, `${after.toFixed(1)} MB`];
}

keepAwake([0, 1]);
if (Number(options.connections) > 0) {
  const rows = [];
  for (const name of names) rows.push(await plain(name));
  console.log(table(['idle connections', 'held', 'each', 'each further', 'at 100,000', 'before',
    'after', 'sum without', 'with', 'speed'], rows, options.markdown), '\n');
}
if (Number(options.tls) > 0) {
  const rows = [];
  const files = makeCertificate();
  for (const name of names) rows.push(await secure(name, files));
  console.log(table(['idle with TLS', 'held', 'each', 'each further', 'before', 'after'], rows,
    options.markdown));
}
process.exit(0);
