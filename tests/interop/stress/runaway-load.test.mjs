// Code that never ends, stopped again and again: each time within its budget, while another service
// of the worker and the admin socket go on answering.
// ROOST_RUNAWAY_LOAD=1000 says how often each is to be stopped.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { adminSocket, askAdmin } from '../lib/admin.mjs';
import { scaled, slow } from '../lib/env.mjs';
import { masked } from '../lib/frames.mjs';
import { startHost } from '../lib/host.mjs';
import { connect } from '../lib/peer.mjs';
import { luaService } from '../lib/service.mjs';

const times = Number(process.env.ROOST_RUNAWAY_LOAD ?? scaled(20, 3));
const budgetMs = 20;
/** What a stop may take beyond the budget. */
const graceMs = 20;

const other = luaService('service:message("other", function(n) return n + 1 end)');
const forever = 'while true do end';
const kinds = {
  loop: forever,
  'loop in pcall': `while true do pcall(function() ${forever} end) end`,
  'loop in a coroutine': `coroutine.wrap(function() ${forever} end)()`,
  'loop in __gc': `setmetatable({}, { __gc = function() ${forever} end }) collectgarbage() ${forever}`,
  'loop in a comparator': `table.sort({ 3, 2, 1 }, function() ${forever} end)`,
  'pattern that backtracks': 'return (("a"):rep(40)):find(("a?"):rep(40) .. ("a"):rep(40))',
  'find of repetitive text':
    'while true do ("a"):rep(1e6):find(("a"):rep(5e5) .. "b", 1, true) end',
  'rep of a gigabyte': 'return ("x"):rep(1e9)',
  'rep of a gigabyte in pcall': 'while true do pcall(string.rep, "x", 1e9) end',
  'rep of nothing': 'while true do (""):rep(1 << 60) end',
  'table that grows': 'local t = {} while true do t[#t + 1] = {} end',
  'text that grows': 'local s = "x" while true do s = s .. s end',
  'table that grows in pcall':
    'while true do pcall(function() local t = {} while true do t[#t + 1] = {} end end) end',
  'gsub on blanks': 'while true do ((" "):rep(1e5) .. "x"):gsub("%s+$", "") end',
  'match on blanks': 'while true do ((" "):rep(1e5) .. "x"):match("^(.-)%s*$") end',
  'table.move': 'table.move({}, 1, 1 << 62, 2)',
  'table.insert': 'table.insert(setmetatable({}, { __len = function() return 1 << 62 end }), 1, 1)',
  'load of endless source': 'load(function() return "a = 1 " end)',
  'load of long source': 'local s = ("a = 1 "):rep(2e6) while true do load(s) end',
  'load of jumps': 'local s = ("do " .. ("goto x "):rep(4000) .. "::x:: end "):rep(20) '
    + 'while true do load(s) end',
  'load of branches': 'local s = "if a then " .. ("elseif a then "):rep(3e5) .. "end" '
    + 'while true do load(s) end',
  'load of conditions': 'local s = "return a" .. (" and a"):rep(3e5) while true do load(s) end',
  'load of nested brackets': 'local s = "return " .. ("("):rep(1e6) while true do load(s) end',
  'load of a long constructor': 'local s = "return {" .. ("1,"):rep(3e6) .. "}" while true do load(s) end',
};

/** These need more than there is before their time is over. */
const endByMemory = ['rep of a gigabyte', 'text that grows'];

/** The processor time that the host's worker has been given so far, in ms. */
const spentMs = ({ pid }) =>
  Number(readFileSync(`/proc/${pid}/task/${pid}/schedstat`, 'latin1').split(' ')[0]) / 1e6;

/** A host whose service "test" has the handler "run" with this body, and one called "b". */
function start(t, body, cpu) {
  return startHost(t, {
    service: luaService(`service:message("run", function() ${body} end)`),
    files: { 'services/b.lua': other },
    services: 'services',
    limits: { request_timeout: 0 },
    service_options: { test: { cpu } },
  });
}

describe(`stopped ${times} times`, () => {
  for (const [kind, body] of Object.entries(kinds)) {
    test(kind, async (t) => {
      const host = await start(t, body, budgetMs);
      const [running, asking] = [await connect(t, host.port), await connect(t, host.port)];
      const over = [];
      for (let i = 1; i <= times; i++) {
        const before = spentMs(host);
        const stopped = running.ask('run', i, String(i));
        const [reply, answer, live] = await Promise.all(
          [stopped, asking.call('other', i), askAdmin({ socketPath: adminSocket(host) }, '/live')]);
        assert.equal(reply, masked(`"${i}"`));
        assert.equal(answer, i + 1);
        assert.equal(live.code, 200);
        over.push(spentMs(host) - before - budgetMs);
        running.forget();
        asking.forget();
      }
      over.sort((a, b) => a - b);
      const at = (share) => Number(over[Math.floor((over.length - 1) * share)].toFixed(1));
      t.diagnostic(`${kind}: ms beyond the budget: ${
        JSON.stringify({ count: over.length, median: at(0.5), p99: at(0.99), max: at(1) })}`);
      const { err } = await host.logged(/^handler failed$/);
      assert.match(err, /ECPU: stopped after|EMEMORY: not enough memory/);
      assert.ok(endByMemory.includes(kind) || at(0) > -budgetMs / 2,
        `one ended ${-at(0)} ms before its time; the log is:\n${host.log}`);
      assert.ok(slow || at(0.5) <= graceMs, `half of them took ${at(0.5)} ms beyond the budget`);
    });
  }
});

test('admin pages answer while nothing ends a loop', async (t) => {
  const host = await start(t, forever, 0);
  const get = (path) => askAdmin({ socketPath: adminSocket(host) }, path);
  const peer = await connect(t, host.port);
  assert.equal(await peer.call('other', 1), 2);
  await peer.send({ pattern: 'run', data: null, id: '1' });
  let asked = 0;
  for (let status = { stuck: false }; !status.stuck; asked++) status = (await get('/status')).json();
  assert.ok(asked > 0);
  for (let i = 0; i < times; i++) {
    assert.equal((await get('/status')).json().state, 'running');
    assert.match((await get('/metrics')).text, /^roost_worker_stuck\{worker="0"\} 1$/m);
    assert.equal((await get('/services/b')).json().state, 'live');
  }
  assert.equal(peer.rest, '');
  await host.kill();
});
