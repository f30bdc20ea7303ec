// Hosts whose services are saved again and again, and the load that must not notice.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdirSync, renameSync, utimesSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { basename, dirname, join } from 'node:path';
import { packet } from './frames.mjs';
import { startHost } from './host.mjs';
import { sleep, undo, until } from './wait.mjs';

let saves = 0;

/**
 * Writes a file of the host's in one step, as careful editors do. Its time lies in the past: one
 * that was written a moment before it is read is read a second time, and tests count.
 */
export function save(host, name, text) {
  const path = join(host.dir, name);
  const beside = join(dirname(path), `.${basename(path)}.new`);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(beside, text);
  utimesSync(beside, 1e9 + saves, 1e9 + saves++);
  renameSync(beside, path);
}

/** The files are not new any more when they are first read. */
const launch = ['sh', '-c', 'sleep 0.03; exec "$@"', 'sh'];

/** A host that watches its files, and counts what came of it while its log grows. */
export async function startWatching(t, { reload, ...options }) {
  const host = await startHost(t, {
    services: 'services', reload: { watch: true, debounce: 20, ...reload }, launch, ...options,
  });
  const counts = { reloaded: 0, refused: 0 };
  let held = '';
  host.child.stderr.on('data', (text) => {
    const lines = (held + text).split('\n');
    held = lines.pop();
    for (const line of lines) {
      counts.reloaded += line.includes('msg="service reloaded"') ? 1 : 0;
      counts.refused += line.includes('msg="reload refused') ? 1 : 0;
    }
  });
  return Object.assign(host, {
    counts,
    /** Saves a file and waits until a service was reloaded. */
    async reload(name, text) {
      const before = counts.reloaded;
      save(host, name, text);
      await until(() => counts.reloaded > before, `the reload after ${name} was saved`, { every: 1 });
    },
    /** These are the counts, and stay so for a moment. */
    async settles(expected) {
      const { reloaded = 0, refused = 0 } = expected;
      await until(() => counts.reloaded >= reloaded && counts.refused >= refused, 'the reloads');
      await sleep(100);
      assert.deepEqual(counts, { reloaded, refused }, host.log);
    },
    /** Saves a file and waits until a reload was refused. */
    async refuse(name, text) {
      const before = counts.refused;
      save(host, name, text);
      await until(() => counts.refused > before, `the refusal of ${name}`, { every: 1 });
    },
  });
}

/** A reply's packet out of text that begins at `at`; null where it is not all there. */
function nextPacket(text, at) {
  const mark = text.indexOf('#', at);
  if (mark < 0) return null;
  const stop = mark + 1 + Number(text.slice(at, mark));
  if (!(stop <= text.length)) return null;
  return { packet: JSON.parse(text.slice(mark + 1, stop)), stop };
}

/** One connection with `depth` requests on their way, until `more()` says that it is enough. */
async function drive(t, port, { depth, pattern, more, onReply, late }) {
  const socket = net.connect({ port, host: '127.0.0.1' });
  undo(t, () => socket.destroy());
  socket.setNoDelay(true).setEncoding('latin1');
  await once(socket, 'connect');
  const own = { sent: 0, answered: 0, value: -1 };
  const waiting = new Map();
  const ask = (count) => {
    let bytes = '';
    for (; count > 0 && more(); count--) {
      own.sent++;
      waiting.set(String(own.sent), performance.now());
      bytes += packet({ pattern, data: own.sent, id: String(own.sent) });
    }
    if (bytes) socket.write(bytes);
  };
  await new Promise((resolve, reject) => {
    let held = '';
    socket.on('error', reject);
    socket.on('close', () => reject(new Error('the host ended the connection')));
    socket.on('data', (chunk) => {
      const now = performance.now();
      const text = held + chunk;
      let [at, taken] = [0, 0];
      for (let next; (next = nextPacket(text, at)); at = next.stop, taken++) {
        const { id, response, err } = next.packet;
        const began = waiting.get(id);
        if (began === undefined) return reject(new Error(`${id} was answered twice`));
        if (err !== undefined) return reject(new Error(`${id} failed: ${JSON.stringify(err)}`));
        waiting.delete(id);
        own.answered++;
        late.push(now - began);
        const wrong = onReply(response, own);
        if (wrong) return reject(new Error(wrong));
      }
      held = text.slice(at);
      ask(taken);
      if (waiting.size === 0) resolve();
    });
    ask(depth);
  });
  socket.removeAllListeners('close');
  socket.destroy();
  return own;
}

/**
 * Sends requests over several connections at once and looks at every reply: each request is
 * answered once, without an error, and onReply(value, connection) finds nothing to say about it.
 * more() says whether there is another one. Gives how many there were and how long they took, in ms.
 */
export async function load(t, port, { connections = 32, depth = 8, pattern, more, onReply }) {
  const late = [];
  const all = await Promise.all(Array.from({ length: connections }, () =>
    drive(t, port, { depth, pattern, more, onReply, late })));
  late.sort((a, b) => a - b);
  const at = (share) => Number(late[Math.min(late.length - 1, Math.floor(late.length * share))]
    .toFixed(2));
  return {
    sent: all.reduce((sum, { sent }) => sum + sent, 0),
    answered: all.reduce((sum, { answered }) => sum + answered, 0),
    p50: at(0.5), p99: at(0.99), longest: at(1),
  };
}

/** As onReply: values that never go back on one connection. */
export function onlyForward(value, own) {
  if (!(value >= own.value)) return `${value} came after ${own.value}`;
  own.value = value;
  return null;
}

/** more() for so many requests. */
export function atMost(count) {
  let left = count;
  return () => left-- > 0;
}
