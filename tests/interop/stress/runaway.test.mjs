// Lua code that never ends is stopped; its caller is told, and other services of the worker go on.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { perWorkerTest } from '../lib/env.mjs';
import { masked } from '../lib/frames.mjs';
import { startHost } from '../lib/host.mjs';
import { connect } from '../lib/peer.mjs';
import { lineOf, luaService, serve } from '../lib/service.mjs';
import { undo } from '../lib/wait.mjs';

const limits = { handler_cpu: 20 };
const other = `local roost = require "roost"
local service = roost.service()
service:message("other", function(n) return n + 1 end)
return service
`;
const handler = (body) => `service:message({ cmd = "run" }, function()\n${body}\nend)`;

/** Calls another service over and over until it is stopped; gives how many answers were right. */
async function keepAsking(t, port) {
  const peer = await connect(t, port);
  let over = false;
  let right = 0;
  const done = (async () => {
    for (let n = 0; !over; n++) {
      assert.equal(await peer.call('other', n), n + 1);
      right++;
    }
  })();
  undo(t, () => { over = true; });
  return {
    get right() { return right; },
    async stop() {
      over = true;
      await done;
      return right;
    },
  };
}

describe('a handler that never ends', () => {
  const bodies = {
    loop: 'while true do -- HERE\nend',
    'loop in pcall': 'while true do pcall(function() while true do end end) end -- HERE',
    'tower of pcalls': 'local function f() return pcall(f) end while true do f() end -- HERE',
    'xpcall handler': 'xpcall(error, function() while true do end end) -- HERE',
    coroutine: 'coroutine.wrap(function() while true do end end)() -- HERE',
    '__gc': 'setmetatable({}, { __gc = function() while true do end end }) collectgarbage() '
      + 'while true do end -- HERE',
    '__close': 'local x <close> = setmetatable({}, { __close = function() while true do end end }) '
      + 'while true do end -- HERE',
    comparator: 'table.sort({ 3, 2, 1 }, function() while true do end end) -- HERE',
    'callback of gsub': '("x"):gsub(".", function() while true do end end) -- HERE',
    'after a wait': 'roost.sleep(1)\nwhile true do end -- HERE',
    'stream operator': 'return roost.stream.of(1, 2):map(function() while true do end end) -- HERE',
    pattern: 'return (("a"):rep(40)):find(("a?"):rep(40) .. ("a"):rep(40)) -- HERE',
    'gsub on blanks': 'while true do ((" "):rep(1e5) .. "x"):gsub("%s+$", "") end -- HERE',
    'find of repetitive text':
      'while true do ("a"):rep(1e5):find(("a"):rep(5e4) .. "b", 1, true) end -- HERE',
    'table.move': 'table.move({}, 1, 1 << 62, 2, {}) -- HERE',
    'table.insert with __len': 'table.insert(setmetatable({}, '
      + '{ __len = function() return 1 << 62 end }), 1, 1) -- HERE',
    load: 'load(function() return "a = 1 " end) -- HERE',
    JSON: 'local t = {} for i = 1, 1e5 do t[i] = { i } end '
      + 'while true do pcall(roost.json.encode, t) end -- HERE',
    'stream of its own':
      'return roost.stream.create(function() while true do end end) -- HERE',
    'iterator of a stream':
      'return roost.stream.from(function() while true do end end) -- HERE',
    'in roost.race': 'roost.race { function() while true do end end } -- HERE',
    'in roost.all': 'roost.all { function() while true do end end } -- HERE',
  };
  for (const [name, body] of Object.entries(bodies)) {
    test(name, async (t) => {
      const service = handler(body);
      const { host, peer } = await serve(t, service, { limits, files: { 'services/b.lua': other } });
      const asking = await keepAsking(t, host.port);
      for (let i = 1; i <= 3; i++) assert.equal(await peer.ask({ cmd: 'run' }, i, 'x'), masked('"x"'));
      const before = asking.right;
      assert.equal(await (await connect(t, host.port)).call('other', 1), 2);
      assert.ok(await asking.stop() >= before);
      const entry = await host.logged(/^handler failed$/);
      assert.match(entry.err, /ECPU: stopped after \d+ ms of CPU time, the limit is 20 ms$/);
      assert.equal(entry.service, 'test');
      assert.equal(entry.pattern, '{"cmd":"run"}');
      assert.equal(entry.req, 'x');
      const line = lineOf(service, 'HERE');
      assert.match(entry.err, new RegExp(`^LimitError: test\\.lua:${line}: `));
      assert.match(entry.trace, new RegExp(`^test\\.lua:${line}:`));
    });
  }
});

describe('what else never ends', () => {
  test('an event, a timer, a spawned function, a provider being closed', async (t) => {
    const { host, peer } = await serve(t, `
      service:event("event", function() while true do end end)
      service:message("timer", function() roost.after(1, function() while true do end end) end)
      service:message("spawn", function() roost.spawn(function() while true do end end) end)
      service:provide("thing", function()
        return { close = function() note("closing") while true do end end }
      end)
      service:message("provider", function(_, ctx) ctx:get("thing") while true do end end)
    `, { limits, files: { 'services/b.lua': other } });
    const stopped = () => host.find(({ err }) => err?.includes('ECPU')).map(({ msg }) => msg);
    await peer.send({ pattern: 'event', data: 1 });
    await host.logged(({ pattern }) => pattern === 'event');
    await peer.call('timer');
    await host.logged(({ msg }) => msg === 'task failed');
    await peer.call('spawn');
    assert.match(await peer.ask('provider'), /Internal server error/);
    assert.equal(await peer.call('other', 1), 2);
    assert.deepEqual(await peer.call('notes'), ['closing']);
    assert.deepEqual(stopped(), ['handler failed', 'task failed', 'task failed', 'handler failed']);
  });

  test('filters and interceptors cannot catch it', async (t) => {
    const { host, peer } = await serve(t, `
      service:message("run", {
        interceptors = { function(ctx, next)
          local ok, err = pcall(next)
          note("caught " .. tostring(err))
          return "caught"
        end },
        filters = { function(err) note("filtered") return { status = "error", message = "mine" } end },
      }, function() while true do end end)
    `, { limits });
    assert.match(await peer.ask('run'), /Internal server error/);
    assert.deepEqual(await peer.call('notes'), []);
    await host.logged(({ err }) => err?.includes('ECPU'));
  });

  test('a main chunk', (t) => assert.rejects(
    startHost(t, { service: luaService('while true do pcall(error) end'), limits }),
    /test\.lua:\d+: ECPU: stopped after/));

  test('on_start', async (t) => {
    const service = luaService('service:on_start(function() while true do end end)');
    // It may be over before or after the host is seen to listen.
    const log = await startHost(t, { service, limits }).then(async (host) => {
      host.expectedCode = 1;
      await host.exited;
      return host.log;
    }, (err) => err.message);
    assert.match(log, /on_start.*test\.lua:\d+: ECPU: stopped after/);
  });

  test('a timer that repeats goes on with the next beat', async (t) => {
    const { host, notes } = await serve(t, `
      roost.every(1, function() note("beat") while true do end end)
    `, { limits });
    assert.deepEqual((await notes(3)).slice(0, 3), ['beat', 'beat', 'beat']);
    await host.logged(({ err }) => err?.includes('ECPU'));
  });

  test('a serializer', async (t) => {
    const { host, peer } = await serve(t, `
      service:message("run", function() return "x" end)
    `, {
      limits,
      server: { serializer: 'endless' },
      files: {
        'services/lib/endless.lua': `return { serialize = function(packet)
          while packet.response == "x" do end
          return packet
        end }`,
      },
    });
    assert.match(await peer.ask('run'), /Internal server error/);
    const entry = await host.logged((line) => JSON.stringify(line).includes('ECPU'));
    assert.match(JSON.stringify(entry), /endless\.lua:2/);
    assert.deepEqual(await peer.call('notes'), []);
  });

  test('finalizers when the host ends', async (t) => {
    const { host, peer } = await serve(t, `
      keep = setmetatable({}, { __gc = function() while true do end end })
    `, { limits });
    assert.deepEqual(await peer.call('notes'), []);
    await host.stop();
    const entry = host.find(({ msg }) => msg === 'stopped')
      .find(({ err }) => err?.includes('ECPU'));
    assert.equal(entry.service, 'test');
    assert.equal(entry.what, 'finalizers');
  });
});

describe('limits of single services', () => {
  test('cpu', async (t) => {
    const { host, peer } = await serve(t, `
      service:message("run", function() while true do end end)
    `, { service_options: { test: { cpu: 30 } } });
    assert.match(await peer.ask('run'), /Internal server error/);
    const entry = await host.logged(({ err }) => err?.includes('ECPU'));
    assert.match(entry.err, /the limit is 30 ms$/);
  });

  const grow = 'service:message("grow", function() local t = {} while true do t[#t + 1] = {} end end)';
  const grows = async (t, options, bytes) => {
    const { host, peer } = await serve(t, grow,
      { ...options, files: { 'services/b.lua': other } });
    for (let i = 0; i < 3; i++) assert.match(await peer.ask('grow'), /Internal server error/);
    assert.equal(await peer.call('other', 1), 2);
    const entry = await host.logged(({ err }) => err?.includes('LimitError'));
    assert.equal(entry.err, `LimitError: EMEMORY: not enough memory: the limit is ${bytes} bytes`);
    assert.equal(entry.pattern, 'grow');
  };
  test('memory', (t) => grows(t, { service_options: { test: { memory: 1e6 } } }, 1000000));
  test('service_memory', (t) => grows(t, { limits: { service_memory: 2e6 } }, 2000000));
  test('the default of service_memory', (t) => grows(t, {}, 67108864));
});

perWorkerTest('a state that stays full is replaced', async (t) => {
  const { host, peer, notes } = await serve(t, `
    local all = {}
    note("fresh")
    service:message("hoard", function() while true do all[#all + 1] = { #all } end end)
    service:message("size", function() return #all end)
  `, { limits: { service_memory: 2e6 } });
  assert.match(await peer.ask('hoard'), /Internal server error/);
  await host.logged(/memory is exhausted/);
  await host.logged(/service reloaded/);
  assert.equal(await peer.call('size'), 0);
  assert.deepEqual(await notes(1), ['fresh']);
});

describe('a worker that is stuck', () => {
  const service = luaService('service:message("stick", function() os.execute("sleep 6.5") end)');

  test('is in the log', async (t) => {
    const host = await startHost(t, { service, limits });
    const peer = await connect(t, host.port);
    await peer.send({ pattern: 'stick', id: '1' });
    const entry = await host.logged(/worker is stuck/);
    assert.equal(entry.service, 'test');
    assert.ok(Number(entry.ms) >= 5000);
    await host.logged(/worker goes on/);
    assert.deepEqual(await (await connect(t, host.port)).call('notes'), []);
  });

  test('ends the host where stuck = "abort"', async (t) => {
    const host = await startHost(t, { service, limits: { ...limits, stuck: 'abort' } });
    const peer = await connect(t, host.port);
    await peer.send({ pattern: 'stick', id: '1' });
    const { signal } = await host.exited;
    assert.equal(signal, 'SIGABRT');
    assert.match(host.log, /worker is stuck/);
    host.expectedCode = null;
  });
});
