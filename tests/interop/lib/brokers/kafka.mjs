// A real Kafka, one node that is broker and controller in one, on free ports of 127.0.0.1.
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { npmDir } from '../env.mjs';
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

  /**
   * Makes topics of so many partitions. A Nest server does not start where one of its topics is
   * missing, though the broker makes it at that moment.
   */
  createTopics(names, partitions = 3) {
    return this.admin((admin) => admin.createTopics({
      waitForLeaders: true,
      topics: names.map((topic) => ({ topic, numPartitions: partitions })),
    }));
  }

  /** Starts it, also once more on the same ports with what it has kept. */
  async start() {
    this.log = '';
    this.child = spawn('java', [...java, 'kafka.Kafka', join(this.dir, 'server.properties')],
      { cwd: this.dir, stdio: ['ignore', 'ignore', 'pipe'] });
    this.child.stderr.setEncoding('utf8').on('data', (text) => (this.log += text));
    this.exited = once(this.child, 'close');
    await until(() => !this.#running || Object.values(this.listeners).every((port) =>
      listens(port, this.pid)), 'Kafka listening', { ms: 60_000, every: 50 });
    if (!this.#running) throw new Error(`Kafka did not start: ${this.log}`);
  }

  async #end(signal) {
    if (this.#running) this.child.kill(signal);
    await this.exited;
  }

  /** Ends it as an administrator does. */
  stop() {
    return this.#end('SIGTERM');
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
