// roost.stream: constructors, operators, consumers, subjects.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { perWorkerTest } from '../lib/env.mjs';
import { item, last } from '../lib/frames.mjs';
import { serviceFile, shippedService, startHost } from '../lib/host.mjs';
import { connect } from '../lib/peer.mjs';
import { bodyTest, lineOf, serve } from '../lib/service.mjs';
import { until } from '../lib/wait.mjs';

/** Runs a handler's body, in which `stream` is roost.stream, and compares what it returns. */
const answers = (name, body, value) => bodyTest(name, body, async (t) => {
  const { peer } = await serve(t, `
    local stream = roost.stream
    service:message("ask", function(data, ctx)\n${body}\nend)`);
  assert.deepEqual(await peer.call('ask'), value);
});

describe('consuming', () => {
  answers('each', `
    local seen = roost.array {}
    for v in stream.of(1, nil, false, "x"):each() do seen[#seen + 1] = v end
    return seen
  `, [1, null, false, 'x']);

  answers('each of an infinite source, left by break: not one value too many is made', `
    local made, torn = 0, false
    local source = stream.create(function(observer)
      repeat made = made + 1 until not observer:next(made)
    end):map(function(v) roost.sleep(1) return v end)
    for v in source:each() do
      roost.sleep(3)
      if v == 3 then break end
    end
    roost.sleep(10)
    return made
  `, 3);

  answers('each of an infinite iterator', `
    local n = 0
    for v in stream.from(function() n = n + 1 return n end):each() do
      if v == 1000 then break end
    end
    return n
  `, 1000);

  answers('each is left by error and by a cancel as well', `
    local torn = 0
    local source = stream.create(function(observer)
      observer:next(1)
      return function() roost.sleep(1) torn = torn + 1 end
    end)
    pcall(function() for _ in source:each() do error("out") end end)
    local task = roost.spawn(function() for _ in source:each() do end end)
    roost.sleep(5)
    task:cancel()
    roost.sleep(10)
    return torn
  `, 2);

  answers('each raises the stream\'s error, after its values', `
    local seen = {}
    local ok, err = pcall(function()
      for v in stream.of(1, 2):concat(stream.create(function() error({ code = 7 }) end)):each() do
        seen[#seen + 1] = v
      end
    end)
    return { seen, ok, err.code }
  `, [[1, 2], false, 7]);

  answers('first, last, collect', `
    return {
      stream.of(1, 2, 3):first(), stream.of(1, 2, 3):last(), stream.of(1, nil, 3):collect(),
      stream.of():first() == nil, stream.of():last() == nil, stream.of():collect(),
      stream.interval(1):first(), stream.interval(1):take(3):last(),
      stream.from { 7, 8 }:collect(),
    }
  `, [1, 3, [1, null, 3], true, true, [], 0, 2, [7, 8]]);

  answers('first, last, collect raise the error', `
    local failing = stream.of(1):concat(stream.create(function(observer) observer:error({ code = 3 }) end))
    local seen = { failing:first() }
    for _, name in ipairs { "last", "collect" } do
      local ok, err = pcall(failing[name], failing)
      seen[#seen + 1] = ok or err.code
    end
    return seen
  `, [1, 3, 3]);

  answers('first, last, collect unsubscribe when their task is cancelled', `
    local torn = roost.array {}
    local function never(name)
      return stream.create(function() return function() torn[#torn + 1] = name end end)
    end
    for _, name in ipairs { "first", "last", "collect" } do
      local task = roost.spawn(function() local s = never(name) s[name](s) end)
      roost.sleep(2)
      task:cancel()
      roost.sleep(2)
    end
    return torn
  `, ['first', 'last', 'collect']);

  test('subscribe: what nobody takes is logged, what a consumer raises too', async (t) => {
    const body = `
      local function failing() error("secret") end -- HERE
      service:message("ask", function()
        local seen = roost.array {}
        local function see(v) seen[#seen + 1] = v or "complete" end
        roost.stream.of(1, 2):subscribe { next = see, complete = see }
        roost.stream.create(failing):subscribe {}
        roost.stream.create(function(o) o:error("told") end):subscribe { error = see }
        roost.stream.of(1, 2):subscribe { next = function(v) if v == 1 then error("my own") end see(v) end }
        roost.sleep(5)
        return seen
      end)`;
    const { host, peer } = await serve(t, body);
    assert.deepEqual(await peer.call('ask'), [1, 2, 'complete', 2, 'told']);
    await host.logged(({ err }) => err?.includes('my own'));
    const { trace } = await host.logged(({ err }) => err?.includes('secret'));
    assert.match(trace, new RegExp(`^test\\.lua:${lineOf(body, 'HERE')}:`));
  });

  answers('unsubscribe ends it at once, and runs the teardown once', `
    local seen, torn = {}, 0
    local subscription = stream.create(function(observer)
      local timer = roost.every(2, function() observer:next(#seen + 1) end)
      return function() timer:cancel() torn = torn + 1 end
    end):subscribe { next = function(v) seen[#seen + 1] = v end }
    repeat roost.sleep(1) until #seen >= 3
    subscription:unsubscribe()
    subscription:unsubscribe()
    local before = #seen
    roost.sleep(10)
    return { #seen - before, torn }
  `, [0, 1]);

  test('bad arguments are errors of the line that gave them', async (t) => {
    const body = `
      service:message("ask", function(code)
        local _, err = pcall(load(code, "@here", "t", { stream = roost.stream }))
        return err
      end)`;
    const { peer } = await serve(t, body);
    for (const [code, message] of [
      ['stream.create()', 'bad argument to \'create\' (function expected, got nil)'],
      ['stream.interval("x")', 'bad argument to \'interval\' (number expected, got string)'],
      ['stream.from(7)', 'bad argument to \'from\' (function expected, got number)'],
      ['stream.of():map({})', 'bad argument to \'map\' (function expected, got table)'],
      ['stream.of():merge({})', 'bad argument to \'merge\' (stream expected, got table)'],
      ['stream.of():take()', 'bad argument to \'take\' (number expected, got nil)'],
      ['stream.of():subscribe { next = 1 }', 'bad argument to \'subscribe\' (function expected at next, got number)'],
      ['stream.of():subscribe { nxt = 1 }',
        'bad argument to \'subscribe\' (unknown key \'nxt\'; there are next, error and complete)'],
    ]) {
      assert.equal(await peer.call('ask', `local s = ${code} return s`.replace(/^local s = (.*subscribe.*) return s/, '$1')),
        `here:1: ${message}`);
    }
  });
});

describe('operators', () => {
  answers('map, filter, tap, take, reduce', `
    local seen = roost.array {}
    return {
      stream.of(1, 2, 3, 4):filter(function(v) return v % 2 == 0 end):map(function(v) return v * 10 end):collect(),
      stream.of(1, 2):tap(function(v) seen[#seen + 1] = v end):collect(), seen,
      stream.of(1, 2, 3):take(2):collect(), stream.of(1, 2):take(5):collect(), stream.of(1):take(0):collect(),
      stream.of(1, 2, 3):reduce(function(a, b) return a + b end):collect(),
      stream.of(1, 2, 3):reduce(function(a, b) return a .. b end, ""):collect(),
      stream.of():reduce(function(a, b) return a + b end):collect(),
      stream.of():reduce(function(a, b) return a + b end, 5):collect(),
    }
  `, [[20, 40], [1, 2], [1, 2], [1, 2], [1, 2], [], [6], ['123'], [], [5]]);

  answers('their functions may wait, and raise', `
    local function fails() roost.sleep(1) error({ code = 1 }) end
    local codes = roost.array {}
    for _, name in ipairs { "map", "filter", "tap", "reduce" } do
      local s = stream.of(1, 2)
      local _, err = pcall(function() return s[name](s, fails):collect() end)
      codes[#codes + 1] = err.code
    end
    local slow = stream.of(1, 2):map(function(v) roost.sleep(2) return v end)
      :filter(function() roost.sleep(2) return true end):reduce(function(a, b) roost.sleep(2) return a + b end)
    return { codes, slow:last() }
  `, [[1, 1, 1, 1], 3]);

  answers('a source that is no longer wanted is torn down', `
    local torn, running = 0, true
    local source = stream.create(function(observer)
      local over <close> = setmetatable({}, { __close = function() running = false end })
      for i = 1, math.huge do observer:next(i) roost.sleep(1) end
    end)
    local got = source:map(function(v) return v end):take(3):collect()
    roost.sleep(10)
    return { got, running }
  `, [[1, 2, 3], false]);

  answers('what follows a take goes on although its source\'s task is cancelled', `
    local source = stream.create(function(observer)
      while true do observer:next(1) roost.sleep(1) end
    end)
    local seen = roost.array {}
    source:take(1):concat(stream.of(2, 3)):map(function(v) roost.sleep(2) return v end)
      :subscribe { next = function(v) roost.sleep(2) seen[#seen + 1] = v end,
        complete = function() roost.sleep(2) seen[#seen + 1] = "complete" end }
    repeat roost.sleep(1) until seen[4]
    return seen
  `, [1, 2, 3, 'complete']);

  answers('timeout', `
    local function told(s)
      local ok, err = pcall(function() return s:collect() end)
      return ok and err or { err.name, err.code, err.message }
    end
    local function busy(v) roost.sleep(30) return v end
    return {
      told(stream.interval(60000):timeout(5)),
      told(stream.interval(2):take(3):timeout(1000)),
      told(stream.of(1):concat(stream.create(function() end)):timeout(5)),
      told(stream.of(1):map(function() roost.sleep(60000) end):timeout(5)),
      told(stream.interval(1):take(3):timeout(20):map(busy)), -- the time of who takes it is not the source's
    }
  `, [['TimeoutError', 'ETIMEDOUT', 'Timeout has occurred'], [0, 1, 2],
    ['TimeoutError', 'ETIMEDOUT', 'Timeout has occurred'],
    ['TimeoutError', 'ETIMEDOUT', 'Timeout has occurred'], [0, 1, 2]]);

  answers('retry', `
    local function failing(times, err)
      local tries = 0
      return stream.create(function(observer)
        tries = tries + 1
        observer:next(tries)
        if tries <= times then error(err or "again", 0) end
        observer:complete()
      end), function() return tries end
    end
    local function told(s)
      local ok, value = pcall(function() return s:collect() end)
      return ok and value or type(value) == "table" and value.message or value
    end
    local refused, tries = failing(3, roost.rpc_error("no"))
    local chosen = failing(3, { message = "stop" })
    return {
      told(failing(2):retry()), told(failing(2):retry(2, 1)), told(failing(3):retry(2)),
      told(refused:retry(5)), tries(),
      told(chosen:retry(5, 0, function(err) return err.message ~= "stop" end)),
      told(failing(1, roost.rpc_error("no")):retry(1, 1, function() return true end)),
    }
  `, [[1, 2, 3], [1, 2, 3], 'again', 'no', 1, 'stop', [1, 2]]);

  answers('retry of a source that fails at once, ten thousand times', `
    local n = 0
    return stream.of(1):tap(function() n = n + 1 if n < 10000 then error("again") end end):retry():map(
      function() return n end):first()
  `, 10000);

  answers('a retry that waits is given up with the subscription', `
    local n = 0
    local subscription = stream.create(function() n = n + 1 error("again") end):retry(nil, 5):subscribe {}
    roost.sleep(2)
    subscription:unsubscribe()
    roost.sleep(20)
    return n
  `, 1);

  answers('catch', `
    local failing = stream.of(1):concat(stream.create(function() error({ code = 9 }) end))
    local function told(s)
      local ok, value = pcall(function() return s:collect() end)
      return ok and value or value
    end
    return {
      told(failing:catch(function(err) return stream.of(err.code, 10) end)),
      told(failing:catch(function(err) roost.sleep(1) return err.code end)),
      told(failing:catch(function() end)),
      told(failing:catch(function() error("replaced", 0) end)),
      told(failing:catch(function() return failing end):catch(function() return "outer" end)),
    }
  `, [[1, 9, 10], [1, 9], [1], 'replaced', [1, 1, 'outer']]);

  answers('merge and concat', `
    local function failing() return stream.create(function() error("x", 0) end) end
    local _, err = pcall(function() stream.interval(60000):merge(failing()):collect() end)
    return {
      stream.of(1, 2):merge(stream.of(3)):collect(),
      stream.of(1, 2):concat(stream.of(3)):collect(),
      stream.interval(1):take(2):concat(stream.interval(1):take(2)):collect(),
      #stream.interval(1):take(3):merge(stream.interval(1):take(4)):collect(),
      stream.interval(60000):merge(stream.of("quick")):first(), err,
    }
  `, [[1, 2, 3], [1, 2, 3], [0, 1, 0, 1], 7, 'quick', 'x']);

  answers('merge: the two take turns, whoever waits', `
    local inside, most = 0, 0
    local function slow(v)
      inside = inside + 1
      most = math.max(most, inside)
      roost.sleep(2)
      inside = inside - 1
      return v
    end
    local n = #stream.interval(1):take(5):merge(stream.interval(1):take(5)):map(slow):collect()
    return { n, most }
  `, [10, 1]);

  answers('an observer that several tasks use is called one at a time, also when it is done', `
    local inside, most, seen = 0, 0, roost.array {}
    stream.create(function(observer)
      for i = 1, 3 do roost.spawn(function() observer:next(i) end) end
      roost.spawn(function() observer:complete() end)
    end):subscribe {
      next = function(v)
        inside = inside + 1
        most = math.max(most, inside)
        roost.sleep(2)
        seen[#seen + 1] = v
        inside = inside - 1
      end,
      complete = function() seen[#seen + 1] = inside end,
    }
    repeat roost.sleep(1) until seen[4] ~= nil
    return { seen, most }
  `, [[1, 2, 3, 0], 1]);

  answers('interval counts and never overlaps itself', `
    local inside, most = 0, 0
    local got = stream.interval(1):take(3):map(function(v)
      inside = inside + 1
      most = math.max(most, inside)
      roost.sleep(5)
      inside = inside - 1
      return v
    end):collect()
    return { got, most }
  `, [[0, 1, 2], 1]);

  answers('a source waits for a slow consumer', `
    local made, most = 0, 0
    local source = stream.create(function(observer)
      for i = 1, 5 do made = made + 1 observer:next(i) end
      observer:complete()
    end)
    local taken = 0
    for _ in source:each() do
      roost.sleep(1)
      taken = taken + 1
      most = math.max(most, made - taken)
    end
    return { made, most }
  `, [5, 0]);
});

describe('subjects', () => {
  answers('hot: each subscriber gets what comes later', `
    local subject, a, b = stream.subject(), roost.array {}, roost.array {}
    local taken = { subject:next("lost") }
    subject:subscribe { next = function(v) a[#a + 1] = v end, complete = function() a[#a + 1] = "end" end }
    taken[2] = subject:next(1)
    local second = subject:subscribe { next = function(v) b[#b + 1] = v end }
    taken[3] = subject:next(2)
    roost.sleep(2)
    second:unsubscribe()
    subject:next(3)
    subject:complete()
    taken[4] = subject:next("late")
    roost.sleep(2)
    return { taken, a, b, subject:collect() }
  `, [[false, true, true, false], [1, 2, 3, 'end'], [2], []]);

  answers('next never waits, and order is kept for those who do', `
    local subject, seen = stream.subject(), roost.array {}
    subject:subscribe { next = function(v) roost.sleep(2) seen[#seen + 1] = v end }
    for i = 1, 4 do subject:next(i) end
    local before = #seen
    repeat roost.sleep(1) until #seen == 4
    return { before, seen }
  `, [0, [1, 2, 3, 4]]);

  answers('first is how one task waits for another', `
    local subject = stream.subject()
    local results = roost.all {
      function() return subject:first() end,
      function() return subject:map(function(v) roost.sleep(1) return v * 2 end):first() end,
      function() return subject:take(2):collect() end,
      function() return subject:timeout(1000):last() end,
      function() return subject:merge(stream.of("own")):collect() end,
      function()
        roost.sleep(2)
        for i = 1, 3 do subject:next(i) end
        subject:complete()
      end,
    }
    return results
  `, [1, 2, [1, 2], 3, ['own', 1, 2, 3]]);

  answers('each: what comes while the loop is busy is not lost', `
    local subject, seen = stream.subject(), roost.array {}
    roost.spawn(function() for i = 1, 5 do subject:next(i) end subject:complete() end)
    for v in subject:each() do
      roost.sleep(1)
      seen[#seen + 1] = v
    end
    return seen
  `, [1, 2, 3, 4, 5]);

  answers('a subscriber that cannot follow is dropped, the others go on', `
    local subject, failed, sum = stream.subject(), nil, 0
    subject:subscribe { next = function() roost.sleep(60000) end, error = function() end }
    local slow = roost.spawn(function()
      local ok, err = pcall(function()
        for _ in subject:each() do roost.sleep(5) end
      end)
      failed = not ok and { err.name, err.code }
    end)
    roost.sleep(1)
    subject:subscribe { next = function(v) sum = sum + v end }
    for round = 1, 70 do
      for _ = 1, 1000 do subject:next(1) end
      roost.sleep(0)
    end
    repeat roost.sleep(1) until failed and sum == 70000
    return { failed, sum }
  `, [['LimitError', 'EFULL'], 70000]);

  answers('next says so when nobody took it because nobody keeps up', `
    local by_loop, by_consumer = stream.subject(), stream.subject()
    roost.spawn(function() pcall(function() for _ in by_loop:each() do roost.sleep(1000) end end) end)
    by_consumer:subscribe { next = function() roost.sleep(1000) end, error = function() end }
    roost.sleep(1)
    local taken = roost.array { 0, 0 }
    for i, subject in ipairs { by_loop, by_consumer } do
      for _ = 1, 70000 do
        if subject:next(1) then taken[i] = taken[i] + 1 end
      end
      taken[i] = taken[i] < 66000 and taken[i] > 65000
    end
    return taken
  `, [true, true]);

  answers('error reaches everybody, also who comes later', `
    local subject = stream.subject()
    local seen = roost.array {}
    subject:subscribe { error = function(err) seen[#seen + 1] = err end }
    roost.spawn(function() subject:error("over") subject:error("twice") end)
    local _, err = pcall(function() subject:collect() end)
    local _, again = pcall(function() subject:first() end)
    roost.sleep(1)
    return { err, again, seen }
  `, ['over', 'over', ['over']]);

  answers('subscribers may come and go while it calls them', `
    local subject, seen = stream.subject(), 0
    for _ = 1, 50 do
      roost.spawn(function()
        for v in subject:each() do
          seen = seen + v
          roost.spawn(function() subject:first() end)
          if v == 2 then break end
        end
      end)
    end
    roost.sleep(2)
    for i = 1, 3 do subject:next(i) roost.sleep(2) end
    return { seen, subject:next(4) }
  `, [150, false]);

  perWorkerTest('a handler may return one', async (t) => {
    const { peer } = await serve(t, `
      local subject = roost.stream.subject()
      service:message("listen", function() return subject end)
      service:message("say", function(text) return subject:next(text) end)
      service:message("close", function() subject:complete() return true end)
    `);
    const listener = await connect(t, peer.socket.remotePort);
    assert.equal(await peer.call('say', 'nobody'), false);
    await listener.send({ pattern: 'listen', id: '1' });
    await until(() => peer.call('say', 'hello'), 'the listener');
    assert.equal(await listener.frame(), item('"hello"'));
    listener.destroy();
    await until(async () => !await peer.call('say', 'gone'), 'the listener leaving');
    assert.equal(await peer.call('close'), true);
    assert.equal(await peer.ask('listen', 0, '1'), '{"isDisposed":true,"id":"1"}');
  });

  test('one that a service listens to for itself does not hold up its end', async (t) => {
    const { host, peer } = await serve(t, `
      local subject = roost.stream.subject()
      service:on_start(function()
        subject:subscribe { next = note }
        roost.stream.interval(1):subscribe { next = function() subject:next("tick") end }
      end)
    `, { reload: { drain_timeout: 60000 } });
    await until(async () => (await peer.call('notes')).length > 2, 'ticks');
    peer.destroy();
    await host.stop();
  });
});

describe('services made of them', () => {
  test('a chat room', async (t) => {
    const host = await startHost(t, { services: [shippedService('chat')] });
    const join = async (name) => {
      const peer = await connect(t, host.port);
      await peer.send({ pattern: 'chat.join', data: { room: 'tea', name }, id: name });
      assert.deepEqual((await peer.reply()).response, { from: name, text: 'joined' });
      return peer;
    };
    const ada = await join('Ada');
    const bob = await join('Bob');
    assert.deepEqual((await ada.reply()).response, { from: 'Bob', text: 'joined' });
    const talker = await connect(t, host.port);
    assert.equal(await talker.call('chat.say', { room: 'tea', name: 'Ada', text: 'hi' }), true);
    for (const peer of [ada, bob]) {
      assert.deepEqual((await peer.reply()).response, { from: 'Ada', text: 'hi' });
    }
    bob.destroy();
    assert.deepEqual((await ada.reply()).response, { from: 'Bob', text: 'left' });
    ada.destroy();
    await until(async () => !await talker.call('chat.say', { room: 'tea', name: 'x', text: 'y' }),
      'an empty room');
  });

  test('a matchmaker', async (t) => {
    const host = await startHost(t, { services: [serviceFile('matchmaker')] });
    const ask = async (name, game = 'chess') => {
      const peer = await connect(t, host.port);
      await peer.send({ pattern: 'match', data: { game, name }, id: '1' });
      await peer.send({ pattern: 'nothing', id: '2' }); // its answer says that we are in the queue
      await peer.frame();
      return peer;
    };
    const other = await ask('other', 'go');
    const before = host.descriptors;
    (await ask('gone')).reset();
    await until(() => host.descriptors === before, 'the one that left');
    const ada = await ask('Ada');
    const bob = await connect(t, host.port);
    assert.deepEqual(await bob.call('match', { game: 'chess', name: 'Bob' }), { partner: 'Ada' });
    assert.equal(await ada.frame(), last('{"partner":"Bob"}'));
    assert.equal(other.rest, '');
  });
});
