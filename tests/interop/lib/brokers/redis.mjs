// redis-server for the tests, and how Nest and Roost are told to use it.
import { connect } from '../peer.mjs';
import { until } from '../wait.mjs';
import { startBroker } from './process.mjs';

/** A redis-server; `args` are more of its arguments, `tls` a key and certificate it serves with. */
export const startRedis = (t, { args = [], tls, port } = {}) => startBroker(t, {
  port,
  command: (broker) => ['redis-server', '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no',
    '--dir', broker.dir,
    ...(tls
      ? ['--port', '0', '--tls-port', String(broker.port), '--tls-cert-file', tls.cert,
        '--tls-key-file', tls.key, '--tls-ca-cert-file', tls.ca, '--tls-auth-clients', 'no']
      : ['--port', String(broker.port)]),
    ...args],
});

/** Arguments as a command of Redis. */
const encode = (args) => Buffer.concat([Buffer.from(`*${args.length}\r\n`), ...args.flatMap((arg) => {
  const bytes = Buffer.isBuffer(arg) ? arg : Buffer.from(String(arg));
  return [Buffer.from(`$${bytes.length}\r\n`), bytes, Buffer.from('\r\n')];
})]);

/** Commands to a Redis on a connection of their own: each gives its reply's text as it came. */
export async function redisCommands(t, { port }) {
  const peer = await connect(t, port);
  let taken = 0;
  return async (...args) => {
    await peer.write(encode(args));
    await until(() => peer.received.length > taken, `the reply to ${args[0]}`);
    const reply = peer.received.slice(taken);
    taken = peer.received.length;
    return reply;
  };
}

/** See binding.mjs for what the members mean. */
export const binding = {
  name: 'redis',
  start: startRedis,
  nest: (nest, { port }, more = {}) => ({
    transport: nest.Transport.REDIS,
    options: { host: '127.0.0.1', port, retryAttempts: 1000, retryDelay: 50, ...more },
  }),
  roost: ({ port }, more = {}) => ({ transport: 'redis', host: '127.0.0.1', port, ...more }),
  holds: true,
  nobody: 'silent',
  withHeaders(nest, client, method, pattern, data, headers) {
    client.setOnDispatchHook((packet) => (packet.metadata = headers));
    const sent = client[method](pattern, data);
    return { sent, done: () => client.setOnDispatchHook(undefined) };
  },
  headersOf: (ctx) => ctx.getMetadata?.() ?? {},
  subjectOf: (ctx) => ctx.getChannel(),
  wild: {
    options: { wildcards: true },
    patterns: { 'wild.*.end': 'wild.a.end', 'rest.*': 'rest.a.b' },
  },
  async poison(t, broker) {
    const command = await redisCommands(t, broker);
    for (const body of ['not JSON', '', '{', '[1', Buffer.from([0xff, 0xc3, 0x28]), '7', '{"id":"x"}',
      '{"pattern":"echo","data":{"a":},"id":"broken"}', '{"response":1,"id":"x"}', 'null']) {
      await command('PUBLISH', 'echo', body);
    }
  },
  cannot: (side, version) => (version >= 12 ? {} : {
    inbound: {
      'headers of a request': 'Nest 11 has no metadata',
      'headers of an event': 'Nest 11 has no metadata',
      'close in the middle of requests and streams, then use again': 'Nest 11 leaves them hanging',
    },
    outbound: {
      'headers of a request': 'Nest 11 has no metadata',
      'headers of an event': 'Nest 11 has no metadata',
    },
    'outbound wildcards': {
      'wild.*.end takes wild.a.end': 'Nest 11 answers on wild.*.end.reply',
      'rest.* takes rest.a.b': 'Nest 11 answers on rest.*.reply',
    },
  }[side]),
};
