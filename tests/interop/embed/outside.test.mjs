// Programs outside the tree: built with nothing but what `cmake --install` has put into a folder, by
// pkg-config and by find_package, they answer real Nest clients from handlers in C and in Lua.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { before, describe, test } from 'node:test';
import { interopDir, roostBin, slow } from '../lib/env.mjs';
import { temporaryDir } from '../lib/host.mjs';
import { loadNest, nestClient } from '../lib/nest.mjs';
import { suiteScope, undo, until, within } from '../lib/wait.mjs';

const sources = join(interopDir, '..', 'embed', 'outside');

const hello = (word) => `
  local roost = require "roost"
  local service = roost.service()
  service:message("hello", function(name) return "${word} " .. name end)
  return service
`;

const run = (command, args, options = {}) =>
  execFileSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'], ...options });

/** Both programs, by both ways: { "C, pkg-config": path, ... }. */
function build(t) {
  const dir = temporaryDir(t);
  const prefix = join(dir, 'installed');
  run('cmake', ['--install', dirname(roostBin), '--prefix', prefix]);
  const env = { ...process.env, PKG_CONFIG_PATH: join(prefix, 'lib', 'pkgconfig') };
  const flags = run('pkg-config', ['--cflags', '--libs', 'roost'], { env }).trim().split(/\s+/);
  const strict = ['-Wall', '-Wextra', '-pedantic', '-Werror'];
  const rpath = `-Wl,-rpath,${join(prefix, 'lib')}`;
  run('cc', ['-std=c11', ...strict, join(sources, 'outside.c'), '-o', join(dir, 'c'), ...flags, rpath]);
  run('c++', ['-std=c++17', ...strict, join(sources, 'outside.cpp'), '-o', join(dir, 'cpp'), ...flags,
    rpath]);
  run('cmake', ['-S', sources, '-B', join(dir, 'cmake'), `-DCMAKE_PREFIX_PATH=${prefix}`]);
  run('cmake', ['--build', join(dir, 'cmake')]);
  return {
    'C, pkg-config': join(dir, 'c'),
    'C++, pkg-config': join(dir, 'cpp'),
    'C, find_package': join(dir, 'cmake', 'outside_c'),
    'C++, find_package': join(dir, 'cmake', 'outside_cpp'),
  };
}

/** Starts a program over a folder with services; { dir, port, ended } once it has said its port. */
async function start(t, program) {
  const dir = temporaryDir(t, { 'hello.lua': hello('Hello') });
  const child = spawn(program, [dir], { cwd: dir, stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = once(child, 'exit');
  undo(t, () => child.kill('SIGKILL'));
  const [line] = await within(once(createInterface(child.stdout), 'line'), 'the port');
  return { dir, port: Number(line), ended };
}

// What is linked with sanitizers is nothing to be installed.
if (!slow) describe('programs outside the tree', () => {
  const scope = suiteScope();
  let programs;
  before(() => (programs = build(scope)));

  for (const version of [11, 12]) {
    for (const name of ['C, pkg-config', 'C++, pkg-config', 'C, find_package', 'C++, find_package']) {
      test(`${name}: a client of Nest ${version} is answered from C and from Lua`, async (t) => {
        const nest = await loadNest(version);
        const host = await start(t, programs[name]);
        const client = nestClient(t, nest, host.port);
        const ask = (pattern, data) =>
          within(nest.lastValueFrom(client.send(pattern, data)), JSON.stringify(pattern));
        assert.deepEqual(await ask({ cmd: 'echo' }, { a: [1, 'é', null] }), { a: [1, 'é', null] });
        assert.equal(await ask('hello', 'Ada'), 'Hello Ada');
        writeFileSync(join(host.dir, 'hello.lua'), hello('Welcome'));
        assert.equal(await ask('reload', {}), true);
        await until(async () => await ask('hello', 'Ada') === 'Welcome Ada', 'the new code');
        assert.equal(await within(nest.lastValueFrom(client.send('stop', {}), { defaultValue: 0 }),
          'stop'), 0);
        client.close();
        assert.deepEqual(await within(host.ended, 'the end'), [0, null]);
      });
    }
  }
});
