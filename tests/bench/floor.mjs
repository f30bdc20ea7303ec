// How near the host is to what no host of Lua handlers can be below: the C-only server, the same with
// a Lua function called through Lua's API and nothing around it, and the host, under {cmd:'sum'}.
//
//   floor [--rounds N] [--seconds N] [--markdown]
//
// In each round all three are started and take turns, a short while each, so that what the machine
// does meanwhile meets all of them; medians over the rounds, also of the ratios. They are on CPU 0,
// the load generator on CPU 1; every reply is checked. What counts is the server's own CPU time per
// request.
import { parseArgs } from 'node:util';
import { makeCertificate } from './certificate.mjs';
import { keepAwake, median, ratio, stop, table, takeTurns, time } from './lib.mjs';
import { sum } from './loads.mjs';
import { measure } from './measure.mjs';
import { launch, servers } from './servers.mjs';

const { values: options } = parseArgs({
  options: {
    rounds: { type: 'string', default: '9' },
    seconds: { type: 'string', default: '0.3' },
    markdown: { type: 'boolean', default: false },
  },
});
const TURNS = 5; // of each server in a round
const files = makeCertificate();
const withLua = { ...servers.c, command: (...args) => [...servers.c.command(...args), '--lua'] };
const compared = [servers.c, withLua, servers.roost];
const loads = [[10, 16, false], [10, 1, false], [10, 16, true], [10, 1, true]];

/** One round under a load: of each server its medians. */
async function playRound(load) {
  const running = await Promise.all(compared.map((server) => launch(server, load.tls && files)));
  const measured = (server, seconds) => measure(server, load, seconds, files.cert);
  for (const server of running) await measured(server, 0.5);
  const figures = await takeTurns(TURNS, running, (server) => measured(server, Number(options.seconds)));
  await Promise.all(running.map(({ child }) => stop(child)));
  return figures;
}

async function row([connections, inFlight, tls]) {
  const rounds = [];
  while (rounds.length < Number(options.rounds))
    rounds.push(await playRound({ ...sum, connections, inFlight, tls }));
  const us = (at) => time(median(rounds.map((figures) => figures[at].us)));
  const times = (at, of) => ratio(median(rounds.map((figures) => figures[at].us / figures[of].us)), 1);
  return [`${connections} x ${inFlight}${tls ? ', TLS' : ''}`, us(0), us(1), us(2),
    times(1, 0), times(2, 0), times(2, 1)];
}

const awake = keepAwake([0, 1]);
const rows = [];
for (const load of loads) rows.push(await row(load));
await Promise.all(awake.map(stop));

console.log(table(['sum', 'C only', 'C + liblua', 'Roost', '+ liblua/C', 'Roost/C', 'Roost/+ liblua'],
  rows, options.markdown));
