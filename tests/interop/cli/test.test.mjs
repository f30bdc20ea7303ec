// roost test: one clear line for each failure, and never a hang.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { roost } from '../lib/cli.mjs';
import { temporaryDir } from '../lib/host.mjs';

/** Runs `roost test args…` in a folder with `files`; a text alone is a_spec.lua. */
async function run(t, files, args = ['a_spec.lua']) {
  const cwd = temporaryDir(t, typeof files === 'string' ? { 'a_spec.lua': files } : files);
  const { code, stdout, stderr } = await roost(['test', ...args], { cwd });
  const lines = stdout.split('\n').slice(0, -1);
  return { code, stderr, tally: lines.pop(), lines };
}

/** Exactly one line says what failed, which `clue` matches; `passed` others pass. */
const fails = (name, files, clue, { passed = 0, args } = {}) => test(name, async (t) => {
  const { code, lines, tally, stderr } = await run(t, files, args);
  assert.equal(code, 1, stderr);
  assert.equal(lines.length, 1, lines.join('\n'));
  assert.match(lines[0], clue);
  assert.equal(tally, `${passed} passed, 1 failed`);
});

const passes = (name, files, passed, args) => test(name, async (t) => {
  const { code, lines, tally, stderr } = await run(t, files, args);
  assert.equal(code, 0, lines.join('\n') + stderr);
  assert.deepEqual(lines, []);
  assert.equal(tally, `${passed} passed, 0 failed`);
});

const withRoost = (body) =>
  `local roost = require "roost"\nlocal testing = require "roost.testing"\n${body}`;
const one = 'it("works", function() assert.is_true(true) end)\n';

describe('roost test: what is wrong is a line with its place, and 1', () => {
  fails('a syntax error', 'describe("a", function()\n  local x = = 1\nend)\n',
    /^FAIL a_spec\.lua:2: unexpected symbol near '='$/);
  fails('a failing assertion', `${one}describe("math", function()
    it("adds", function()
      assert.equal(3, 1 + 1)
    end)
  end)`, /^FAIL a_spec\.lua:4: math adds: .*\(number\) 2 .*\(number\) 3$/, { passed: 1 });
  fails('an assertion that is used wrongly', 'it("x", function()\n  assert.equal(1)\nend)',
    /^FAIL a_spec\.lua:2: x: .*minimum of 2 arguments/);
  fails('an error', `${one}it("fails", function()\n  local x\n  x.y = 1\nend)`,
    /^FAIL a_spec\.lua:4: fails: attempt to index a nil value/, { passed: 1 });
  fails('an error that is a table', 'it("x", function() error { code = 5 } end)',
    /^FAIL a_spec\.lua:1: x: .*code = 5/);
  fails('an error of the API', withRoost('it("x", function()\n  roost.sleep("x")\nend)'),
    /^FAIL a_spec\.lua:4: x: bad argument/);
  fails('an error that a service answers with', withRoost(`it("x", function()
    local host = testing.host { services = { inline = function(service)
      service:message("no", function() error(roost.rpc_error "never") end)
    end } }
    host:call("no", {})
  end)`), /^FAIL a_spec\.lua:7: x: RpcError: never$/);
  fails('an error of several lines', 'it("x", function() error("one\\n  two\\nthree") end)',
    /^FAIL a_spec\.lua:1: x: one two three$/);
  fails('an error outside of tests', `describe("a", function()\n  error "here"\nend)`,
    /^FAIL a_spec\.lua:2: a: here$/);
  fails('an error in before_each', `describe("a", function()
    before_each(function() error "before" end)
    it("x", function() end)
  end)`, /^FAIL a_spec\.lua:2: a: before$/);
  fails('an error in teardown', `describe("a", function()
    teardown(function() error "down" end)
    it("x", function() end)
  end)`, /^FAIL a_spec\.lua:2: a.*: down$/, { passed: 1 });
  fails('a module that is not there', 'require "no_such_module"\n',
    /^FAIL a_spec\.lua:1: module 'no_such_module' not found$/);
  fails('os.exit', `it("ends", function()\n  os.exit(true)\nend)\n${one}`,
    /^FAIL a_spec\.lua:2: ends: os\.exit is not for tests$/, { passed: 1 });

  fails('a service that is not there', withRoost(
    'it("x", function()\n  testing.host { services = { "services/gone.lua" } }\nend)'),
  /^FAIL a_spec\.lua:4: x: services: services\/gone\.lua: no such file or folder$/);
  fails('a service with a syntax error', {
    'bad.lua': 'local x\nlocal y = = 1\n',
    'a_spec.lua': withRoost('it("x", function() testing.host { services = { "bad.lua" } } end)'),
  }, /^FAIL a_spec\.lua:3: x: .*bad\.lua:2: unexpected symbol/);
});

describe('roost test: what would hang', () => {
  fails('a wait that never ends, at once', withRoost(`it("waits", function()
    roost.stream.subject():first()
  end)\n${one}`), /^FAIL a_spec\.lua:4: waits: .*waits for what can't come/, { passed: 1 });
  fails('a call that is never answered', withRoost(`it("waits", function()
    local host = testing.host { services = { inline = function(service)
      service:message("never", { timeout = 0 }, function() roost.stream.subject():first() end)
    end } }
    host:call("never", {})
  end)\n${one}`), /^FAIL a_spec\.lua:7: waits: .*waits for what can't come/, { passed: 1 });
  fails('a busy loop that catches every error', `it("spins", function()
    while true do pcall(function() while true do end end) end
  end)\n${one}`, /^FAIL a_spec\.lua:2: spins: .*the test took longer than 5 s$/, { passed: 1 });
  fails('a busy loop of a service', {
    'busy.lua': `local service = require("roost").service()
      service:message("spin", function() while true do pcall(function() while true do end end) end end)
      return service`,
    'a_spec.lua': withRoost(`it("spins", function()
      testing.host { services = { "busy.lua" } }:call("spin", {})
    end)\n${one}`),
  }, /^FAIL a_spec\.lua:4: spins: RpcError: Internal server error$/, { passed: 1 });
  fails('a call without a time-out, with the real clock', withRoost(`it("waits", function()
    testing.host { clock = "real", config = { limits = { request_timeout = 0 } }, services = {
      inline = function(service)
        service:message("forever", function() return roost.stream.subject():first() end)
      end,
    } }:call("forever", 1)
  end)\n${one}`), /^FAIL a_spec\.lua:4: waits: .*waits for what can't come/, { passed: 1 });
  fails('a call with a long time-out, with the real clock', withRoost(`it("waits", function()
    testing.host { clock = "real", services = { inline = function(service)
      service:message("forever", function() return roost.stream.subject():first() end)
    end } }:send("forever", 1):first()
  end)\n${one}`), /^FAIL a_spec\.lua:4: waits: .*the test took longer than 5 s$/, { passed: 1 });
  fails('a host that is closed after such a wait', withRoost(`it("waits", function()
    local host <close> = testing.host { services = { inline = function(service)
      service:message("never", { timeout = 0 }, function() roost.stream.subject():first() end)
    end } }
    host:call("never", {})
  end)\n${one}`), /^FAIL a_spec\.lua:7: waits: .*waits for what can't come/, { passed: 1 });
  fails('a busy loop of a service, in a pcall of the test', {
    'busy.lua': `local service = require("roost").service()
      service:message("spin", function() while true do end end)
      return service`,
    'a_spec.lua': withRoost(`it("spins", function()
      local host = testing.host { services = { "busy.lua" }, config = { limits = { handler_cpu = 0 } } }
      pcall(host.call, host, "spin", 1)
    end)\n${one}`),
  }, /^FAIL a_spec\.lua:3: spins: .*the test took longer than 5 s$/, { passed: 1 });
  fails('a service that never ends to load', {
    'busy.lua': 'while true do end',
    'a_spec.lua': withRoost(`it("loads", function()
      testing.host { services = { "busy.lua" } }
    end)\n${one}`),
  }, /^FAIL a_spec\.lua:4: loads: .*busy\.lua: .*(ECPU|loading took longer)/, { passed: 1 });
});

describe('roost test: what a test leaves behind', () => {
  fails('a timer', withRoost(`it("leaks", function()
    roost.every(1000, function() end)
  end)\n${one}`), /^FAIL a_spec\.lua:4: leaks: roost\.every was called here, and .* still runs/,
  { passed: 1 });
  fails('a task', withRoost('it("leaks", function() roost.spawn(function() roost.sleep(5) end) end)'),
    /^FAIL a_spec\.lua:3: leaks: roost\.spawn was called here/);
  fails('a timer of the whole file', withRoost(`roost.every(1000, function() end)\n${one}`),
    /^FAIL a_spec\.lua:3: roost\.every was called here/, { passed: 1 });
  passes('not what it cancelled, or what its host ends', withRoost(`it("x", function()
    roost.every(10, function() end):cancel()
    roost.after(10, function() end)
    roost.sleep(10)
    testing.host { services = { inline = function(service)
      service:on_start(function() roost.every(10, function() end) end)
    end } }
  end)`), 1);
  passes('hosts and the real clock are gone in the next test', withRoost(`
    it("leaves a host", function() testing.host { clock = "real" } end)
    it("begins anew", function()
      assert.is_nil(next(testing.open_hosts))
      roost.sleep(3600000)
    end)`), 2);
});

describe('roost test: which specs', () => {
  const tree = {
    'services/a.lua': '', 'services/a_spec.lua': one, 'services/b/init.lua': '',
    'services/b/b_spec.lua': one + one, 'services/.hidden/x_spec.lua': 'error "hidden"',
    'other/c_spec.lua': one, 'other/c.lua': 'error "no spec"',
  };
  passes('those of services, without a path', tree, 3, []);
  passes('those of folders', tree, 4, ['services', 'other']);
  passes('those of services by name, with an ending or without', tree, 1, ['services/a']);
  passes('by file name', tree, 1, ['services/a.lua']);
  passes('in a folder', tree, 2, ['services/b']);
  passes('each once, however often it is named', tree, 3,
    ['services/', './services/a_spec.lua', 'services/a']);
  passes('from another folder', { 'x/services/a_spec.lua': one }, 1, ['-C', 'x']);

  fails('none in a folder', { 'services/a.lua': '' }, /^FAIL services: there is no spec$/, { args: [] });
  fails('none of a service', { 'services/a.lua': '' }, /^FAIL services\/a\.lua: there is no spec$/,
    { args: ['services/a.lua'] });
  fails('a path that is not there', {}, /^FAIL gone: no such file or folder$/, { args: ['gone'] });
  fails('a spec without a test, beside others', { 'a_spec.lua': 'local x = 1', 'b_spec.lua': one },
    /^FAIL a_spec\.lua:1: there is no test$/, { args: ['.'], passed: 1 });

  test('pending tests are named, and neither passed nor failed', async (t) => {
    const { code, lines, tally } = await run(t, `pending("later")
      it("half", function() pending("not now") end)\n${one}`);
    assert.equal(code, 0);
    assert.deepEqual(lines, ['PENDING a_spec.lua:1: later', 'PENDING a_spec.lua:2: half']);
    assert.equal(tally, '1 passed, 0 failed');
  });

  test('what tests print goes to stdout, what is logged to stderr', async (t) => {
    const { code, lines, stderr } = await run(t, withRoost(`it("x", function()
      print("printed", 1)
      roost.log:warn "logged"
    end)`));
    assert.equal(code, 0);
    assert.deepEqual(lines, ['printed\t1']);
    assert.match(stderr, /level=warn msg="?logged/);
  });

  test('a file with an error does not keep others from running', async (t) => {
    const { code, lines, tally } = await run(t, {
      'a_spec.lua': 'error "first"', 'b_spec.lua': 'local = 1', 'c_spec.lua': one,
    }, ['.']);
    assert.equal(code, 1);
    assert.equal(tally, '1 passed, 2 failed');
    assert.deepEqual(lines.map((line) => line.slice(0, 19)).sort(),
      ['FAIL a_spec.lua:1: ', 'FAIL b_spec.lua:1: ']);
  });
});
