// The page: what figures look like on a terminal, in page/ and in the README. README.md has two
// places for them, between comments; page/ has the figures, all tables and the plot.
//
//   page [FIGURES]     writes them without measuring, from page/figures.json or from another file;
//                      each run leaves its figures in build/bench.json
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { pageFolder as folder, readFigures, writeFigures } from './figures.mjs';
import { here, percent, ratio, repo, table, time } from './lib.mjs';
import { isBest } from './loads.mjs';
import { modelText } from './model.mjs';
import { servers } from './servers.mjs';

const title = (name) => servers[name].title;

// Texts

function machineText({ date, machine, busy, rounds, seconds, command, minutes }) {
  const { versions } = machine;
  return `Measured ${date} on ${machine.cpu}, ${machine.memory_gib} GiB` +
    `${machine.virtual ? ' (a virtual machine)' : ''}, ${machine.system}, Linux ` +
    `${machine.kernel}, ${percent(busy)} busy before; Roost ${machine.commit}, NestJS ${versions.nest} ` +
    `on Node ${versions.node}, luv ${versions.luv}, lua-cjson ${versions.cjson}, Tarantool ` +
    `${versions.tarantool}; medians of ${rounds} interleaved round${rounds === 1 ? '' : 's'} of ` +
    `${seconds} s in ${minutes.toFixed(0)} minutes; \`${command}\` repeats it.`;
}

const closedLoads = ({ loads }) => loads.filter((load) => !load.rate);
const pacedLoads = ({ loads }) => loads.filter((load) => load.rate);

/** Microseconds, and how many times less than the first server's; Roost's in bold where asked. */
function cost(load, names, name, strong) {
  const it = load.servers[name];
  if (!it) return '-';
  const [first] = names;
  if (name === first || !load.servers[first]) return time(it.us);
  const less = ratio(load.servers[first].us, it.us);
  return `${time(it.us)} (${strong && name === 'roost' ? `**${less}**` : less})`;
}

function costTable({ names }, loads, markdown) {
  return table(['load', ...names.map(title)], loads.map((load) =>
    [load.title, ...names.map((name) => cost(load, names, name, markdown))]), markdown);
}

function longTable({ names, rounds }, loads, markdown) {
  const head = ['load', 'server', 'CPU/request', 'spread', 'requests/s', 'p50', 'p99', 'p99.9', 'RSS',
    'server busy', 'generator busy'];
  return table(head, loads.flatMap((load) => names.filter((name) => name in load.servers)
    .map((name) => {
      const it = load.servers[name];
      return [load.title, title(name), ...(it ? [time(it.us), rounds > 1 ? percent(it.spread) : '-',
        it.per_second.toFixed(0), time(it.p50), time(it.p99), time(it.p999),
        `${it.rss_mb.toFixed(1)} MB`, percent(it.server_cpu), percent(it.generator_cpu)]
        : Array(9).fill('-'))];
    })), markdown, 2);
}

function latencyTable({ names }, loads, markdown) {
  const latency = (it) => (it ? [it.p50, it.p99, it.p999].map(time).join(' / ') : '-');
  return table(['p50 / p99 / p99.9', ...names.map(title)], loads.map((load) =>
    [load.title, ...names.map((name) => latency(load.servers[name]))]), markdown);
}

function otherTable({ names, start, newcomers, memory }, markdown) {
  const row = (what, of, text) => (of ? [[what, ...names.map((name) => text(of[name]))]] : []);
  const rows = [
    ...row('start to the first reply', start, ({ ms }) => `${ms.toFixed(0)} ms`),
    ...row('memory then', start, ({ rss }) => `${rss.toFixed(1)} MB`),
    ...row('CPU of a new connection and its request', newcomers, ({ tcp }) => time(tcp)),
    ...row('the same over TLS', newcomers, ({ tls }) => (tls === null ? '-' : time(tls))),
    ...row('memory of an idle connection', memory,
      ({ server }) => `${(server / 1024).toFixed(2)} KiB`),
  ];
  return rows.length > 0 ? table(['', ...names.map(title)], rows, markdown) : null;
}

function reloadText({ reload }) {
  if (!reload) return null;
  const texts = Object.fromEntries(['without', 'with'].map((name) =>
    [name, ['p50', 'p99', 'p999'].map((key) => time(reload[name][key])).join(' / ')]));
  return `At ${reload.rate} requests/s, a service's file saved ten times a second (` +
    `${reload.with.reloads.toFixed(1)} reloads a second came of it), p50 / p99 / p99.9 are ` +
    `${texts.with}; without, ${texts.without}. No reply was lost or wrong.`;
}

function clientText({ client }) {
  if (!client) return null;
  const each = client.map(({ inFlight, nest, roost }) =>
    `${time(roost)} with ${inFlight} in flight (NestJS ${time(nest)}, ${ratio(nest, roost)})`);
  return `A call through \`roost.client\` takes ${each.join(' and ')} of the caller's CPU ` +
    '(`./dev bench client`).';
}

function generatorText(figures) {
  const { generator } = figures;
  if (!generator) return null;
  const one = (name) => `${title(name)} ${time(generator[name].one.us)} with one generator and ` +
    `${time(generator[name].two.us)} with two`;
  const shares = closedLoads(figures).flatMap((load) => Object.values(load.servers))
    .filter((it) => it).map((it) => it.generator_cpu);
  return 'Whether the generator is what is measured: under sum, 10 x 16, the server\'s CPU per request ' +
    `is ${one('roost')} that share the connections; ${one('c')}. The generator takes ` +
    `${time(generator.roost.one.own_us)} of its own CPU for a request, and was ` +
    `${percent(Math.max(...shares, 0))} busy at most; tests/bench/page has its share for each load.`;
}

// Terminal

export function show(figures) {
  const { loads } = figures;
  const paced = pacedLoads(figures);
  const texts = [machineText(figures)];
  if (loads.length > 0) texts.push(longTable(figures, loads, false),
    `Server CPU per request, and how many times less than ${title(figures.names[0])}\n\n` +
    costTable(figures, closedLoads(figures), false));
  if (paced.length > 0) texts.push(latencyTable(figures, paced, false));
  texts.push(otherTable(figures, false), reloadText(figures), generatorText(figures),
    clientText(figures), modelText(figures, false));
  console.log(texts.filter((text) => text).join('\n\n'));
}

// Files

/** Between the two comments of that name. */
function replaceBlock(text, name, block) {
  const [from, to] = [`<!-- bench: ${name} -->\n`, `<!-- bench: end of ${name} -->\n`];
  const [start, end] = [text.indexOf(from), text.indexOf(to)];
  if (start < 0 || end < start) throw new Error(`README.md has no place for the ${name}`);
  return `${text.slice(0, start + from.length)}${block}\n${text.slice(end)}`;
}

/** Texts as Markdown, in lines that are not too long, tables apart. */
const joined = (...texts) => texts.filter((text) => text).join('\n\n').split('\n')
  .map((line) => (line.startsWith('|') ? line : line.replace(/(.{1,104})(?: +|$)/g, '$1\n').trimEnd()))
  .join('\n');

/** The text of README.md with these figures in it. */
export function readmeWith(figures, before) {
  const numbers = joined(machineText(figures),
    costTable(figures, closedLoads(figures).filter((load) => isBest(load.title)), true),
    '![CPU per request by load](tests/bench/page/cost.svg)',
    `Latency at a fixed rate, counted from when a request was due:\n\n${
      latencyTable(figures, pacedLoads(figures), true)}`,
    otherTable(figures, true), reloadText(figures), clientText(figures), generatorText(figures));
  return replaceBlock(replaceBlock(before, 'numbers', numbers), 'model',
    joined(modelText(figures, true)));
}

/** What the plot reads: CPU per request in microseconds, a load a line, a server a column. */
function plotData(figures, loads) {
  const cell = (it) => (it ? it.us.toFixed(3) : '-');
  return `${[['request', 'connections', 'in_flight', ...figures.names.map(title)],
    ...loads.map((load) => [load.request, load.connections, load.inFlight,
      ...figures.names.map((name) => cell(load.servers[name]))])].map((row) => row.join('\t'))
    .join('\n')}\n`;
}

function writePlot(figures) {
  const { date, machine } = figures;
  const loads = closedLoads(figures);
  writeFileSync(join(folder, 'loads.tsv'), plotData(figures, loads.filter(({ title: it }) => isBest(it))));
  for (const inFlight of [1, 16])
    writeFileSync(join(folder, `sum_${inFlight}.tsv`), plotData(figures,
      loads.filter((load) => load.request === 'sum' && load.inFlight === inFlight)));
  execFileSync('gnuplot', ['-e', `what='${date}, ${machine.cpu}, ${machine.system}'`,
    join(here, 'cost.gp')], { cwd: folder });
}

function writeTables(figures) {
  writeFileSync(join(folder, 'README.md'), `${joined('# Figures',
    '`./dev bench --markdown` writes this folder and the figures of the README; `./dev bench page` ' +
    'writes them again from `figures.json`.',
    machineText(figures), '![CPU per request by load](cost.svg)',
    '## CPU per request', costTable(figures, closedLoads(figures), true),
    '## Latency at a fixed rate', latencyTable(figures, pacedLoads(figures), true),
    '## Other things', otherTable(figures, true), reloadText(figures), clientText(figures),
    '## The generator', generatorText(figures),
    '## Everything', 'Spread: between the rounds, of CPU/request. RSS: after this load and those ' +
      'above it of the same request.',
    longTable(figures, figures.loads, true))}\n`);
}

export function writePage(figures) {
  mkdirSync(folder, { recursive: true });
  writeFigures(figures);
  writePlot(figures);
  writeTables(figures);
  const readme = join(repo, 'README.md');
  writeFileSync(readme, readmeWith(figures, readFileSync(readme, 'utf8')));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) writePage(readFigures(process.argv[2]));
