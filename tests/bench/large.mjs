// What a large frame costs a server by the size of the pieces it comes in: a 16 MiB text, echoed.
//
//   large [--rounds N] [--requests N] [--mib N] [--servers LIST] [--markdown]
//
// The peer sends one piece per turn of its loop, so that the server is woken by each of them. Servers
// run on CPU 0, the peer on CPU 1; what counts is the server's own CPU time per MiB (the frame comes
// in and goes out). Every reply is checked. Medians over the rounds.
import { once } from 'node:events';
import net from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { keepAwake, median, ratio, runTime, stop, table, time } from './lib.mjs';
import { launch, servers } from './servers.mjs';

const { values: options } = parseArgs({
  options: {
    rounds: { type: 'string', default: '3' },
    requests: { type: 'string', default: '3' },
    mib: { type: 'string', default: '16' },
    servers: { type: 'string', default: 'roost,c' },
    markdown: { type: 'boolean', default: false },
  },
});
const mib = Number(options.mib);
const names = options.servers.split(',');
const pieces = [1024, 4096, 65536, 1048576];

// Just below, so that the frame is within the limits that servers have by default.
const value = Buffer.alloc(mib * 2 ** 20 - 1024, 'x');
const body = Buffer.concat([Buffer.from('{"pattern":"echo","data":"'), value, Buffer.from('","id":"1"}')]);
const request = Buffer.concat([Buffer.from(`${body.length}#`), body]);

/** One request in pieces, and its reply. */
async function exchange(socket, piece) {
  let left = 0;
  let head = Buffer.alloc(0);
  const answered = new Promise((resolve, reject) => {
    const take = (bytes) => {
      if (left === 0) {
        head = Buffer.concat([head, bytes]);
        const at = head.indexOf('#');
        if (at < 0) return;
        left = at + 1 + Number(head.subarray(0, at));
        bytes = head;
        if (!head.includes('{"response":"xxx') || left < value.length)
          reject(new Error(`answered with ${head.subarray(0, 100)}`));
      }
      left -= bytes.length;
      if (left > 0) return;
      socket.off('data', take);
      if (left === 0 && bytes.subarray(-30).includes('"id":"1"')) resolve();
      else reject(new Error('the reply has another length or end'));
    };
    socket.on('data', take);
    socket.on('close', () => reject(new Error('the server has closed the connection')));
  });
  answered.catch(() => {}); // it is looked at when all is sent
  for (let at = 0; at < request.length; at += piece) {
    if (!socket.write(request.subarray(at, at + piece)) && socket.writableNeedDrain)
      await Promise.race([once(socket, 'drain'), answered]);
    await nextTurn();
  }
  await answered;
}

/** The server's CPU per MiB for pieces of one size, in microseconds. */
async function measure({ child, port }, piece) {
  const socket = net.connect(port, '127.0.0.1').setNoDelay(true);
  await once(socket, 'connect');
  await exchange(socket, 65536); // warms up
  const count = Number(options.requests);
  const before = runTime(child.pid);
  for (let i = 0; i < count; i++) await exchange(socket, piece);
  const us = (runTime(child.pid) - before) / 1000 / count / mib;
  socket.destroy();
  return us;
}

keepAwake([0, 1]);
const results = new Map(names.map((name) => [name, pieces.map(() => [])]));
for (let round = 0; round < Number(options.rounds); round++)
  for (const [at, piece] of pieces.entries())
    for (const name of names) {
      const server = await launch(servers[name]);
      results.get(name)[at].push(await measure(server, piece));
      await stop(server.child);
    }
const rows = names.map((name) => {
  const figures = results.get(name).map(median);
  return [servers[name].title, ...figures.map(time), ratio(figures[0], figures[2])];
});
console.log(table([`echo ${mib} MiB, CPU per MiB`, ...pieces.map((piece) => `${piece / 1024} KiB`),
  '1 KiB/64 KiB'], rows, options.markdown));
process.exit(0);
