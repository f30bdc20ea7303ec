// Services and listeners: which is where, in which order, and what ctx says about it.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { perWorkerTest } from '../lib/env.mjs';
import { roost } from '../lib/cli.mjs';
import { configText, startHost, temporaryDir } from '../lib/host.mjs';
import { end, item, last, noHandler } from '../lib/frames.mjs';
import { connect, refuses } from '../lib/peer.mjs';
import { luaService, serve } from '../lib/service.mjs';
import { until } from '../lib/wait.mjs';

/** A service that answers the given patterns with its own name. */
const named = (name, ...patterns) => `
  local service = require("roost").service()
  ${patterns.map((pattern) =>
    `service:message("${pattern}", function() return "${name}" end)`).join('\n')}
  return service`;

describe('services', () => {
  test('a folder: files, folders, and what is passed over', async (t) => {
    const host = await startHost(t, {
      services: 'services',
      files: {
        'services/one.lua': named('one', 'one'),
        'services/two/init.lua': `local helper = require "helper"
          local common = require "common"
          local roost = require "roost"
          local service = roost.service()
          service:message("two", function() return { service.name, helper, common } end)
          return service`,
        'services/two/helper.lua': 'return "helped"',
        'services/lib/common.lua': 'return "common"',
        'services/one_spec.lua': 'error("a spec is no service")',
        'services/_draft.lua': 'error("a draft is no service")',
        'services/.hidden.lua': 'error("a hidden file is no service")',
        'services/empty/readme.txt': 'no init.lua',
        'services/notes.txt': 'not Lua',
      },
    });
    const peer = await connect(t, host.port);
    assert.equal(await peer.call('one'), 'one');
    assert.deepEqual(await peer.call('two'), ['two', 'helped', 'common']);
    const warning = await host.logged((line) => JSON.stringify(line).includes('empty'));
    assert.equal(warning.level, 'warn');
    assert.equal(host.find(({ level }) => level === 'warn').length, 1, host.log);
  });

  test('a list of files and folders; of two handlers the later service\'s wins', async (t) => {
    const host = await startHost(t, {
      services: ['last.lua', 'folder'],
      files: {
        'last.lua': named('last', 'shared', 'own'),
        'folder/b.lua': named('b', 'shared', 'both'),
        'folder/a.lua': named('a', 'shared', 'both'),
      },
    });
    const peer = await connect(t, host.port);
    assert.equal(await peer.call('own'), 'last');
    assert.equal(await peer.call('both'), 'b');
    assert.equal(await peer.call('shared'), 'b');
    const warning = await host.logged((line) => /shared/.test(JSON.stringify(line)));
    assert.equal(warning.level, 'warn');
  });

  test('a service that fails to load keeps the host from starting', async (t) => {
    await assert.rejects(startHost(t, {
      services: 'services',
      files: { 'services/good.lua': named('good', 'x'), 'services/bad.lua': 'local x = = 1' },
    }), /bad\.lua:1/);
  });

  test('services do not see each other\'s globals', async (t) => {
    const host = await startHost(t, {
      services: 'services',
      files: {
        'services/a.lua': luaService('shared = "a"\nstring.shared = "a"'),
        'services/b.lua': luaService(
          'service:message("look", function() return { shared == nil, string.shared == nil } end)'),
      },
    });
    const peer = await connect(t, host.port);
    assert.deepEqual(await peer.call('look'), [true, true]);
  });

  perWorkerTest('on_start may wait and comes first, on_stop comes last', async (t) => {
    const { host, peer } = await serve(t, `
      local ready = false
      service:on_start(function() roost.sleep(100) ready = true end)
      service:on_stop(function() roost.sleep(20) print("stopped at last") end)
      service:message("ready", function() return ready end)
    `);
    assert.equal(await peer.call('ready'), true);
    await host.stop();
    assert.equal(host.find(/stopped at last/).length, 1, host.log);
  });

  test('a hook that is no function is told of at its line', async (t) => {
    const { code, stderr } = await roost(['run', 'host.lua'], { cwd: temporaryDir(t, {
      'host.lua': configText({ services: 'services' }),
      'services/a.lua': 'local service = require "roost".service()\nservice:on_stop(5)\nreturn service\n',
    }) });
    assert.equal(code, 1);
    assert.match(stderr, /a\.lua:2: service:on_stop: a function is expected, got number/);
  });

  test('an on_start that raises keeps the host from starting', async (t) => {
    await assert.rejects(startHost(t, {
      service: luaService('service:on_start(function() error("not today") end)'),
    }), /not today/);
  });
});

describe('listeners', () => {
  test('each exposes the services it names', async (t) => {
    const host = await startHost(t, {
      services: 'services',
      files: {
        'services/open.lua': named('open', 'open', 'both'),
        'services/inner.lua': named('inner', 'inner', 'both'),
      },
      servers: [{ name: 'public', services: ['open'] }, { name: 'private' },
        { name: 'inner', services: ['inner'] }],
    });
    const [open, all, inner] = await Promise.all(host.ports.map((port) => connect(t, port)));
    assert.equal(await open.call('open'), 'open');
    assert.equal(await open.ask('inner', 1), noHandler('"ask"'));
    assert.equal(await open.call('both'), 'open');
    assert.equal(await all.call('open'), 'open');
    assert.equal(await all.call('inner'), 'inner');
    assert.equal(await inner.call('both'), 'inner');
    assert.equal(await inner.ask('open', 1), noHandler('"ask"'));
  });

  test('a name and localhost', async (t) => {
    const { peer } = await serve(t, `
      service:message("where", function(_, ctx)
        return { ctx.server, ctx.transport, ctx.peer.address, ctx.peer.port }
      end)
    `, { server: { name: 'public', host: 'localhost' } });
    assert.deepEqual(await peer.call('where'),
      ['public', 'tcp', '127.0.0.1', peer.socket.localPort]);
  });

  test('two hosts know nothing of each other', async (t) => {
    const [a, b] = await Promise.all(['a', 'b'].map((name) =>
      serve(t, `service:message("who", function() return "${name}" end)`)));
    assert.deepEqual([await a.peer.call('who'), await b.peer.call('who')], ['a', 'b']);
    await a.host.kill();
    assert.equal(await refuses(a.host.port), true);
    assert.equal(await b.peer.call('who'), 'b');
  });

  test('a port that is taken keeps the host from starting', async (t) => {
    const first = await serve(t, '');
    await assert.rejects(startHost(t, { server: { port: first.host.port } }),
      new RegExp(`${first.host.port}`));
    await first.peer.call('notes');
  });
});

describe('wildcards on TCP', () => {
  const body = `
    service:message("orders.*", function(_, ctx) return "star " .. ctx.route end)
    service:message("orders.>", function(_, ctx) return "tail " .. ctx.route end)
    service:message("orders.new", function() return "exact" end)
    service:message("*.x.*", function() return "middle" end)
    service:event("seen.*", function() note("star") end)
    service:event("seen.>", function() note("tail") end)
    service:event("seen.it", function() note("exact") end)
  `;

  test('off, they are texts', async (t) => {
    const { peer } = await serve(t, body);
    assert.equal(await peer.ask('orders.old', 1), noHandler('"ask"'));
    assert.equal(await peer.call('orders.*'), 'star orders.*');
  });

  test('on, exact first, then in order of registration', async (t) => {
    const { peer, notes } = await serve(t, body, { server: { wildcards: true } });
    const rows = {
      'orders.new': 'exact', 'orders.old': 'star orders.*', 'orders.old.one': 'tail orders.>',
      'a.x.b': 'middle', 'orders.x.y': 'tail orders.>',
    };
    for (const [pattern, answer] of Object.entries(rows)) {
      assert.equal(await peer.call(pattern), answer, pattern);
    }
    for (const pattern of ['orders', 'a.x', 'a.b.c', 'x', 'a.x.b.c', 'Orders.old']) {
      assert.equal(await peer.ask(pattern, 1), noHandler('"ask"'), pattern);
    }
    await peer.send({ pattern: 'seen.it', data: 1 });
    assert.deepEqual(await notes(3), ['exact', 'star', 'tail']);
  });
});

describe('handlers', () => {
  test('a sequence of patterns means alternatives', async (t) => {
    const { peer } = await serve(t, `
      service:message({ "a", 7, { cmd = "x" } }, function(_, ctx) return ctx.route end)
    `);
    assert.equal(await peer.call('a'), 'a');
    assert.equal(await peer.call(7), '7');
    assert.equal(await peer.call({ cmd: 'x' }), '{"cmd":"x"}');
    assert.equal(await peer.ask(['a', 7], 1), noHandler('"ask"'));
  });

  test('ctx', async (t) => {
    const { peer } = await serve(t, `
      service:message({ cmd = "ctx" }, function(data, ctx)
        return {
          pattern = ctx.pattern, route = ctx.route, subject = ctx.subject, id = ctx.id,
          kind = ctx.kind, transport = ctx.transport, data = ctx.data == data,
          metadata = ctx.metadata, headers = ctx.headers == ctx.metadata,
          cancelled = ctx:cancelled(), state = next(ctx.state) == nil,
        }
      end)
      service:event("event", function(_, ctx)
        note(ctx.kind)
        note(ctx.id)
        note(ctx.deadline ~= nil)
      end)
    `);
    await peer.send({ pattern: { cmd: 'ctx' }, data: [1], id: { a: 1 }, metadata: { k: 'v' } });
    assert.deepEqual((await peer.reply()).response, {
      pattern: { cmd: 'ctx' }, route: '{"cmd":"ctx"}', subject: '{"cmd":"ctx"}', id: { a: 1 },
      kind: 'message', transport: 'tcp', data: true, metadata: { k: 'v' }, headers: true,
      cancelled: false, state: true,
    });
    await peer.send({ pattern: 'event', data: 1 });
    await until(async () => (await peer.call('notes')).length === 3, 'the event');
    assert.deepEqual((await peer.call('notes')).slice(0, 2), ['event', 'nil']);
  });

  test('each handler of an event has its own data and state', async (t) => {
    const { peer, notes } = await serve(t, `
      for i = 1, 3 do
        service:event("shared", function(data, ctx)
          data.list[#data.list + 1] = "more"
          ctx.state.mine = (ctx.state.mine or 0) + 1
          note(#data.list .. " " .. ctx.state.mine)
        end)
      end
    `);
    await peer.send({ pattern: 'shared', data: { list: [1] } });
    assert.deepEqual(await notes(3), ['2 1', '2 1', '2 1']);
  });

  test('a stream that other requests overtake', async (t) => {
    const { peer } = await serve(t, `
      service:message("stream", function(_, ctx)
        for i = 1, 3 do roost.sleep(30) ctx:emit(i) end
      end)
      service:message("quick", function() return "quick" end)
    `);
    await peer.send({ pattern: 'stream', id: 's' });
    assert.equal(await peer.ask('quick'), last('"quick"', '"ask"'));
    assert.equal(await peer.frame(), item('1', '"s"'));
    assert.equal(await peer.ask('quick'), last('"quick"', '"ask"'));
    assert.equal(await peer.frame(), item('2', '"s"'));
    assert.equal(await peer.frame(), last('3', '"s"'));
  });

  perWorkerTest('a server knows its socket', async (t) => {
    const { host, peer } = await serve(t, `
      service:message("facts", function()
        local info = roost.server(1):unwrap()
        return { info.transport, info.connected, info["local"].port, math.type(info.fd), info.fd > 2 }
      end)
    `);
    const facts = ['tcp', true, host.port, 'integer', true];
    assert.equal(await peer.ask('facts'), last(JSON.stringify(facts), '"ask"'));
  });

  test('memory is given back', async (t) => {
    const { host, peer } = await serve(t, `
      service:message("echo", function(data) return data end)
    `);
    const big = 'x'.repeat(2 ** 20);
    await peer.call('echo', big);
    const before = host.rss;
    for (let i = 0; i < 50; i++) {
      await peer.call('echo', big);
      peer.forget();
    }
    host.checkGrowth(before, 32 * 2 ** 20);
  });
});
