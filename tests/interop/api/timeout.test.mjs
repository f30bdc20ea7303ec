// Time-outs of handlers, and how a task that is out of time is ended.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { end, failure, item, last } from '../lib/frames.mjs';
import { serve } from '../lib/service.mjs';
import { sleep } from '../lib/wait.mjs';

const timedOut = failure('{"status":"error","message":"Timeout has occurred"}', '"ask"');

describe('time-outs', () => {
  test('limits.request_timeout', async (t) => {
    const { peer } = await serve(t, `
      service:message("slow", function() roost.sleep(3600000) end)
    `, { limits: { request_timeout: 100 } });
    assert.equal(await peer.ask('slow'), timedOut);
    assert.deepEqual(await peer.call('notes'), []);
  });

  test('a handler\'s own, shorter or longer', async (t) => {
    const { peer } = await serve(t, `
      service:message("shorter", { timeout = 50 }, function() roost.sleep(3600000) end)
      service:message("longer", { timeout = 60000 }, function() roost.sleep(700) return "done" end)
    `, { limits: { request_timeout: 300 } });
    assert.equal(await peer.ask('shorter'), timedOut);
    assert.equal(await peer.ask('longer'), last('"done"', '"ask"'));
  });

  test('a task that catches every cancel and waits again is reset; others go on', async (t) => {
    const { peer } = await serve(t, `
      service:message("stubborn", function() while true do pcall(roost.sleep, 10) end end)
      service:message("race", function()
        return roost.race {
          function() roost.sleep(1) return "first" end,
          function() while true do pcall(roost.sleep, 5) end end,
        }
      end)
      service:message("echo", function(data) return data end)
    `, { limits: { request_timeout: 100 } });
    assert.equal(await peer.ask('stubborn'), timedOut);
    assert.equal(await peer.call('echo', 1), 1);
    assert.equal(await peer.call('race'), 'first');
    assert.equal(await peer.call('echo', 2), 2);
  });

  test('each reply starts it anew', async (t) => {
    const { peer } = await serve(t, `
      service:message("steady", { timeout = 600 }, function(_, ctx)
        for i = 1, 6 do
          roost.sleep(200)
          ctx:emit(i)
        end
      end)
      service:message("stalls", { timeout = 200 }, function(_, ctx)
        ctx:emit(1)
        roost.sleep(3600000)
      end)
    `);
    await peer.send({ pattern: 'steady', id: '1' });
    for (let i = 1; i < 6; i++) assert.equal(await peer.frame(), item(i));
    assert.equal(await peer.frame(), last('6'));
    assert.equal(await peer.ask('stalls'), item('1', '"ask"'));
    assert.equal(await peer.frame(), timedOut);
  });

  test('a stream that nobody feeds', async (t) => {
    const { peer, notes } = await serve(t, `
      service:message("silent", { timeout = 100 }, function()
        return roost.stream.create(function(observer)
          observer:next("first")
          return function() note("torn down") end
        end)
      end)
    `);
    assert.equal(await peer.ask('silent'), item('"first"', '"ask"'));
    assert.equal(await peer.frame(), timedOut);
    assert.deepEqual(await notes(1), ['torn down']);
  });

  test('CancelledError comes out of the wait and of each later one', async (t) => {
    const { peer, notes } = await serve(t, `
      service:message("stubborn", { timeout = 50 }, function()
        for _ = 1, 2 do
          local _, err = pcall(roost.sleep, 3600000)
          note(err.name .. " " .. err.code)
        end
      end)
    `);
    assert.equal(await peer.ask('stubborn'), timedOut);
    assert.deepEqual(await notes(2), Array(2).fill('CancelledError ECANCELED'));
    assert.equal(peer.rest, '');
  });

  test('<close> variables run while it unwinds, and may wait', async (t) => {
    const { peer, notes } = await serve(t, `
      service:message("tidy", { timeout = 50 }, function()
        local resource <close> = setmetatable({}, { __close = function()
          note("closing")
          roost.sleep(20)
          note("closed")
        end })
        roost.sleep(3600000)
        note("not reached")
      end)
    `);
    assert.equal(await peer.ask('tidy'), timedOut);
    assert.deepEqual(await notes(2), ['closing', 'closed']);
  });

  test('a task that does not end is reset, and its service goes on', async (t) => {
    const { peer, notes } = await serve(t, `
      service:message("clings", { timeout = 50 }, function()
        local resource <close> = setmetatable({}, { __close = function()
          note("closing")
          roost.sleep(3600000)
        end })
        roost.sleep(3600000)
      end)
    `);
    assert.equal(await peer.ask('clings'), timedOut);
    await notes(1);
    await sleep(1300);
    assert.equal(await peer.ask('clings'), timedOut);
  });

  test('an event that is out of time is ended silently', async (t) => {
    const { peer, notes } = await serve(t, `
      service:event("slow", function()
        local _, err = pcall(roost.sleep, 3600000)
        note(err.name)
      end)
    `, { limits: { request_timeout: 100 } });
    await peer.send({ pattern: 'slow', data: 1 });
    assert.deepEqual(await notes(1), ['CancelledError']);
    assert.equal(peer.rest, '');
  });

  test('a request that waits for its time-out when the connection breaks', async (t) => {
    const { peer } = await serve(t, `
      service:message("slow", { timeout = 100 }, function() roost.sleep(3600000) end)
    `);
    await peer.send({ pattern: 'slow', id: 'ask' });
    await peer.write('rubbish#');
    assert.equal(await peer.frame(), timedOut);
    assert.equal(await peer.closed(), 'fin');
  });

  test('nil completes, and a value after emits is one more reply', async (t) => {
    const { peer } = await serve(t, `
      service:message("nothing", function() end)
      service:message("more", function(_, ctx) ctx:emit(1) return 2 end)
      service:message("and null", function(_, ctx) ctx:emit(1) return roost.null end)
    `);
    assert.equal(await peer.ask('nothing'), end('"ask"'));
    assert.equal(await peer.ask('more'), item('1', '"ask"'));
    assert.equal(await peer.frame(), last('2', '"ask"'));
    assert.equal(await peer.ask('and null'), item('1', '"ask"'));
    assert.equal(await peer.frame(), last('null', '"ask"'));
  });
});
