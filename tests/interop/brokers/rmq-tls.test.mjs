// RabbitMQ by TLS: who trusts whom, with Nest peers on the other side.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { before, describe, test } from 'node:test';
import { binding, startRmq } from '../lib/brokers/rmq.mjs';
import { clientOf, startCaller } from '../lib/caller.mjs';
import { startHost } from '../lib/host.mjs';
import { loadNest } from '../lib/nest.mjs';
import { makeAuthority } from '../lib/tls.mjs';
import { suiteScope, undo, until, within } from '../lib/wait.mjs';

const suite = suiteScope();
let authority, broker, mine;
before(async () => {
  authority = await makeAuthority(suite);
  const { key, cert } = await authority.issue('broker');
  mine = await authority.issue('roost');
  broker = await startRmq(suite, { tls: { key, cert, ca: authority.ca, verify: true } });
});

const echo = `local roost = require "roost"
local service = roost.service()
service:message("echo", function(data) return data end)
return service
`;
const trusting = () => ({ ca: authority.ca, cert: mine.cert, key: mine.key });
const entry = (tls) => binding.roost(broker, tls === undefined ? {} : { tls });

describe('RabbitMQ by TLS', () => {
  test('a Nest client, a Roost server, a Roost client', async (t) => {
    const host = await startHost(t, { service: echo, servers: [entry(trusting())] });
    await until(() => host.find(/^connected$/).length === 1, 'the consumer');
    const nest = await loadNest(12);
    nest.Logger.overrideLogger(false);
    const client = nest.ClientProxyFactory.create(binding.nest(nest, broker, {
      socketOptions: { connectionOptions: { ca: readFileSync(authority.ca), ...mine.own } },
    }));
    undo(t, () => client.close());
    assert.equal(await within(nest.lastValueFrom(client.send('echo', 'by TLS')), 'a reply'), 'by TLS');
    const caller = await startCaller(t, { clients: { default: clientOf(entry(trusting())) } });
    assert.deepEqual((await caller.call('echo', [1])).values, [[1]]);
    const { tls } = await caller.drive({ method: 'connect and unwrap' });
    assert.equal(tls.version, 'TLSv1.3');
    assert.equal(tls.peer.subject, 'CN=broker');
  });

  for (const [name, tls, why] of [
    ['an authority that nobody trusts', () => undefined, /certificate/],
    // Where the broker ends the connection before that is read, there is only its end.
    ['no certificate of ours', () => ({ ca: authority.ca }), /requires a certificate|reset/i],
    ['another name', () => ({ ...trusting(), servername: 'elsewhere' }), /not for elsewhere/],
  ]) {
    test(name, async (t) => {
      const caller = await startCaller(t, { clients: { default: clientOf(entry(tls())) } });
      const { err } = await caller.call('echo', 1);
      assert.equal(err.name, 'ConnectionError');
      assert.match(`${err.code} ${err.detail}`, why);
      const host = await startHost(t, { service: echo, servers: [entry(tls())] });
      await host.logged((line) => line.msg === 'disconnected' && why.test(line.err));
    });
  }

  test('a plain client is told that it is none', async (t) => {
    const caller = await startCaller(t, {
      clients: { default: clientOf({ transport: 'rmq', queue: 'wire',
        urls: [broker.url.replace('amqps', 'amqp')] }) },
    });
    const { err } = await caller.call('echo', 1);
    assert.equal(err.name, 'ConnectionError');
  });
});
