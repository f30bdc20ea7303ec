// As client.lua, with NestJS's client proxy: client_nest.mjs PORT IN_FLIGHT SECONDS
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { npmDir } from './lib.mjs';

const require = createRequire(join(npmDir, 'nest12', 'package.json'));
const load = async (name) => import(pathToFileURL(require.resolve(name)));
await load('reflect-metadata');
const { ClientProxyFactory, Transport } = await load('@nestjs/microservices');
const { lastValueFrom } = await load('rxjs');

const [port, inFlight, seconds] = process.argv.slice(2).map(Number);
const client = ClientProxyFactory.create(
  { transport: Transport.TCP, options: { host: '127.0.0.1', port } });
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
let count = 0;
let stopping = false;

async function calls() {
  while (!stopping) {
    const value = await lastValueFrom(client.send({ cmd: 'sum' }, [1, 2, 3]));
    if (value !== 6) throw new Error(`got ${value}`);
    count++;
  }
}

for (let i = 0; i < inFlight; i++) calls();
await sleep(1000); // warms up
const first = count;
const before = process.cpuUsage();
await sleep(seconds * 1000);
const { user, system } = process.cpuUsage(before);
console.log(JSON.stringify({ requests: count - first, cpu_us: user + system }));
process.exit(0);
