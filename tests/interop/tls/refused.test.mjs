// Who is let in, who is not, and what both sides are told. With Nest 12 and Nest 11 clients.
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { roost } from '../lib/cli.mjs';
import { startHost } from '../lib/host.mjs';
import { loadNest, nestClient } from '../lib/nest.mjs';
import { connect, freePort } from '../lib/peer.mjs';
import { luaService } from '../lib/service.mjs';
import { fingerprintOf, makeAuthority } from '../lib/tls.mjs';
import { suiteScope, within } from '../lib/wait.mjs';

const body = `
service:message("peer", function(_, ctx) return ctx.peer end)
service:message("peer later", function(_, ctx)
  roost.sleep(20)
  return ctx.peer.tls
end)
service:message("count", function(data, ctx)
  for i = 1, data do ctx:emit(i) end
end)
`;

/** A host with four listeners that differ in their TLS, and whoever may call them. */
function world() {
  const suite = suiteScope();
  const made = {};
  before(async () => {
    const [authority, stranger] = [await makeAuthority(suite), await makeAuthority(suite, 'other')];
    const issue = (...args) => authority.issue(...args);
    const [server, expired, misnamed] = [await issue('server'), await issue('expired', { days: -1 }),
      await issue('misnamed', { sans: 'DNS:elsewhere.test' })];
    const listener = ({ key, cert }, more) =>
      ({ tls: { key, cert, ca: authority.ca, ...more }, handshake_timeout: 60000 });
    const host = await startHost(suite, {
      service: luaService(body),
      servers: [listener(server), listener(server, { verify: 'required' }),
        listener(expired), listener(misnamed), listener(server, { verify: 'optional' })],
    });
    const [open, mutual, old, wrong, optional] = host.ports;
    const billing = await issue('billing', { sans: 'DNS:billing.test,URI:spiffe://test/billing' });
    Object.assign(made, { authority, stranger, host, billing,
      outsider: await stranger.issue('billing', { as: 'outsider' }),
      ports: { open, mutual, old, wrong, optional } });
  });
  return { suite, made };
}

/** The line about the last handshake that failed at that listener: its reason. */
const refusalAt = (host, port, reason) => host.logged(({ msg, server, err }) =>
  msg === 'TLS handshake failed' && host.ports[server - 1] === port && reason.test(err));

for (const version of [12, 11]) {
  describe(`Nest ${version} clients and TLS`, () => {
    const { suite, made } = world();
    let nest;
    before(async () => {
      nest = await loadNest(version);
      nest.Logger.overrideLogger(false);
    });
    const all = (t, port, tlsOptions, pattern = 'peer', data = 1) => within(nest.lastValueFrom(
      nestClient(t, nest, port, tlsOptions && { tlsOptions }).send(pattern, data)
        .pipe(nest.toArray())), 'the reply');
    const isClosed = (promise) => assert.rejects(promise, { message: 'Connection closed' });

    test('mutual TLS: the service knows who calls', async (t) => {
      const own = { ...made.authority.trust, ...made.billing.own };
      const [{ tls, address }] = await all(t, made.ports.mutual, own);
      assert.equal(address, '127.0.0.1');
      assert.equal(tls.subject, 'CN=billing');
      assert.deepEqual(tls.sans, ['DNS:billing.test', 'URI:spiffe://test/billing']);
      assert.equal(tls.fingerprint, await fingerprintOf(made.billing.cert));
      assert.equal(tls.verified, true);
      assert.deepEqual(await all(t, made.ports.mutual, own, 'peer later'), [tls]);
    });

    test('a stream over mutual TLS', async (t) => {
      const own = { ...made.authority.trust, ...made.billing.own };
      const items = await all(t, made.ports.mutual, own, 'count', 1000);
      assert.deepEqual(items, Array.from({ length: 1000 }, (_, i) => i + 1));
    });

    test('without a certificate where none is needed', async (t) => {
      for (const port of [made.ports.open, made.ports.optional]) {
        const [{ tls }] = await all(t, port, made.authority.trust);
        assert.equal(tls.verified, false);
        assert.equal(tls.subject, undefined);
        assert.deepEqual(tls.sans, []);
      }
    });

    test('a client that does not trust the authority', async (t) => {
      await isClosed(all(t, made.ports.open, made.stranger.trust));
    });
    test('an expired certificate of the server', async (t) => {
      await isClosed(all(t, made.ports.old, made.authority.trust));
      await made.host.logged(({ msg }) => /certificate has expired/.test(msg));
    });
    test("a server's certificate for another name", async (t) => {
      await isClosed(all(t, made.ports.wrong, made.authority.trust));
    });
    test('a client without the certificate it needs', async (t) => {
      await isClosed(all(t, made.ports.mutual, made.authority.trust));
      await refusalAt(made.host, made.ports.mutual, /the peer has no certificate/);
    });
    for (const listener of ['mutual', 'optional']) {
      test(`a certificate of somebody else's, ${listener}`, async (t) => {
        await isClosed(all(t, made.ports[listener],
          { ...made.authority.trust, ...made.outsider.own }));
        await refusalAt(made.host, made.ports[listener], /the peer's certificate: /);
      });
    }
    test('a plain client', async (t) => {
      await isClosed(all(t, made.ports.open));
      await refusalAt(made.host, made.ports.open, /does not speak TLS/);
    });
    test('nothing is left over', async (t) => {
      const peer = await connect(t, made.ports.open);
      peer.destroy();
      const [{ tls }] = await all(t, made.ports.open, made.authority.trust);
      assert.equal(tls.version, 'TLSv1.3');
      assert.equal(made.host.running, true);
    });
    test('a client of TLS at a plain port', async (t) => {
      const plain = await startHost(t, { service: luaService('') });
      await isClosed(all(t, plain.port, made.authority.trust));
      assert.ok(suite);
    });
  });
}

describe('roost call and TLS', () => {
  const { made } = world();
  const call = (listener, args, name = '127.0.0.1') =>
    roost(['call', '--url', `tls://${name}:${made.ports[listener]}`, ...args, 'count', '2']);
  const answers = (test_, listener, args, name) => test(test_, async () => {
    const { code, stdout, stderr } = await call(listener, args(), name);
    assert.equal(code, 0, stderr);
    assert.equal(stdout, '1\n2\n');
    return stderr;
  });
  const refused = (name, listener, args, reason) => test(name, async () => {
    const { code, stdout, stderr } = await call(listener, args());
    assert.equal(code, 3, stderr);
    assert.equal(stdout, '');
    assert.match(stderr, reason);
    assert.equal(stderr.trim().split('\n').length, 1, stderr);
  });
  const ca = () => ['--tls-ca', made.authority.ca];
  const own = ({ key, cert }) => ['--tls-cert', cert, '--tls-key', key];

  answers('an address', 'open', ca);
  answers('a host name', 'open', ca, 'localhost');
  answers('another name', 'wrong', () => [...ca(), '--tls-name', 'elsewhere.test']);
  answers('mutual TLS', 'mutual', () => [...ca(), ...own(made.billing)]);
  refused('nobody is trusted', 'open', () => [],
    /the server's certificate: unable to get local issuer certificate/);
  refused('somebody else is trusted', 'open', () => ['--tls-ca', made.stranger.ca],
    /the server's certificate: /);
  refused('it has expired', 'old', ca, /the server's certificate: certificate has expired/);
  refused('it is for another name', 'wrong', ca, /certificate is not for this address/);
  refused('one of ours is required', 'mutual', ca, /the server requires a certificate/);
  refused('ours is not trusted', 'mutual', () => [...ca(), ...own(made.outsider)],
    /the server does not trust our certificate/);

  test('--insecure says so', async () => {
    const { code, stdout, stderr } = await call('old', ['--insecure']);
    assert.deepEqual([code, stdout], [0, '1\n2\n']);
    assert.match(stderr, /^roost call: --insecure: .*not verified\n$/);
  });
  test('an event', async () => {
    const { code, stderr } = await roost(['emit', '--url', `tls://127.0.0.1:${made.ports.open}`,
      ...ca(), 'count', '1']);
    assert.equal(code, 0, stderr);
  });
  test('a plain port', async (t) => {
    const plain = await startHost(t, { service: luaService('') });
    const { code, stderr } = await roost(['call', '--url', `tls://127.0.0.1:${plain.port}`, ...ca(),
      '--timeout', '5000', 'x']);
    assert.equal(code, 3, stderr);
    assert.match(stderr, /hung up during the handshake|does not speak TLS/);
  });
  test('nobody listens', async () => {
    const { code, stderr } = await roost(['call', '--url', `tls://127.0.0.1:${await freePort()}`,
      ...ca(), 'x']);
    assert.equal(code, 3);
    assert.match(stderr, /Connection refused/);
  });
  for (const [name, args] of Object.entries({
    'a file that is not there': ['--tls-ca', 'absent.pem'], 'a key alone': ['--tls-key', '/'],
  })) {
    test(`usage, ${name}: 2`, async () => {
      const { code, stderr } = await call('open', args);
      assert.equal(code, 2, stderr);
      assert.match(stderr, /--tls-/);
    });
  }
  test('usage, TLS options for tcp://: 2', async () => {
    const { code, stderr } = await roost(['call', '--insecure', 'x']);
    assert.equal(code, 2);
    assert.match(stderr, /--insecure is for tls:\/\/ URLs/);
  });
});
