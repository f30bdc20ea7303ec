// Whether the load generator is what is measured: the server's CPU per request with one generator,
// and with two that share the connections; and the generator's own CPU per request.
import { medians, runTime, stop } from './lib.mjs';
import { sum } from './loads.mjs';
import { bench } from './measure.mjs';
import { launch, servers } from './servers.mjs';

const load = { ...sum, connections: 10, inFlight: 16 };

async function once(name, generators, seconds) {
  const { child, port } = await launch(servers[name]);
  const part = { ...load, connections: load.connections / generators };
  const put = (duration) => Promise.all(Array.from({ length: generators },
    () => bench(port, part, duration)));
  await put(1);
  const before = runTime(child.pid);
  const results = await put(seconds);
  const used = runTime(child.pid) - before;
  await stop(child);
  const over = (get) => results.reduce((total, result) => total + get(result), 0);
  const requests = over((result) => result.requests);
  return { us: used / 1000 / requests, per_second: over((result) => result.per_second),
    own_us: 1e6 * over((result) => result.generator_cpu * result.seconds) / requests };
}

/** The medians over the rounds, for Roost and its limit: { NAME: { one:, two: } }. */
export async function generatorFigures(rounds, seconds) {
  const figures = {};
  for (const name of ['roost', 'c']) {
    const results = { one: [], two: [] };
    for (let round = 0; round < rounds; round++)
      for (const [key, count] of [['one', 1], ['two', 2]])
        results[key].push(await once(name, count, seconds));
    figures[name] = { one: medians(results.one), two: medians(results.two) };
  }
  return figures;
}
