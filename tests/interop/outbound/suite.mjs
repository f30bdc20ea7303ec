// What a Lua service gets from a real Nest server over TCP: the rows of brokers/outbound.mjs, and some
// more. Run against Nest 12 and Nest 11 servers.
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { outboundRows } from '../brokers/outbound.mjs';
import { rowsBut } from '../brokers/inbound.mjs';
import { tcp } from '../lib/brokers/binding.mjs';
import { startCaller, tcpClient } from '../lib/caller.mjs';
import { stateTest } from '../lib/env.mjs';
import { freePort } from '../lib/peer.mjs';
import { sameText } from '../lib/rows.mjs';
import { startNestServer } from '../lib/target.mjs';
import { suiteScope } from '../lib/wait.mjs';

export function outboundSuite(version) {
  describe(`Lua client of a Nest ${version} server`, () => {
    const suite = suiteScope();
    const parts = {};
    before(async () => {
      parts.nest = await startNestServer(suite, {}, [], version);
      parts.caller = await startCaller(suite,
        { clients: { default: tcpClient(parts.nest.port) } });
    });
    const caller = () => parts.caller;
    const row = rowsBut(tcp.cannot('outbound', version));
    outboundRows({ row, binding: tcp, version, caller });
    row.checked();
    tcpOnly(caller, version, parts);
    connections(version);
  });
}

const done = (...values) => ({ values, completed: true });

function tcpOnly(caller, version, parts) {
  test('1 MiB there and back', async () => {
    const text = '😀é€a'.repeat(2 ** 20 / 10);
    sameText((await caller().call('echo', text)).values[0], text);
  });
  if (version >= 12) {
    test('metadata is any JSON', async () => {
      assert.deepEqual(await caller().call('metadata', 1, { metadata: { traceparent: '00-é', n: [1] } }),
        done({ traceparent: '00-é', n: [1] }));
    });
  }
  test('status, once connected', async () => {
    const info = await caller().drive({ method: 'connect and unwrap' });
    assert.equal(info.transport, 'tcp');
    assert.equal(info.connected, true);
    assert.deepEqual(info.remote, { address: '127.0.0.1', port: parts.nest.port });
    assert.equal(info.local.address, '127.0.0.1');
    assert.ok(info.fd > 2);
  });
}

/** In one call, as a client made from a table is another one after a reload. */
const closeWhilePending = `service:message("close while pending", function()
  local client, errors = clients.default, roost.array {}
  local function fails(run)
    return function()
      local ok, err = pcall(run)
      errors[#errors + 1] = ok and "no error" or err.message
    end
  end
  roost.all {
    fails(function() client:call("wait", { ms = 60000, value = 1 }) end),
    fails(function() client:send("stream", "never"):last() end),
    function()
      assert(client:call("echo", 1) == 1)
      client:close()
    end,
  }
  return { errors = errors, after = client:call("echo", 2) }
end)`;

function connections(version) {
  stateTest('the server is killed in the middle of requests; the next call connects again', async (t) => {
    const first = await startNestServer(t, {}, [], version);
    const { call, send, drive, ask } = await startCaller(t,
      { clients: { default: tcpClient(first.port) } });
    assert.match((await drive({ method: 'unwrap' })).err.text,
      /Not initialized\. Please call the "connect" method first\./);
    await ask('watch', 'default');
    assert.deepEqual(await call('echo', 'up'), done('up'));
    const pending = [call('wait', { ms: 60000, value: 1 }), send('stream', 'never')];
    assert.deepEqual(await call('echo', 'both running'), done('both running'));
    await first.kill();
    for (const { err } of await Promise.all(pending)) {
      assert.deepEqual([err.name, err.code, err.message],
        ['ConnectionError', 'ECLOSED', 'Connection closed']);
    }
    const { err } = await call('echo', 1);
    assert.deepEqual([err.name, err.code, err.message, err.detail], ['ConnectionError',
      'ECONNREFUSED', `connect ECONNREFUSED 127.0.0.1:${first.port}`, 'Connection refused']);
    await startNestServer(t, { port: first.port }, [], version);
    assert.deepEqual(await call('echo', 'up again'), done('up again'));
    assert.deepEqual(await send('stream', 'of'), done(1, 2, 3));
    const told = await ask('told');
    assert.deepEqual(told.filter((line) => line.startsWith('status')),
      ['status connected', 'status disconnected', 'status connected']);
    assert.ok(told.includes('error ConnectionError ECONNREFUSED'), told.join('; '));
    assert.equal(told.at(-1), 'connect');
  });

  test('close fails what is pending, and the next call connects again', async (t) => {
    const nest = await startNestServer(t, {}, [], version);
    const { ask } = await startCaller(t,
      { clients: { default: tcpClient(nest.port) }, more: closeWhilePending });
    assert.deepEqual(await ask('close while pending'),
      { errors: ['Connection closed', 'Connection closed'], after: 2 });
  });

  test('connect raises where nobody is, and returns where somebody is', async (t) => {
    const port = await freePort();
    const { drive } = await startCaller(t, { clients: { default: tcpClient(port) } });
    assert.equal((await drive({ method: 'connect' })).err.code, 'ECONNREFUSED');
    await startNestServer(t, { port }, [], version);
    assert.deepEqual(await drive({ method: 'connect' }), { completed: true });
    assert.equal((await drive({ method: 'connect and unwrap' })).connected, true);
  });
}
