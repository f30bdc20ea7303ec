// What an unmodified Nest client sees over TCP: the rows of brokers/inbound.mjs, and some more. Run
// with Nest 12 and Nest 11 clients, plain and over TLS.
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { inboundRows, outcomes, rowsBut } from '../brokers/inbound.mjs';
import { tcp } from '../lib/brokers/binding.mjs';
import { loadNest, nestClient } from '../lib/nest.mjs';
import { sameText } from '../lib/rows.mjs';
import { startTarget } from '../lib/target.mjs';
import { makeAuthority } from '../lib/tls.mjs';
import { suiteScope, until, within } from '../lib/wait.mjs';

/** Registers the suite for clients of one Nest version. */
export function clientSuite(version, { secure = false } = {}) {
  describe(`Nest ${version} client${secure ? ' over TLS' : ''}`, () => {
    const suite = suiteScope();
    let nest, target, client;
    /** What the listener and the clients are given besides. */
    const options = { server: {}, client: {} };
    const serve = (t, more) => startTarget(t, { ...options.server, ...more });
    const dial = (t, port) => nestClient(t, nest, port, options.client);
    before(async () => {
      nest = await loadNest(version);
      nest.Logger.overrideLogger(false);
      if (secure) {
        const authority = await makeAuthority(suite);
        const { key, cert } = await authority.issue('server');
        options.server = { tls: { key, cert } };
        options.client = { tlsOptions: authority.trust };
      }
      target = await serve(suite);
      client = dial(suite, target.port);
    });

    const parts = outcomes(() => nest, () => client);
    const row = rowsBut(tcp.cannot('inbound', version));
    inboundRows({ row, binding: tcp, version, ...parts });
    row.checked();
    large(parts);
    connections({ ...parts, serve, dial, target: () => target });
  });
}

function large({ one }) {
  test('1 MiB there and back', async () => {
    const text = '😀é€a'.repeat(2 ** 20 / 10);
    sameText(await one('echo', text), text);
    const list = Array.from({ length: 2 ** 17 }, (_, i) => ({ i }));
    assert.deepEqual(await one('echo', list), list);
  });
}

function connections({ one, all, fails, serve, dial, nest, target }) {
  test('the client says connected', async (t) => {
    const client = dial(t, target().port);
    await within(client.connect(), 'connect');
    assert.equal(await within(nest().firstValueFrom(client.status), 'status'), 'connected');
  });

  test('a time-out of the client: its late reply is ignored', async (t) => {
    const client = dial(t, target().port);
    const late = client.send('wait', { ms: 150, value: 'late' }).pipe(nest().timeout(20));
    await assert.rejects(nest().lastValueFrom(late), { name: 'TimeoutError' });
    assert.equal(await one('wait', { ms: 250, value: 'in time' }, client), 'in time');
  });

  test('20 clients at once', async (t) => {
    const clients = Array.from({ length: 20 }, () => dial(t, target().port));
    const values = await Promise.all(clients.map((client, i) =>
      one('wait', { ms: 10, value: i }, client)));
    assert.deepEqual(values, clients.map((_, i) => i));
  });

  test('close in the middle of requests and streams, then use again', async (t) => {
    const client = dial(t, target().port);
    const [request, stream] = [fails('wait', { ms: 100, value: 1 }, client),
      fails('count', { upto: 1e6, ms: 5 }, client)];
    assert.equal(await one('echo', 1, client), 1);
    client.close();
    for (const err of await Promise.all([request, stream])) {
      assert.equal(err.message, 'Connection closed');
    }
    // Nest 11 may take the old socket's end for the new one's, so the old one's is awaited.
    await until(() => one('echo', 2, client).catch(() => null), 'the new connection');
  });

  test('the host dies in the middle of a request, comes back, and is used again', async (t) => {
    const first = await serve(t);
    const client = dial(t, first.port);
    assert.equal(await one('echo', 'up', client), 'up');
    const pending = [fails('wait', { ms: 5000 }, client), fails('stream', 'never', client)];
    assert.equal(await one('echo', 'both running', client), 'both running');
    await first.kill();
    for (const err of await Promise.all(pending)) assert.equal(err.message, 'Connection closed');
    assert.equal((await fails('echo', 1, client)).code, 'ECONNREFUSED');
    await serve(t, { port: first.port });
    assert.equal(await one('echo', 'up again', client), 'up again');
    assert.deepEqual(await all('stream', 'of', client), [1, 2, 3]);
  });
}
