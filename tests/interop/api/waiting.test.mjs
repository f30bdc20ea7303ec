// Sleeping, timers, tasks, and coroutines of the service's own.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { stateTest } from '../lib/env.mjs';
import { last } from '../lib/frames.mjs';
import { bodyTest, serve } from '../lib/service.mjs';
import { sleep } from '../lib/wait.mjs';

const answers = (name, body, value) => test(name, async (t) => {
  const { peer } = await serve(t, `service:message("ask", function(data, ctx)\n${body}\nend)`);
  assert.deepEqual(await peer.call('ask'), value);
});

describe('waiting', () => {
  answers('sleep lets at least that much time pass', `
    local before = roost.now()
    roost.sleep(30)
    return roost.now() - before >= 29 -- the loop counts in milliseconds
  `, true);

  answers('sleep of nothing', 'roost.sleep(0) return "done"', 'done');

  answers('time is the wall clock in milliseconds', `
    return math.abs(roost.time() - os.time() * 1000) < 2000
  `, true);

  test('a handler that waits does not hold up the others', async (t) => {
    const { peer } = await serve(t, `
      local waiting
      service:message("hold", function()
        waiting = true
        while waiting do roost.sleep(5) end
        return "released"
      end)
      service:message("release", function() waiting = false return "releasing" end)
    `);
    await peer.send({ pattern: 'hold', id: 'a' });
    await peer.send({ pattern: 'release', id: 'b' });
    assert.equal(await peer.frame(), last('"releasing"', '"b"'));
    assert.equal(await peer.frame(), last('"released"', '"a"'));
  });

  answers('all gives the results under the same keys', `
    return roost.all {
      a = function() roost.sleep(20) return 1 end,
      b = function() return 2 end,
    }
  `, { a: 1, b: 2 });

  answers('all with a list', `
    return roost.all { function() roost.sleep(20) return 1 end, function() return 2 end }
  `, [1, 2]);

  answers('all runs them at the same time', `
    local running, most = 0, 0
    local function count()
      running = running + 1
      most = math.max(most, running)
      roost.sleep(20)
      running = running - 1
    end
    roost.all { count, count, count }
    return most
  `, 3);

  answers('all raises the first error and cancels the rest', `
    local seen = roost.array {}
    local ok, err = pcall(roost.all, {
      function()
        local _, reason = pcall(roost.sleep, 3600000)
        seen[1] = reason.name
      end,
      function() roost.sleep(10) error({ mine = true }) end,
    })
    roost.sleep(20)
    return { tostring(ok), tostring(err.mine), seen[1] }
  `, ['false', 'true', 'CancelledError']);

  answers('race gives the first result and cancels the rest', `
    local seen
    local winner = roost.race {
      function()
        local _, reason = pcall(roost.sleep, 3600000)
        seen = reason.name
      end,
      function() roost.sleep(10) return "winner" end,
    }
    roost.sleep(20)
    return { winner, seen }
  `, ['winner', 'CancelledError']);

  answers('all and race know their request', `
    local outer = roost.context()
    local inner = roost.all { function() roost.sleep(5) return roost.context() == ctx end }
    return outer == ctx and inner[1]
  `, true);

  answers('context is there below a handler, also in a coroutine', `
    local function deep() return roost.context().id end
    return { deep(), coroutine.wrap(function() roost.sleep(5) return deep() end)() }
  `, ['call', 'call']);

  stateTest('after, every, spawn and their cancel', async (t) => {
    const { notes, peer } = await serve(t, `
      service:message("start", function()
        roost.after(10, function() note("after") end)
        roost.after(10, function() note("never") end):cancel()
        roost.spawn(function() roost.sleep(30) note("spawned") end)
        local task = roost.spawn(function()
          local _, err = pcall(roost.sleep, 3600000)
          note(err.name)
        end)
        roost.sleep(60)
        task:cancel()
        return "started"
      end)
    `);
    assert.equal(await peer.call('start'), 'started');
    await sleep(50);
    assert.deepEqual(await notes(3), ['after', 'spawned', 'CancelledError']);
  });

  stateTest('every never overlaps itself', async (t) => {
    const { notes } = await serve(t, `
      service:on_start(function()
        local running, ticks, timer = 0, 0
        timer = roost.every(10, function()
          running = running + 1
          roost.sleep(35)
          note(running)
          running = running - 1
          ticks = ticks + 1
          if ticks == 3 then timer:cancel() end
        end)
      end)
    `);
    assert.deepEqual(await notes(3), ['1', '1', '1']);
    await sleep(100);
    assert.equal((await notes(3)).length, 3);
  });

  stateTest('there is no context in timers', async (t) => {
    const { notes, peer } = await serve(t, `
      service:message("ask", function()
        roost.after(5, function() note(roost.context()) end)
      end)
    `);
    await peer.ask('ask');
    assert.deepEqual(await notes(1), ['nil']);
  });

  stateTest('what timers and tasks raise is logged with its place', async (t) => {
    const { host, peer } = await serve(t, `
      service:message("ask", function()
        roost.after(5, function() error("timer broke") end)
        roost.spawn(function() roost.sleep(5) error("task broke") end)
      end)
    `);
    await peer.ask('ask');
    for (const text of ['timer broke', 'task broke']) {
      const entry = await host.logged((line) => line.err?.includes(text));
      assert.equal(entry.level, 'error');
      assert.match(entry.err, /test\.lua:\d+: /);
    }
  });
});

describe('coroutines of the service', () => {
  answers('a wait passes through a wrapped coroutine', `
    local step = coroutine.wrap(function(a)
      roost.sleep(10)
      local b = coroutine.yield(a + 1)
      roost.sleep(10)
      return b * 2
    end)
    return { step(1), step(5) }
  `, [2, 10]);

  answers('a wait passes through coroutines in coroutines, and through pcall', `
    return coroutine.wrap(function()
      local ok, value = pcall(coroutine.wrap(function()
        roost.sleep(10)
        coroutine.yield("from below")
      end))
      return { tostring(ok), value }
    end)()
  `, ['true', 'from below']);

  answers('resume, status, close', `
    local co = coroutine.create(function() roost.sleep(5) coroutine.yield(1) end)
    local ok, value = coroutine.resume(co)
    local before = coroutine.status(co)
    coroutine.close(co)
    return { tostring(ok), value, before, coroutine.status(co) }
  `, ['true', 1, 'suspended', 'dead']);

  answers('an error out of a coroutine that waited', `
    local co = coroutine.create(function() roost.sleep(5) error("inner", 0) end)
    local ok, err = coroutine.resume(co)
    return { tostring(ok), err }
  `, ['false', 'inner']);

  answers('a coroutine as an iterator that waits', `
    local sum = 0
    for n in coroutine.wrap(function()
      for i = 1, 3 do roost.sleep(5) coroutine.yield(i) end
    end) do sum = sum + n end
    return sum
  `, 6);

  for (const [name, call] of Object.entries({
    'table.sort': 'table.sort({ 2, 1, 3 }, function(a, b) roost.sleep(1) return a < b end)',
    'string.gsub': '(string.gsub("abc", ".", function() roost.sleep(1) end))',
  })) {
    test(`waiting in a callback of ${name} is a clear error`, async (t) => {
      const { peer } = await serve(t, `
        service:message("ask", function()
          local ok, err = pcall(function() ${call.startsWith('(') ? 'local _ = ' : ''}${call} end)
          return { ok = ok, err = tostring(err) }
        end)
      `);
      const { ok, err } = await peer.call('ask');
      assert.equal(ok, false);
      assert.match(err, /wait/);
      assert.deepEqual(await peer.call('notes'), []);
    });
  }
});

describe('the rest of the library', () => {
  answers('json', `
    local value = roost.json.decode('{"a":[1,2.5,null,[],{}],"b":9007199254740993}')
    return { roost.json.encode(value.a), math.type(value.b), tostring(value.b),
      tostring(value.a[3] == roost.null) }
  `, ['[1,2.5,null,[],{}]', 'integer', '9007199254740993', 'true']);

  answers('cjson has the same null', `
    return require("cjson").null == roost.null
  `, true);

  answers('random bytes', `
    local a, b = roost.random(16), roost.random(16)
    return { #a, tostring(a == b) }
  `, [16, 'false']);

  answers('env and version', `
    return { roost.env("ROOST_INTEROP_NOT_SET", "default"), type(roost.version), service.name }
  `, ['default', 'string', 'test']);

  answers('null, array and missing', `
    local a = roost.array {}
    return { a, {}, roost.null, { x = nil }, #roost.array { 1, 2 } }
  `, [[], {}, null, {}, 2]);

  answers('numbers', `
    return { 2 ^ 53, 1e15, 7 // 2, 7 / 2, -0.0, 1e300,
      "" .. math.mininteger }
  `, [2 ** 53, 1e15, 3, 3.5, 0, 1e300, '-9223372036854775808']);

  answers('what is not there', `
    return { tostring(os.exit), tostring(debug.sethook), tostring(debug.setmetatable),
      tostring(debug.getregistry) }
  `, ['nil', 'nil', 'nil', 'nil']);

  test('int64 leaves whole', async (t) => {
    const { peer } = await serve(t, `
      service:message("ask", function()
        return { math.maxinteger, math.mininteger, 2 ^ 60, 1 << 60, 2 ^ 63 }
      end)
    `);
    assert.equal(await peer.ask('ask'), last('[9223372036854775807,-9223372036854775808,' +
      '1152921504606847000,1152921504606846976,9223372036854776000]', '"ask"'));
  });
});

describe('streams of a service', () => {
  const streams = (name, body, values) => bodyTest(name, body, async (t) => {
    const { peer } = await serve(t, `service:message("ask", function()\n${body}\nend)`);
    await peer.send({ pattern: 'ask', id: '1' });
    const seen = [];
    for (;;) {
      const { response, isDisposed } = await peer.reply();
      if (response !== undefined) seen.push(response);
      if (isDisposed) break;
    }
    assert.deepEqual(seen, values);
  });

  streams('of', 'return roost.stream.of("a", roost.null, { 1 })', ['a', null, [1]]);
  streams('from a list', 'return roost.stream.from { 1, 2, 3 }', [1, 2, 3]);
  streams('from an iterator', `
    local n = 0
    return roost.stream.from(function()
      n = n + 1
      if n <= 3 then return n end
    end)
  `, [1, 2, 3]);
  streams('from an iterator that waits', `
    return roost.stream.from(coroutine.wrap(function()
      for i = 1, 3 do roost.sleep(5) coroutine.yield(i) end
    end))
  `, [1, 2, 3]);
  streams('create, now', `
    return roost.stream.create(function(observer)
      observer:next(1)
      observer:next(2)
      observer:complete()
    end)
  `, [1, 2]);
  streams('create, later', `
    return roost.stream.create(function(observer)
      roost.after(5, function() observer:next(1) end)
      roost.after(10, function() observer:complete() end)
    end)
  `, [1]);

  stateTest('create with an error', async (t) => {
    const { peer, notes } = await serve(t, `
      service:message("ask", function(which)
        return roost.stream.create(function(observer)
          observer:next(1)
          roost.after(5, function()
            observer:error(which == "rpc" and roost.rpc_error("told") or "secret")
          end)
          return function() note("torn down") end
        end)
      end)
    `);
    for (const [which, message] of [['rpc', 'told'], ['other', 'Internal server error']]) {
      await peer.send({ pattern: 'ask', data: which, id: '1' });
      assert.equal((await peer.reply()).response, 1);
      assert.deepEqual((await peer.reply()).err, { status: 'error', message });
    }
    assert.deepEqual(await notes(2), ['torn down', 'torn down']);
  });
});
