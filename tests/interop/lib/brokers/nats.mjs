// A real nats-server on a free port of 127.0.0.1.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort, listens } from '../peer.mjs';
import { undo, until } from '../wait.mjs';

class Nats {
  constructor(dir, port, config) {
    this.dir = dir;
    this.port = port;
    this.url = `nats://127.0.0.1:${port}`;
    this.servers = [`127.0.0.1:${port}`];
    this.config = config;
  }

  get pid() {
    return this.child.pid;
  }

  get #running() {
    return this.child.exitCode === null && this.child.signalCode === null;
  }

  /** Starts it, also once more on the same port with what its streams have kept. */
  async start() {
    writeFileSync(join(this.dir, 'nats.conf'),
      `listen: "127.0.0.1:${this.port}"\n${this.config}\n`);
    this.log = '';
    this.child = spawn('nats-server', ['-c', join(this.dir, 'nats.conf')],
      { cwd: this.dir, stdio: ['ignore', 'ignore', 'pipe'] });
    this.child.on('error', (err) => (this.log += err.message)); // it is not installed
    this.child.stderr.setEncoding('utf8').on('data', (text) => (this.log += text));
    this.exited = once(this.child, 'close').catch(() => {});
    await until(() => !this.#running || !this.pid || listens(this.port, this.pid),
      'nats-server listening');
    if (!this.pid || !this.#running) throw new Error(`nats-server did not start: ${this.log}`);
  }

  async #end(signal) {
    if (this.#running) this.child.kill(signal);
    await this.exited;
  }

  /** Ends it as an administrator does. */
  stop() {
    return this.#end('SIGTERM');
  }

  /** Ends it as a crash does. */
  kill() {
    return this.#end('SIGKILL');
  }

  /** Has it stop answering, with its connections as they are, and go on. */
  freeze() {
    this.child.kill('SIGSTOP');
  }

  thaw() {
    this.child.kill('SIGCONT');
  }

  /** Ends it as a crash does, and starts it again. */
  async restart() {
    await this.kill();
    await this.start();
  }
}

/**
 * Starts one that is killed when `owner` is over.
 *   jetstream   true: it keeps streams, in its folder
 *   files       texts by their names, in the folder the server runs in
 *   config      more lines of its configuration
 */
export async function startNats(owner, { jetstream = false, files = {}, config = '' } = {}) {
  const dir = mkdtempSync(join(tmpdir(), 'roost-nats-'));
  undo(owner, () => rmSync(dir, { recursive: true, force: true, maxRetries: 5 }));
  for (const [name, text] of Object.entries(files)) writeFileSync(join(dir, name), text);
  const store = jetstream ? `jetstream { store_dir: "${join(dir, 'streams')}" }` : '';
  for (let attempt = 1; ; attempt++) {
    const broker = new Nats(dir, await freePort(), `${store}\n${config}`);
    try {
      await broker.start();
    } catch (err) {
      if (attempt === 3 || !/address already in use/i.test(err.message)) throw err;
      continue;
    }
    undo(owner, () => broker.kill());
    return broker;
  }
}
