// The page and the model, from made-up figures.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { repo } from './lib.mjs';
import { groupsOf } from './loads.mjs';
import { usedAt } from './measure.mjs';
import { balance, capacity, costs } from './model.mjs';
import { readmeWith } from './page.mjs';
import { servers } from './servers.mjs';

const names = Object.keys(servers);

/** Figures of a whole run; each server needs so many microseconds more than the next. */
function makeFigures() {
  const each = (value) => Object.fromEntries(names.map((name, at) => [name, value(names.length - at)]));
  const loads = groupsOf({ only: '' }).flat().map(
    ({ title, request, connections, inFlight, rate, tls }) => ({ title, request, connections, inFlight,
      rate, servers: Object.fromEntries(names.filter((name) => !tls || servers[name].tls)
        .map((name) => [name, { us: names.length - names.indexOf(name), spread: 0.1, per_second: 1000,
          p50: 1, p99: 2, p999: 3, rss_mb: 4, server_cpu: 0.5, generator_cpu: 0.25 }])) }));
  const latency = { p50: 1, p99: 2, p999: 3, reloads: 9 };
  const generated = { us: 1, per_second: 1000, own_us: 1 };
  return { date: '2001-02-03', machine: { cpu: '2 x Z80', memory_gib: 1, kernel: '6.1', system: 'Debian',
    commit: 'abc', versions: { nest: '12' } }, busy: 0, command: './dev bench', names, rounds: 3,
  seconds: 1, minutes: 22, loads, start: each((us) => ({ ms: us, rss: us })),
  newcomers: each((us) => ({ tcp: us, tls: us })), memory: each((us) => ({ server: us, kernel: us })),
  reload: { rate: 5000, with: latency, without: latency }, client: [{ inFlight: 1, nest: 2, roost: 1 }],
  generator: { roost: { one: generated, two: generated }, c: { one: generated, two: generated } },
  handoff: { one_us: 20, many_us: 1 } };
}

const readme = () => readFileSync(join(repo, 'README.md'), 'utf8');

test('the README has places for the figures, and takes new ones', () => {
  const first = readmeWith(makeFigures(), readme());
  assert.match(first, /Measured 2001-02-03 on 2 x Z80/);
  assert.match(first, /^\| sum, 10 x 16 \| 5\.00 us \| 4\.00 us \(1\.25x\) .* 2\.00 us \(\*\*2\.50x\*\*\)/m);
  const other = { ...makeFigures(), date: '2002-02-02' };
  assert.equal(readmeWith(other, first).replaceAll('2002-02-02', '2001-02-03'), first);
});

test('all but the figures of the README stays', () => {
  const outside = (text) => text.replace(/(<!-- bench: (\w+) -->).*?(<!-- bench: end of \2 -->)/gs, '$1$3');
  assert.equal(outside(readmeWith(makeFigures(), readme())), outside(readme()));
});

test('a load that a server cannot take is a dash', () => {
  const figures = makeFigures();
  figures.loads.find(({ title }) => title === 'sum, 10 x 16').servers.nest = null;
  assert.match(readmeWith(figures, readme()), /^\| sum, 10 x 16 \| - \| 4\.00 us \|/m);
});

test('without a place in the README it says so', () => {
  assert.throws(() => readmeWith(makeFigures(), '# Roost\n'), /no place for the numbers/);
});

test('quick are the loads of the README and the fixed rates', () => {
  const quick = groupsOf({ quick: true, only: '' }).flat();
  assert.equal(quick.length, 13);
  assert.deepEqual(groupsOf({ only: '^sum, 10 x 16$' }).flat().map(({ title }) => title), ['sum, 10 x 16']);
});

test('what was used at a moment lies between two samples', () => {
  const samples = [{ at: 10, ns: 100 }, { at: 20, ns: 300 }, { at: 30, ns: 300 }];
  assert.deepEqual([15, 25, 5, 35].map((at) => usedAt(samples, at)), [200, 300, 100, 300]);
});

test('workers that share nothing add up', () => {
  assert.equal(capacity(1, { c: 2, own: 1 }), 500000);
  assert.equal(capacity(64, { c: 2, own: 1 }), 64 * 500000);
});

test('a service on one worker bounds the host', () => {
  const cost = { c: 2, own: 1 };
  // network/4 + its own service's whole work + half of the handoff of 3 requests in 4
  assert.equal(capacity(4, cost, 1, 0.5), 1e6 / (1 / 4 + 1 + 0.75 * 0.5 / 2));
  assert.ok(capacity(1000000, cost, 1, 0.5) < 1e6 / 1.25);
  assert.equal(capacity(1, cost, 1, 0.5), 500000);
});

test('few connections load workers unevenly, many evenly', () => {
  assert.equal(balance(1, 1000), 1);
  assert.ok(balance(8, 100) < balance(8, 10000));
  assert.ok(balance(8, 10000) < 1);
  assert.equal(balance(8, 1000), balance(8, 1000));
});

test('nothing is predicted from a part of the figures', () => {
  assert.equal(costs({ ...makeFigures(), handoff: undefined }), null);
  assert.equal(costs(makeFigures()).batched.own, 1);
});
