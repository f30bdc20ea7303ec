// roost exec: a Lua program on a loop of its own.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { roost } from '../lib/cli.mjs';
import { startHost, temporaryDir } from '../lib/host.mjs';
import { parseLogfmt } from '../lib/logfmt.mjs';
import { luaService } from '../lib/service.mjs';

/** Runs the program `text` as main.lua in a folder of its own, beside `files`. */
async function run(t, text, args = [], { files = {}, ...options } = {}) {
  const cwd = temporaryDir(t, { 'main.lua': text, ...files });
  return roost(['exec', 'main.lua', ...args], { cwd, ...options });
}

/** It prints exactly `stdout`, says nothing else and ends with `code`. */
const prints = (name, text, stdout, { code = 0, args } = {}) => test(name, async (t) => {
  assert.deepEqual(await run(t, text, args), { code, stdout, stderr: '' });
});

/** It ends with 1, and the first line on stderr matches `clue`. */
const fails = (name, text, clue, options) => test(name, async (t) => {
  const { code, stderr } = await run(t, text, [], options);
  assert.equal(code, 1, stderr);
  const [first, top] = stderr.split('\n');
  assert.match(first, clue);
  assert.doesNotMatch(top, /\[C\]|roost\.\w+:\d/);
});

const withRoost = (body) => `local roost = require "roost"\n${body}`;

describe('roost exec', () => {
  prints('print goes to stdout, as Lua writes it', 'print() print(nil, true, 1.0, "ä", 2^53|0)',
    '\nnil\ttrue\t1.0\tä\t9007199254740992\n');
  prints('io.write too, in order', 'io.write("a") print("b") io.write("c\\n")', 'ab\nc\n');
  prints('arguments are in arg and in ...',
    'print(#arg, arg[0], arg[1], arg[2], arg[3], select("#", ...), ...)',
    '3\tmain.lua\ta\tb c\t--help\t3\ta\tb c\t--help\n', { args: ['a', 'b c', '--help'] });
  prints('what was before the program, too, as in Lua',
    'print(arg[-1], arg[-2]:match("[^/]*$") ~= "", arg[-3])', 'exec\ttrue\tnil\n');
  prints('a first line that starts with # is none of Lua\'s', '#!/usr/bin/env -S roost exec\nprint(1)',
    '1\n');
  test('what lies beside the program can be required', async (t) => {
    const cwd = temporaryDir(t, {
      'tools/main.lua': 'print((require "helper"))', 'tools/helper.lua': 'return "helped"',
    });
    const { code, stdout, stderr } = await roost(['exec', 'tools/main.lua'], { cwd });
    assert.deepEqual({ code, stdout, stderr }, { code: 0, stdout: 'helped\n', stderr: '' });
  });

  prints('os.exit()', 'os.exit()', '');
  prints('os.exit(true)', 'os.exit(true)', '');
  prints('os.exit(false)', 'os.exit(false)', '', { code: 1 });
  prints('os.exit(7), and what was printed before is there', 'io.write("x") print "y" os.exit(7)',
    'xy\n', { code: 7 });
  prints('os.exit in a task ends it all', withRoost(`
    roost.spawn(function() os.exit(3) end)
    roost.sleep(3600000)`), '', { code: 3 });

  test('a client has its serializer', async (t) => {
    const { port } = await startHost(t, {
      service: luaService('service:message("there", function(data) return data end)'),
    });
    const { stdout, stderr } = await run(t, withRoost(`
      local client <close> = roost.client{ port = ${port}, serializer = "redirect" }
      print(client:call("nowhere", 7))`), [], { files: {
      'lua/redirect.lua':
        'return { serialize = function(packet) packet.pattern = "there" return packet end }',
    } });
    assert.deepEqual({ stdout, stderr }, { stdout: '7\n', stderr: '' });
  });
  fails('a serializer that is not there', withRoost(`
    roost.client{ port = 1, serializer = "no_such_module" }:call("x", {})`), /no_such_module/);
  prints('it may wait', withRoost(`
    local before = roost.now()
    roost.sleep(10)
    print(roost.now() > before)`), 'true\n');
  prints('it ends when every task and timer is over', withRoost(`
    local beats, timer = 0, nil
    roost.after(30, function() print "after" end)
    timer = roost.every(5, function()
      beats = beats + 1
      if beats == 2 then timer:cancel() end
    end)
    roost.spawn(function() roost.sleep(1) print "task" end)
    print "main"`), 'main\ntask\nafter\n');
  prints('all and race', withRoost(`
    local got = roost.all { a = function() roost.sleep(1) return 1 end, b = function() return 2 end }
    print(got.a, got.b, roost.race { function() roost.sleep(1000) end, function() return "quick" end })`),
  '1\t2\tquick\n');
  prints('streams, store and JSON are there', withRoost(`
    for n in roost.stream.of(1, 2):each() do io.write(n, " ") end
    roost.store:set("k", { 1 })
    print(roost.json.encode(roost.store:get "k"))`), '1 2 [1]\n');
  prints('so is roost.testing', `
    local testing = require "roost.testing"
    local host <close> = testing.host { services = { inline = function(service)
      service:message("double", function(n) return 2 * n end)
    end } }
    print(host:call("double", 21))`, '42\n');

  test('the log goes to stderr', async (t) => {
    const { code, stdout, stderr } = await run(t,
      withRoost('roost.log:warn("low", { left = 3 }) print "out"'));
    assert.equal(code, 0);
    assert.equal(stdout, 'out\n');
    const { level, msg, left } = parseLogfmt(stderr.trim());
    assert.deepEqual({ level, msg, left }, { level: 'warn', msg: 'low', left: '3' });
  });

  test('what a task raises is logged, and the rest goes on', async (t) => {
    const { code, stdout, stderr } = await run(t, withRoost(`
      roost.spawn(function() error "in a task" end)
      roost.sleep(1)
      print "still here"`));
    assert.equal(code, 0);
    assert.equal(stdout, 'still here\n');
    assert.match(stderr, /level=error msg="task failed".*main\.lua:3: in a task/);
  });

  fails('an error', '\nlocal x\nx.y = 1', /^roost exec: main\.lua:3: .*nil value/);
  fails('an error after a wait', withRoost('roost.sleep(1)\nerror "late"'),
    /^roost exec: main\.lua:3: late$/);
  fails('an error of the API, which points at the program', withRoost('roost.sleep("x")'),
    /^roost exec: main\.lua:2: bad argument/);
  fails('an error in what it requires', 'require "helper"', /^roost exec: \.\/helper\.lua:2: oh$/,
    { files: { 'helper.lua': '\nerror "oh"' } });
  test('an error\'s traceback follows', async (t) => {
    const { stderr } = await run(t, 'local function f() error "deep" end\nf()');
    assert.equal(stderr, 'roost exec: main.lua:1: deep\nmain.lua:1: in local \'f\'\n'
      + 'main.lua:2: in main chunk\n');
  });
  fails('a syntax error', 'local x = = 1', /^roost exec: main\.lua:1: unexpected symbol near '='/);
  fails('a wait for what can never come', withRoost('roost.stream.subject():first()'),
    /^roost exec: TimeoutError: waits for what can't come/);
  prints('which a task may do: it is over then', withRoost(`
    roost.spawn(function() roost.stream.subject():first() end)
    print "done"`), 'done\n');

  test('a file that is not there, or none', async (t) => {
    const cwd = temporaryDir(t, { 'folder/x': '' });
    const { code, stderr } = await roost(['exec', 'gone.lua'], { cwd });
    assert.equal(code, 1);
    assert.equal(stderr, 'roost exec: gone.lua: No such file or directory\n');
    const folder = await roost(['exec', 'folder'], { cwd });
    assert.equal(folder.code, 1);
    assert.equal(folder.stderr, 'roost exec: folder: Is a directory\n');
    assert.equal((await roost(['exec'], { cwd })).code, 2);
  });
});
