// Requests through the host's client proxy against NestJS's, both to the same server in C: processor
// time of the client per request.
//
//   client [--rounds N] [--seconds N] [--markdown]
//
// The clients run on CPU 0 in turns, the server on CPU 1; the median over the rounds is printed.
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { here, keepAwake, median, ratio, roostBin, run, start, stop, table, time, waitForLine,
  benchBin } from './lib.mjs';

const clients = {
  nest: [process.execPath, join(here, 'client_nest.mjs')],
  roost: [roostBin, 'exec', join(here, 'client.lua')],
};

/** One client's microseconds per request. */
async function measure(command, port, inFlight, seconds) {
  const { code, stdout, stderr } = await run(0,
    [...command, String(port), String(inFlight), String(seconds)]);
  if (code !== 0) throw new Error(stderr || `${command.join(' ')} ended with ${code}`);
  const { requests, cpu_us: cpu } = JSON.parse(stdout);
  return cpu / requests;
}

/** The medians over the rounds: [{ inFlight, nest: microseconds, roost: microseconds }]. */
export async function clientFigures(rounds, seconds) {
  const server = start(1, [join(benchBin, 'roost_bench_c_server'), '0']);
  const port = await waitForLine(server, server.stdout, /^(\d+)$/);
  const figures = [];
  for (const inFlight of [1, 64]) {
    const results = { nest: [], roost: [] };
    for (let round = 0; round < rounds; round++)
      for (const [name, command] of Object.entries(clients))
        results[name].push(await measure(command, port, inFlight, seconds));
    figures.push({ inFlight, nest: median(results.nest), roost: median(results.roost) });
  }
  await stop(server);
  return figures;
}

async function main() {
  const { values: options } = parseArgs({
    options: {
      rounds: { type: 'string', default: '3' },
      seconds: { type: 'string', default: '2' },
      markdown: { type: 'boolean', default: false },
    },
  });
  keepAwake([0, 1]);
  const figures = await clientFigures(Number(options.rounds), Number(options.seconds));
  console.log(`The client's CPU per request {cmd:'sum'}, median of ${options.rounds} rounds\n`);
  console.log(table(['load', 'NestJS client', 'Roost client', 'less'], figures.map(
    ({ inFlight, nest, roost }) => [`${inFlight} in flight`, time(nest), time(roost),
      ratio(nest, roost)]), options.markdown));
  process.exit(0);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main();
