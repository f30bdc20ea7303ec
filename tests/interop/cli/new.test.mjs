// roost new: a service and its spec.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { roost } from '../lib/cli.mjs';
import { temporaryDir } from '../lib/host.mjs';

describe('roost new', () => {
  test('makes a service whose spec passes untouched', async (t) => {
    const cwd = temporaryDir(t);
    const made = await roost(['new', 'greeter'], { cwd });
    assert.deepEqual(made, {
      code: 0, stdout: 'services/greeter.lua\nservices/greeter_spec.lua\n', stderr: '',
    });
    const { code, stdout, stderr } = await roost(['test', 'services/greeter'], { cwd });
    assert.equal(code, 0, stdout);
    assert.match(stdout, /^[1-9]\d* passed, 0 failed\n$/);
    assert.equal(stderr, '');
  });

  test('the service is one that roost check likes', async (t) => {
    const cwd = temporaryDir(t);
    for (const name of ['greeter', 'order-desk', 'v2']) {
      assert.equal((await roost(['new', name], { cwd })).code, 0);
    }
    const { code, stderr } = await roost(['check', '--set', 'servers.1.port=0'], { cwd });
    assert.equal(code, 0, stderr);
    const { stdout } = await roost(['test'], { cwd });
    assert.match(stdout, /^6 passed, 0 failed\n$/);
  });

  test('luacheck finds nothing in the files', async (t) => {
    const cwd = temporaryDir(t);
    await roost(['new', 'greeter'], { cwd });
    const found = spawnSync('luacheck', ['--std', 'lua54+busted', 'services'], { cwd });
    if (found.error) return t.diagnostic('there is no luacheck');
    assert.equal(found.status, 0, String(found.stdout));
  });

  test('says its name everywhere, and nothing of the template', async (t) => {
    const cwd = temporaryDir(t);
    await roost(['new', 'greeter'], { cwd });
    for (const file of ['greeter.lua', 'greeter_spec.lua']) {
      const text = readFileSync(join(cwd, 'services', file), 'utf8');
      assert.match(text, /greeter/);
      assert.doesNotMatch(text, /NAME/);
    }
  });

  /** What is there already stays, and nothing is written beside it. */
  const refuses = (name, make, clue) => test(`refuses ${name}`, async (t) => {
    const cwd = temporaryDir(t);
    mkdirSync(join(cwd, 'services'));
    make(join(cwd, 'services'));
    const before = readdirSync(join(cwd, 'services'));
    const { code, stdout, stderr } = await roost(['new', 'greeter'], { cwd });
    assert.equal(code, 1);
    assert.equal(stdout, '');
    assert.match(stderr, clue);
    assert.equal(stderr.split('\n').length, 2);
    assert.deepEqual(readdirSync(join(cwd, 'services')), before);
  });
  refuses('a service that is there', (dir) => writeFileSync(join(dir, 'greeter.lua'), 'mine'),
    /services\/greeter\.lua: it is there already/);
  refuses('a spec that is there', (dir) => writeFileSync(join(dir, 'greeter_spec.lua'), 'mine'),
    /services\/greeter_spec\.lua: it is there already/);
  refuses('a folder of that name', (dir) => mkdirSync(join(dir, 'greeter')),
    /services\/greeter: it is there already/);
  refuses('a link that leads nowhere', (dir) => symlinkSync('nowhere', join(dir, 'greeter.lua')),
    /services\/greeter\.lua: it is there already/);

  test('where services is no folder: one line', async (t) => {
    const cwd = temporaryDir(t, { services: '' });
    const { code, stderr } = await roost(['new', 'greeter'], { cwd });
    assert.equal(code, 1);
    assert.match(stderr, /^roost new: services\S*: Not a directory\n$/);
  });

  const names = ['', '1x', '_x', '.x', 'a b', 'a/b', '../x', 'a.lua', 'x_spec', 'lib', 'Größe',
    'x'.repeat(101)];
  for (const name of names) {
    test(`"${name.slice(0, 20)}" is no name: 2`, async (t) => {
      const cwd = temporaryDir(t);
      const { code, stdout, stderr } = await roost(['new', name], { cwd });
      assert.equal(code, 2);
      assert.equal(stdout, '');
      assert.match(stderr, /can't be a service's name/);
      assert.equal(existsSync(join(cwd, 'services')), false);
    });
  }

  test('no name, or two: 2', async (t) => {
    const cwd = temporaryDir(t);
    for (const args of [[], ['a', 'b']]) {
      const { code, stderr } = await roost(['new', ...args], { cwd });
      assert.equal(code, 2);
      assert.match(stderr, /name/);
    }
    assert.equal(existsSync(join(cwd, 'services')), false);
  });
});
