// What the tests of brokers under load share: callers that never stop, notes of what was handled, and
// how hosts share. ROOST_BROKER_LOAD=1: as often and as much as a release must stand.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { startHost, temporaryDir } from '../host.mjs';
import { lua } from '../lua.mjs';
import { connect } from '../peer.mjs';
import { sleep, until } from '../wait.mjs';

export const full = process.env.ROOST_BROKER_LOAD === '1';

export const service = (body) => `local roost = require "roost"
local service = roost.service()
${body}
return service
`;

/** Lua text: notes each event of a pattern in a file that all hosts share (notebook). */
export const noting = ({ path }, pattern = 'event', options = '{}') => `
local file = io.open(${lua(path)}, "a")
file:setvbuf("no")
service:event("${pattern}", ${options}, function(data)
  roost.sleep(1)
  file:write(data.n .. "\\n")
end)`;

/** A file for notes: how often each event was handled, by its number. */
export function notebook(t) {
  const path = join(temporaryDir(t), 'notes');
  writeFileSync(path, '');
  const counts = () => {
    const times = new Map();
    for (const line of readFileSync(path, 'utf8').split('\n').filter(Boolean)) {
      times.set(Number(line), (times.get(Number(line)) ?? 0) + 1);
    }
    return times;
  };
  return { path, counts };
}

/** Waits until every event of `kept` has been handled: those that were not, and how many were twice. */
export async function allHandled(kept, notes) {
  const missing = () => {
    const counts = notes.counts();
    return [...kept].filter((n) => !counts.has(n));
  };
  await until(() => missing().length === 0, 'every event', { ms: 60_000, every: 200 }).catch(() => {});
  return {
    lost: missing(),
    twice: [...notes.counts().values()].filter((times) => times > 1).length,
  };
}

/** What a host answers to a pattern over TCP, on a connection of its own. */
export async function askOver(t, host, pattern, data = 0) {
  const peer = await connect(t, host.port);
  try {
    return await peer.call(pattern, data);
  } finally {
    peer.destroy();
  }
}

/**
 * A host whose 50 tasks call "add" through `client`, an entry of its clients, until they are told to
 * stop, and check each sum.
 *   timeout  of a call
 *   prepare  Lua text, with the client in `client`
 *   sum      Lua text: the sum in `result`
 */
export async function load(t, client, { timeout = 3000, prepare = '', sum = 'result' } = {}) {
  const host = await startHost(t, { service: service(`
local client = roost.client("C")
${prepare}
local asked, answered, wrong, failed, stop = 0, 0, 0, {}, false
service:message("start", function()
  for i = 1, 50 do
    roost.spawn(function()
      while not stop do
        asked = asked + 1
        local a = asked
        local ok, result = pcall(client.call, client, "add", { a = a, b = i }, { timeout = ${timeout} })
        if ok then
          answered = answered + 1
          if ${sum} ~= a + i then wrong = wrong + 1 end
        else
          local name = result.code or result.name or tostring(result)
          failed[name] = (failed[name] or 0) + 1
          roost.sleep(20)
        end
      end
    end)
  end
  return true
end)
service:message("stop", function() stop = true return true end)
service:message("figures", function()
  return { asked = asked, answered = answered, wrong = wrong, failed = failed }
end)`), clients: { C: client } });
  const peer = await connect(t, host.port);
  const figures = () => peer.call('figures', 0);
  await peer.call('start', 0);
  const over = () => until(async () => {
    const now = await figures();
    const failures = Object.values(now.failed).reduce((a, b) => a + b, 0);
    return now.answered + failures === now.asked && now;
  }, 'an end of every request', { ms: 30_000 });
  return {
    host,
    figures,
    /** Waits until so many more have been answered. */
    async answers(count) {
      const { answered } = await figures();
      await until(async () => (await figures()).answered > answered + count, 'answers', { ms: 60_000 });
    },
    over,
    async stop() {
      await peer.call('stop', 0);
      return over();
    },
  };
}

/** A host that asks for so many sums, 64 at a time, through `client`; every one must be right. */
async function asker(t, client, { prepare = '', sum = 'result' }) {
  const host = await startHost(t, { service: service(`
local wrong
local client = roost.client("C")
${prepare}
service:message("ask", function(count)
  local next, left, bad = 0, 64, 0
  wrong = nil
  for i = 1, 64 do
    roost.spawn(function()
      while next < count do
        next = next + 1
        local n = next
        local ok, result = pcall(client.call, client, "add", { a = n, b = 1 }, { timeout = 0 })
        if not ok or ${sum} ~= n + 1 then bad = bad + 1 end
      end
      left = left - 1
      if left == 0 then wrong = bad end
    end)
  end
  return true
end)
service:message("wrong", function() return wrong end)`), clients: { C: client } });
  const peer = await connect(t, host.port);
  return async (count) => {
    await peer.call('ask', count);
    const wrong = await until(async () => [await peer.call('wrong', 0)].filter(Number.isInteger)[0]
      ?.toString(), 'all answers', { ms: 600_000 });
    assert.equal(wrong, '0');
  };
}

/**
 * Two hosts share requests within 60/40, a third takes its part, one that is drained loses none.
 *   start     starts a host by its name: { host, calls() }
 *   client    an entry of the asking host's clients
 *   shared    how many requests
 *   prepare, sum   as of load()
 */
export async function sharing(t, { start, client, shared, ...more }) {
  const group = [await start('one'), await start('two')];
  const ask = await asker(t, client, more);
  const calls = () => Promise.all(group.map((one) => one.calls()));
  const began = performance.now();
  await ask(shared);
  const rate = Math.round(shared / (performance.now() - began) * 1000);
  const two = await calls();
  assert.equal(two[0] + two[1], shared);
  group.push(await start('three'));
  await ask(shared / 10);
  const part = (await calls())[2] / (shared / 10);
  const draining = ask(shared / 5);
  await sleep(50);
  await group[0].host.stop();
  await draining;
  t.diagnostic(`shares ${two.join(' : ')}, the third's part ${part}, ${rate} requests/s`);
  for (const share of two) assert.ok(share >= shared * 0.4, `shares ${two}`);
  assert.ok(part > 0.2 && part < 0.5, `the third has ${part}`);
}
