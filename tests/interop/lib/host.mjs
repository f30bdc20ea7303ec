// A Roost host as a child process: configuration written, started, watched, stopped.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, isAbsolute, join } from 'node:path';
import { interopDir, memorySlack, onNest, reloading, roostBin, workers } from './env.mjs';
import { parseLogfmt } from './logfmt.mjs';
import { lua } from './lua.mjs';
import { descriptors, freePort, listens } from './peer.mjs';
import { undo, until, within } from './wait.mjs';

if (!onNest && !existsSync(roostBin)) {
  throw new Error(`there is no ${roostBin}; build it, or say where it is in ROOST_BIN`);
}

export const serviceFile = (name) => join(interopDir, 'services', `${name}.lua`);
/** One of those that Roost comes with. */
export const shippedService = (name) => join(interopDir, '..', '..', 'services', `${name}.lua`);

/** Before now: what was written just before it was read is read once more at the next look. */
const longAgo = () => new Date(Date.now() - 10_000);

/** A temporary directory with the given files, which are not fresh, removed when `t` is over. */
export function temporaryDir(t, files = {}) {
  const dir = mkdtempSync(join(tmpdir(), 'roost-interop-'));
  undo(t, () => rmSync(dir, { recursive: true, force: true }));
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(dir, name)), { recursive: true });
    writeFileSync(join(dir, name), text);
    utimesSync(join(dir, name), longAgo(), longAgo());
  }
  return dir;
}

/**
 * The text of a configuration file. Drains are short: tests leave handlers that never end. The admin
 * pages are on their socket alone: the port is for one host of the machine.
 */
export const configText = ({ reload, admin = { http: false }, ...config }) =>
  `return ${lua({ ...config, admin, reload: { drain_timeout: 300, ...reload } })}\n`;

/** Between two touches of a host's files with ROOST_RELOADING. */
const touchMs = 20;

/** The configuration of a host that is reloaded all the while: its services lie in its folder. */
function forReloading({ services, reload, files, ...config }) {
  const copies = {};
  const own = [services ?? []].flat().map((path) => {
    if (!isAbsolute(path)) return path;
    copies[`reloading/${basename(path)}`] = readFileSync(path, 'utf8');
    return `reloading/${basename(path)}`;
  });
  return {
    ...config, services: own, files: { ...files, ...copies },
    reload: { watch: true, debounce: 1, drain_timeout: 3000, ...reload },
  };
}

/** Has all services of a host be changed again and again, until it has ended. */
function keepReloading(host) {
  const files = readdirSync(host.dir, { recursive: true })
    .filter((name) => name.endsWith('.lua') && name !== 'host.lua');
  const touching = setInterval(() => {
    for (const name of files) {
      const now = new Date();
      try {
        utimesSync(join(host.dir, name), now, now);
      } catch {
        // the test has removed it
      }
    }
  }, touchMs);
  host.exited.then(() => clearInterval(touching));
}

const sanitizerReport = /AddressSanitizer|LeakSanitizer|ThreadSanitizer|runtime error:/;

class Host {
  /** Standard error, which is the log. */
  log = '';
  output = '';
  /** With what it must have ended when the test is over. */
  expectedCode = 0;

  /** config: what its file says, but for the servers. */
  constructor(child, dir, ports, config) {
    this.child = child;
    this.dir = dir;
    this.ports = ports;
    this.config = config;
    this.exited = once(child, 'close').then(([code, signal]) => ({ code, signal }));
    child.stdout.setEncoding('utf8').on('data', (text) => (this.output += text));
    child.stderr.setEncoding('utf8').on('data', (text) => (this.log += text));
  }

  get port() {
    return this.ports[0];
  }

  get pid() {
    return this.child.pid;
  }

  get running() {
    return this.child.exitCode === null && this.child.signalCode === null;
  }

  /** The log so far, parsed; lines that are not logfmt are left out. */
  get entries() {
    return this.log.split('\n').filter(Boolean).map(parseLogfmt).filter(Boolean);
  }

  /** The entries for which `want` is true: a function, or a pattern for the message. */
  find(want) {
    const test = want instanceof RegExp ? (entry) => want.test(entry.msg ?? '') : want;
    return this.entries.filter(test);
  }

  /** Waits for a line in the log. */
  logged(want) {
    return until(() => this.find(want)[0], `the log line ${want}`).catch((err) => {
      throw new Error(`${err.message}; the log is:\n${this.log}`);
    });
  }

  /** Resident memory in bytes. */
  get rss() {
    const status = readFileSync(`/proc/${this.pid}/status`, 'latin1');
    return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)[1]) * 1024;
  }

  /** Fails where that has grown by more than `most` since it was `before`. */
  checkGrowth(before, most) {
    const { rss } = this;
    assert.ok(rss <= before + most + memorySlack, `memory went from ${before} to ${rss}`);
  }

  /** Waits until it is about `before` again; each worker keeps some for what comes next. */
  async returnsTo(before, most = 4 * workers * 2 ** 20) {
    await until(() => this.rss <= before + most + memorySlack, 'the memory being given back')
      .catch((err) => assert.fail(`${err.message}: from ${before} to ${this.rss}`));
  }

  get descriptors() {
    return descriptors(this.pid).length;
  }

  /** Processor time used so far, in clock ticks. */
  get ticks() {
    const stat = readFileSync(`/proc/${this.pid}/stat`, 'latin1');
    const [utime, stime] = stat.slice(stat.lastIndexOf(')') + 2).split(' ').slice(11, 13);
    return Number(utime) + Number(stime);
  }

  signal(name) {
    this.child.kill(name);
  }

  /** Ends it at once, as a crash would. */
  async kill() {
    this.signal('SIGKILL');
    await this.exited;
  }

  /** Drains it; every host of every test must end well. */
  async stop() {
    if (this.running) {
      this.signal('SIGTERM');
      await within(this.exited, 'the drain').catch(async (err) => {
        await this.kill();
        throw new Error(`${err.message}; the log is:\n${this.log}`);
      });
    }
    const { code, signal } = await this.exited;
    if (signal === 'SIGKILL') return;
    if (code !== this.expectedCode || sanitizerReport.test(this.log)) {
      throw new Error(`the host ended with ${code ?? signal}; its log is:\n${this.log}`);
    }
  }
}

/**
 * Starts a host that is stopped when `t` is over.
 *   service   Lua text of the one service, called "test"
 *   files     more files for the host's directory, by name
 *   server    keys of the listener; or servers, a list
 *   launch    a command that is given the host's command line (for ulimit and the like)
 *   args      more arguments for `roost run`
 * Everything else is configuration. Ports are chosen here; a taken one is tried again.
 */
export async function startHost(t, options = {}) {
  if (options.service) options = { services: 'services', ...options };
  if (workers > 1) options = { workers, ...options };
  if (reloading) options = forReloading(options);
  const { service, files, server = {}, servers = [server], launch = [], args = [], env = {},
    ...config } = options;
  for (let attempt = 1; ; attempt++) {
    const listening = servers.filter(({ transport = 'tcp' }) => transport === 'tcp');
    const ports = await Promise.all(listening.map(async ({ port }) => port ?? freePort()));
    const given = new Map(listening.map((keys, i) => [keys, ports[i]]));
    const listeners = servers.map((keys) => (given.has(keys)
      ? { transport: 'tcp', host: '127.0.0.1', ...keys, port: given.get(keys) }
      : keys)); // a broker's entry, which says where that is
    const dir = temporaryDir(t, {
      ...(service && { 'services/test.lua': service }),
      ...files,
      'host.lua': configText({ services: [], ...config, servers: listeners }),
    });
    const [command, ...rest] = [...launch, roostBin, 'run', 'host.lua', ...args];
    const child = spawn(command, rest, { cwd: dir, env: { ...process.env, ...env } });
    const host = new Host(child, dir, ports, config);
    try {
      const isReady = () => (ports.length > 0 ? ports.every((port) => listens(port, host.pid))
        : host.find(/^ready$/).length > 0);
      await until(() => !host.running || isReady(), 'listening');
    } catch (err) {
      await host.kill();
      throw new Error(`${err.message}; the log is:\n${host.log}`);
    }
    if (host.running) {
      undo(t, () => host.stop());
      if (reloading) keepReloading(host);
      return host;
    }
    await host.exited;
    const taken = /address already in use|EADDRINUSE/i.test(host.log);
    if (!taken || attempt === 3 || listening.some(({ port }) => port)) {
      throw new Error(`the host did not start; its log is:\n${host.log}`);
    }
  }
}
