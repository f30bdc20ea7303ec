// The log: what services write to it, its levels and formats.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { serve } from '../lib/service.mjs';

describe('log', () => {
  const body = `
    service:message("ask", function(_, ctx)
      ctx.log:debug("a detail")
      ctx.log:info("said hello", { user = 7, level = "mine", text = "two words", yes = true })
      ctx.log:warn("careful")
      ctx.log:error("broken")
      roost.log:info("plain")
      print("printed", 1, true)
    end)`;

  test('lines of a handler carry its request', async (t) => {
    const { host, peer } = await serve(t, body);
    await peer.ask('ask', 1, 'req-1');
    const entry = await host.logged(/said hello/);
    assert.match(entry.ts, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    assert.equal(entry.level, 'info');
    assert.equal(entry.service, 'test');
    assert.equal(entry.pattern, 'ask');
    assert.match(entry.req, /req-1/);
    assert.equal(entry.user, '7');
    assert.equal(entry.level_, 'mine');
    assert.equal(entry.text, 'two words');
    assert.equal(entry.yes, 'true');
    assert.equal((await host.logged(/careful/)).level, 'warn');
    assert.equal((await host.logged(/broken/)).level, 'error');
    assert.equal((await host.logged(/plain/)).service, 'test');
    assert.equal((await host.logged(/^printed\s+1\s+true$/)).level, 'info');
    assert.deepEqual(host.find(/a detail/), []);
  });

  test('level debug shows all, level error little', async (t) => {
    const all = await serve(t, body, { log: { level: 'debug' } });
    await all.peer.ask('ask');
    await all.host.logged(/a detail/);
    const few = await serve(t, body, { log: { level: 'error' } });
    await few.peer.ask('ask');
    await few.host.logged(/broken/);
    assert.deepEqual(few.host.find(({ level }) => level !== 'error'), []);
  });

  test('format json', async (t) => {
    const { host, peer } = await serve(t, `
      service:message("ask", function(_, ctx) ctx.log:info("a \\"b\\"\\n", { user = "é" }) end)
    `, { log: { format: 'json' } });
    await peer.ask('ask');
    await host.stop();
    const lines = host.log.trim().split('\n').map((line) => JSON.parse(line));
    const entry = lines.find(({ msg }) => msg?.startsWith('a "b"'));
    assert.equal(entry.level, 'info');
    assert.equal(entry.user, 'é');
    assert.equal(entry.service, 'test');
  });

  test('what a service writes cannot forge a line', async (t) => {
    const { host, peer } = await serve(t, `
      service:message("ask", function(data, ctx) ctx.log:info(data, { k = data }) end)
    `);
    await peer.ask('ask', 'one\ntwo level=error " \\ \u0007 end');
    const entry = await host.logged(/^one/);
    assert.equal(entry.level, 'info');
    assert.equal(host.log.split('\n').filter((line) => line.startsWith('two')).length, 0);
    assert.match(entry.k, /two level=error " \\ .* end$/s);
  });

  test('standard output stays empty', async (t) => {
    const { host, peer } = await serve(t, body);
    await peer.ask('ask');
    await host.stop();
    assert.equal(host.output, '');
  });
});
