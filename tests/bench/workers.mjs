// What a second worker on a second CPU adds, where requests are work for Lua.
//
//   workers [--rounds N] [--seconds N] [--turns N] [--markdown]
//
// A request has the handler add up --turns numbers, by default about 20 us of Lua; ten connections with
// 16 of them in flight each. One worker has CPU 0 to itself; two have CPU 0 and 1, of which the load
// generator takes its part: what it took is shown, and so is what the workers had of both. In each
// round both take turns; medians over the rounds. Every reply is checked.
import { parseArgs } from 'node:util';
import { keepAwake, percent, ratio, stop, table, takeTurns, time } from './lib.mjs';
import { measure } from './measure.mjs';
import { launch, servers } from './servers.mjs';

const { values: options } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '2' },
    turns: { type: 'string', default: '3000' },
    markdown: { type: 'boolean', default: false },
  },
});
const load = { pattern: 'add', data: options.turns, connections: 10, inFlight: 16 };
const hosts = [[1, '0'], [2, '0,1']].map(([workers, cpus]) => ({
  ...servers.roost,
  workers,
  cpus,
  command: (...args) => [...servers.roost.command(...args), '--set', `workers=${workers}`],
}));

async function measureOne(host) {
  const running = await launch(host);
  await measure(running, load, 0.3);
  return measure(running, load, Number(options.seconds)).finally(() => stop(running.child));
}

const awake = keepAwake([0, 1]);
const figures = await takeTurns(Number(options.rounds), hosts, measureOne);
await Promise.all(awake.map(stop));

console.log(table(['workers', 'requests/s', 'by one', 'CPU/request', 'workers busy', 'generator busy'],
  figures.map((it, at) => [String(hosts[at].workers), it.per_second.toFixed(0),
    ratio(it.per_second, figures[0].per_second), time(it.us), percent(it.server_cpu),
    percent(it.generator_cpu)]), options.markdown));
