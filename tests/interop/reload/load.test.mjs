// Requests that do not notice that the service's file is saved again and again.
// ROOST_RELOAD_LOAD=1000000/10000 says how many requests, and how many reloads with a handed-over
// counter.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { scaled, workers } from '../lib/env.mjs';
import { atMost, load, onlyForward, save, startWatching } from '../lib/reload.mjs';
import { connect } from '../lib/peer.mjs';
import { sleep, until } from '../lib/wait.mjs';

const [requests, reloads] = (process.env.ROOST_RELOAD_LOAD ?? scaled('40000/150', '8000/40'))
  .split('/').map(Number);
const rounds = 4;

/** A service of 1,000 lines that answers with its version. */
const versionService = (version) => `local roost = require "roost"
local service = roost.service()
local parts = {}
${Array.from({ length: 994 }, (_, i) =>
    `function parts.part${i}(a, b) return { a = a, b = b or ${i}, text = "part ${i}" } end`)
    .join('\n')}
local version = ${version}
service:message("version", function() return version end)
return service
`;

describe('under load', () => {
  test(`${requests} requests over 32 connections, saved every 100 ms`, async (t) => {
    const host = await startWatching(t, { files: { 'services/test.lua': versionService(0) } });
    const part = () => load(t, host.port,
      { pattern: 'version', more: atMost(requests / rounds), onReply: onlyForward });
    const [quiet, busy] = [[], []];
    let version = 0;
    for (let round = 0; round < rounds; round++) { // in turn, as the machine has other things to do
      quiet.push(await part());
      let over = false;
      const saving = (async () => {
        for (; !over; await sleep(100)) save(host, 'services/test.lua', versionService(++version));
      })();
      busy.push(await part());
      over = true;
      await saving;
    }
    const peer = await connect(t, host.port);
    await until(async () => await peer.call('version') === version, 'the last version');
    t.diagnostic(JSON.stringify({
      p99: { quiet: quiet.map(({ p99 }) => p99), busy: busy.map(({ p99 }) => p99) },
      longest: { quiet: quiet.map(({ longest }) => longest), busy: busy.map(({ longest }) => longest) },
      saved: version, ...host.counts,
    }));
    assert.equal(busy.reduce((sum, { answered }) => sum + answered, 0), requests);
    assert.ok(host.counts.reloaded > 0);
    assert.equal(host.counts.refused, 0);
  });

  test(`${reloads} reloads with a handed-over counter, one in ten of them broken`, async (t) => {
    const extras = {
      good: '',
      syntax: 'local x = = 1',
      load: 'error("at load")',
      start: 'service:on_start(function() error("at start") end)',
      'slow start': 'service:on_start(function() roost.sleep(60000) end)',
      pattern: 'service:message(true, print)',
      handoff: '',
      adopt: 'service:on_adopt(function() error("not mine") end)',
    };
    /**
     * One state for all, whose count is theirs. alive: how many states there are, by what runs when
     * one is made and when it is closed.
     */
    const counter = (kind, number) => `local roost = require "roost"
local service = roost.service ${workers > 1 ? '{ instances = 1 }' : '()'}
local count = 0
roost.store:incr("alive", 1)
local marker = setmetatable({}, { __gc = function() roost.store:incr("alive", -1) end })
service:message("next", function() count = count + 1 return count end)
service:message("look", function() return { count = count, alive = roost.store:get("alive"), marked = marker ~= nil } end)
service:message("refuse", function(why) roost.store:set("refuse", why) end)
service:on_handoff(function()
  local why = roost.store:get("refuse")
  if why then error(why) end
  return count
end)
service:on_adopt(function(value) count = value end)
-- ${number}
${extras[kind]}
return service
`;
    const host = await startWatching(t, {
      files: { 'services/test.lua': counter('good', 0) },
      reload: { debounce: 1, start_timeout: 1000 }, // builds go on at the lowest priority
    });
    const peer = await connect(t, host.port);
    let over = false;
    const loading = load(t, host.port, {
      connections: 4, depth: 2, pattern: 'next', more: () => !over,
      onReply: (value, own) => (value > own.value ? onlyForward(value, own) : `${value} again`),
    });
    loading.catch(() => {}); // it is looked at below
    const kinds = Object.keys(extras).slice(1);
    let [broken, early] = [0, 0];
    for (let number = 1; number <= reloads; number++) {
      if (number % 10 !== 0) {
        await host.reload('services/test.lua', counter('good', number));
      } else {
        const kind = kinds[broken++ % kinds.length];
        if (kind === 'handoff') await peer.call('refuse', `not now ${number}`);
        await host.refuse('services/test.lua', counter(kind, number));
        if (kind === 'handoff') await peer.call('refuse', false);
      }
      if (number === Math.min(100, reloads / 2)) early = host.rss;
    }
    over = true;
    const { answered, ...figures } = await loading;
    const { count } = await peer.call('look');
    await until(async () => (await peer.call('look')).alive === 1, 'all old states being closed');
    await host.returnsTo(early, early / 20);
    const late = host.rss;
    t.diagnostic(JSON.stringify({ answered, ...figures, early, late, ...host.counts }));
    assert.equal(count, answered);
    assert.ok(host.counts.reloaded >= reloads - broken);
    assert.ok(host.counts.refused >= broken);
  });
});
