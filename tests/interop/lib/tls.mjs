// A private authority, made with openssl, and what clients and servers need of it.
import { execFile, spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { once } from 'node:events';
import tls from 'node:tls';
import { temporaryDir } from './host.mjs';
import { packet } from './frames.mjs';
import { undo, within } from './wait.mjs';

const exec = promisify(execFile);
const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];

class Authority {
  constructor(dir, name) {
    this.dir = dir;
    this.name = name;
  }

  /** The path of one of its files. */
  path(file) {
    return join(this.dir, `${this.name}-${file}`);
  }

  get ca() {
    return this.path('ca.pem');
  }

  /**
   * A key and a certificate: paths, and `own`, the two for a node client or server.
   *   sans  as OpenSSL has them; days  negative for one that has expired; as  a name of the files
   */
  async issue(cn, { sans = 'DNS:localhost,IP:127.0.0.1', days = 30, as = cn } = {}) {
    const key = this.path(`${as}.key`);
    const cert = this.path(`${as}.pem`);
    const request = this.path(`${as}.csr`);
    writeFileSync(this.path('extensions'), `subjectAltName=${sans}\n`);
    await exec('openssl', ['req', ...newKey, '-subj', `/CN=${cn}`, '-keyout', key, '-out', request]);
    await exec('openssl', ['x509', '-req', '-in', request, '-CA', this.ca, '-CAkey',
      this.path('ca.key'), '-CAcreateserial', '-days', String(days), '-extfile',
      this.path('extensions'), '-out', cert]);
    return { key, cert, own: { key: readFileSync(key), cert: readFileSync(cert) } };
  }

  /** What a node client needs to trust it. */
  get trust() {
    return { ca: readFileSync(this.ca) };
  }
}

/** An authority in a folder that is removed when `t` is over. */
export async function makeAuthority(t, name = 'test') {
  const authority = new Authority(temporaryDir(t), name);
  await exec('openssl', ['req', '-x509', ...newKey, '-days', '30', '-subj', `/CN=${name} authority`,
    '-keyout', authority.path('ca.key'), '-out', authority.ca]);
  return authority;
}

/** SHA-256 of a certificate as openssl computes it, in the way ctx.peer.tls shows it. */
export async function fingerprintOf(cert) {
  const { stdout } = await exec('openssl', ['x509', '-in', cert, '-noout', '-fingerprint', '-sha256']);
  return stdout.trim().split('=')[1].replaceAll(':', '').toLowerCase();
}

/** `openssl s_client` to a port of this machine: what it printed until `input` was sent. */
export async function sClient(port, args = [], input = '') {
  const child = spawn('openssl', ['s_client', '-connect', `127.0.0.1:${port}`, ...args]);
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text) => (output += text));
  }
  child.stdin.on('error', () => {});
  child.stdin.end(input);
  try {
    await within(once(child, 'close'), 'openssl s_client');
    return output;
  } finally {
    child.kill('SIGKILL');
  }
}

/** A connection of node's, once its handshake is done. */
export async function tlsConnect(t, port, options) {
  const socket = tls.connect({ host: '127.0.0.1', port, ...options });
  undo(t, () => socket.destroy());
  socket.on('error', () => {});
  await within(once(socket, 'secureConnect'), 'the handshake');
  return socket;
}

/** Sends one request and gives the reply's value. */
export async function askOver(socket, pattern, data) {
  let text = '';
  const { promise, resolve, reject } = withResolvers();
  const take = (chunk) => {
    text += chunk;
    const at = text.indexOf('#');
    const stop = at + 1 + Number(text.slice(0, at));
    if (at > 0 && text.length >= stop) resolve(JSON.parse(text.slice(at + 1, stop)).response);
  };
  const fail = () => reject(new Error('the connection ended'));
  socket.setEncoding('utf8').on('data', take).once('close', fail);
  socket.write(packet({ pattern, data, id: 'x' }));
  try {
    return await within(promise, `the reply to ${pattern}`);
  } finally {
    socket.off('data', take).off('close', fail);
  }
}

function withResolvers() {
  const parts = {};
  parts.promise = new Promise((resolve, reject) => Object.assign(parts, { resolve, reject }));
  return parts;
}
