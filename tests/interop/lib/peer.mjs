// A raw TCP peer: writes bytes as they are, reads frames, sees how the other side ends.
import { readFileSync, readdirSync, readlinkSync } from 'node:fs';
import net from 'node:net';
import { once } from 'node:events';
import { packet } from './frames.mjs';
import { sleep, undo, within } from './wait.mjs';

class Peer {
  /** Everything received so far, as text; bytes that are not UTF-8 fail the test. */
  received = '';
  /** How the other side ended the connection: 'fin' or 'reset'; null while it has not. */
  ended = null;
  #taken = 0;
  #decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  #waiting = new Set();
  #broken = null;

  constructor(socket) {
    this.socket = socket;
    socket.setNoDelay(true);
    socket.on('data', (chunk) => {
      try {
        this.received += this.#decoder.decode(chunk, { stream: true });
      } catch (err) {
        this.#broken = err;
      }
      this.#wake();
    });
    socket.on('end', () => this.#end('fin'));
    socket.on('error', () => this.#end('reset'));
    socket.on('close', () => this.#end('reset'));
  }

  #end(how) {
    this.ended ??= how;
    this.#wake();
  }

  #wake() {
    for (const resolve of this.#waiting) resolve();
    this.#waiting.clear();
  }

  /** Hands bytes or text to the kernel; false where the connection is gone. */
  write(bytes) {
    return new Promise((resolve) => {
      this.socket.write(bytes, (err) => resolve(!err));
    });
  }

  /** Each part in a read of its own, as far as a sender can arrange that. */
  async writeParts(parts, gapMs = 2) {
    for (const part of parts) {
      await this.write(part);
      await sleep(gapMs);
    }
  }

  send(value) {
    return this.write(packet(value));
  }

  /** The JSON text of the next frame; null where the other side ended first. */
  frame() {
    return this.#wait('a frame', () => this.#next() ?? (this.ended ? null : undefined));
  }

  /** The next frame's value; null where the other side ended first. */
  async reply() {
    return JSON.parse(await this.frame());
  }

  /** Sends a request and gives the next frame's text: for peers with one request at a time. */
  async ask(pattern, data, id = 'ask') {
    await this.send({ pattern, data, id });
    return this.frame();
  }

  /** As ask, for handlers that answer with one value: that value. */
  async call(pattern, data, id = 'call') {
    const reply = JSON.parse(await this.ask(pattern, data, id));
    if (reply.err !== undefined || reply.id !== id) {
      throw new Error(`${JSON.stringify(pattern)} answered ${JSON.stringify(reply)}`);
    }
    return reply.response;
  }

  /** Waits for the other side to end the connection and tells how. */
  closed() {
    return this.#wait('the end of the connection', () => this.ended ?? undefined);
  }

  /** The text received and not yet taken by frame(). */
  get rest() {
    return this.received.slice(this.#taken);
  }

  /** Forgets the frames taken so far, for tests that read a lot. */
  forget() {
    this.received = this.rest;
    this.#taken = 0;
  }

  /** Stops reading: what the other side sends piles up there. */
  pause() {
    this.socket.pause();
  }

  resume() {
    this.socket.resume();
  }

  /** Half close: we send no more, but still read. */
  fin() {
    this.socket.end();
  }

  reset() {
    this.socket.resetAndDestroy();
  }

  destroy() {
    this.socket.destroy();
  }

  #next() {
    const at = this.received.indexOf('#', this.#taken);
    if (at < 0) return undefined;
    const header = this.received.slice(this.#taken, at);
    if (!/^[1-9][0-9]*$/.test(header)) throw new Error(`frame header ${JSON.stringify(header)}`);
    const stop = at + 1 + Number(header);
    if (this.received.length < stop) return undefined;
    this.#taken = stop;
    return this.received.slice(at + 1, stop);
  }

  async #wait(what, probe) {
    for (;;) {
      if (this.#broken) throw this.#broken;
      const value = probe();
      if (value !== undefined) return value;
      await within(new Promise((resolve) => this.#waiting.add(resolve)),
        `${what} after ${JSON.stringify(this.received.slice(0, 2000))}`);
    }
  }
}

/** Connects; the connection is destroyed when `t` is over. */
export async function connect(t, port, { host = '127.0.0.1', localAddress } = {}) {
  const socket = net.connect({ port, host, localAddress, allowHalfOpen: true });
  undo(t, () => socket.destroy());
  await within(once(socket, 'connect'), `connecting to ${host}:${port}`);
  return new Peer(socket);
}

/** A port that nothing listens on at this moment. */
export async function freePort() {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

/**
 * Whether somebody listens there, or with `pid` whether that process does. Asks the kernel, since a
 * connection would be counted.
 */
export function listens(port, pid) {
  const local = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  const listening = '0A';
  const inodes = ['/proc/net/tcp', '/proc/net/tcp6'].flatMap((table) =>
    readFileSync(table, 'latin1').split('\n').map((line) => line.trim().split(/ +/))
      .filter(([, address, , state]) => state === listening && address.endsWith(local))
      .map((columns) => columns[9]));
  if (!pid) return inodes.length > 0;
  const own = descriptors(pid);
  return inodes.some((inode) => own.includes(`socket:[${inode}]`));
}

/** What a process has open, as the kernel names it. */
export function descriptors(pid) {
  const folder = `/proc/${pid}/fd`;
  const unlessGone = (fn) => {
    try {
      return fn();
    } catch {
      return [];
    }
  };
  return unlessGone(() => readdirSync(folder)).flatMap((name) =>
    unlessGone(() => readlinkSync(`${folder}/${name}`)));
}

/** Whether connecting there is refused. */
export async function refuses(port, host = '127.0.0.1') {
  const socket = net.connect({ port, host });
  try {
    await within(once(socket, 'connect'), `connecting to ${host}:${port}`);
    return false;
  } catch (err) {
    return err.code === 'ECONNREFUSED';
  } finally {
    socket.destroy();
  }
}
