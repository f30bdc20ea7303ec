// Lua clients that speak TLS to real Nest servers, and what they are told where that fails.
import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, describe, test } from 'node:test';
import { roost } from '../lib/cli.mjs';
import { temporaryDir } from '../lib/host.mjs';
import { lua } from '../lib/lua.mjs';
import { startNestServer } from '../lib/target.mjs';
import { fingerprintOf, makeAuthority } from '../lib/tls.mjs';
import { suiteScope, until } from '../lib/wait.mjs';

/** Runs a program with `client` in a folder; what it printed, which is JSON. */
async function run(t, keys, body, cwd = temporaryDir(t)) {
  writeFileSync(join(cwd, 'main.lua'), `local roost = require "roost"
local client = roost.client ${lua(keys)}
${body}`);
  const { code, stdout, stderr } = await roost(['exec', 'main.lua'], { cwd });
  assert.deepEqual({ code, stderr }, { code: 0, stderr: '' });
  return JSON.parse(stdout);
}

const failure = `
local ok, err = pcall(client.call, client, "echo", 1)
print(roost.json.encode { ok = ok, name = err.name, code = err.code, detail = err.detail })`;

for (const version of [12, 11]) {
  describe(`Lua client of a Nest ${version} server with TLS`, () => {
    const suite = suiteScope();
    const made = {};
    before(async () => {
      const authority = await makeAuthority(suite);
      const server = await authority.issue('nest');
      const own = { key: readFileSync(server.key, 'utf8'), cert: readFileSync(server.cert, 'utf8') };
      const ca = readFileSync(authority.ca, 'utf8');
      const expired = await authority.issue('expired', { days: -1 });
      const old = { key: readFileSync(expired.key, 'utf8'), cert: readFileSync(expired.cert, 'utf8') };
      const [open, mutual] = await Promise.all([own,
        { ...own, ca, requestCert: true, rejectUnauthorized: true }].map((tlsOptions) =>
        startNestServer(suite, { tlsOptions }, [], version)));
      Object.assign(made, { ca: authority.ca, server, own, old, open, mutual,
        client: await authority.issue('billing') });
    });

    test('a call, and what is known of the server', async (t) => {
      const keys = { url: `tls://127.0.0.1:${made.open.port}`, tls: { ca: made.ca } };
      const { value, tls } = await run(t, keys, `client:connect()
print(roost.json.encode { value = client:call("echo", { 1, 2 }), tls = client:unwrap().tls })`);
      assert.deepEqual(value, [1, 2]);
      assert.match(tls.version, /^TLSv1\.3$/);
      assert.equal(tls.peer.subject, 'CN=nest');
      assert.equal(tls.peer.verified, true);
      assert.equal(tls.peer.fingerprint, await fingerprintOf(made.server.cert));
    });
    test('1 MiB there and back', async (t) => {
      const keys = { port: made.open.port, tls: { ca: made.ca } };
      assert.equal(await run(t, keys, `local text = ("x"):rep(2^20)
print(client:call("echo", text) == text)`), true);
    });
    test('a stream of 1,000, and errors', async (t) => {
      const keys = { port: made.open.port, tls: { ca: made.ca } };
      const got = await run(t, keys, `local items = client:send("count", { upto = 1000 }):collect()
local ok, err = pcall(client.call, client, "fail", "rpc object")
local known, unknown = pcall(client.call, client, "nobody knows", 1)
print(roost.json.encode { count = #items, first = items[1], last = items[1000],
  ok = ok, code = err.code, known = known, message = unknown.message })`);
      assert.deepEqual(got, { count: 1000, first: 1, last: 1000, ok: false, code: 42, known: false,
        message: 'There is no matching message handler defined in the remote service.' });
    });
    test('a session is taken up again by the next connection', async (t) => {
      const keys = { port: made.open.port, tls: { ca: made.ca } };
      assert.deepEqual(await run(t, keys, `local resumed = roost.array {}
for i = 1, 4 do
  client:call("echo", i)
  local tls = client:unwrap().tls
  resumed[i] = tls.resumed and tls.peer.verified and tls.peer.subject or tls.resumed
  client:close()
end
print(roost.json.encode(resumed))`), [false, 'CN=nest', 'CN=nest', 'CN=nest']);
    });
    test('a server that is killed in the middle of a request, and comes back', async (t) => {
      const options = { tlsOptions: made.own };
      const first = await startNestServer(t, options, [], version);
      const dir = temporaryDir(t);
      const running = run(t, { port: first.port, tls: { ca: made.ca }, retry_attempts: 200, retry_delay: 50 }, `
client:call("echo", 1)
local ok, err
roost.all {
  function() ok, err = pcall(client.call, client, "wait", { ms = 60000, value = 1 }) end,
  function()
    client:call("echo", "after that")
    io.open("waits", "w"):close()
  end,
}
print(roost.json.encode { ok = ok, code = err.code, again = client:call("echo", "again") })`, dir);
      await Promise.race([running, until(() => existsSync(join(dir, 'waits')), 'the request')]);
      await first.kill();
      await startNestServer(t, { ...options, port: first.port }, [], version);
      assert.deepEqual(await running, { ok: false, code: 'ECLOSED', again: 'again' });
    });
    test('with a certificate of our own', async (t) => {
      const { key, cert } = made.client;
      const keys = { port: made.mutual.port, tls: { ca: made.ca, key, cert } };
      assert.equal(await run(t, keys, 'print(client:call("echo", 7))'), 7);
    });
    test('without the certificate the server wants', async (t) => {
      const got = await run(t, { port: made.mutual.port, tls: { ca: made.ca } }, failure);
      assert.deepEqual([got.ok, got.name, got.code], [false, 'ConnectionError', 'ETLS']);
    });
    test('a server whose certificate has expired', async (t) => {
      const late = await startNestServer(t, { tlsOptions: made.old }, [], version);
      const got = await run(t, { port: late.port, tls: { ca: made.ca } }, failure);
      assert.deepEqual([got.name, got.code], ['ConnectionError', 'ETLS']);
      assert.match(got.detail, /^the server's certificate: certificate has expired$/);
    });
    test('a plain client at a TLS port', async (t) => {
      const got = await run(t, { port: made.open.port }, failure);
      assert.deepEqual([got.ok, got.name, got.code], [false, 'ConnectionError', 'ECLOSED']);
    });
    test('a client of TLS at a plain port', async (t) => {
      const plain = await startNestServer(t, {}, [], version);
      const got = await run(t, { port: plain.port, tls: { ca: made.ca } }, failure);
      assert.deepEqual([got.ok, got.name, got.code], [false, 'ConnectionError', 'ETLS']);
      assert.match(got.detail, /hung up during the handshake|does not speak TLS/);
    });
    const refusals = [
      ['a server nobody vouches for', { tls: true }, /^the server's certificate: /],
      ['another server than was meant', { tls: { servername: 'other.test' } },
        /^the server's certificate is not for other\.test$/],
      ['a file that is not there', { tls: { ca: 'none.pem' } },
        /^ca: none\.pem: No such file or directory$/],
    ];
    for (const [name, { tls }, detail] of refusals) {
      test(name, async (t) => {
        const rest = tls === true || tls.ca ? tls : { ca: made.ca, ...tls };
        const got = await run(t, { port: made.open.port, tls: rest }, failure);
        assert.deepEqual([got.ok, got.name, got.code], [false, 'ConnectionError', 'ETLS']);
        assert.match(got.detail, detail);
      });
    }
    test('insecure accepts any', async (t) => {
      const keys = { port: made.open.port, tls: { insecure: true } };
      assert.equal(await run(t, keys, 'print(client:call("echo", 7))'), 7);
    });
  });
}
