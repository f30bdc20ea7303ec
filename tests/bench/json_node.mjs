// What JSON.parse and JSON.stringify cost Node: as json_bench.c, and with the same output.
import { readFileSync } from 'node:fs';

const text = readFileSync(0, 'utf8');
const budgetUs = 1000 * Number(process.argv[2] ?? 200);
const value = JSON.parse(text);
let out = ''; // seen from outside, so that nothing is optimised away

const both = () => { out = JSON.stringify(JSON.parse(text)); };
const onlyDecode = () => { out = JSON.parse(text); };
const encode = () => { out = JSON.stringify(value); };

/** Processor time so far, of all threads. */
function cpuUs() {
  const { user, system } = process.cpuUsage();
  return user + system;
}

function timePerStep(budget, step) {
  const start = cpuUs();
  let steps = 0;
  let batch = 1;
  let spent;
  while ((spent = cpuUs() - start) < budget) {
    for (let i = 0; i < batch; i++) step();
    steps += batch;
    if (cpuUs() - start - spent < budget / 64) batch *= 2;
  }
  return Math.round(spent * 1e4 / steps) / 10;
}

timePerStep(budgetUs / 4, both);
const bothNs = timePerStep(budgetUs, both);
const decodeNs = timePerStep(budgetUs, onlyDecode);
const encodeNs = timePerStep(budgetUs, encode);
console.log(JSON.stringify({ decode_ns: decodeNs, encode_ns: encodeNs, both_ns: bothNs }));
process.stdout.write(out);
