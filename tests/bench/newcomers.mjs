// What a new connection with one request costs a server, with and without TLS.
import { median, runTime, stop } from './lib.mjs';
import { launch, servers } from './servers.mjs';
import { visits, visitsTls } from './visits.mjs';

const COUNT = 500;

async function once(server, files) {
  const { child, port } = await launch(server, files);
  const visit = (count) => (files ? visitsTls(port, count, files.cert, false) : visits(port, count));
  await visit(COUNT >> 2); // warms up
  const before = runTime(child.pid);
  await visit(COUNT);
  const us = (runTime(child.pid) - before) / 1000 / COUNT;
  await stop(child);
  return us;
}

/** The medians over the rounds: { NAME: { tcp: microseconds, tls: microseconds or null } }. */
export async function newcomerFigures(names, files, rounds) {
  const results = Object.fromEntries(names.map((name) => [name, { tcp: [], tls: [] }]));
  for (let round = 0; round < rounds; round++)
    for (const name of names) {
      results[name].tcp.push(await once(servers[name]));
      if (servers[name].tls) results[name].tls.push(await once(servers[name], files));
    }
  return Object.fromEntries(names.map((name) => [name, { tcp: median(results[name].tcp),
    tls: servers[name].tls ? median(results[name].tls) : null }]));
}
