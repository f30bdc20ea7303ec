// How long a server takes from its start to its first reply.
import { once } from 'node:events';
import net from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { median, repo, residentMb, roostBin, stop } from './lib.mjs';
import { servers, spawnServer } from './servers.mjs';

const text = '{"pattern":{"cmd":"sum"},"data":[1,2,3],"id":"1"}';
const request = `${text.length}#${text}`;

async function freePort() {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

/** Whether a request is answered there; false where nobody listens. */
function answers(port) {
  return new Promise((resolve, reject) => {
    const socket = net.connect(port, '127.0.0.1');
    socket.setNoDelay(true);
    socket.on('connect', () => socket.write(request));
    socket.on('error', () => resolve(false));
    socket.on('data', (bytes) => {
      socket.destroy();
      if (/"response":6[,}]/.test(bytes)) resolve(true);
      else reject(new Error(`answered with ${bytes}`));
    });
  });
}

/** What starts a server on a given port; the host with the services it comes with. */
function command(name, port) {
  if (name !== 'roost') return servers[name].command(port);
  return [roostBin, 'run', '--set', `servers.1.port=${port}`];
}

async function startOnce(name) {
  const port = await freePort();
  const began = performance.now();
  const child = spawnServer(command(name, port), { cwd: repo, stdio: 'ignore' });
  while (!(await answers(port)))
    if (child.exitCode !== null) throw new Error(`${servers[name].title} did not start`);
  const ms = performance.now() - began;
  await sleep(100);
  const rss = residentMb(child.pid);
  await stop(child);
  return { ms, rss };
}

/** The medians over so many starts: { NAME: { ms, rss } }. */
export async function startTimes(names, times) {
  const results = Object.fromEntries(names.map((name) => [name, []]));
  for (let i = 0; i < times; i++)
    for (const name of names) results[name].push(await startOnce(name));
  return Object.fromEntries(names.map((name) => [name, {
    ms: median(results[name].map(({ ms }) => ms)),
    rss: median(results[name].map(({ rss }) => rss)),
  }]));
}
