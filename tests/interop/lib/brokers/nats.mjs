// nats-server for the tests, how Nest and Roost are told to use it, and a bare NATS client.
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { writeFileSync } from 'node:fs';
import { npmDir } from '../env.mjs';
import { undo, within } from '../wait.mjs';
import { startBroker } from './process.mjs';

/** Debian has it where only administrators look. */
process.env.PATH += ':/usr/sbin';

/**
 * A nats-server; it has `url` and `servers`.
 *   jetstream   true: it keeps streams, in its folder
 *   files       texts by their names, in its folder
 *   config      more lines of its configuration
 */
export async function startNats(t, { jetstream, files, config = '', port } = {}) {
  const broker = await startBroker(t, {
    port,
    files,
    command: ({ dir, port: own }) => {
      writeFileSync(join(dir, 'nats.conf'), [`listen: "127.0.0.1:${own}"`,
        ...(jetstream ? [`jetstream { store_dir: "${join(dir, 'streams')}" }`] : []),
        config, ''].join('\n'));
      return ['nats-server', '-c', join(dir, 'nats.conf')];
    },
  });
  broker.url = `nats://127.0.0.1:${broker.port}`;
  broker.servers = [broker.url];
  return broker;
}

/** A connected client of nats.js, closed when `t` is over; `headers()` makes empty ones. */
export async function natsClient(t, broker, options = {}) {
  const require = createRequire(join(npmDir, 'nest12', 'package.json'));
  const library = require('@nats-io/transport-node');
  const client = await within(library.connect({
    servers: broker.servers, reconnectTimeWait: 50, maxReconnectAttempts: -1, ...options,
  }), 'a client of nats.js');
  undo(t, () => client.close());
  client.headers = library.headers;
  return client;
}

/** See binding.mjs for what the members mean. */
export const binding = {
  name: 'nats',
  start: startNats,
  nest: (nest, { port }, more = {}) => ({
    transport: nest.Transport.NATS,
    options: {
      servers: [`nats://127.0.0.1:${port}`], reconnectTimeWait: 50, maxReconnectAttempts: -1, ...more,
    },
  }),
  roost: ({ port }, more = {}) =>
    ({ transport: 'nats', servers: [`nats://127.0.0.1:${port}`], ...more }),
  nobody: 'empty',
  withHeaders(nest, client, method, pattern, data, sent) {
    const require = createRequire(join(npmDir, `nest${nest.version}`, 'package.json'));
    const headers = require(nest.version >= 12 ? '@nats-io/transport-node' : 'nats').headers();
    for (const [name, value] of Object.entries(sent)) headers.set(name, value);
    return { sent: client[method](pattern,
      new nest.NatsRecordBuilder(data).setHeaders(headers).build()) };
  },
  headersOf: (ctx) => Object.fromEntries([...ctx.getHeaders() ?? []]
    .map(([name, [value]]) => [name, value])),
  subjectOf: (ctx) => ctx.getSubject(),
  wild: {
    options: {},
    patterns: { 'wild.*.end': 'wild.a.end', 'rest.>': 'rest.a.b' },
  },
  async poison(t, broker) {
    const client = await natsClient(t, broker);
    for (const text of ['not JSON', '', '{"data":1,"id":', '\u0000', '[1', '"id"', 'null']) {
      client.publish('echo', text);
    }
    client.publish('echo', Uint8Array.of(0xff, 0xfe, 0));
    await client.flush();
  },
  cannot: (side, version) => ((side === 'inbound' && version < 12 && {
    'close in the middle of requests and streams, then use again': 'Nest 11 leaves them hanging',
  }) || {}),
};
