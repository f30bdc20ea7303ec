// How long requests take while a service holds much data, which Lua's collector goes through again and
// again: the slowest of a thousand, with and without.
//
//   live [--rounds N] [--seconds N] [--mb N] [--markdown]
//
// {cmd:'sum'} at 20,000/s over 50 connections; latency counts from when a request was due. In each
// round both hosts take turns; medians over the rounds. The host is on CPU 0, the load generator on
// CPU 1; every reply is checked.
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { here, keepAwake, stop, table, takeTurns, time } from './lib.mjs';
import { sum } from './loads.mjs';
import { measure } from './measure.mjs';
import { launch, servers } from './servers.mjs';

const { values: options } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '5' },
    mb: { type: 'string', default: '50' },
    markdown: { type: 'boolean', default: false },
  },
});
const load = { ...sum, connections: 50, rate: 20000 };
const sizes = ['0', options.mb];
const host = { ...servers.roost, command: (...args) => [...servers.roost.command(...args), '--set',
  `services=${join(here, 'live.lua')}`, '--set', 'limits.service_memory=268435456'] };

async function measureOne(megabytes) {
  process.env.LIVE_MB = megabytes;
  const running = await launch(host);
  await measure(running, load, 1);
  return measure(running, load, Number(options.seconds)).finally(() => stop(running.child));
}

const awake = keepAwake([0, 1]);
const figures = await takeTurns(Number(options.rounds), sizes, measureOne);
await Promise.all(awake.map(stop));

console.log(table(['live data', 'p50', 'p99', 'p99.9', 'CPU/request', 'RSS'],
  figures.map((it, at) => [`${sizes[at]} MB`, time(it.p50), time(it.p99),
    time(it.p999), time(it.us), `${it.rss_mb.toFixed(1)} MB`]), options.markdown));
