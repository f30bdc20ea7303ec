// NestJS 12 behind a broker, as what brokers.mjs compares:
//   brokers_nest.mjs server NAME BROKER                        prints "ready"
//   brokers_nest.mjs client NAME BROKER IN_FLIGHT SECONDS      prints "measuring", then its figures
// BROKER is what the binding of that name (tests/interop/lib/brokers) wants to know of it, as JSON.
import { bindingOf } from '../interop/lib/brokers/binding.mjs';
import { loadNest } from '../interop/lib/nest.mjs';

const [role, name, place, ...load] = process.argv.slice(2);
const nest = await loadNest(12);
const binding = await bindingOf(name);
const settings = binding.nest(nest, JSON.parse(place));
const pattern = 'sum'; // Kafka has no place for an object
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

class Handlers {
  sum(data) {
    let total = 0;
    for (const n of data) total += n;
    return total;
  }
}
const descriptor = Object.getOwnPropertyDescriptor(Handlers.prototype, 'sum');
nest.MessagePattern(pattern)(Handlers.prototype, 'sum', descriptor);
nest.Controller()(Handlers);

class App {}
nest.Module({ controllers: [Handlers] })(App);

async function serve() {
  const app = await nest.NestFactory.createMicroservice(App, { ...settings, logger: false });
  await app.listen();
  console.log('ready');
}

async function call(inFlight, seconds) {
  const client = nest.ClientProxyFactory.create(settings);
  await binding.prepare?.(client, [pattern]);
  await client.connect();
  // Its clients for some brokers give up a reply topic when a request is over, while others wait.
  if (binding.holds) client.send(pattern, 'held open').subscribe({ error: () => {} });
  let count = 0;
  const calls = async () => {
    for (;;) {
      const value = await nest.lastValueFrom(client.send(pattern, [1, 2, 3]));
      if (Number(value) !== 6) throw new Error(`got ${value}`);
      count++;
    }
  };
  for (let i = 0; i < inFlight; i++) calls();
  while (count <= inFlight) await sleep(50);
  await sleep(1000); // warms up
  console.log('measuring');
  const first = count;
  const before = process.cpuUsage();
  await sleep(seconds * 1000);
  const { user, system } = process.cpuUsage(before);
  console.log(JSON.stringify({ requests: count - first, cpu_us: user + system, seconds }));
  process.exit(0);
}

await (role === 'server' ? serve() : call(...load.map(Number)));
