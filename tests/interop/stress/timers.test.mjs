// Timers and tasks without end fill their service's memory, and keep nobody else waiting.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { masked } from '../lib/frames.mjs';
import { startHost } from '../lib/host.mjs';
import { connect } from '../lib/peer.mjs';
import { luaService } from '../lib/service.mjs';

const other = luaService('service:message("other", function(n) return n end)');
const bombs = {
  'timers that are far away': 'while true do roost.after(100000, print) end',
  'timers that are due at once': 'for i = 1, 100000 do roost.every(1, function() end) end',
  'tasks that sleep': 'while true do roost.spawn(function() roost.sleep(100000) end) end',
  'streams of timers':
    'local kept = {} while true do kept[#kept + 1] = roost.stream.interval(1000):subscribe{} end',
};

describe('another service goes on beside', () => {
  for (const [name, body] of Object.entries(bombs)) {
    test(name, async (t) => {
      const host = await startHost(t, {
        services: 'services',
        files: {
          'services/bomb.lua': luaService(`service:message("bomb", function() ${body} end)`),
          'services/other.lua': other,
        },
        workers: 1,
        limits: { service_memory: 16 * 2 ** 20, handler_cpu: 5000 },
      });
      const peer = await connect(t, host.port);
      const bomber = await connect(t, host.port);
      assert.equal(await bomber.ask('bomb', 1, 'b'), masked('"b"'));
      for (let n = 0; n < 20; n++) assert.equal(await peer.call('other', n), n);
      assert.equal(await bomber.ask('bomb', 1, 'again'), masked('"again"'));
      assert.equal(await peer.call('other', 'after'), 'after');
      await host.stop();
    });
  }

  test('what timers keep when they come', async (t) => {
    const host = await startHost(t, {
      services: 'services',
      files: {
        'services/bomb.lua': luaService(`service:message("bomb", function()
          local kept = {}
          for i = 1, 8000 do roost.after(50, function() kept[#kept + 1] = ("x"):rep(5000) .. i end) end
          return "made"
        end)`),
        'services/other.lua': other,
      },
      workers: 1,
      limits: { service_memory: 16 * 2 ** 20 },
    });
    const peer = await connect(t, host.port);
    assert.equal(await peer.call('bomb', 1), 'made');
    const ends = Date.now() + 500;
    for (let n = 0; Date.now() < ends; n++) assert.equal(await peer.call('other', n), n);
  });
});
