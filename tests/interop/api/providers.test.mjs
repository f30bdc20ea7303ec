// Providers: values that a request makes and that are closed with it.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { stateTest } from '../lib/env.mjs';
import { item, last, masked } from '../lib/frames.mjs';
import { serve } from '../lib/service.mjs';

const resources = `
  local made = 0
  local function resource(name, needs)
    service:provide(name, function(ctx)
      roost.sleep(1)
      if needs then ctx:get(needs) end
      made = made + 1
      note("make " .. name)
      return {
        number = made,
        close = function(self)
          roost.sleep(1)
          note("close " .. name)
        end,
      }
    end)
  end
`;

describe('ctx:get', () => {
  stateTest('makes at first use, gives the same later, closes in reverse after the reply', async (t) => {
    const { peer, notes } = await serve(t, `${resources}
      resource("db")
      resource("repository", "db")
      resource("unused")
      service:provide("plain", function() return "text" end)
      service:message("ask", function(_, ctx)
        local repository = ctx:get("repository")
        note(ctx:get("repository") == repository)
        note(ctx:get("plain"))
        return ctx:get("db").number
      end)
    `);
    assert.equal(await peer.ask('ask'), last('1', '"ask"'));
    assert.deepEqual(await notes(6),
      ['make db', 'make repository', 'true', 'text', 'close repository', 'close db']);
    assert.equal(await peer.ask('ask'), last('3', '"ask"'));
  });

  test('for guards, pipes and events, and two tasks at once', async (t) => {
    const { peer, notes } = await serve(t, `${resources}
      resource("db")
      service:event("happened", {
        guards = function(ctx) return ctx:get("db").number == 1 end,
        pipes = function(data, ctx) return data + ctx:get("db").number end,
      }, function(data, ctx)
        note(data)
        local both = roost.all { function() return ctx:get("db") end, function() return ctx:get("db") end }
        note(both[1] == both[2])
      end)
      service:message("parallel", function(_, ctx)
        local both = roost.all { function() return ctx:get("db") end, function() return ctx:get("db") end }
        return both[1] == both[2]
      end)
    `);
    await peer.send({ pattern: 'happened', data: 1 });
    assert.deepEqual(await notes(4), ['make db', '2', 'true', 'close db']);
    assert.equal(await peer.call('parallel'), true);
  });

  stateTest('closed when the handler fails, when its time is over, and when its caller leaves', async (t) => {
    const { peer, notes } = await serve(t, `${resources}
      resource("db")
      service:message("fails", function(_, ctx) ctx:get("db") error("secret") end)
      service:message("late", { timeout = 30 }, function(_, ctx) ctx:get("db") roost.sleep(3600000) end)
      service:message("stream", function(_, ctx)
        ctx:get("db")
        return roost.stream.interval(5)
      end)
    `);
    assert.equal(await peer.ask('fails'), masked('"ask"'));
    assert.deepEqual(await notes(2), ['make db', 'close db']);
    assert.match(await peer.ask('late'), /Timeout/);
    assert.equal((await notes(4)).at(-1), 'close db');
    await peer.send({ pattern: 'stream', id: '1' });
    assert.equal(await peer.frame(), item('0'));
    assert.deepEqual((await notes(5)).slice(5), []);
    peer.destroy();
    assert.equal((await notes(6)).at(-1), 'close db');
  });

  test('closed also when the handler resists until it is ended by force', async (t) => {
    const { peer, notes } = await serve(t, `${resources}
      resource("db")
      service:message("stubborn", { timeout = 30 }, function(_, ctx)
        ctx:get("db")
        while true do pcall(roost.sleep, 3600000) end
      end)
    `);
    assert.match(await peer.ask('stubborn'), /Timeout/);
    assert.deepEqual(await notes(2), ['make db', 'close db']);
  });

  stateTest('a stream\'s values are closed after its last item', async (t) => {
    const { peer, notes } = await serve(t, `${resources}
      resource("db")
      service:message("ask", function(_, ctx)
        ctx:get("db")
        return roost.stream.interval(2):take(2):tap(function(v) note(v) end)
      end)
    `);
    assert.equal(await peer.ask('ask', 0, '1'), item('0'));
    assert.equal(await peer.frame(), last('1'));
    assert.deepEqual(await notes(4), ['make db', '0', '1', 'close db']);
  });

  test('one that cannot be closed is logged, and the others are closed', async (t) => {
    const { host, peer, notes } = await serve(t, `${resources}
      resource("db")
      service:provide("bad", function() return { close = function() error("stuck door") end } end)
      service:message("ask", function(_, ctx) ctx:get("db") ctx:get("bad") return 1 end)
    `);
    assert.equal(await peer.ask('ask'), last('1', '"ask"'));
    assert.deepEqual(await notes(2), ['make db', 'close db']);
    const entry = await host.logged(({ err }) => err?.includes('stuck door'));
    assert.equal(entry.req, 'ask');
    assert.match(entry.trace, /test\.lua/);
  });

  test('what is wrong is said', async (t) => {
    const { peer, notes } = await serve(t, `
      service:provide("a", function(ctx) return ctx:get("b") end)
      service:provide("b", function(ctx) roost.sleep(1) return ctx:get("a") end)
      service:provide("none", function() end)
      service:provide("fails", function() error("no luck", 0) end)
      service:message("ask", function(name, ctx)
        local ok, err = pcall(ctx.get, ctx, name)
        return { ok, tostring(err) }
      end)
      service:message("both", function(_, ctx)
        local ok, err = pcall(roost.all, { function() ctx:get("a") end, function() ctx:get("b") end })
        return { ok, tostring(err) }
      end)
      service:message("late", function(_, ctx)
        roost.spawn(function()
          roost.sleep(20)
          local _, err = pcall(function() ctx:get("fails") end)
          note(err)
        end)
      end)
    `);
    for (const [name, message] of Object.entries({
      missing: 'ctx:get: there is no provider \'missing\'',
      a: 'provider \'a\' needs itself, through others that it gets',
      none: 'provider \'none\' gave nil',
      fails: 'no luck',
    })) {
      const [ok, err] = await peer.call('ask', name);
      assert.equal(ok, false);
      assert.ok(err.includes(message), err);
    }
    assert.match((await peer.call('both'))[1], /needs itself/);
    await peer.ask('late');
    assert.match((await notes(1))[0], /test\.lua:\d+: ctx:get: the request is over/);
  });
});
