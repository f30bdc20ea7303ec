// A message broker as a child process: on a free port of this machine, its data in a folder that is
// removed afterwards, stopped, killed and started again as a test says.
import { spawn } from 'node:child_process';
import { temporaryDir } from '../host.mjs';
import { freePort, listens } from '../peer.mjs';
import { undo, until, within } from '../wait.mjs';

class Broker {
  /** What it has printed, of all its lives. */
  log = '';

  constructor(port, dir, command, ms) {
    this.port = port;
    this.dir = dir;
    this.command = command;
    this.ms = ms;
  }

  get pid() {
    return this.child.pid;
  }

  get running() {
    return !this.missing && this.child.exitCode === null && this.child.signalCode === null;
  }

  /** Starts it, the first time or again, on the same port with the same data. */
  async start(ready = () => listens(this.port, this.pid)) {
    const [program, ...args] = this.command(this);
    this.child = spawn(program, args, { cwd: this.dir, stdio: ['ignore', 'pipe', 'pipe'] });
    for (const stream of [this.child.stdout, this.child.stderr]) {
      stream.setEncoding('utf8').on('data', (text) => (this.log += text));
    }
    this.exited = new Promise((resolve) => {
      this.child.once('close', resolve);
      this.child.once('error', (err) => {
        this.log += `${err.message}\n`;
        this.missing = true;
        resolve();
      });
    });
    await until(() => !this.running || ready(), `${program} listening`, { ms: this.ms });
    if (!this.running) throw new Error(`${program} did not start; it said:\n${this.log}`);
  }

  /** Ends it as its users would. */
  async stop() {
    this.child.kill('SIGTERM');
    await within(this.exited, 'the end of the broker');
  }

  /** Ends it at once, as a crash would. */
  async kill() {
    this.child.kill('SIGKILL');
    await this.exited;
  }

  /** Stops its clock: it is there, and says nothing. */
  freeze() {
    this.child.kill('SIGSTOP');
  }

  thaw() {
    this.child.kill('SIGCONT');
  }
}

/**
 * Starts one that is gone when `t` is over.
 *   command  gives its command line from the broker, which has `port` and `dir`
 *   files    the files of its folder, by name; or what gives them from the port
 *   ready    whether it may be used; by default whether it listens
 *   ms       how long that may take, each time
 */
export async function startBroker(t, { command, files = {}, port, ready, ms = 15_000 }) {
  port ??= await freePort();
  const dir = temporaryDir(t, typeof files === 'function' ? files(port) : files);
  const broker = new Broker(port, dir, command, ms);
  undo(t, () => broker.kill());
  await broker.start(ready && (() => ready(broker)));
  return broker;
}
