// What the benchmarks share: where things are, processes and what they use, medians, tables.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

export const here = dirname(fileURLToPath(import.meta.url));
export const repo = dirname(dirname(here));

export const roostBin = process.env.ROOST_BIN ?? join(repo, 'build', 'roost');
export const benchBin = process.env.ROOST_BENCH_BIN ?? join(repo, 'build', 'tests', 'bench');
export const npmDir = process.env.ROOST_NPM_DIR ?? join(repo, 'build', 'interop');

export const percent = (share) => `${(100 * share).toFixed(0)} %`;
export const median = (list) => list.toSorted((a, b) => a - b)[list.length >> 1];
/** The median of each figure, of objects that have the same. */
export const medians = (list) => Object.fromEntries(Object.keys(list[0]).map((key) =>
  [key, median(list.map((it) => it[key]))]));

/** measure(item) of all items in turn, so often: of each item its medians. */
export async function takeTurns(rounds, items, measure) {
  const results = items.map(() => []);
  for (let round = 0; round < rounds; round++)
    for (const [at, item] of items.entries()) results[at].push(await measure(item));
  return results.map(medians);
}

// Processes

const children = new Set();
process.on('exit', () => children.forEach((child) => child.kill('SIGKILL')));
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(1));

/** A program pinned to one CPU; it ends with this process at the latest. */
export function start(cpu, [file, ...args], options = {}) {
  const child = spawn('taskset', ['-c', String(cpu), file, ...args],
    { stdio: ['ignore', 'pipe', 'inherit'], ...options });
  children.add(child);
  child.on('exit', () => children.delete(child));
  return child;
}

const ended = (child) => child.exitCode !== null || child.signalCode !== null;

export async function stop(child) {
  if (ended(child)) return;
  child.kill('SIGKILL');
  await once(child, 'exit');
}

/** What `pattern` captures in the first line of a program's output that it matches. */
export async function waitForLine(child, stream, pattern) {
  const lines = createInterface({ input: stream });
  const found = new Promise((resolve) => lines.on('line', (line) => {
    const match = pattern.exec(line);
    if (match) resolve(match[1]);
  }));
  const value = await Promise.race([found, once(child, 'exit').then(() => null)]);
  if (value === null) throw new Error(`${child.spawnargs.join(' ')}: it did not start`);
  return value;
}

/** Runs a program to its end: { code, stdout, stderr }. */
export async function run(cpu, command, input = '') {
  const child = start(cpu, command, { stdio: 'pipe' });
  const result = { stdout: '', stderr: '' };
  for (const name of Object.keys(result))
    child[name].setEncoding('utf8').on('data', (text) => (result[name] += text));
  child.stdin.on('error', () => {}); // it need not read all
  child.stdin.end(input);
  const [code] = await once(child, 'close');
  return { code, ...result };
}

/**
 * Something on every CPU that runs only when nothing else does: a CPU that sleeps takes long to
 * wake, and how long differs from server to server.
 */
export function keepAwake(cpus) {
  return cpus.map((cpu) => start(cpu, ['chrt', '--idle', '0', 'sh', '-c', 'while :; do :; done']));
}

/** Nanoseconds that all threads of a process have run. */
export function runTime(pid) {
  return readdirSync(`/proc/${pid}/task`)
    .map((task) => Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, 'utf8').split(' ')[0]))
    .reduce((sum, ns) => sum + ns, 0);
}

/** Resident memory of a process in MB. */
export function residentMb(pid) {
  const status = readFileSync(`/proc/${pid}/status`, 'latin1');
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)[1]) / 1024;
}

// Tables

/** Rows of texts as a table: for a terminal, or in Markdown. The first `left` columns are texts. */
export function table(head, rows, markdown, left = 1) {
  const all = [head, ...rows];
  const widths = head.map((_, column) => Math.max(...all.map((row) => row[column].length)));
  const cell = (text, column) =>
    column < left ? text.padEnd(widths[column]) : text.padStart(widths[column]);
  const line = (row) =>
    markdown ? `| ${row.join(' | ')} |` : row.map(cell).join('  ').trimEnd();
  const rule = markdown ? [`|${head.map((_, at) => (at < left ? '---|' : '--:|')).join('')}`] : [];
  return [line(head), ...rule, ...rows.map(line)].join('\n');
}

/** Microseconds for people: three digits, and ms from a thousand on. */
export function time(us) {
  const [value, unit] = us < 999.5 ? [us, 'us'] : [us / 1000, 'ms'];
  return `${value.toFixed(value < 9.995 ? 2 : value < 99.95 ? 1 : 0)} ${unit}`;
}

export function ratio(from, to) {
  const value = from / to;
  return `${value.toFixed(value < 9.995 ? 2 : value < 99.95 ? 1 : 0)}x`;
}
