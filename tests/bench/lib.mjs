// What the benchmarks share: where things are, medians, tables.
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const here = dirname(fileURLToPath(import.meta.url));
const repo = dirname(dirname(here));

export const roostBin = process.env.ROOST_BIN ?? join(repo, 'build', 'roost');
export const benchBin = process.env.ROOST_BENCH_BIN ?? join(repo, 'build', 'tests', 'bench');
export const npmDir = process.env.ROOST_NPM_DIR ?? join(repo, 'build', 'interop');

export const median = (list) => list.toSorted((a, b) => a - b)[list.length >> 1];

/** Rows of texts as a table: for a terminal, or in Markdown. The first column is left-aligned. */
export function table(head, rows, markdown) {
  const all = [head, ...rows];
  const widths = head.map((_, column) => Math.max(...all.map((row) => row[column].length)));
  const cell = (text, column) =>
    column === 0 ? text.padEnd(widths[column]) : text.padStart(widths[column]);
  const line = (row) => markdown ? `| ${row.join(' | ')} |` : row.map(cell).join('  ').trimEnd();
  const rule = markdown ? [`|${head.map((_, column) => column === 0 ? '---|' : '--:|').join('')}`] : [];
  return [line(head), ...rule, ...rows.map(line)].join('\n');
}
