// What it costs to hand work to another worker's loop and to get it back.
import { join } from 'node:path';
import { benchBin, medians, run } from './lib.mjs';

/** The medians over the rounds: { one_us, many_us }, of both threads together, a round trip. */
export async function handoffFigures(rounds) {
  const results = [];
  for (let round = 0; round < rounds; round++) {
    const { code, stdout, stderr } = await run('0,1', [join(benchBin, 'roost_bench_handoff')]);
    if (code !== 0) throw new Error(stderr || `roost_bench_handoff ended with ${code}`);
    results.push(JSON.parse(stdout));
  }
  return medians(results);
}
