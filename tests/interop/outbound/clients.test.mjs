// Clients as services and programs have them: named, shared, closed; and what a server tells.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { describe, test } from 'node:test';
import { roost } from '../lib/cli.mjs';
import { stateTest } from '../lib/env.mjs';
import { configText, startHost, temporaryDir } from '../lib/host.mjs';
import { code } from '../lib/lua.mjs';
import { connect, freePort } from '../lib/peer.mjs';
import { luaService } from '../lib/service.mjs';
import { startNestServer, startTarget } from '../lib/target.mjs';
import { until } from '../lib/wait.mjs';

describe('clients of a host', () => {
  test('a named one is shared by the services of a worker, and may be a function', async (t) => {
    const target = await startTarget(t);
    const callers = ['a', 'b'].map((name) => [`services/${name}.lua`, luaService(`
      local client = roost.client "SHARED"
      service:message("${name}", function() return client:unwrap()["local"].port end)
      service:message("connect ${name}", function() client:connect() end)`)]);
    const host = await startHost(t, {
      services: 'services',
      files: Object.fromEntries(callers),
      clients: { SHARED: code('function() return { url = env("TARGET", "tcp://127.0.0.1:1") } end') },
      env: { TARGET: `tcp://127.0.0.1:${target.port}` },
    });
    const peer = await connect(t, host.port);
    await peer.ask('connect a', 1);
    await peer.ask('connect b', 1);
    const port = await peer.call('a', 1);
    assert.ok(port > 0);
    assert.equal(await peer.call('b', 1), port);
  });

  test('an event waits for its connection as long as it is told, and listeners hear in time, and once', async (t) => {
    const server = createServer(() => {}).listen(0, '127.0.0.1'); // takes connections and says nothing
    t.after(() => server.close());
    await once(server, 'listening');
    const cwd = temporaryDir(t, { 'main.lua': `
      local roost = require "roost"
      local silent = roost.client { port = ${server.address().port}, tls = { insecure = true } }
      print(pcall(function() silent:emit("x", 1, { timeout = 50 }):last() end))
      silent:close()
      local nobody, heard = roost.client { port = ${await freePort()} }, 0
      nobody:on("error", function() heard = heard + 1 end)
      nobody:emit("x", 1)
      roost.sleep(100)
      print(heard)
      print(pcall(nobody.call, nobody, "x", 1, { timeout = math.huge }))
      local plain, last = roost.client { port = ${server.address().port} }, nil
      plain.status:subscribe(function(status) last = status end)
      plain:connect()
      print(last)` });
    const { stdout } = await roost(['exec', 'main.lua'], { cwd });
    assert.equal(stdout, `false\tTimeoutError: Timeout has occurred\n1\n${''
    }false\tclient:call: option 'timeout': expected a number, got inf\nconnected\n`);
  });

  test('one with several URLs goes on to the next where one takes no connection', async (t) => {
    const first = await startNestServer(t, {}, ['where']);
    const second = await startNestServer(t, {}, ['nothing', 'where']);
    const host = await startHost(t, {
      service: luaService(`
        local client = roost.client "B"
        service:message("where", function()
          local ok, value = pcall(client.call, client, "where", 1)
          return ok and value or value.message
        end)`),
      clients: { B: { urls: [first, second].map(({ port }) => `tcp://127.0.0.1:${port}`) } },
    });
    const peer = await connect(t, host.port);
    await peer.ask('where', 1);
    assert.equal(await peer.call('where', 1), 0);
    await first.kill();
    await until(async () => await peer.call('where', 1) === 1, 'the second one');
    await second.kill();
    await until(async () => await peer.call('where', 1) ===
      `connect ECONNREFUSED 127.0.0.1:${first.port}`, 'nobody being there');
  });

  test('an unknown name raises at once: the host does not start', async (t) => {
    await assert.rejects(startHost(t, { service: luaService('roost.client "NOBODY"') }),
      /test\.lua:\d+: there is no client named "NOBODY" in the configuration/);
  });

  test('a name that is wrong in the configuration is a problem of its key', async (t) => {
    const config = (clients) => startHost(t, { service: luaService(''), clients });
    await assert.rejects(config({ A: { prot: 1 } }), /clients\.A\.prot: unknown key/);
    await assert.rejects(config({ A: { url: 'tcp://h:0' } }), /clients\.A\.url: 0 is no port/);
    await assert.rejects(config({ A: 7 }), /clients\.A: /);
    await assert.rejects(config({ A: code('function() return { url = env "NOT_SET_ANYWHERE" } end') }),
      /NOT_SET_ANYWHERE/);
  });

  stateTest('a main chunk may name clients and servers and listen to them, and no more', async (t) => {
    const target = await startTarget(t);
    const host = await startHost(t, {
      service: luaService(`
        local client = roost.client "TARGET"
        local server = roost.server(1)
        for _, fn in ipairs {
          function() client:call("echo", 1) end, function() client:emit("one", {}) end,
          function() client:connect() end, function() client:unwrap() end, function() server:unwrap() end,
        } do
          local ok, err = pcall(fn)
          note(tostring(ok) .. " " .. tostring(err))
        end
        server.status:subscribe(function(status) note(status) end)
        server:on("listening", function() note "listening" end)
        client:on("connect", function() note "connect" end)
        service:on_start(function() note(client:call("echo", "in on_start")) end)`),
      clients: { TARGET: { port: target.port } },
    });
    const peer = await connect(t, host.port);
    const notes = await until(async () => {
      const list = await peer.call('notes');
      return list.length >= 9 && list;
    }, 'nine notes');
    for (const index of [0, 1, 2, 4]) assert.match(notes[index], /^false test\.lua:\d+: not before on_start/);
    assert.match(notes[3], /^false .*Not initialized/);
    assert.deepEqual(notes.slice(5).sort(), ['connect', 'connected', 'in on_start', 'listening']);
    assert.equal(target.log?.includes('pattern=') ?? false, false);
  });

  stateTest('the status of a server while the host drains; events of on_stop are sent', async (t) => {
    const target = await startTarget(t);
    const host = await startHost(t, {
      service: luaService(`
        local server, client = roost.server "public", roost.client "TARGET"
        server.status:subscribe(function(status) roost.log:info("status " .. status) end)
        server:on("close", function() roost.log:info("server closed") end)
        server:on("connection", function(peer) roost.log:info("connection " .. peer.address) end)
        service:on_stop(function() client:emit("one", { tag = "stopped" }) end)`),
      server: { name: 'public' },
      clients: { TARGET: { port: target.port } },
    });
    (await connect(t, host.port)).destroy();
    await host.logged(/connection 127\.0\.0\.1/);
    await host.stop();
    for (const line of ['status connected', 'status disconnected', 'server closed']) {
      assert.equal(host.find(new RegExp(`^${line}$`)).length, 1, line);
    }
    const peer = await connect(t, target.port);
    await until(async () => (await peer.call('runs', { tag: 'stopped' })).length === 1, 'the event');
  });

  test('one made from a table ends with <close>, and listens to nothing afterwards', async (t) => {
    const target = await startTarget(t);
    const host = await startHost(t, {
      service: luaService(`
        service:message("scoped", function(count)
          for i = 1, count do
            local client <close> = roost.client { port = ${target.port} }
            client.status:subscribe(function() end):unsubscribe()
            assert(client:call("echo", i) == i)
          end
          collectgarbage()
          return "done"
        end)`),
      limits: { request_timeout: 0 },
    });
    const peer = await connect(t, host.port);
    assert.equal(await peer.call('scoped', 20), 'done');
    const { descriptors } = host;
    assert.equal(await peer.call('scoped', 300), 'done');
    await until(() => host.descriptors <= descriptors, 'the descriptors being closed');
  });
});

describe('clients of programs', () => {
  const inFolder = (t, files, clients) => temporaryDir(t, {
    ...files,
    'config/host.lua': configText({ services: 'there are none', clients }),
  });

  test('roost exec knows those of config/host.lua, whatever else is in there', async (t) => {
    const target = await startTarget(t);
    const cwd = inFolder(t, { 'main.lua': `local roost = require "roost"
      local client <close> = roost.client "TARGET"
      print(client:call({ cmd = "sum" }, { 1, 2 }))
      client:on("close", function(err) print("closed: " .. err.message) end)
      print(pcall(roost.client, "OTHER"))` },
    { TARGET: code(`function() return { port = ${target.port} } end`) });
    assert.deepEqual(await roost(['exec', 'main.lua'], { cwd }), { code: 0, stderr: '',
      stdout: '3\nfalse\tmain.lua:5: there is no client named "OTHER" in the configuration\n'
        + 'closed: Connection closed\n' });
  });

  test('a configuration that is wrong is said when a name is asked for', async (t) => {
    const cwd = inFolder(t, { 'main.lua': `local roost = require "roost" print "first" roost.client "A"`,
      'other.lua': 'require "roost" print "fine"' }, { A: { prot: 1 } });
    const { code: exit, stdout, stderr } = await roost(['exec', 'main.lua'], { cwd });
    assert.deepEqual([exit, stdout], [1, 'first\n']);
    assert.match(stderr, /config\/host\.lua: clients\.A\.prot: unknown key[^]*there is no client named "A"/);
    assert.equal((await roost(['exec', 'other.lua'], { cwd })).stdout, 'fine\n');
  });

  test('call, emit and bench take --client', async (t) => {
    const target = await startTarget(t);
    const cwd = inFolder(t, {}, { TARGET: { port: target.port }, HERE: { transport: 'local' },
      DOWN: { port: await freePort() } });
    const run = (...args) => roost(args, { cwd });
    assert.deepEqual(await run('call', '--client', 'TARGET', 'echo', '[1]'),
      { code: 0, stdout: '[1]\n', stderr: '' });
    assert.equal((await run('emit', '--client', 'TARGET', 'one', '{"tag":"emitted"}')).code, 0);
    assert.match((await run('bench', '--client', 'TARGET', '-d', '0.2', 'echo', '1')).stdout, /requests +\d/);
    const peer = await connect(t, target.port);
    await until(async () => (await peer.call('runs', { tag: 'emitted' })).length === 1, 'the event');
    const down = await run('call', '--client', 'DOWN', 'echo');
    assert.equal(down.code, 3);
    assert.match(down.stderr, /could not connect to DOWN \(tcp:\/\/127\.0\.0\.1:\d+\): /);
    for (const [args, clue] of [
      [['--client', 'NOBODY'], /config\/host\.lua has no client of that name/],
      [['--client', 'HERE'], /its transport is local/],
      [['--client', 'TARGET', '--url', 'tcp://h'], /contradict/],
    ]) {
      const { code: exit, stderr } = await run('call', ...args, 'echo');
      assert.equal(exit, 2);
      assert.match(stderr, clue);
    }
    const { code: exit, stderr } = await roost(['call', '--client', 'A', 'echo'], { cwd: temporaryDir(t) });
    assert.equal(exit, 2);
    assert.match(stderr, /there is no config\/host\.lua/);
  });
});
