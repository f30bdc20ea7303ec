// New connections, with one request each.
import { readFileSync } from 'node:fs';
import net from 'node:net';
import tls from 'node:tls';

const text = '{"pattern":{"cmd":"sum"},"data":[1,2,3],"id":"1"}';
const request = `${text.length}#${text}`;

/** One over plain TCP: the microseconds until its reply. */
function visit(port) {
  return new Promise((resolve, reject) => {
    const began = performance.now();
    const socket = net.connect({ host: '127.0.0.1', port, noDelay: true });
    socket.on('error', reject);
    socket.on('data', () => {
      socket.destroy();
      resolve((performance.now() - began) * 1000);
    });
    socket.write(request);
  });
}

/**
 * One over TLS: { us: until its reply, session, isReused }. session: to be taken up; undefined: none,
 * but one is waited for; null: none.
 */
function visitTls(port, cert, session) {
  return new Promise((resolve, reject) => {
    const began = performance.now();
    const socket = tls.connect({ host: '127.0.0.1', port, ca: readFileSync(cert), session });
    let last;
    let us;
    const finish = () => {
      if (us === undefined || (session === undefined && !last)) return;
      resolve({ us, session: last ?? session, isReused: socket.isSessionReused() });
      socket.destroy();
    };
    socket.on('session', (given) => {
      last = given;
      finish();
    });
    socket.on('error', reject);
    socket.on('data', () => {
      us = (performance.now() - began) * 1000;
      finish();
    });
    socket.write(request);
  });
}

/** So many one after the other: the microseconds of each until its reply. */
export async function visits(port, count) {
  const times = [];
  for (let i = 0; i < count; i++) times.push(await visit(port));
  return times;
}

/** The same over TLS, with sessions that are taken up again or without. */
export async function visitsTls(port, count, cert, resumes) {
  const times = [];
  let session = resumes ? undefined : null;
  for (let i = 0; i < count; i++) {
    const visited = await visitTls(port, cert, session);
    if (resumes && i > 0 && !visited.isReused) throw new Error('the session was not taken up');
    if (resumes) ({ session } = visited);
    times.push(visited.us);
  }
  return times;
}
