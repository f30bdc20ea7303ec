// What runs while its service is reloaded: streams, waits, timers, hooks.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { perWorkerTest } from '../lib/env.mjs';
import { failure, item } from '../lib/frames.mjs';
import { connect } from '../lib/peer.mjs';
import { startWatching } from '../lib/reload.mjs';
import { luaService } from '../lib/service.mjs';
import { until } from '../lib/wait.mjs';

const streams = (name) => luaService(`
local marker = setmetatable({}, { __gc = function() roost.log:info("state closed", { code = "${name}" }) end })
service:message("count", function(data, ctx)
  local closing <close> = setmetatable({}, { __close = function()
    roost.log:info("stream over", { code = "${name}" })
  end })
  for i = 1, data.upto do
    if not ctx:emit("${name}" .. i) then return end
    repeat roost.sleep(data.ms) until not data.held or roost.store:get("go")
  end
end)
service:message("go", function() roost.store:set("go", true) end)
service:message("who", function() return marker and "${name}" end)
`);

const closedStates = (host) => host.find(/^state closed$/).map(({ code }) => code);

describe('streams', () => {
  perWorkerTest('one that runs finishes on the old code, and then its state is closed', async (t) => {
    const host = await startWatching(t, {
      files: { 'services/test.lua': streams('old') }, reload: { drain_timeout: 20000 },
    });
    const [peer, other] = [await connect(t, host.port), await connect(t, host.port)];
    await peer.send({ pattern: 'count', data: { upto: 20, ms: 5, held: true }, id: '1' });
    assert.equal(await peer.frame(), item('"old1"'));
    await host.reload('services/test.lua', streams('new'));
    assert.equal(await other.call('who'), 'new');
    assert.ok(!closedStates(host).includes('old'));
    await other.call('go');
    for (let i = 2; i < 20; i++) assert.equal(await peer.frame(), item(`"old${i}"`));
    // The last item waits for the next one, and goes out with the end.
    assert.match(await peer.frame(), /old20/);
    await until(() => closedStates(host).includes('old'), 'the old state being closed');
    assert.deepEqual(host.find(/drain_timeout/), []);
  });

  perWorkerTest('one that outlives drain_timeout ends with an error that can be told', async (t) => {
    const host = await startWatching(t, {
      files: { 'services/test.lua': streams('old') }, reload: { drain_timeout: 100 },
    });
    const peer = await connect(t, host.port);
    await peer.send({ pattern: 'count', data: { upto: 1000000, ms: 5 }, id: '1' });
    await peer.frame();
    await host.reload('services/test.lua', streams('new'));
    let last;
    do last = await peer.frame(); while (last.includes('"response"'));
    assert.equal(last, failure('{"status":"error","message":"Service is shutting down"}'));
    await until(() => closedStates(host).includes('old'), 'the old state being closed');
    assert.equal(host.find(/^stream over$/)[0].code, 'old');
    assert.equal(host.find(/drain_timeout is over/).length, 1);
    assert.equal(await peer.call('who'), 'new');
  });

  test('many at once, from callers that leave, read slowly or stay', async (t) => {
    const host = await startWatching(t, {
      files: { 'services/test.lua': streams('v0') }, reload: { drain_timeout: 400 },
    });
    const peers = await Promise.all(Array.from({ length: 12 }, () => connect(t, host.port)));
    for (let version = 1; version <= 10; version++) {
      for (const [i, peer] of peers.entries()) {
        await peer.send({ pattern: 'count', data: { upto: 10 * i, ms: 1 }, id: String(version) });
      }
      peers.at(-1).pause();
      peers.shift().destroy();
      peers.push(await connect(t, host.port));
      await host.reload('services/test.lua', streams(`v${version}`));
    }
    const olds = () => new Set(closedStates(host).filter((name) => name !== 'v10'));
    await until(() => olds().size === 10, 'all old states being closed');
    assert.equal(await (await connect(t, host.port)).call('who'), 'v10');
  });
});

describe('timers', () => {
  test('those of the old code end, also one that was just running', async (t) => {
    const timers = (name) => luaService(`
roost.store:set("${name}", 0)
roost.every(1, function() roost.store:incr("${name}", 1) roost.sleep(3) end)
roost.every(1, function() roost.store:incr("${name}", 1) end)
service:message("ticks", function() return { roost.store:get("old"), roost.store:get("new") or -1 } end)`);
    const host = await startWatching(t, {
      files: { 'services/test.lua': timers('old') }, reload: { drain_timeout: 20000 },
    });
    const peer = await connect(t, host.port);
    await until(async () => (await peer.call('ticks'))[0] > 5, 'the old timers');
    await host.reload('services/test.lua', timers('new'));
    await until(async () => (await peer.call('ticks'))[1] > 5, 'the new timers');
    const [before] = await peer.call('ticks');
    const more = (await peer.call('ticks'))[1] + 20;
    await until(async () => (await peer.call('ticks'))[1] > more, 'more ticks');
    const [after] = await peer.call('ticks');
    assert.equal(after, before);
  });
});
