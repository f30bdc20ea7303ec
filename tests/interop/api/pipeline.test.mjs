// The pipeline: its order against a real Nest server's, and what each stage can do.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { before, describe, test } from 'node:test';
import { interopDir, nodeBin } from '../lib/env.mjs';
import { end, failure, item, last, masked } from '../lib/frames.mjs';
import { serviceFile, startHost } from '../lib/host.mjs';
import { connect, freePort, listens } from '../lib/peer.mjs';
import { lineOf, luaService, serve } from '../lib/service.mjs';
import { suiteScope, undo, until } from '../lib/wait.mjs';

/** A Nest server with the stages of services/pipeline.lua; gives its port. */
async function startNest(owner) {
  const port = await freePort();
  const child = spawn(nodeBin, [join(interopDir, 'lib', 'nest-pipeline.mjs'), String(port)],
    { stdio: ['ignore', 'ignore', 'inherit'] });
  const exited = once(child, 'exit');
  undo(owner, async () => {
    child.kill('SIGKILL');
    await exited;
  });
  await until(() => child.exitCode !== null || listens(port), 'Nest listening');
  assert.equal(child.exitCode, null, 'the Nest server did not start');
  return port;
}

describe('the order is Nest\'s', () => {
  const suite = suiteScope();
  let ports;
  before(async () => {
    const nest = startNest(suite);
    const host = await startHost(suite, { services: [serviceFile('pipeline')] });
    ports = { nest: await nest, roost: host.port };
  });

  const ran = (peer, tag, isDone) => until(async () => {
    const list = await peer.call('runs', { of: tag, tag: 'the reader' });
    return isDone(list) && list;
  }, 'the stages');

  /** The frames that answer `data`, and the stages that ran for it. */
  async function request(t, port, data, frames) {
    const peer = await connect(t, port);
    await peer.send({ pattern: 'message', data, id: '1' });
    const replies = [];
    for (let i = 0; i < frames; i++) replies.push(JSON.parse(await peer.frame()));
    return { replies, stages: await ran(peer, data.tag, (list) => list.length > 0) };
  }

  const stages = ['service guard', 'handler guard 1', 'handler guard 2',
    'service interceptor 1 before', 'service interceptor 2 before', 'handler interceptor before',
    'service pipe 1', 'service pipe 2', 'handler pipe', 'handler',
    'service interceptor 1 after', 'service interceptor 2 after', 'handler interceptor after'];
  const rows = {
    'success': {},
    'a guard of the service refuses': { refuse: 'service guard' },
    'a guard of the handler refuses': { refuse: 'handler guard 1' },
    'an interceptor that maps': { map: 'service interceptor 2' },
    'an interceptor that does not go on': { skip: 'service interceptor 2' },
    'a stream': { stream: true, frames: 2 },
    'a stream, mapped': { stream: true, map: 'handler interceptor', frames: 2 },
    'a stream, and an error after it': { stream: true, raise: 'service interceptor 2 after', kind: 'b' },
    ...Object.fromEntries(stages.flatMap((raise) => [
      [`${raise} raises, a filter replaces`, { raise, kind: 'a' }],
      [`${raise} raises, nobody takes it`, { raise, kind: 'other' }],
      [`${raise} raises what reaches the caller`, { raise, rpc: 'told' }],
    ])),
    ...Object.fromEntries(['b', 'c', 'd'].map((kind) =>
      [`the filter for ${kind} replaces`, { raise: 'handler', kind }])),
    ...Object.fromEntries(['a', 'c', 'd', 'other'].map((kind) =>
      [`a stream that fails with ${kind}`, { stream: 'fails', kind, frames: 3 }])),
  };
  for (const [name, { frames = 1, ...data }] of Object.entries(rows)) {
    test(name, async (t) => {
      data.tag = name;
      const nest = await request(t, ports.nest, data, frames);
      assert.deepEqual(await request(t, ports.roost, data, frames), nest);
    });
  }

  // Nest sends the raw Error, or where no interceptor had run nothing at all: that is not followed.
  for (const [name, data] of Object.entries({
    'a filter that raises': { raise: 'handler', kind: 'a', filter: 'raises' },
    'a filter that raises, before the interceptors': {
      raise: 'service guard', kind: 'a', filter: 'raises' },
    'a filter of the service that raises': { raise: 'handler', kind: 'c', filter: 'raises' },
    'a filter that raises for a stream': {
      stream: 'fails', kind: 'd', filter: 'raises', frames: 2 },
  })) {
    test(name, async (t) => {
      const { frames = 0, ...rest } = { ...data, tag: name };
      const nest = await connect(t, ports.nest);
      await nest.send({ pattern: 'message', data: rest, id: '1' });
      const expected = await ran(await connect(t, ports.nest), name,
        (list) => list.at(-1)?.includes('filter'));
      const { replies, stages: own } = await request(t, ports.roost, rest, frames + 1);
      assert.deepEqual(own, expected);
      assert.deepEqual(replies.at(-1),
        { err: { status: 'error', message: 'from the filter' }, isDisposed: true, id: '1' });
    });
  }

  const events = {
    'an event': [{}, 'service interceptor 1 after'],
    'an event that a guard refuses': [{ refuse: 'handler guard 2' }, 'handler guard 2'],
    'an event whose pipe raises': [{ raise: 'handler pipe', kind: 'a' }, 'handler filter 2'],
    'an event whose error nobody takes': [
      { raise: 'handler', kind: 'other' }, 'service interceptor 1 error'],
    'an event with a stream that fails': [{ stream: 'fails', kind: 'd' }, 'service filter d'],
  };
  for (const [name, [data, final]] of Object.entries(events)) {
    test(name, async (t) => {
      const seen = {};
      for (const [side, port] of Object.entries(ports)) {
        const peer = await connect(t, port);
        await peer.send({ pattern: 'event', data: { ...data, tag: name } });
        seen[side] = await ran(peer, name, (list) => list.at(-1) === final);
      }
      assert.deepEqual(seen.roost, seen.nest);
    });
  }
});

describe('filters', () => {
  test('errors that are no table come as one, with what was raised', async (t) => {
    const body = `
      service:message("ask", { filters = function(err)
        return { err.name, err.message, err.cause or roost.null }
      end }, function(what)
        if what == "text" then error("plain", 0) end
        if what == "number" then error(7) end
        error()
      end)`;
    const { peer } = await serve(t, body);
    for (const [what, err] of Object.entries({
      text: ['Error', 'plain', 'plain'], number: ['Error', '7', 7], nothing: ['Error', 'nil', null],
    })) {
      assert.equal(await peer.ask('ask', what), failure(JSON.stringify(err), '"ask"'));
    }
  });

  test('what they give is the payload, false and null as well; rpc_error is unwrapped', async (t) => {
    const { peer, host } = await serve(t, `
      local payloads = { no = false, null = roost.null, text = "text",
        rpc = roost.rpc_error { code = 5 }, list = { 1, 2 }, bad = { print } }
      service:message("ask", { filters = function(_, ctx) return payloads[ctx.data] end },
        function() error("secret") end)
    `);
    for (const [name, err] of Object.entries(
      { no: 'false', null: 'null', text: '"text"', rpc: '{"code":5}', list: '[1,2]' })) {
      assert.equal(await peer.ask('ask', name), failure(err, '"ask"'));
    }
    assert.deepEqual(host.find(({ level }) => level === 'error'), []);
    assert.equal(await peer.ask('ask', 'bad'), masked('"ask"'));
    assert.equal(await peer.ask('ask', 'nothing'), masked('"ask"'));
  });

  // As Nest's: throwError(() => payload) is what its filters end with.
  test('a stream they give takes the place of the error: its items, or what it fails with', async (t) => {
    const { peer, host } = await serve(t, `
      local function throw(err)
        return roost.stream.create(function(observer) observer:error(err) end)
      end
      local gives = { of = roost.stream.of(7, 8), throw = throw { code = 5 }, rpc = throw(roost.rpc_error "no") }
      local function fails(what)
        if what.late then return roost.stream.of(1):concat(throw "late") end
        error("secret")
      end
      service:message("ask", { filters = function(_, ctx) return gives[ctx.data.give] end }, fails)`);
    for (const [early, first] of [[{}, []], [{ late: true }, [item('1', '"ask"')]]]) {
      const replies = async (give) => {
        const frames = [await peer.ask('ask', { give, ...early })];
        while (!frames.at(-1).includes('isDisposed')) frames.push(await peer.frame());
        return frames;
      };
      assert.deepEqual(await replies('throw'), [...first, failure('{"code":5}', '"ask"')]);
      assert.deepEqual(await replies('rpc'), [...first, failure('{"status":"error","message":"no"}', '"ask"')]);
      assert.deepEqual(await replies('of'), [...first, item('7', '"ask"'), last('8', '"ask"')]);
    }
    assert.deepEqual(host.find(({ level }) => level === 'error'), []);
  });

  test('what nobody takes is logged with the place it came from', async (t) => {
    const body = `
      local function raise()
        error("secret") -- HERE
      end
      service:message("ask", {
        interceptors = { function(_, next) return next() end },
        filters = { function() roost.sleep(1) end, function() pcall(error, "another") end },
      }, function(how)
        if how == "stream" then return roost.stream.of(1):map(raise) end
        if how == "each" then for _ in roost.stream.of(1):map(raise):each() do break end end
        if how == "create" then return roost.stream.create(raise) end
        roost.sleep(1)
        raise()
      end)`;
    const { host, peer } = await serve(t, body);
    for (const how of ['handler', 'stream', 'each', 'create']) {
      assert.equal(await peer.ask('ask', how, how), masked(`"${how}"`));
      const entry = await host.logged(({ req, trace }) => req === how && trace);
      assert.equal(/[\w./-]+\.lua:\d+/.exec(entry.trace)[0], `test.lua:${lineOf(body, 'HERE')}`, how);
    }
  });

  test('a handler whose time is over: its CancelledError is nobody\'s business', async (t) => {
    const { peer, notes } = await serve(t, `
      service:message("ask", { timeout = 30, filters = function(err) note(err.name) return "taken" end },
        function() roost.sleep(3600000) end)
    `);
    assert.match(await peer.ask('ask'), /Timeout has occurred/);
    await peer.call('notes');
    assert.deepEqual(await notes(0), []);
  });

  test('a filter that takes an event\'s error leaves nothing to log', async (t) => {
    const { host, peer, notes } = await serve(t, `
      service:event("happened", { filters = function() note("taken") return "taken" end },
        function() error("secret") end)
    `);
    await peer.send({ pattern: 'happened', data: 1 });
    await notes(1);
    await peer.send({ pattern: 'happened', data: 1, id: '1' }); // falls to the event handler
    assert.equal(await peer.frame(), failure('"taken"'));
    await host.stop();
    assert.deepEqual(host.find(({ level }) => level === 'error'), []);
  });
});

describe('interceptors', () => {
  test('may leave out the handler, run it twice, catch its error, and raise by nil, err', async (t) => {
    const { peer } = await serve(t, `
      local tries = 0
      local function around(_, next)
        local ok, value = pcall(next)
        if not ok then ok, value = pcall(next) end
        return ok and { value } or nil, roost.rpc_error("given up")
      end
      service:message("ask", { interceptors = around }, function(fail)
        tries = tries + 1
        if tries <= fail then error("not yet") end
        tries = 0
        return "done"
      end)
      service:message("nil", { interceptors = function(_, next) return next() end },
        function() return nil, roost.rpc_error("by nil") end)
    `);
    assert.equal(await peer.ask('ask', 1), last('["done"]', '"ask"'));
    assert.equal(await peer.ask('ask', 5), failure('{"status":"error","message":"given up"}', '"ask"'));
    assert.equal(await peer.ask('nil'), failure('{"status":"error","message":"by nil"}', '"ask"'));
  });

  test('a handler that emits, and one that gives nothing', async (t) => {
    const { peer } = await serve(t, `
      local through = { interceptors = function(_, next) return next() end }
      service:message("emits", through, function(_, ctx) ctx:emit(1) ctx:emit(2) end)
      service:message("nothing", through, function() end)
    `);
    assert.equal(await peer.ask('emits', 0, '1'), item('1'));
    assert.equal(await peer.frame(), last('2'));
    assert.equal(await peer.ask('nothing', 0, '1'), end());
  });
});

describe('payload and pipes', () => {
  test('payload passes one member on, before the pipes; ctx.data stays whole', async (t) => {
    const { peer } = await serve(t, `
      service:message("ask", { payload = "user", pipes = function(data) return { data } end },
        function(data, ctx) return { data, ctx.data } end)
      service:message("bare", { payload = "user" }, function(data) return data == nil end)
    `);
    assert.deepEqual(await peer.call('ask', { user: 'Ada' }), [['Ada'], { user: 'Ada' }]);
    for (const data of [null, 'text', 7, {}, []]) assert.equal(await peer.call('bare', data), true);
  });

  test('validate', async (t) => {
    const { peer } = await serve(t, `
      local order = roost.pipes.validate {
        id = "integer", note = "string?", price = "number", paid = "boolean", extra = "table?",
        items = { { sku = "string", tags = { "string" } } },
        size = function(value) return value == nil or value == "S" or value == "L", "must be S or L" end,
        even = function(value) return value % 2 == 0 end,
        deep = { any = "any" },
      }
      service:message("order", { pipes = order }, function(data) return data end)
      service:message("list", { pipes = roost.pipes.validate { "integer" } }, function(data) return data end)
      service:message("filtered", { pipes = order, filters = function(err)
        return { err.name, err.code, err.path, err.message }
      end }, function() end)
    `);
    const good = { id: 1, price: 1.5, paid: false, even: 2, deep: { any: null },
      items: [{ sku: 'a', tags: [] }] };
    assert.deepEqual(await peer.call('order', good), good);
    assert.deepEqual(await peer.call('order', { ...good, unknown: 1, note: null, id: 3.0,
      items: [{ sku: 'a', tags: ['x'], unknown: { } }], size: 'L', extra: { kept: [1] } }),
    { ...good, note: null, id: 3, items: [{ sku: 'a', tags: ['x'] }], size: 'L', extra: { kept: [1] } });
    assert.deepEqual(await peer.call('list', []), []);
    assert.equal(await peer.ask('order', { ...good, items: [] }, '1').then((text) =>
      /"items":\[\]/.test(text)), true);

    const bad = [
      ['order', { ...good, items: [...good.items, { sku: 7, tags: [] }] }, 'items[2].sku',
        'items[2].sku: expected string, got number'],
      ['order', { ...good, items: [{ sku: 'a', tags: ['x', null] }] }, 'items[1].tags[2]',
        'items[1].tags[2]: expected string, got null'],
      ['order', { ...good, id: 1.5 }, 'id', 'id: expected integer, got number'],
      ['order', { ...good, id: undefined }, 'id', 'id: expected integer, got nil'],
      ['order', { ...good, paid: 'yes' }, 'paid', 'paid: expected boolean, got string'],
      ['order', { ...good, price: null }, 'price', 'price: expected number, got null'],
      ['order', { ...good, note: 1 }, 'note', 'note: expected string, got number'],
      ['order', { ...good, extra: 'x' }, 'extra', 'extra: expected table, got string'],
      ['order', { ...good, size: 'M' }, 'size', 'size: must be S or L'],
      ['order', { ...good, even: 1 }, 'even', 'even: is not valid'],
      ['order', { ...good, deep: {} }, 'deep.any', 'deep.any: expected any, got nil'],
      ['order', { ...good, deep: [1] }, 'deep', 'deep: expected object, got list'],
      ['order', { ...good, deep: [] }, 'deep', 'deep: expected object, got list'],
      ['order', { ...good, items: { a: 1 } }, 'items', 'items: expected list, got object'],
      ['order', 7, '', 'expected object, got number'],
      ['order', null, '', 'expected object, got null'],
      ['list', [1, 'x'], '[2]', '[2]: expected integer, got string'],
    ];
    for (const [pattern, data, path, message] of bad) {
      const { err } = JSON.parse(await peer.ask(pattern, data));
      assert.deepEqual(err, { status: 'error', message, path });
    }
    const { err } = JSON.parse(await peer.ask('filtered', { ...good, id: 'x' }));
    assert.deepEqual(err, ['ValidationError', 'EVALIDATE', 'id', 'id: expected integer, got string']);
  });

  test('a schema that is none', async (t) => {
    const { peer } = await serve(t, `
      local loop = {}
      loop.again = { loop }
      local schemas = { { a = { { b = "strnig" } } }, { { 1 } }, { a = { "string", "number" } },
        { [true] = "any" }, loop, "list", 7, { a = { "string", b = "string" } } }
      service:message("ask", function()
        local said = {}
        for i, schema in ipairs(schemas) do
          local _, err = pcall(function() roost.pipes.validate(schema) end)
          said[i] = err:gsub("^test.lua:%d+: roost.pipes.validate: ", "")
        end
        return said
      end)
    `);
    assert.deepEqual(await peer.call('ask'), [
      'a[].b: unknown type \'strnig\'',
      '[][]: a schema is text, a table or a function, got number',
      'a: a list\'s schema has one element and nothing else',
      'a member\'s name must be text, got true',
      'again[]: a schema cannot contain itself',
      'unknown type \'list\'',
      'a schema is text, a table or a function, got number',
      'a: a list\'s schema has one element and nothing else',
    ]);
  });
});

describe('options', () => {
  test('what is wrong is said, with the line of the service', async (t) => {
    const rows = [
      ['service:message("x", { guards = 5 }, print)',
        'option \'guards\': expected a function or a list of functions, got number'],
      ['service:message("x", { pipes = { print, 5 } }, print)',
        'option \'pipes\': expected a function at [2], got number'],
      ['service:event("x", { filters = { first = print } }, print)',
        'option \'filters\': expected a function or a list of functions, got a table with the key \'first\''],
      ['service:message("x", { payload = 1 }, print)', 'option \'payload\': expected a string, got number'],
      ['service:message("x", { qos = 3 }, print)', 'option \'qos\': expected 0, 1 or 2, got 3'],
      ['service:event("x", { transport = "bogus" }, print)',
        'option \'transport\': expected tcp, local, nats, redis, mqtt, rmq or kafka, got \'bogus\''],
      ['service:message("x", { queue = {} }, print)', 'option \'queue\': expected a string, got table'],
      ['service:message("x", { gards = print }, print)', 'unknown option \'gards\''],
      ['service:provide("x")', 'provider \'x\' must be a function, got nil'],
      ['service:provide(7, print)', 'a provider\'s name must be text, got number'],
    ];
    for (const [line, message] of rows) {
      const body = `\n${line} -- HERE`;
      await assert.rejects(startHost(t, { service: luaService(body) }), (err) => {
        assert.ok(err.message.includes(`test.lua:${lineOf(body, 'HERE')}: ${message}`), err.message);
        return true;
      });
    }
  });

  test('those of roost.service', async (t) => {
    for (const [options, message] of [
      ['{ guards = { 1 } }', 'roost.service: option \'guards\': expected a function at [1], got number'],
      ['{ name = 7 }', 'roost.service: name: expected a string, got number'],
      ['{ name = "" }', 'roost.service: name: expected a name, got an empty text'],
      ['{ payload = "x" }', 'roost.service: unknown option \'payload\''],
    ]) {
      const service = `local roost = require "roost"\nlocal service = roost.service ${options}\nreturn service`;
      await assert.rejects(startHost(t, { service }), (err) => {
        assert.ok(err.message.includes(`test.lua:2: ${message}`), err.message);
        return true;
      });
    }
  });

  test('queue and qos are accepted', async (t) => {
    const { peer } = await serve(t, `
      service:message("ask", { queue = "workers", qos = 2, transport = "tcp" }, function() return "here" end)
    `);
    assert.equal(await peer.call('ask'), 'here');
  });
});
