// A real Kafka, one node that is broker and controller in one, on free ports of 127.0.0.1.
import { execFileSync, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { npmDir } from '../env.mjs';
import { lua } from '../lua.mjs';
import { freePort, listens } from '../peer.mjs';
import { undo, until } from '../wait.mjs';

/** Where tests/support/kafka/install has put the jars. */
const jars = join(process.env.ROOST_KAFKA_DIR ?? join(npmDir, '..', 'kafka'), 'jars');

/** Small and soon there, rather than fast. */
const java = ['-Xmx384m', '-Xms96m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1',
  '-Dorg.slf4j.simpleLogger.defaultLogLevel=error', '-cp', join(jars, '*')];

const properties = (dir, { listeners, ...more }) => Object.entries({
  'process.roles': 'broker,controller',
  'node.id': 1,
  'controller.quorum.voters': `1@127.0.0.1:${listeners.CONTROLLER}`,
  'controller.listener.names': 'CONTROLLER',
  'inter.broker.listener.name': 'PLAINTEXT',
  listeners: Object.entries(listeners).map(([name, port]) =>
    `${name}://127.0.0.1:${port}`).join(),
  'listener.security.protocol.map': 'CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT',
  'log.dirs': join(dir, 'data'),
  'num.partitions': 3,
  'offsets.topic.num.partitions': 1,
  'offsets.topic.replication.factor': 1,
  'transaction.state.log.num.partitions': 1,
  'transaction.state.log.replication.factor': 1,
  'transaction.state.log.min.isr': 1,
  'group.initial.rebalance.delay.ms': 0,
  'broker.heartbeat.interval.ms': 300, // it is back soon after a crash
  'broker.session.timeout.ms': 1500,
  'group.min.session.timeout.ms': 1000,
  'log.cleaner.dedupe.buffer.size': 4194304,
  'num.network.threads': 1,
  'num.io.threads': 2,
  'background.threads': 2,
  'num.recovery.threads.per.data.dir': 1,
  ...more,
}).map(([key, value]) => `${key}=${value}\n`).join('');

/** Says nothing of its own: what goes wrong is raised. */
function kafkajs() {
  const require = createRequire(join(npmDir, 'nest12', 'package.json'));
  const { Kafka: Client, logLevel } = require('kafkajs');
  return { Client, options: { logLevel: logLevel.NOTHING } };
}

class Kafka {
  constructor(dir, listeners) {
    this.dir = dir;
    this.listeners = listeners;
    this.port = listeners.PLAINTEXT;
    this.brokers = [`127.0.0.1:${this.port}`];
    this.url = `kafka://127.0.0.1:${this.port}`;
    this.topics = [];
  }

  get pid() {
    return this.child.pid;
  }

  get #running() {
    return this.child.exitCode === null && this.child.signalCode === null;
  }

  /** Does `fn` with an administrator's client. */
  async admin(fn) {
    const { Client, options } = kafkajs();
    const admin = new Client({ brokers: this.brokers, ...options }).admin();
    await admin.connect();
    try {
      return await fn(admin);
    } finally {
      await admin.disconnect();
    }
  }

  /** Does `fn` with a producer. */
  async producer(fn) {
    const { Client, options } = kafkajs();
    const producer = new Client({ brokers: this.brokers, ...options }).producer();
    await producer.connect();
    try {
      return await fn(producer);
    } finally {
      await producer.disconnect();
    }
  }

  /**
   * Reads all of a topic, until `t` is over. Gives a function that waits for so many records and
   * gives all there are: { partition, key, value, headers }, bytes as text.
   */
  async read(t, topic) {
    const { Client, options } = kafkajs();
    const consumer = new Client({ brokers: this.brokers, ...options }).consumer({
      groupId: `reader-${randomUUID()}`, maxWaitTimeInMs: 50,
    });
    const records = [];
    const text = (bytes) => bytes && bytes.toString();
    undo(t, () => consumer.disconnect());
    await consumer.connect();
    await consumer.subscribe({ topic, fromBeginning: true });
    await consumer.run({
      eachMessage: async ({ partition, message: { key, value, headers } }) => records.push({
        partition, key: text(key), value: text(value),
        headers: Object.fromEntries(Object.entries(headers).map(([name, bytes]) => [name, text(bytes)])),
      }),
    });
    return (count) => until(() => records.length >= count && records, `${count} records`);
  }

  /**
   * Makes topics of so many partitions. A Nest server does not start where one of its topics is
   * missing, though the broker makes it at that moment.
   */
  createTopics(names, partitions = 3) {
    return this.makeTopics(names.map((topic) => ({ topic, numPartitions: partitions })));
  }

  /** Makes topics, and waits until they are there: it tells of them a moment later. */
  async makeTopics(topics) {
    await this.admin((admin) => admin.createTopics({ waitForLeaders: false, topics }));
    this.topics.push(...topics.map(({ topic }) => topic));
    await this.#tellsOfTopics();
  }

  #tellsOfTopics() {
    const all = ({ topics }) =>
      topics.every(({ partitions }) => partitions.every(({ leader }) => leader >= 0));
    return until(() => this.admin((admin) => admin.fetchTopicMetadata({ topics: this.topics }))
      .then(all, () => false), 'the topics', { ms: 60_000, every: 100 });
  }

  /**
   * Starts it, also once more on the same ports with what it has kept: it listens before it knows
   * its topics again, and kafkajs does not recover from joining a group in between.
   */
  async start() {
    this.log = '';
    this.child = spawn('java', [...java, 'kafka.Kafka', join(this.dir, 'server.properties')],
      { cwd: this.dir, stdio: ['ignore', 'ignore', 'pipe'] });
    this.child.stderr.setEncoding('utf8').on('data', (text) => (this.log += text));
    this.exited = once(this.child, 'close');
    await until(() => !this.#running || Object.values(this.listeners).every((port) =>
      listens(port, this.pid)), 'Kafka listening', { ms: 60_000, every: 50 });
    if (!this.#running) throw new Error(`Kafka did not start: ${this.log}`);
    if (this.topics.length) await this.#tellsOfTopics();
  }

  async #end(signal) {
    if (this.#running) this.child.kill(signal);
    await this.exited;
  }

  /** Ends it as an administrator does, who does not wait for its last seconds. */
  async stop() {
    const patience = setTimeout(() => this.child.kill('SIGKILL'), 3000);
    await this.#end('SIGTERM');
    clearTimeout(patience);
  }

  /** Ends it as a crash does. */
  kill() {
    return this.#end('SIGKILL');
  }

  /** Ends it as a crash does, and starts it again. */
  async restart() {
    await this.kill();
    await this.start();
  }
}

/**
 * Starts one that is killed when `owner` is over.
 *   listeners   more listeners by name, each with a port of its own
 *   everything else is of its server.properties
 */
export async function startKafka(owner, { listeners: more = [], files = {}, ...config } = {}) {
  if (!existsSync(jars)) throw new Error(`there is no ${jars}: run tests/support/kafka/install`);
  const dir = mkdtempSync(join(tmpdir(), 'roost-kafka-'));
  undo(owner, () => rmSync(dir, { recursive: true, force: true, maxRetries: 5 }));
  for (const [name, text] of Object.entries(files)) writeFileSync(join(dir, name), text);
  const listeners = {};
  for (const name of ['PLAINTEXT', 'CONTROLLER', ...more]) listeners[name] = await freePort();
  const file = join(dir, 'server.properties');
  writeFileSync(file, properties(dir, { listeners, ...config }));
  execFileSync('java', [...java, 'kafka.tools.StorageTool', 'format', '-t',
    'cm9vc3QtdGVzdHMta2Fma2', '-c', file], { stdio: ['ignore', 'ignore', 'inherit'] });
  const broker = new Kafka(dir, listeners);
  undo(owner, () => broker.kill());
  await broker.start();
  return broker;
}

// How Nest and Roost are told to use it ------------------------------------------------------------

const takes = (pattern) => typeof pattern !== 'object';

/** What `send` and `emit` must be given so that a value with these members is no record. */
const plain = (value) => (value !== null && typeof value === 'object' && !Array.isArray(value) &&
  ('value' in value || 'key' in value) ? { value } : value);

/** The same for Lua, around the methods of `client`. */
const plainLua = `for _, method in ipairs { "call", "send" } do
  local original = client[method]
  client[method] = function(self, pattern, data, ...)
    if type(data) == "table" and (data.value ~= nil or data.key ~= nil) then data = { value = data } end
    return original(self, pattern, data, ...)
  end
end`;

const wild = { '^wild[.][a-z]+[.]end$': 'wild.a.end', '^rest[.]': 'rest.a.b' };

/** The topics of services/wire.lua and lib/nest-server.mjs, and how many partitions more than one. */
const topics = ['runs', 'echo', 'as_text', 'metadata', 'subject', 'value', 'fail', 'stream', 'count',
  'one', 'chain', 'message', 'message_then_event', 'event_then_message', 'twice', 'failing',
  'streaming', 'headed', '7', 'nobody', '12345', 'guarded', 'filter_throws_a_text',
  'filter_throws_an_object', 'filter_throws_true', 'filter_throws_an_Error',
  'filter_throws_an_empty_text', 'filter_gives_values', 'filter_gives_nothing',
  ...Object.values(wild)];
const wide = { wait: 10 };

async function startWithTopics(t, options) {
  const broker = await startKafka(t, options);
  const all = Object.keys(wide).concat(topics);
  await broker.makeTopics(all.flatMap((topic) => [
    { topic, numPartitions: wide[topic] ?? 1 }, { topic: `${topic}.reply`, numPartitions: 1 },
  ]));
  return broker;
}

/** A group of its own for each client and server: a member that was killed stays in its for a while. */
const group = () => `tests-${randomUUID()}`;

/** See binding.mjs for what the members mean. */
export const binding = {
  name: 'kafka',
  start: startWithTopics,
  nest: (nest, { brokers }, more = {}) => ({
    transport: nest.Transport.KAFKA,
    options: {
      client: { brokers, logLevel: 0, retry: { initialRetryTime: 50, maxRetryTime: 500, retries: 100 } },
      consumer: { groupId: group(), maxWaitTimeInMs: 50, allowAutoTopicCreation: false,
        retry: { initialRetryTime: 50, maxRetryTime: 500, retries: 100 } },
      run: { partitionsConsumedConcurrently: 10 },
      ...more,
    },
  }),
  roost: ({ brokers }, more = {}) =>
    ({ transport: 'kafka', client: { brokers }, consumer: { group_id: group() }, ...more }),
  nobody: 'silent',
  mute: true,
  serial: true, // kafkajs fetches again when all of the last fetch is done
  fragile: true, // a handler that runs keeps kafkajs from going on after the broker was away
  takes,
  becomes(value) {
    if (value === null || value === undefined) return null;
    if (typeof value !== 'object') return String(value).toWellFormed();
    return value.type === 'Buffer' ? Buffer.from(value.data) : value;
  },
  withHeaders: (nest, client, method, pattern, data, headers) =>
    ({ sent: client[method](pattern, { value: data, headers }) }),
  headersOf: (ctx) => ctx.getMessage().headers,
  subjectOf: (ctx) => ctx.getTopic(),
  wild: { options: {}, patterns: wild },
  async poison(t, broker) {
    await broker.producer((producer) => producer.send({
      topic: 'echo',
      messages: ['not JSON', '', '{"data":1,"id":', '\u0000', null, Buffer.of(0xff, 0xfe)].flatMap((value) => [
        { value }, { value, headers: { kafka_correlationId: 'x', kafka_replyTopic: 'no such/topic' } },
        { value, headers: { kafka_correlationId: '', kafka_replyTopic: '', kafka_replyPartition: 'x' } },
      ]),
    }));
  },
  prepare(client, patterns) {
    for (const pattern of patterns.filter(takes)) client.subscribeToResponseOf(pattern);
    for (const method of ['send', 'emit']) {
      const original = client[method].bind(client);
      client[method] = (pattern, data) =>
        original(pattern, data?.headers ? data : plain(data));
    }
    return client.connect();
  },
  prepareLua: (patterns) => `${patterns.filter(takes).map((pattern) =>
    `client:subscribe_to_response_of(${lua(pattern)})`).join(' ')}\n${plainLua}`,
  cannot: (side, version) => ({
    inbound: {
      ...noObjects, ...noEnd,
      'event: object pattern': 'no topic has such a name',
      'echo a Date': 'Nest sends its toString()',
      'stream: empty': 'the end is a record without a value, which is null',
      'stream: late end': 'the same',
      'stream: undefined as an item': 'the same',
      'close in the middle of requests and streams, then use again': 'see kafka.test.mjs',
      ...(version < 12 && {}),
    },
    outbound: {
      ...noObjects, ...noEnd,
      'event: object pattern': 'no topic has such a name',
      'value nan': 'Nest sends its toString()',
      'an Error that is returned is an object': 'Nest sends its toString()',
      'stream: empty': 'the end is a record without a value, which is null',
      'stream: late end': 'the same',
      'stream: undefined last': 'the same',
      'error: filter_throws_true': 'Nest can\'t send it, and sends nothing',
      'an empty text as error is the end': 'the end is a record without a value, which is null',
      'event: failing handler': 'kafkajs has it handle the event again and again',
    },
    'outbound wildcards': Object.fromEntries(Object.entries(wild).map(([pattern, name]) =>
      [`${pattern} takes ${name}`, 'Nest has RegExp objects for that'])),
  }[side]),
};

const noObjects = {
  'sum, by an object pattern': 'no topic has such a name',
  'error: no handler for {"cmd":"nobody"}': 'no topic has such a name',
};
const noEnd = { 'undefined completes without a value': 'the end is a record without a value: null' };
