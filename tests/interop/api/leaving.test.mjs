// What a service sees when its caller leaves.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { stateTest } from '../lib/env.mjs';
import { last } from '../lib/frames.mjs';
import { serve } from '../lib/service.mjs';

const ways = ['fin', 'reset', 'destroy'];

describe('callers that leave', () => {
  for (const how of ways) {
    test(`${how}: a handler that waits runs on and can tell`, async (t) => {
      const { peer, notes } = await serve(t, `
        service:message("ask", function(_, ctx)
          note(ctx:cancelled())
          while not ctx:cancelled() do roost.sleep(10) end
          note(ctx:emit("too late"))
          roost.sleep(10)
          note("done")
        end)
      `);
      await peer.send({ pattern: 'ask', id: '1' });
      await notes(1);
      peer[how]();
      assert.deepEqual(await notes(3), ['false', 'false', 'done']);
    });

    stateTest(`${how}: a stream made by create is torn down`, async (t) => {
      const { peer, notes } = await serve(t, `
        service:message("ticks", function()
          return roost.stream.create(function(observer)
            local n = 0
            local timer = roost.every(10, function()
              n = n + 1
              observer:next(n)
            end)
            return function()
              timer:cancel()
              note("torn down")
              note(observer:next(0))
            end
          end)
        end)
      `);
      await peer.send({ pattern: 'ticks', id: '1' });
      await peer.frame();
      peer[how]();
      assert.deepEqual(await notes(2), ['torn down', 'false']);
    });

    test(`${how}: a handler that emits is told or ended`, async (t) => {
      const { peer, notes } = await serve(t, `
        service:message("ticks", function(_, ctx)
          local cleanup <close> = setmetatable({}, { __close = function() note("closed") end })
          while ctx:emit("tick") do roost.sleep(10) end
        end)
      `);
      await peer.send({ pattern: 'ticks', id: '1' });
      await peer.frame();
      peer[how]();
      assert.deepEqual(await notes(1), ['closed']);
    });

    test(`${how}: a handler that emits and then waits can tell at its next emit`, async (t) => {
      const { peer, notes } = await serve(t, `
        service:message("seldom", function(_, ctx)
          ctx:emit("first")
          while not ctx:cancelled() do roost.sleep(10) end
          note(ctx:emit("second"))
        end)
      `);
      await peer.send({ pattern: 'seldom', id: '1' });
      await peer.frame();
      peer[how]();
      assert.deepEqual(await notes(1), ['false']);
    });
  }

  test('half close: the single reply still comes, although the stream has ended', async (t) => {
    const { peer, notes } = await serve(t, `
      service:message("single", function() roost.sleep(200) return "here" end)
      service:message("stream", function()
        return roost.stream.create(function(observer)
          observer:next(1)
          return function() note("torn down") end
        end)
      end)
    `);
    await peer.send({ pattern: 'stream', id: 's' });
    await peer.frame();
    await peer.send({ pattern: 'single', id: '1' });
    peer.fin();
    assert.deepEqual(await notes(1), ['torn down']);
    assert.equal(await peer.frame(), last('"here"'));
    assert.equal(await peer.closed(), 'fin');
  });

  test('a stream that completes is torn down once', async (t) => {
    const { peer, notes } = await serve(t, `
      service:message("short", function()
        return roost.stream.create(function(observer)
          observer:next(1)
          observer:complete()
          note(observer:next(2))
          return function() note("torn down") end
        end)
      end)
    `);
    assert.equal(await peer.ask('short'), last('1', '"ask"'));
    assert.deepEqual(await notes(2), ['false', 'torn down']);
    peer.destroy();
    assert.deepEqual(await notes(2), ['false', 'torn down']);
  });

  test('emit gives true while somebody listens, and false for an event', async (t) => {
    const { peer, notes } = await serve(t, `
      service:message("request", function(_, ctx) note(ctx:emit(1)) end)
      service:event("event", function(_, ctx) note(ctx:emit(1)) end)
    `);
    await peer.ask('request');
    await peer.send({ pattern: 'event', data: 1 });
    assert.deepEqual(await notes(2), ['true', 'false']);
  });

  test('ctx:unwrap():close() drops the caller', async (t) => {
    const { peer } = await serve(t, `
      service:event("drop", function(_, ctx) ctx:unwrap():close() end)
    `);
    await peer.send({ pattern: 'drop', data: 1 });
    await peer.closed();
  });
});
