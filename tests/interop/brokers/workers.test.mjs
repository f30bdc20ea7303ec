// A broker's session is one for all workers of a host, and its messages are everybody's.
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { startMosquitto, binding, mqttClient } from '../lib/brokers/mqtt.mjs';
import { roost } from '../lib/cli.mjs';
import { startHost } from '../lib/host.mjs';
import { suiteScope, until } from '../lib/wait.mjs';

const file = suiteScope();
let broker;
before(async () => (broker = await startMosquitto(file)));

const each = `local roost = require "roost"
local service = roost.service()
local own = math.random(1 << 40)
service:message("who", function(_, ctx) return { own, ctx.server, ctx:unwrap().topic } end)
service:message("wrong", function() error(roost.rpc_error("no")) end)
service:message("slow", function() roost.sleep(300) return own end)
service:message("count", function(upto, ctx) for i = 1, upto do ctx:emit(i) end end)
service:event("told", { qos = 1 }, function(n, ctx)
  roost.store:incr("told", n)
  if n == 2 then assert(ctx:ack() and not ctx:nack()) end
end)
service:message("sum", function() return roost.store:get("told") or 0 end)
service:on_handoff(function() return own end)
service:on_adopt(function(given) own = given end)
return service
`;

const one = `local roost = require "roost"
local service = roost.service { instances = 1 }
local count = 0
service:message("next", function(n) count = count + n return count end)
service:on_handoff(function() return count end)
service:on_adopt(function(given) count = given end)
return service
`;

const start = (t) => startHost(t, {
  services: 'services', workers: 3, servers: [{ ...binding.roost(broker), name: 'queue' }],
  files: { 'services/each.lua': each, 'services/one.lua': one },
});

const call = async (pattern, data = {}) => {
  const { stdout, stderr } = await roost(
    ['call', '--url', broker.url, '--timeout', '5000', pattern, JSON.stringify(data)]);
  return stdout === '' ? stderr.trim() : stdout.trim().split('\n').map((line) => JSON.parse(line));
};

test('requests are spread over all workers, and answered from each', async (t) => {
  const host = await start(t);
  await host.logged(/^connected$/);
  const owns = new Set();
  for (let i = 0; i < 6; i += 1) {
    const [[own, server, topic]] = await call('who');
    owns.add(own);
    assert.deepEqual([server, topic], ['queue', 'who']);
  }
  assert.equal(owns.size, 3);
  for (let i = 0; i < 3; i += 1) assert.deepEqual(await call('wrong'), 'no');
  for (let i = 0; i < 3; i += 1) assert.deepEqual(await call('count', 5), [1, 2, 3, 4, 5]);
});

test('a singleton stays one', async (t) => {
  const host = await start(t);
  await host.logged(/^connected$/);
  for (let i = 1; i <= 6; i += 1) assert.deepEqual(await call('next', 1), [i]);
});

test('events are handled once, by some worker, and settled by it', async (t) => {
  const host = await start(t);
  await host.logged(/^connected$/);
  const client = await mqttClient(t, broker);
  for (let i = 0; i < 30; i += 1) {
    await client.publish('told', JSON.stringify({ pattern: 'told', data: i % 3 }), { qos: 1 });
  }
  await until(async () => (await call('sum'))[0] === 30, 'all events');
});

test('what runs on another worker is answered before the host stops', async (t) => {
  const host = await start(t);
  await host.logged(/^connected$/);
  const running = Array.from({ length: 6 }, () => call('slow'));
  const inFlight = async () => {
    const { stdout } = await roost(['status', '--json'], { cwd: host.dir });
    return JSON.parse(stdout).services.each.in_flight;
  };
  await until(async () => await inFlight() > 0, 'requests that run');
  host.signal('SIGTERM');
  const answers = await Promise.all(running);
  assert.ok(answers.some((answer) => typeof answer[0] === 'number'), String(answers));
  assert.deepEqual(await host.exited, { code: 0, signal: null });
});
