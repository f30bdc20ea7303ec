// rabbitmq-server for the tests, and how Nest and Roost are told to use it.
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { npmDir, onNest } from '../env.mjs';
import { freePort } from '../peer.mjs';
import { within } from '../wait.mjs';
import { startBroker } from './process.mjs';

/** What Debian's rabbitmq-server runs once it has become its own user. */
const server = '/usr/lib/rabbitmq/bin/rabbitmq-server';

/** Its configuration: on loopback alone, with little memory, and its log on standard output. */
const settings = (port, { tls, conf }) => Object.entries({
  ...(tls
    ? {
      'listeners.tcp': 'none',
      'listeners.ssl.1': `127.0.0.1:${port}`,
      'ssl_options.cacertfile': tls.ca,
      'ssl_options.certfile': tls.cert,
      'ssl_options.keyfile': tls.key,
      'ssl_options.verify': tls.verify ? 'verify_peer' : 'verify_none',
      'ssl_options.fail_if_no_peer_cert': Boolean(tls.verify),
    }
    : { 'listeners.tcp.1': `127.0.0.1:${port}` }),
  'log.console': true,
  'log.console.level': 'warning',
  'log.file': false,
  'vm_memory_high_watermark.absolute': '1GB',
  'disk_free_limit.absolute': '1MB',
  ...conf,
}).map(([key, value]) => `${key} = ${value}\n`).join('');

/**
 * Its command line. The node is made by us, so that the broker needs no epmd, which would outlive it:
 * it listens for other nodes on a port of its own, on loopback.
 */
function command({ port, dir, nodePort }) {
  const name = `roost${port}@localhost`;
  const vm = ['-sname', name, '-setcookie', `roost${port}`, '-start_epmd', 'false',
    '-erl_epmd_port', nodePort, '-kernel', 'inet_dist_use_interface', '{127,0,0,1}', '+S', '2:2',
    '+sbwt', 'none', '+sbwtdcpu', 'none', '+sbwtdio', 'none'];
  return ['env', '-i', ...Object.entries({
    PATH: process.env.PATH,
    HOME: dir,
    LANG: 'C.UTF-8',
    RUNNING_UNDER_SYSTEMD: 1, // its script becomes the broker, rather than to watch over it
    ERL_AFLAGS: '-start_epmd false', // of the program, too, by which it would start one after a minute
    RABBITMQ_NODENAME: name,
    RABBITMQ_CONF_ENV_FILE: join(dir, 'env.conf'),
    RABBITMQ_CONFIG_FILE: join(dir, 'rabbitmq'),
    RABBITMQ_ENABLED_PLUGINS_FILE: join(dir, 'plugins'),
    RABBITMQ_GENERATED_CONFIG_DIR: join(dir, 'generated'),
    RABBITMQ_MNESIA_BASE: join(dir, 'data'),
    RABBITMQ_LOG_BASE: join(dir, 'log'),
    RABBITMQ_PID_FILE: join(dir, 'pid'),
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: vm.join(' '),
  }).map(([key, value]) => `${key}=${value}`), server];
}

/**
 * A rabbitmq-server, which takes some seconds to start; `tls` is a key and certificate it serves with
 * (`verify`: it wants the client's), `conf` more of its configuration, by name.
 */
export async function startRmq(t, options = {}) {
  const nodePort = await freePort();
  const broker = await startBroker(t, {
    port: options.port,
    files: (port) => ({
      'env.conf': '', plugins: '[].\n', 'rabbitmq.conf': settings(port, options),
    }),
    command: ({ port, dir }) => command({ port, dir, nodePort }),
    ms: 60_000,
  });
  broker.url = urlOf(broker.port, options.tls);
  return broker;
}

const urlOf = (port, tls) => `${tls ? 'amqps' : 'amqp'}://guest:guest@127.0.0.1:${port}`;

/** A connection of amqplib's; `options` are of the socket. */
export function connectTo(broker, options) {
  const { connect } = createRequire(join(npmDir, 'nest12', 'package.json'))('amqplib');
  return connect(broker.url, options);
}

/** Does `fn` with a channel of its own. */
export async function withChannel(broker, fn, options) {
  const connection = await connectTo(broker, options);
  connection.on('error', () => {}); // what a test does may break it
  try {
    const channel = await connection.createChannel();
    channel.on('error', () => {});
    return await within(fn(channel, connection), 'what is done with a channel');
  } finally {
    await connection.close().catch(() => {});
  }
}

/** See binding.mjs for what the members mean. */
export const binding = {
  name: 'rmq',
  start: startRmq,
  nest: (nest, { port, url = urlOf(port) }, more = {}) =>
    ({ transport: nest.Transport.RMQ, options: { urls: [url], queue: 'wire', ...more } }),
  roost: ({ port, url = urlOf(port) }, more = {}) =>
    ({ transport: 'rmq', urls: [url], queue: 'wire', ...more }),
  client: (options) => options,
  nobody: 'told',
  fragile: true,
  withHeaders: (nest, client, method, pattern, data, headers) => ({
    sent: client[method](pattern, new nest.RmqRecordBuilder(data).setOptions({ headers }).build()),
  }),
  headersOf: (ctx) => ctx.getMessage().properties.headers,
  subjectOf: (ctx) => ctx.getPattern(),
  wild: {
    options: { wildcards: true, queue: 'wild' },
    patterns: { 'wild.*.end': 'wild.a.end', 'rest.#': 'rest.a.b' },
  },
  poison: (t, broker) => withChannel(broker, async (channel) => {
    channel.sendToQueue('wire', Buffer.from('not JSON'),
      { replyTo: 'nobody', correlationId: 'poison' });
    await channel.checkQueue('wire'); // it has come before this
  }),
  cannot: (side, version) => ({
    inbound: {
      ...(version < 12 && {
        'close in the middle of requests and streams, then use again': 'Nest 11 leaves them hanging',
      }),
      ...(onNest && { 'stream: undefined as an item': 'Nest sends {}, which is an object to its client' }),
    },
    outbound: { 'stream: undefined item': 'Nest sends {}, which is an object to its own client' },
  }[side] ?? {}),
};
