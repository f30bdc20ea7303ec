// allow: what no rule permits is refused, before anything of a service runs.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { failure, noHandler } from '../lib/frames.mjs';
import { loadNest, nestClient } from '../lib/nest.mjs';
import { connect } from '../lib/peer.mjs';
import { luaService, serve } from '../lib/service.mjs';
import { startHost } from '../lib/host.mjs';

const forbidden = (id = '"ask"') =>
  failure('{"status":"error","message":"Forbidden resource"}', id);

const body = `
  service:message("orders.create", function(data) return data end)
  service:message("orders.items.add", function(data) return data end)
  service:message({ cmd = "sum" }, function() return "sum" end)
  service:message(7, function() return "seven" end)
  service:message("secret", function() note("secret") return "secret" end)
  service:event("secret", function() note("secret event") end)
  service:event("orders.seen", function(data) note(data) end)
`;

/** A host whose rules are `rules`, beside one that lets everybody look at the notes. */
const guarded = (t, rules, options = {}) => serve(t, body, {
  server: { allow: [{ peer: '*', patterns: ['notes'] }, ...rules], ...options },
});

describe('allow', () => {
  test('patterns: text with wildcards, tables, numbers', async (t) => {
    const { peer } = await guarded(t, [
      { peer: '127.0.0.1', patterns: ['orders.*', { cmd: 'sum' }, 7] },
    ]);
    assert.equal(await peer.call('orders.create', 1), 1);
    assert.equal(await peer.call({ cmd: 'sum' }, 1), 'sum');
    assert.equal(await peer.call('{"cmd":"sum"}', 1), 'sum');
    assert.equal(await peer.call(7, 1), 'seven');
    assert.equal(await peer.call('7', 1), 'seven');
    assert.equal(await peer.ask('orders.none', 1), noHandler('"ask"'));
    assert.equal(await peer.ask('orders.items.add', 1), forbidden());
    assert.equal(await peer.ask('orders', 1), forbidden());
    assert.equal(await peer.ask({ cmd: 'sum', more: 1 }, 1), forbidden());
    assert.equal(await peer.ask('secret', 1), forbidden());
    assert.equal(await peer.ask('secret', 1, 'again'), forbidden('"again"'));
    assert.equal(await peer.ask('no such thing', 1), forbidden());
    await peer.send({ data: 1, id: 'x' });
    assert.equal(await peer.frame(), forbidden('"x"'));
  });

  test('events are dropped, and both are logged', async (t) => {
    const { host, peer, notes } = await guarded(t, [{ peer: '127.0.0.1', patterns: ['orders.>'] }]);
    await peer.send({ pattern: 'secret', data: 1 });
    assert.equal(await peer.ask('secret', 1), forbidden());
    await peer.send({ pattern: 'orders.seen', data: 'seen' });
    assert.deepEqual(await notes(1), ['seen']);
    const event = await host.logged(/^event refused/);
    const request = await host.logged(/^request refused/);
    for (const entry of [event, request]) {
      assert.equal(entry.level, 'warn');
      assert.equal(entry.server, '1');
      assert.match(entry.peer, /^127\.0\.0\.1:\d+$/);
      assert.match(entry.pattern, /secret/);
    }
  });

  test('lines of the log are limited', async (t) => {
    const { host, peer } = await guarded(t, []);
    for (let i = 0; i < 200; i++) assert.equal(await peer.ask('secret', 1), forbidden());
    assert.ok(host.find(/^request refused/).length < 100);
  });

  test('peers: addresses and networks', async (t) => {
    const { host, peer } = await guarded(t, [
      { peer: '127.0.0.2', patterns: ['secret'] },
      { peer: '127.0.4.0/22', patterns: ['orders.>'] },
      { peer: '::/0' },
    ]);
    const from = (localAddress) => connect(t, host.port, { localAddress });
    const [second, inside, outside] = await Promise.all(
      ['127.0.0.2', '127.0.7.255', '127.0.8.0'].map(from));
    assert.equal(await peer.ask('secret', 1), forbidden());
    assert.equal(await second.call('secret', 1), 'secret');
    assert.equal(await second.ask('orders.create', 1), forbidden());
    assert.equal(await inside.call('orders.items.add', 2), 2);
    assert.equal(await inside.ask('secret', 1), forbidden());
    assert.equal(await outside.ask('orders.create', 1), forbidden());
  });

  test('a rule about certificates permits nobody without one', async (t) => {
    const { peer } = await guarded(t, [
      { peer: 'CN=billing' }, { peer: 'DNS:*.example.com' }, { peer: `sha256:${'00:'.repeat(31)}00` },
    ]);
    assert.equal(await peer.ask('secret', 1), forbidden());
  });

  test('without patterns a rule permits everything', async (t) => {
    const { peer } = await guarded(t, [{ peer: '127.0.0.0/8' }]);
    assert.equal(await peer.call('secret', 1), 'secret');
    assert.equal(await peer.ask('no such thing', 1), noHandler('"ask"'));
  });

  test('an empty list refuses all, and says so at start', async (t) => {
    const host = await startHost(t, { service: luaService(body), server: { allow: [] } });
    const peer = await connect(t, host.port);
    assert.equal(await peer.ask('notes', 1), forbidden());
    await host.logged(/servers\[1\]\.allow: has no rule, so everything is refused/);
  });

  test('each listener has rules of its own', async (t) => {
    const host = await startHost(t, {
      service: luaService(body),
      servers: [{ allow: [{ peer: '*', patterns: ['secret'] }] }, {}],
    });
    const [inner, outer] = await Promise.all(host.ports.map((port) => connect(t, port)));
    assert.equal(await inner.ask('orders.create', 1), forbidden());
    assert.equal(await inner.call('secret', 1), 'secret');
    assert.equal(await outer.call('orders.create', 1), 1);
  });

  test('data that is no JSON is a broken frame all the same', async (t) => {
    const { host, peer } = await guarded(t, []);
    const text = '{"pattern":"secret","data":[1,}';
    await peer.write(`${text.length}#${text}`);
    assert.equal(await peer.closed(), 'fin');
    await host.logged(/^bad frame/);
  });

  for (const version of [11, 12]) {
    test(`a Nest ${version} client gets Nest's own error`, async (t) => {
      const nest = await loadNest(version);
      const { host, notes } = await guarded(t, [{ peer: '127.0.0.1', patterns: ['orders.*'] }]);
      const client = nestClient(t, nest, host.port);
      const one = (pattern) => nest.lastValueFrom(client.send(pattern, 'x'));
      assert.equal(await one('orders.create'), 'x');
      await assert.rejects(one('secret'), (err) => {
        assert.deepEqual(err, { status: 'error', message: 'Forbidden resource' });
        return true;
      });
      await nest.lastValueFrom(client.emit('secret', 1), { defaultValue: null });
      await nest.lastValueFrom(client.emit('orders.seen', 'seen'), { defaultValue: null });
      assert.deepEqual(await notes(1), ['seen']);
    });
  }
});
