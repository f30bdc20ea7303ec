// What callers notice of reloads: latency at a fixed rate while a service's file is saved ten times a
// second, and without that. Every reply is checked: one that is lost or wrong ends it.
import { copyFileSync, mkdtempSync, appendFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { here, medians, roostBin, stop } from './lib.mjs';
import { sum } from './loads.mjs';
import { bench } from './measure.mjs';
import { launch, servers } from './servers.mjs';

const SAVE_MS = 100;
const DEBOUNCE_MS = 50; // as long as nothing must have been saved: less than SAVE_MS, or none is taken
const load = { ...sum, connections: 50, rate: 5000 };

/** A host that watches a service of its own: { child, port, file, reloads: how many there were }. */
async function launchWatching(dir) {
  const file = join(dir, 'service.lua');
  copyFileSync(join(here, 'service.lua'), file);
  const host = { file, reloads: 0 };
  const command = () => [roostBin, 'run', join(here, 'host.lua'), '--set', `services=${file}`,
    '--set', 'reload.watch=true', '--set', `reload.debounce=${DEBOUNCE_MS}`];
  Object.assign(host, await launch({ ...servers.roost, command }));
  createInterface({ input: host.child.stderr }).on('line', (line) => {
    if (line.includes('msg="service reloaded"')) host.reloads++;
  });
  return host;
}

async function once(saves, seconds) {
  const dir = mkdtempSync(join(tmpdir(), 'roost-bench-'));
  const host = await launchWatching(dir);
  try {
    await bench(host.port, load, 1);
    const before = host.reloads;
    const saving = saves && setInterval(() => appendFileSync(host.file, '-- saved\n'), SAVE_MS);
    const result = await bench(host.port, load, seconds).finally(() => clearInterval(saving));
    return { p50: result.latency_us.p50, p99: result.latency_us.p99, p999: result.latency_us.p99_9,
      reloads: (host.reloads - before) / result.seconds };
  } finally {
    await stop(host.child);
    rmSync(dir, { recursive: true });
  }
}

/** The medians over the rounds: { rate, without, with: { p50, p99, p999, reloads: per second } }. */
export async function reloadFigures(rounds, seconds) {
  const results = { without: [], with: [] };
  for (let round = 0; round < rounds; round++)
    for (const [name, list] of Object.entries(results)) list.push(await once(name === 'with', seconds));
  return { rate: load.rate, without: medians(results.without), with: medians(results.with) };
}
