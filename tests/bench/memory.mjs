// What an idle connection takes: of the server's memory, and of the kernel's (one end of it).
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import net from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { residentMb, stop } from './lib.mjs';
import { launch, servers } from './servers.mjs';

const COUNT = 4000;
const AT_ONCE = 100; // fewer than any server lets wait to be accepted
const SETTLE_MS = 300;

function slabKb() {
  return Number(/^Slab:\s+(\d+) kB$/m.exec(readFileSync('/proc/meminfo', 'latin1'))[1]);
}

async function connect(port, count) {
  const sockets = [];
  while (sockets.length < count) {
    const some = Array.from({ length: AT_ONCE }, () => net.connect(port, '127.0.0.1'));
    await Promise.all(some.map((socket) => once(socket, 'connect')));
    sockets.push(...some);
  }
  return sockets;
}

/** For each server: { server: bytes, kernel: bytes } of one connection. */
export async function memoryFigures(names) {
  const figures = {};
  for (const name of names) {
    const { child, port } = await launch(servers[name]);
    const first = await connect(port, AT_ONCE); // what only the first ones need
    await sleep(SETTLE_MS);
    const before = { rss: residentMb(child.pid), slab: slabKb() };
    const sockets = await connect(port, COUNT);
    await sleep(SETTLE_MS);
    figures[name] = { server: (residentMb(child.pid) - before.rss) * 2 ** 20 / COUNT,
      kernel: (slabKb() - before.slab) * 1024 / COUNT / 2 };
    for (const socket of [...first, ...sockets]) socket.destroy();
    await stop(child);
    await sleep(SETTLE_MS);
  }
  return figures;
}
