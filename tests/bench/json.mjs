// JSON decoding and encoding, the host's against Node's: processor time per value.
//
//   json [--rounds N] [--ms N] [--only REGEX] [--markdown] [--cpu N]
//
// Both take turns in each round, on one CPU and each time in a new process; the median over the
// rounds is printed. --ms is how long each measurement goes on (decode, encode, and both in turn).
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { benchBin, here, median, table } from './lib.mjs';

const { values: options } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    ms: { type: 'string', default: '200' },
    only: { type: 'string', default: '' },
    cpu: { type: 'string', default: '1' },
    markdown: { type: 'boolean', default: false },
  },
});

const item = { id: 17, name: 'spanner', tags: ['tool', 'steel'], price: 12.5, stock: true };
const order = {
  order: 47, user: { id: 7, name: 'Ada', roles: ['admin'] },
  items: [item, { ...item, id: 18, name: 'hammer' }], note: null, total: 25, paid: true,
  at: '2026-01-02',
};
const integer = (i) => [i, (i * 1000003) % 2 ** 31, 1700000000000 + i * 977, -i * 31][i % 4];
const shapes = {
  'string, 1 KiB': 'x'.repeat(1024),
  'string, 64 KiB': 'x'.repeat(65536),
  'nested object': order,
  '500 objects': Array.from({ length: 500 }, (_, i) =>
    ({ ...item, id: i, name: `spanner ${i}`, price: 12.5 + i / 4, stock: i % 3 === 0 })),
  '1000 integers': Array.from({ length: 1000 }, (_, i) => integer(i)),
  '1000 doubles': Array.from({ length: 1000 }, (_, i) => Math.sin(i + 1) * 1000),
};

const programs = {
  node: [process.execPath, join(here, 'json_node.mjs')],
  roost: [join(benchBin, 'roost_bench_json')],
};

/** One program on one text: its figures, once what it wrote says the same. */
function measure(program, text, value) {
  const { status, error, stdout, stderr } = spawnSync('taskset',
    ['-c', options.cpu, ...program, options.ms],
    { input: text, encoding: 'utf8', maxBuffer: 2 ** 26 });
  if (error) throw error;
  if (status !== 0) throw new Error(`${program.join(' ')}: ${stderr}`);
  const end = stdout.indexOf('\n');
  assert.deepEqual(JSON.parse(stdout.slice(end + 1)), value);
  return JSON.parse(stdout.slice(0, end));
}

const us = (ns) => (ns / 1000).toFixed(ns < 1e4 ? 2 : ns < 1e5 ? 1 : 0);
const ratio = (from, to) => `${(from / to).toFixed(2)}x`;
const rows = [];
for (const [name, value] of Object.entries(shapes)) {
  const text = JSON.stringify(value);
  const title = `${name}, ${text.length} B`;
  if (!new RegExp(options.only, 'i').test(title)) continue;
  const results = { node: [], roost: [] };
  for (let round = 0; round < Number(options.rounds); round++)
    for (const [who, program] of Object.entries(programs))
      results[who].push(measure(program, text, value));
  const of = (who, key) => median(results[who].map((result) => result[key]));
  rows.push([title, ...['both_ns', 'decode_ns', 'encode_ns'].flatMap((key) => {
    const [node, roost] = [of('node', key), of('roost', key)];
    return [us(node), us(roost), ratio(node, roost)];
  })]);
}
console.log(`JSON, us of processor time per value, median of ${options.rounds} rounds; ` +
  'how many times less than Node\n');
console.log(table(['value', 'both: Node', 'Roost', '', 'decode: Node', 'Roost', '', 'encode: Node',
  'Roost', ''], rows, options.markdown));
