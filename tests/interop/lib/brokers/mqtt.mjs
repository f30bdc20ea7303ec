// mosquitto for the tests, how Nest and Roost are told to use it, and a bare MQTT client.
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { npmDir } from '../env.mjs';
import { temporaryDir } from '../host.mjs';
import { freePort, listens } from '../peer.mjs';
import { undo, until, within } from '../wait.mjs';
import { startBroker } from './process.mjs';

/** Debian has it where only administrators look. */
process.env.PATH += ':/usr/sbin';

/** It runs as whoever runs the tests, and keeps what it was sent. */
const settings = (dir, more) => ({
  ...(process.getuid() === 0 ? { user: 'root' } : {}),
  persistence: true,
  persistence_location: `${dir}/`,
  autosave_on_changes: true,
  autosave_interval: 1,
  max_queued_messages: 0,
  set_tcp_nodelay: true,
  log_dest: 'stderr',
  ...more,
});

function passwordFile(t, users) {
  const dir = temporaryDir(t);
  const file = join(dir, 'passwords');
  writeFileSync(file, Object.entries(users).map(([name, password]) =>
    `${name}:${password}\n`).join(''), { mode: 0o600 });
  execFileSync('mosquitto_passwd', ['-U', file]);
  return file;
}

/**
 * A mosquitto; it has `url` and, with TLS, `tlsUrl`.
 *   users   { name: password }; nobody else may connect then
 *   acl     lines of its acl_file
 *   tls     { cert, key, ca } files: one more port with TLS; `ca` asks clients for a certificate
 *   everything else is of its mosquitto.conf
 */
export async function startMosquitto(t, { users, acl, tls, port, ...config } = {}) {
  const tlsPort = tls && await freePort();
  const more = {
    ...config,
    allow_anonymous: !users,
    ...(users && { password_file: passwordFile(t, users) }),
    ...(acl && { acl_file: join(temporaryDir(t, { acl: `${acl.join('\n')}\n` }), 'acl') }),
  };
  const broker = await startBroker(t, {
    port,
    command: ({ dir, port: plain }) => {
      const listeners = [`listener ${plain} 127.0.0.1`, ...(tls ? [`listener ${tlsPort} 127.0.0.1`,
        `certfile ${tls.cert}`, `keyfile ${tls.key}`,
        ...(tls.ca ? [`cafile ${tls.ca}`, 'require_certificate true'] : [])] : [])];
      writeFileSync(join(dir, 'mosquitto.conf'), [...Object.entries(settings(dir, more))
        .map((pair) => pair.join(' ')), ...listeners, ''].join('\n'));
      return ['mosquitto', '-c', join(dir, 'mosquitto.conf')];
    },
    ready: (self) => [self.port, tlsPort].filter(Boolean).every((one) => listens(one, self.pid)),
  });
  broker.url = `mqtt://127.0.0.1:${broker.port}`;
  broker.tlsUrl = tls && `mqtts://127.0.0.1:${tlsPort}`;
  return broker;
}

/**
 * A connected client of MQTT.js, ended when `t` is over.
 *   received                            what came: { topic, text, packet }
 *   subscribe(filter, qos)              waits for the broker's answer
 *   publish(topic, text, options)       waits for it where there is one
 *   receive(probe)                      the first of received that probe takes
 */
export async function mqttClient(t, broker, options = {}) {
  const require = createRequire(join(npmDir, 'nest12', 'package.json'));
  const raw = require('mqtt').connect(broker.url, { protocolVersion: 5, ...options });
  undo(t, () => raw.endAsync(true));
  const received = [];
  raw.on('message', (topic, bytes, packet) =>
    received.push({ topic, text: bytes.toString(), packet }));
  await within(once(raw, 'connect'), 'a client of MQTT.js');
  return {
    raw,
    received,
    subscribe: (filter, qos = 0) => raw.subscribeAsync(filter, { qos }),
    publish: (topic, text, more) => raw.publishAsync(topic, text, more),
    receive: (probe, what = 'a message') => until(() => received.find(probe), what),
  };
}

/** See binding.mjs for what the members mean. */
export const binding = {
  name: 'mqtt',
  start: startMosquitto,
  nest: (nest, { port }, more = {}) => ({
    transport: nest.Transport.MQTT,
    options: { url: `mqtt://127.0.0.1:${port}`, reconnectPeriod: 50, protocolVersion: 5, ...more },
  }),
  roost: ({ port }, more = {}) => ({ transport: 'mqtt', url: `mqtt://127.0.0.1:${port}`, ...more }),
  holds: true,
  nobody: 'silent',
  withHeaders: (nest, client, method, pattern, data, userProperties) => ({
    sent: client[method](pattern,
      new nest.MqttRecordBuilder(data).setProperties({ userProperties }).build()),
  }),
  headersOf: (ctx) => ({ ...ctx.getPacket().properties?.userProperties }),
  subjectOf: (ctx) => ctx.getTopic(),
  wild: {
    options: {},
    patterns: { 'wild/+/end': 'wild/a/end', 'rest/#': 'rest/a/b' },
  },
  async poison(t, broker) {
    const client = await mqttClient(t, broker);
    for (const text of ['not JSON', '', '{"data":1,"id":', '\u0000', '[1', '"id"', 'null']) {
      await client.publish('echo', text, { qos: 1 });
    }
    await client.publish('echo', Buffer.from([0xff, 0xfe, 0x00]), { qos: 1 });
  },
  cannot: (side, version) => ((side === 'inbound' && version < 12 && {
    'close in the middle of requests and streams, then use again': 'Nest 11 leaves them hanging',
  }) || {}),
};
