// The TLS of a listener as OpenSSL's and node's clients see it.
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { startHost } from '../lib/host.mjs';
import { connect } from '../lib/peer.mjs';
import { sameText } from '../lib/rows.mjs';
import { luaService } from '../lib/service.mjs';
import { askOver, makeAuthority, sClient, tlsConnect } from '../lib/tls.mjs';
import { suiteScope } from '../lib/wait.mjs';

const body = 'service:message("echo", function(data) return data end)';

describe('TLS of a listener', () => {
  const suite = suiteScope();
  let authority, host;
  before(async () => {
    authority = await makeAuthority(suite);
    const issued = await Promise.all(['server', 'one', 'wild'].map((cn) =>
      authority.issue(cn, { sans: 'DNS:localhost,IP:127.0.0.1,DNS:one.test,DNS:*.wild.test' })));
    const [server, one, wild] = issued.map(({ key, cert }) => ({ key, cert }));
    host = await startHost(suite, {
      service: luaService(body),
      servers: [{ tls: { ...server, sni: { 'one.test': one, '*.wild.test': wild } } },
        { tls: { ...server, min_version: '1.3' } },
        { tls: { ...server, ciphers: 'ECDHE-ECDSA-AES128-GCM-SHA256:TLS_AES_128_GCM_SHA256' } },
        { tls: { ...server, ca: authority.ca, verify: 'required' } }],
    });
  });
  const ask = (port, ...args) => sClient(port, ['-CAfile', authority.ca, ...args]);

  test('TLS 1.3, and the chain is verified', async () => {
    const output = await ask(host.port, '-verify_return_error');
    assert.match(output, /New, TLSv1\.3, Cipher is TLS_AES_256_GCM_SHA384/);
    assert.match(output, /Verify return code: 0 \(ok\)/);
  });
  test('TLS 1.2, with a key of its own for each connection', async () => {
    const output = await ask(host.port, '-tls1_2');
    assert.match(output, /New, TLSv1\.2, Cipher is ECDHE-ECDSA-AES256-GCM-SHA384/);
    assert.match(output, /Server Temp Key: X25519/);
    assert.match(output, /Compression: NONE/);
  });
  for (const version of ['-tls1_1', '-tls1']) {
    test(`${version} is refused`, async () => {
      const output = await ask(host.port, version, '-cipher', 'ALL:@SECLEVEL=0');
      assert.match(output, /alert protocol version/);
      await host.logged(({ err }) => err === "the peer's version of TLS is too old");
    });
  }
  for (const cipher of ['AES128-SHA', 'AES256-GCM-SHA384', 'ECDHE-ECDSA-AES128-SHA', 'NULL']) {
    test(`${cipher} is refused`, async () => {
      const output = await ask(host.port, '-tls1_2', '-cipher', `${cipher}:@SECLEVEL=0`);
      assert.match(output, /alert handshake failure|no ciphers available/);
    });
  }
  test('min_version', async () => {
    assert.match(await ask(host.ports[1], '-tls1_2'), /alert protocol version/);
    assert.match(await ask(host.ports[1]), /New, TLSv1\.3/);
  });
  test('ciphers', async () => {
    assert.match(await ask(host.ports[2], '-tls1_2'), /Cipher is ECDHE-ECDSA-AES128-GCM-SHA256/);
    assert.match(await ask(host.ports[2]), /Cipher is TLS_AES_128_GCM_SHA256/);
  });
  test('authorities that are trusted are named', async () => {
    assert.match(await ask(host.ports[3]), /Acceptable client certificate CA names\nCN = test auth/);
  });

  test('renegotiation is refused', async () => {
    const output = await sClient(host.port, ['-tls1_2', '-CAfile', authority.ca], 'R\n');
    assert.match(output, /RENEGOTIATING/);
    assert.match(output, /no renegotiation/);
  });

  for (const [name, subject] of Object.entries({
    'one.test': 'one', 'ONE.test': 'one', 'x.wild.test': 'wild', 'else.test': 'server',
  })) {
    test(`${name} is shown the certificate of ${subject}`, async () => {
      assert.match(await ask(host.port, '-servername', name),
        new RegExp(`subject=CN = ${subject}\\n`));
    });
  }

  for (const version of ['TLSv1.2', 'TLSv1.3']) {
    test(`a session of ${version} is resumed`, async (t) => {
      const options = { ...authority.trust, servername: 'localhost', minVersion: version,
        maxVersion: version };
      const first = await tlsConnect(t, host.port, options);
      let session; // of TLS 1.3 it comes after the handshake
      first.on('session', (ticket) => (session = ticket));
      assert.equal(first.isSessionReused(), false);
      assert.equal(await askOver(first, 'echo', 1), 1);
      session ??= first.getSession();
      first.end();
      const second = await tlsConnect(t, host.port, { ...options, session });
      assert.equal(second.isSessionReused(), true);
      assert.equal(await askOver(second, 'echo', 'again'), 'again');
    });
  }

  test('a large request and reply', async (t) => {
    const socket = await tlsConnect(t, host.port, authority.trust);
    const text = 'é€😀'.repeat(50_000);
    sameText(await askOver(socket, 'echo', text), text);
  });

  test('whoever says nothing is hung up on', async (t) => {
    const { key, cert } = await authority.issue('brief');
    const brief = await startHost(t, {
      service: luaService(body), server: { tls: { key, cert }, handshake_timeout: 100 },
    });
    const peer = await connect(t, brief.port);
    assert.equal(await peer.closed(), 'fin');
    const [line] = [await brief.logged(/TLS handshake failed/)];
    assert.equal(line.err, 'the handshake took too long');
    assert.equal(line.server, '1');
    assert.match(line.peer, /^127\.0\.0\.1:\d+$/);
  });

  test('handshakes that fail are at most ten lines a second', async (t) => {
    const before = host.find(/TLS handshake failed/).length;
    for (let i = 0; i < 60; i++) {
      const peer = await connect(t, host.port);
      await peer.write('plain');
      await peer.closed();
      peer.destroy();
    }
    const lines = host.find(/TLS handshake failed/).length - before;
    assert.ok(lines >= 1 && lines < 60, `${lines} lines`);
  });
});
