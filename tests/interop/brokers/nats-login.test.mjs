// Who one is to a nats-server, TLS that begins after it has spoken, and clusters.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { startNats } from '../lib/brokers/nats.mjs';
import { npmDir } from '../lib/env.mjs';
import { startHost } from '../lib/host.mjs';
import { freePort } from '../lib/peer.mjs';
import { makeAuthority } from '../lib/tls.mjs';
import { until } from '../lib/wait.mjs';

const echo = `local roost = require "roost"
local service = roost.service()
service:message("echo", function(data) return data end)
return service
`;

/** Calls the echo of another host as soon as it answers. */
const asking = `local roost = require "roost"
local service = roost.service()
service:on_start(function()
  roost.spawn(function()
    for _ = 1, 200 do
      local ok, result = pcall(function()
        return roost.client("OTHER"):call("echo", "hello", { timeout = 500 })
      end)
      roost.log:info(ok and "answered" or "failed", { what = ok and result or result.detail or tostring(result) })
      if ok then return end
      roost.sleep(50)
    end
  end)
end)
return service
`;

/** Two hosts, one of which calls the other; both connect as the options say. */
async function pair(t, broker, options, files = {}) {
  const entry = { transport: 'nats', servers: broker.servers, retry_delay: 50, ...options };
  const server = await startHost(t, { service: echo, servers: [entry], files });
  const { retry_delay: _, ...clientEntry } = entry;
  const caller = await startHost(t,
    { service: asking, servers: [], clients: { OTHER: clientEntry }, files });
  return { server, caller };
}

const answered = async ({ caller }) =>
  assert.equal((await caller.logged(/^answered$/)).what, 'hello');

const secrets = /s3cret|SUA|eyJ/;
function noSecrets({ server, caller }) {
  for (const { log } of [server, caller]) assert.doesNotMatch(log, secrets);
}

async function refused(t, broker, options, why, files) {
  const hosts = await pair(t, broker, options, files);
  const { err } = await hosts.server.logged(/^cannot connect$/);
  assert.match(err, why);
  // The first ones may be out of time while it is still connecting.
  await hosts.caller.logged(({ msg, what }) => msg === 'failed' && why.test(what));
  noSecrets(hosts);
}

/** Keys as NATS's tools make them. */
function nkeys() {
  const require = createRequire(join(npmDir, 'nest12', 'node_modules', '@nats-io',
    'transport-node', 'package.json'));
  return require('@nats-io/nkeys');
}

const base64 = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');

/** A token of NATS: claims, signed. */
function jwt(signer, sub, name, nats) {
  const text = `${base64({ typ: 'JWT', alg: 'ed25519-nkey' })}.${base64({
    jti: name, iat: 1, iss: signer.getPublicKey(), sub, name, nats: { version: 2, ...nats } })}`;
  return `${text}.${Buffer.from(signer.sign(Buffer.from(text))).toString('base64url')}`;
}

const credsText = (token, seed) => `-----BEGIN NATS USER JWT-----
${token}
------END NATS USER JWT------

************************* IMPORTANT *************************
NKEY Seed printed below can be used to sign and prove identity.

-----BEGIN USER NKEY SEED-----
${seed}
------END USER NKEY SEED------
`;

const seedOf = (key) => Buffer.from(key.getSeed()).toString();

describe('logging in to NATS', () => {
  test('user and password', async (t) => {
    const broker = await startNats(t,
      { config: 'authorization { user: ann, password: "s3cret é" }' });
    const hosts = await pair(t, broker, { user: 'ann', pass: 's3cret é' });
    await answered(hosts);
    noSecrets(hosts);
    await refused(t, broker, { user: 'ann', pass: 's3cretly' }, /Authorization Violation/);
    await refused(t, broker, {}, /Authorization Violation/);
  });

  test('user and password in the URL', async (t) => {
    const broker = await startNats(t, { config: 'authorization { user: ann, password: "a/b" }' });
    await answered(await pair(t,
      { servers: [`nats://ann:a%2fb@127.0.0.1:${broker.port}`] }, {}));
  });

  test('a token, also in the URL', async (t) => {
    const broker = await startNats(t, { config: 'authorization { token: "s3cret" }' });
    await answered(await pair(t, broker, { token: 's3cret' }));
    await answered(await pair(t, { servers: [`nats://s3cret@127.0.0.1:${broker.port}`] }, {}));
    await refused(t, broker, { token: 's3cre' }, /Authorization Violation/);
  });

  test('an nkey: the seed alone', async (t) => {
    const user = nkeys().createUser();
    const broker = await startNats(t,
      { config: `authorization { users: [ { nkey: ${user.getPublicKey()} } ] }` });
    const files = { 'user.nk': `${seedOf(user)}\n`, 'other.nk': seedOf(nkeys().createUser()) };
    const hosts = await pair(t, broker, { creds: 'user.nk' }, files);
    await answered(hosts);
    noSecrets(hosts);
    await answered(await pair(t, broker, { creds: seedOf(user) }));
    await refused(t, broker, { creds: 'other.nk' }, /Authorization Violation/, files);
  });

  test('creds: a token and its seed', async (t) => {
    const { createOperator, createAccount, createUser } = nkeys();
    const [operator, account, user] = [createOperator(), createAccount(), createUser()];
    const limits = { subs: -1, data: -1, payload: -1 };
    const accountToken = jwt(operator, account.getPublicKey(), 'A', { type: 'account', limits: {
      ...limits, imports: -1, exports: -1, wildcards: true, conn: -1, leaf: -1 } });
    const userToken = jwt(account, user.getPublicKey(), 'U',
      { type: 'user', pub: {}, sub: {}, ...limits });
    const broker = await startNats(t, { config: `
operator: ${jwt(operator, operator.getPublicKey(), 'O', { type: 'operator' })}
resolver: MEMORY
resolver_preload: { ${account.getPublicKey()}: ${accountToken} }` });
    const text = credsText(userToken, seedOf(user));
    const files = { 'user.creds': text, 'empty.creds': '\n',
      'wrong.creds': credsText(userToken, seedOf(createUser())) };
    const hosts = await pair(t, broker, { creds: 'user.creds' }, files);
    await answered(hosts);
    noSecrets(hosts);
    await answered(await pair(t, broker, { creds: text }));
    await refused(t, broker, { creds: 'wrong.creds' }, /Authorization Violation/, files);
    await refused(t, broker, { creds: 'empty.creds' }, /creds: there is no seed/, files);
    await refused(t, broker, { creds: 'none.creds' }, /creds: it cannot be opened/);
  });
});

describe('TLS with NATS', () => {
  test('with a private authority, a certificate of our own, and without what it takes', async (t) => {
    const authority = await makeAuthority(t);
    const server = await authority.issue('server');
    const own = await authority.issue('client');
    const broker = await startNats(t, { config: `tls { cert_file: "${server.cert}"
key_file: "${server.key}", ca_file: "${authority.ca}", verify: true }` });
    const tls = { ca: authority.ca, cert: own.cert, key: own.key };
    await answered(await pair(t, broker, { tls }));
    await answered(await pair(t, { servers: [`tls://localhost:${broker.port}`] }, { tls }));
    await refused(t, broker, {}, /the server wants TLS/);
    await refused(t, broker, { tls: { ...tls, ca: undefined } }, /self-signed|unable to get/);
    await refused(t, broker, { tls: { ca: authority.ca } }, /certificate/);
    await refused(t, broker, { tls: { ...tls, servername: 'other.example' } }, /not for other\.example/);
  });

  test('a server without it is not trusted with anything', async (t) => {
    const broker = await startNats(t);
    await refused(t, broker, { tls: true, user: 'ann', pass: 's3cret' }, /the server has no TLS/);
    assert.doesNotMatch(broker.log, secrets);
  });
});

describe('a cluster of NATS', () => {
  test('servers that one knows of are used when it dies', async (t) => {
    const routes = [await freePort(), await freePort()];
    const config = (i) => `cluster { name: c, listen: "127.0.0.1:${routes[i]}",
routes: [ "nats://127.0.0.1:${routes[1 - i]}" ] }`;
    const first = await startNats(t, { config: config(0) });
    const second = await startNats(t, { config: config(1) });
    const hosts = await pair(t, first, {});
    await answered(hosts);
    await until(() => /Route connection created/.test(first.log), 'the cluster');
    const again = await pair(t, first, {});
    await answered(again);
    await first.kill();
    for (const { server } of [hosts, again]) {
      await until(() => server.find(({ msg, peer }) =>
        msg === 'connected' && peer === `127.0.0.1:${second.port}`).length > 0, 'the other server')
        .catch((err) => assert.fail(`${err.message}: ${server.log}`));
    }
    await answered(await pair(t, second, {}));
  });

  test('of several servers those that are there are used', async (t) => {
    const gone = await freePort();
    const broker = await startNats(t);
    await answered(await pair(t,
      { servers: [`nats://127.0.0.1:${gone}`, broker.url] }, {}));
  });
});
