// How near the host is to what no host of Lua handlers can be below: the C-only server, the same with
// a Lua function called through Lua's API and nothing around it, and the host, under {cmd:'sum'}.
//
//   floor [--rounds N] [--seconds N] [--markdown]
//
// In each round all three take turns; medians over the rounds. They are on CPU 0, the load generator
// on CPU 1; every reply is checked. What counts is the server's own CPU time per request.
import { parseArgs } from 'node:util';
import { makeCertificate } from './certificate.mjs';
import { keepAwake, ratio, stop, table, takeTurns, time } from './lib.mjs';
import { sum } from './loads.mjs';
import { measure } from './measure.mjs';
import { launch, servers } from './servers.mjs';

const { values: options } = parseArgs({
  options: {
    rounds: { type: 'string', default: '9' },
    seconds: { type: 'string', default: '1' },
    markdown: { type: 'boolean', default: false },
  },
});
const files = makeCertificate();
const withLua = { ...servers.c, command: (...args) => [...servers.c.command(...args), '--lua'] };
const compared = [servers.c, withLua, servers.roost];
const loads = [[10, 16, false], [10, 1, false], [10, 16, true], [10, 1, true]];

async function row([connections, inFlight, tls]) {
  const load = { ...sum, connections, inFlight, tls };
  const [c, floor, roost] = await takeTurns(Number(options.rounds), compared, async (server) => {
    const running = await launch(server, tls && files);
    await measure(running, load, 0.5, files.cert);
    return measure(running, load, Number(options.seconds), files.cert)
      .finally(() => stop(running.child));
  });
  return [`${connections} x ${inFlight}${tls ? ', TLS' : ''}`, ...[c, floor, roost].map(({ us }) => time(us)),
    ratio(floor.us, c.us), ratio(roost.us, c.us), ratio(roost.us, floor.us)];
}

const awake = keepAwake([0, 1]);
const rows = [];
for (const load of loads) rows.push(await row(load));
await Promise.all(awake.map(stop));

console.log(table(['sum', 'C only', 'C + liblua', 'Roost', '+ liblua/C', 'Roost/C', 'Roost/+ liblua'],
  rows, options.markdown));
