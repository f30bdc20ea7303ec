// Errors: what the caller gets, and what the log says.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { failure, last, masked } from '../lib/frames.mjs';
import { lineOf, serve } from '../lib/service.mjs';
import { until } from '../lib/wait.mjs';

/** The first place in a Lua file that a traceback names. */
const firstPlace = (trace) => /[\w./-]+\.lua:\d+/.exec(trace)?.[0];

describe('a handler that raises', () => {
  const places = {
    'an error of its own': `
      service:message({ cmd = "ask" }, function()
        error("secret") -- HERE
      end)`,
    'an error of the language': `
      service:message({ cmd = "ask" }, function(data)
        return data.no.such -- HERE
      end)`,
    'an error in a library function': `
      service:message({ cmd = "ask" }, function()
        local text = string.rep() -- HERE
        return text
      end)`,
    'an error in a function below': `
      local function below()
        error({ code = 1 }) -- HERE
      end
      service:message({ cmd = "ask" }, function() below() end)`,
    'an error in one of several tasks': `
      service:message({ cmd = "ask" }, function(data)
        return roost.all { function() return data.no.such end } -- HERE
      end)`,
    'an error in the first of several tasks': `
      service:message({ cmd = "ask" }, function(data)
        return roost.race { function() return data.no.such end } -- HERE
      end)`,
    'an error after a wait': `
      service:message({ cmd = "ask" }, function()
        roost.sleep(5)
        error("secret") -- HERE
      end)`,
    'an error in what it ends in, which takes its place': `
      service:message({ cmd = "ask" }, function() -- HERE
        return roost.client { host = "127.0.0.1", port = 1 }:call("ask", {})
      end)`,
    'an error in a coroutine': `
      service:message({ cmd = "ask" }, function()
        return coroutine.wrap(function()
          error("secret") -- HERE
        end)()
      end)`,
  };
  for (const [name, body] of Object.entries(places)) {
    test(name, async (t) => {
      const { host, peer } = await serve(t, body);
      assert.equal(await peer.ask({ cmd: 'ask' }, {}, 'req-7'), masked('"req-7"'));
      const entry = await host.logged((line) => line.trace);
      assert.equal(entry.level, 'error');
      assert.equal(entry.service, 'test');
      assert.match(entry.req, /req-7/);
      assert.match(entry.pattern, /cmd.*ask/);
      assert.equal(entry.peer, `127.0.0.1:${peer.socket.localPort}`);
      // An error out of a wrapped coroutine has lost the coroutine's own stack.
      if (!name.includes('coroutine')) {
        assert.equal(firstPlace(entry.trace), `test.lua:${lineOf(body, 'HERE')}`, entry.trace);
      }
      assert.equal(host.find((line) => line.trace).length, 1);
    });
  }

  test('a table is shown by its name and message, or as JSON', async (t) => {
    const { host, peer } = await serve(t, `
      service:message({ cmd = "ask" }, function(data) error(data) end)`);
    const all = [{ name: 'Mine', message: 'what' }, { message: 'what' }, { name: 'Mine' }];
    for (const data of all) await peer.ask({ cmd: 'ask' }, data);
    const shown = await until(() => {
      const lines = host.find((line) => line.trace);
      return lines.length === all.length && lines.map(({ err }) => err);
    }, 'a line for each');
    assert.deepEqual(shown, ['Mine: what', 'what', '{"name":"Mine"}']);
  });

  test('the text and place of the error stand in err', async (t) => {
    const body = `
      service:message("ask", function()
        error("it broke") -- HERE
      end)`;
    const { host, peer } = await serve(t, body);
    await peer.ask('ask');
    const { err } = await host.logged((line) => line.err);
    assert.equal(err, `test.lua:${lineOf(body, 'HERE')}: it broke`);
  });

  test('an event handler that raises is logged, and the others run', async (t) => {
    const { host, peer, notes } = await serve(t, `
      service:event("happened", function() error("first broke") end)
      service:event("happened", function() note("second ran") end)
    `);
    await peer.send({ pattern: 'happened', data: 1 });
    assert.deepEqual(await notes(1), ['second ran']);
    const entry = await host.logged((line) => line.err?.includes('first broke'));
    assert.equal(entry.service, 'test');
    assert.equal(entry.pattern, 'happened');
  });

  test('payloads are never logged', async (t) => {
    const { host, peer } = await serve(t, `
      service:message("ask", function(data) error("broke") end)
    `);
    await peer.ask('ask', { password: 'hunter2' });
    await host.logged((line) => line.trace);
    assert.doesNotMatch(host.log, /hunter2/);
  });
});

describe('what reaches the caller', () => {
  const plain = (message) => failure(JSON.stringify({ status: 'error', message }), '"ask"');
  const rows = {
    'error(rpc_error(text))': ['error(roost.rpc_error("no"))', plain('no')],
    'error(rpc_error(list))': ['error(roost.rpc_error { 1, 2 })', failure('[1,2]', '"ask"')],
    'error(rpc_error(object))': [
      'error(roost.rpc_error { code = 3 })', failure('{"code":3}', '"ask"')],
    'return nil, rpc_error': ['return nil, roost.rpc_error("no")', plain('no')],
    'return nil, text': ['return nil, "secret"', masked('"ask"')],
    'return nil, nil': ['return nil, nil', '{"isDisposed":true,"id":"ask"}'],
    'return false, text': ['return false, "ignored"', last('false', '"ask"')],
    'an rpc_error passed on by pcall': [
      'local _, err = pcall(error, roost.rpc_error("no")) error(err)', plain('no')],
    'an rpc_error out of a coroutine': [
      'coroutine.wrap(function() roost.sleep(1) error(roost.rpc_error("no")) end)()', plain('no')],
    'an rpc_error out of roost.all': [
      'roost.all { function() roost.sleep(1) error(roost.rpc_error("no")) end }', plain('no')],
    'an error with __tostring': [
      'error(setmetatable({}, { __tostring = function() return "secret" end }))', masked('"ask"')],
    'an error whose __tostring raises': [
      'error(setmetatable({}, { __tostring = function() error("worse") end }))', masked('"ask"')],
    'error()': ['error()', masked('"ask"')],
    'a stack overflow': ['local function f() return 1 + f() end return f()', masked('"ask"')],
    'an rpc_error that is not JSON': ['error(roost.rpc_error { print })', masked('"ask"')],
  };
  for (const [name, [body, reply]] of Object.entries(rows)) {
    test(name, async (t) => {
      const { peer } = await serve(t, `service:message("ask", function() ${body} end)`);
      assert.equal(await peer.ask('ask'), reply);
      assert.deepEqual(await peer.call('notes'), []);
    });
  }

  test('an rpc_error is no failure of the service: it is not logged as one', async (t) => {
    const { host, peer } = await serve(t, `
      service:message("ask", function() error(roost.rpc_error("no")) end)
    `);
    await peer.ask('ask');
    await host.stop();
    assert.deepEqual(host.find(({ level }) => level === 'error'), []);
  });
});

describe('values that are no JSON', () => {
  const rows = {
    'a function': ['{ a = { b = print } }', /a\.b/],
    'a hole': ['{ list = { 1, nil, 3 } }', /list/],
    'mixed keys': ['{ outer = { 1, 2, x = 3 } }', /outer/],
    'a key that is neither text nor position': ['{ outer = { [true] = 1 } }', /outer/],
    'a number as a key': ['{ outer = { [1.5] = 1 } }', /outer/],
    'text that is not UTF-8': ['{ items = { { name = "\\xff" } } }', /items\[1\]\.name/],
    'a coroutine': ['{ co = coroutine.create(print) }', /co/],
    'userdata': ['{ file = io.stderr }', /file/],
  };
  for (const [name, [value, path]] of Object.entries(rows)) {
    test(name, async (t) => {
      const { host, peer } = await serve(t, `
        service:message("ask", function() return ${value} end)
        service:message("emit", function(_, ctx) ctx:emit(1) ctx:emit(${value}) end)
      `);
      assert.equal(await peer.ask('ask'), masked('"ask"'));
      const entry = await host.logged((line) => line.err);
      assert.equal(entry.service, 'test');
      assert.equal(entry.pattern, 'ask');
      assert.match(entry.err, path);
      assert.equal(await peer.ask('emit'), '{"response":1,"id":"ask"}');
      assert.equal(await peer.frame(), masked('"ask"'));
    });
  }

  test('a cycle', async (t) => {
    const { host, peer } = await serve(t, `
      service:message("ask", function()
        local a = { name = "a" }
        a.again = { a }
        return a
      end)
    `);
    assert.equal(await peer.ask('ask'), masked('"ask"'));
    assert.match((await host.logged((line) => line.err)).err, /again/);
  });

  test('1,001 levels', async (t) => {
    const { host, peer } = await serve(t, `
      service:message("ask", function(depth)
        local value = {}
        for _ = 2, depth do value = { value } end
        return value
      end)
    `);
    assert.match(await peer.ask('ask', 900), /^\{"response":\[{899}\{\}\]{899},/);
    assert.equal(await peer.ask('ask', 1001), masked('"ask"'));
    await host.logged((line) => line.err);
  });

  test('one table in two places is no cycle', async (t) => {
    const { peer } = await serve(t, `
      service:message("ask", function()
        local shared = { 1 }
        return { shared, shared }
      end)
    `);
    assert.equal(await peer.ask('ask'), last('[[1],[1]]', '"ask"'));
  });

  test('bytes go out as Node writes a Buffer', async (t) => {
    const { peer } = await serve(t, `
      service:message("ask", function() return { file = roost.bytes("\\xff\\0a") } end)
    `);
    assert.equal(await peer.ask('ask'),
      last('{"file":{"type":"Buffer","data":[255,0,97]}}', '"ask"'));
  });
});
