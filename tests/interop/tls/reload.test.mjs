// SIGHUP: certificates are read again, and nobody notices but whoever connects afterwards.
import assert from 'node:assert/strict';
import { copyFileSync, renameSync, writeFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { scaled } from '../lib/env.mjs';
import { startHost } from '../lib/host.mjs';
import { luaService } from '../lib/service.mjs';
import { askOver, makeAuthority, tlsConnect } from '../lib/tls.mjs';
import { until } from '../lib/wait.mjs';

const body = 'service:message("echo", function(data) return data end)';

/** A host whose certificate lies in files of its own, which `install` replaces. */
async function start(t) {
  const authority = await makeAuthority(t);
  const [first, second] = [await authority.issue('first'), await authority.issue('second')];
  const [key, cert] = [authority.path('key'), authority.path('cert')];
  const install = (from) => {
    for (const [source, target] of [[from.key, key], [from.cert, cert]]) {
      copyFileSync(source, `${target}.new`);
      renameSync(`${target}.new`, target);
    }
  };
  install(first);
  const host = await startHost(t, { service: luaService(body), server: { tls: { key, cert } } });
  const dial = () => tlsConnect(t, host.port, authority.trust);
  const subject = async () => {
    const socket = await dial();
    const { CN } = socket.getPeerCertificate().subject;
    await askOver(socket, 'echo', 1);
    socket.destroy();
    return CN;
  };
  return { authority, host, first, second, key, cert, install, dial, subject };
}

describe('SIGHUP and certificates', () => {
  test('a new certificate under load', async (t) => {
    const { host, first, second, install, dial, subject } = await start(t);
    const counts = { asked: 0, connected: 0 };
    const times = scaled(10, 3);
    let over = false;
    const old = await dial();
    /** One connection with request after request, others that come and go. */
    const stay = async () => {
      const socket = await dial();
      while (!over) {
        const value = counts.asked++;
        assert.equal(await askOver(socket, 'echo', value), value);
      }
    };
    const comeAndGo = async () => {
      while (!over) {
        const socket = await dial();
        assert.equal(await askOver(socket, 'echo', 'x'), 'x');
        counts.connected++;
        socket.destroy();
      }
    };
    const load = Promise.all([stay(), stay(), stay(), comeAndGo(), comeAndGo()]);
    assert.equal(await subject(), 'first');
    for (let i = 0; i < times; i++) {
      const [from, name] = i % 2 === 0 ? [second, 'second'] : [first, 'first'];
      const { asked, connected } = counts;
      install(from);
      host.signal('SIGHUP');
      await until(async () => (await subject()) === name, `the certificate of ${name}`);
      await until(() => counts.asked > asked + 20 && counts.connected > connected + 2, 'load');
    }
    over = true;
    await load; // every request was answered
    assert.equal(await askOver(old, 'echo', 'still here'), 'still here');
    await until(() => host.find(/certificates reloaded/).length === times, 'a line for each time');
    assert.deepEqual(host.find(({ level }) => level === 'warn' || level === 'error'), []);
  });

  test('a bad one leaves the old one in use, with one line about it', async (t) => {
    const { authority, host, second, key, cert, install, subject } = await start(t);
    const refused = async (reason) => {
      const before = host.find(/configuration not reloaded/).length;
      host.signal('SIGHUP');
      const lines = await until(() => {
        const found = host.find(/configuration not reloaded/);
        return found.length > before && found;
      }, 'the line');
      assert.equal(lines.length, before + 1);
      assert.equal(lines.at(-1).level, 'error');
      assert.match(lines.at(-1).err, reason);
      assert.equal(await subject(), 'first');
    };
    writeFileSync(cert, 'no certificate\n');
    await refused(/servers\[1\]\.tls\.cert: .*there is no certificate in it/);
    copyFileSync(second.cert, cert);
    await refused(/servers\[1\]\.tls\.key: .*does not belong to the certificate/);
    renameSync(key, `${key}.gone`);
    await refused(/servers\[1\]\.tls\.key: .*No such file/);
    install(second);
    host.signal('SIGHUP');
    await until(async () => (await subject()) === 'second', 'the new certificate');
    install(await authority.issue('late', { days: -1 }));
    host.signal('SIGHUP'); // expired ones are used all the same: their owner said so
    await host.logged(({ level, msg }) => level === 'warn' && /has expired on/.test(msg));
  });

  test('without TLS it changes nothing', async (t) => {
    const host = await startHost(t, { service: luaService(body) });
    host.signal('SIGHUP');
    host.signal('SIGHUP');
    await new Promise((resolve) => setTimeout(resolve, 50));
    assert.equal(host.running, true);
    assert.equal(host.find(({ level }) => level === 'error').length, 0, host.log);
  });
});
