// One client under load while its server dies and comes back; calls that end before their reply.
// ROOST_CLIENT_LOAD=200000/20/1000000 says how many requests, restarts and cancelled calls.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { memorySlack, roostBin, scaled } from '../lib/env.mjs';
import { temporaryDir } from '../lib/host.mjs';
import { startTarget } from '../lib/target.mjs';
import { undo, within } from '../lib/wait.mjs';

const [requests, restarts, cancelled] = (process.env.ROOST_CLIENT_LOAD
  ?? scaled('20000/5/20000', '5000/3/5000')).split('/').map(Number);

/** Starts a program; onLine is given each line it prints. */
function start(t, text, args, onLine) {
  const cwd = temporaryDir(t, { 'main.lua': text });
  const child = spawn(roostBin, ['exec', 'main.lua', ...args.map(String)], { cwd });
  undo(t, () => child.kill('SIGKILL'));
  const closed = once(child, 'close');
  let [held, stderr] = ['', ''];
  child.stderr.setEncoding('utf8').on('data', (part) => (stderr += part));
  child.stdout.setEncoding('utf8').on('data', (part) => {
    const lines = (held + part).split('\n');
    held = lines.pop();
    lines.forEach(onLine);
  });
  return async () => {
    const [code] = await within(closed, 'the program', 600_000);
    assert.deepEqual({ code, stderr }, { code: 0, stderr: '' });
  };
}

const prelude = `local roost = require "roost"
io.stdout:setvbuf "line"
local port, total, every = tonumber(arg[1]), tonumber(arg[2]), tonumber(arg[3])
local function rss()
  collectgarbage() collectgarbage()
  for line in io.lines "/proc/self/status" do
    local kb = line:match "^VmRSS:%s+(%d+)"
    if kb then return tonumber(kb) * 1024 end
  end
end
`;

describe('one client', () => {
  test(`${requests} requests, 64 in flight, to a server that dies ${restarts} times`, async (t) => {
    let target = await startTarget(t);
    const { port } = target;
    const restarting = [];
    const seen = {};
    const allRestarted = join(temporaryDir(t), 'all-restarted'); // a file, once that is so
    const over = start(t, `${prelude}
      local client = roost.client { transport = "tcp", host = "127.0.0.1", port = port,
        retry_attempts = 1000, retry_delay = 5 }
      local reconnects, counts, ended, next_number, before = -1, {}, 0, 0, nil
      client:on("connect", function() reconnects = reconnects + 1 end)
      local function count(name) counts[name] = (counts[name] or 0) + 1 end
      local function work()
        while next_number < total do
          next_number = next_number + 1
          local number = next_number
          if number % every == 0 and number < total then print("kill") end
          if number == total // 2 then before = rss() end
          local ok, result
          if number % 10 == 0 then
            ok, result = pcall(function() return #client:send("count", { upto = 5 }):collect() end)
            if ok then result = result == 5 and number end
          elseif number % 10 == 1 then
            ok, result = pcall(client.call, client, "wait", { ms = 1, value = number })
          else
            ok, result = pcall(client.call, client, "echo", number)
          end
          ended = ended + 1
          count(not ok and result.code or result == number and "ok" or "wrong")
        end
      end
      local fns = {}
      for i = 1, 64 do fns[i] = work end
      roost.all(fns)
      print("missing", total - ended)
      print("reconnects", reconnects)
      for name, n in pairs(counts) do print(name, n) end
      print("grown", rss() - before)
      repeat -- the last of them may be late
        roost.sleep(10)
        local file <close> = io.open(arg[4])
      until file
      print("echo after all", client:call("echo", 1))
    `, [port, requests, Math.ceil(requests / (restarts + 1)), allRestarted], (line) => {
      const [name, value] = line.split('\t');
      if (name !== 'kill') {
        seen[name] = Number(value);
        const say = () => writeFileSync(allRestarted, '');
        if (name === 'grown') restarting.at(-1).then(say, say);
        return;
      }
      restarting.push((restarting.at(-1) ?? Promise.resolve()).then(async () => {
        await target.kill();
        target = await startTarget(t, { port });
      }));
    });
    await over().finally(() => Promise.all(restarting)); // no target is left behind
    t.diagnostic(JSON.stringify(seen));
    const { ok = 0, ECLOSED = 0, wrong = 0 } = seen;
    assert.equal(seen.missing, 0);
    assert.equal(wrong, 0);
    assert.equal(ok + ECLOSED, requests, JSON.stringify(seen));
    assert.equal(restarting.length, restarts);
    assert.ok(seen.reconnects >= 1);
    assert.ok(seen.grown <= 4 * 2 ** 20 + memorySlack, `grown by ${seen.grown}`);
    assert.equal(seen['echo after all'], 1);
  });

  test(`${cancelled} calls that are cancelled or run out of time`, async (t) => {
    const { port } = await startTarget(t);
    const seen = {};
    await start(t, `${prelude}
      local client = roost.client { transport = "tcp", host = "127.0.0.1", port = port }
      local before
      local timeouts, cancels, tasks = 0, 0, {}
      local function one(number)
        if number % 100 == 0 then
          local ok, err = pcall(client.call, client, "wait", { ms = 20, value = 1 }, { timeout = 1 })
          if not ok and err.name == "TimeoutError" then timeouts = timeouts + 1 end
          return
        end
        tasks[#tasks + 1] = roost.spawn(function()
          local ok, err = pcall(function()
            if number % 2 == 0 then client:call("echo", 1) else client:send("echo", 1):last() end
          end)
          if not ok and err.name == "CancelledError" then cancels = cancels + 1 end
        end)
        if #tasks < 10 then return end
        roost.sleep(0) -- they have sent their requests
        for _, task in ipairs(tasks) do task:cancel() end
        tasks = {}
      end
      local function run(from, to)
        for number = from, to do
          one(number)
          if number % 50 == 0 then client:call("echo", 1) end
        end
      end
      run(1, total // 2)
      before = rss()
      run(total // 2 + 1, total)
      client:call("wait", { ms = 30 })
      print("grown", rss() - before)
      print("timeouts", timeouts)
      print("cancels", cancels)
      print("echo after all", client:call("echo", 1))
    `, [port, cancelled, 1], (line) => {
      const [name, value] = line.split('\t');
      seen[name] = Number(value);
    })();
    t.diagnostic(JSON.stringify(seen));
    assert.ok(seen.grown <= 2 * 2 ** 20 + memorySlack, `grown by ${seen.grown}`);
    assert.ok(seen.timeouts > 0 && seen.cancels > cancelled / 2, JSON.stringify(seen));
    assert.equal(seen['echo after all'], 1);
  });
});
