// The command line as a whole: help, version, usage, and roost run.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { roost } from '../lib/cli.mjs';
import { roostBin } from '../lib/env.mjs';
import { configText, startHost, temporaryDir } from '../lib/host.mjs';
import { code } from '../lib/lua.mjs';
import { connect, freePort, listens } from '../lib/peer.mjs';
import { luaService } from '../lib/service.mjs';

describe('roost', () => {
  for (const command of ['run', 'check', 'call', 'emit', 'bench', 'exec', 'test', 'new', 'reload',
    'status', 'version']) {
    test(`${command} --help`, async () => {
      const { code, stdout, stderr } = await roost([command, '--help']);
      assert.equal(code, 0);
      assert.match(stdout, new RegExp(`roost ${command}\\b`));
      assert.equal(stderr, '');
    });

    test(`${command} with an unknown option: 2`, async () => {
      const { code, stdout, stderr } = await roost([command, '--no-such-option']);
      assert.equal(code, 2);
      assert.match(stderr, /--no-such-option/);
      assert.equal(stdout, '');
    });
  }

  test('--help names the commands', async () => {
    const { code, stdout } = await roost(['--help']);
    assert.equal(code, 0);
    for (const command of ['run', 'check', 'call', 'emit', 'bench', 'exec', 'test', 'new', 'reload',
    'status', 'version']) {
      assert.match(stdout, new RegExp(`\\b${command}\\b`));
    }
  });

  test('nothing, or an unknown command: 2', async () => {
    for (const args of [[], ['no-such-command']]) {
      const { code, stdout, stderr } = await roost(args);
      assert.equal(code, 2);
      assert.equal(stdout, '');
      assert.notEqual(stderr, '');
    }
  });

  for (const [command, ...args] of [['run'], ['check'], ['exec', '/dev/null'], ['test']]) {
    test(`${command} in a folder that was removed says so`, async (t) => {
      const cwd = join(temporaryDir(t), 'gone');
      mkdirSync(cwd);
      const child = spawn('sh', ['-c', 'rmdir ../gone && exec "$0" "$@" 2>&1', roostBin, command,
        ...args], { cwd, stdio: ['ignore', 'pipe', 'ignore'] });
      const said = [];
      child.stdout.on('data', (text) => said.push(text));
      assert.deepEqual(await once(child, 'close'), [1, null]);
      assert.match(said.join(''), /: the working directory: No such file or directory\n/);
    });
  }

  test('a closed standard descriptor does not become a socket', async (t) => {
    const cwd = temporaryDir(t, { 'services/good.lua': luaService('') });
    for (const closed of ['<&-', '>&-', '2>&-', '<&- >&- 2>&-']) {
      const child = spawn('sh', ['-c', `exec "$0" check --set servers.1.port=0 ${closed}`, roostBin],
        { cwd, stdio: 'ignore' });
      assert.deepEqual(await once(child, 'exit'), [0, null], closed);
    }
  });

  test('version', async () => {
    const { code, stdout, stderr } = await roost(['version']);
    assert.equal(code, 0);
    assert.equal(stderr, '');
    for (const part of [/roost \d+\.\d+\.\d+/i, /lua 5\.4/i, /libuv \d/i, /openssl 3/i, /tcp/]) {
      assert.match(stdout, part);
    }
  });
});

describe('roost run', () => {
  const service = luaService(`
    service:message("where", function() return roost.env("X", "unset") end)
  `);

  test('a configuration that is not there: 1', async (t) => {
    const { code, stderr } = await roost(['run', 'no-such.lua'], { cwd: temporaryDir(t) });
    assert.equal(code, 1);
    assert.match(stderr, /no-such\.lua/);
  });

  test('without a configuration: the one compiled in', async (t) => {
    const port = await freePort();
    const cwd = temporaryDir(t);
    assert.equal((await roost(['check', '--set', `servers.1.port=${port}`], { cwd })).code, 0);
  });

  test('--set: a literal, a text, several', async (t) => {
    const port = await freePort();
    const host = await startHost(t, {
      service, server: { port },
      args: ['--set', 'log.level=debug', '--set', 'servers.1.max_buffer_size=100',
        '--set', 'servers.1.name="from the command line"'],
    });
    const peer = await connect(t, host.port);
    await peer.write('101#');
    assert.equal(await peer.closed(), 'fin');
  });

  test('--set with an unknown key or a wrong value', async (t) => {
    const cwd = temporaryDir(t, { 'host.lua': configText({ services: [] }) });
    for (const set of ['sevices=x', 'limits.no_such=1', 'limits.request_timeout=soon']) {
      const { code, stderr } = await roost(['run', 'host.lua', '--set', set], { cwd });
      assert.equal(code, 1, set);
      assert.match(stderr, new RegExp(set.split('=')[0].split('.').at(-1)));
    }
    assert.equal((await roost(['run', 'host.lua', '--set', 'nothing'], { cwd })).code, 2);
  });

  test('-C: paths start there', async (t) => {
    const dir = temporaryDir(t, {
      'host.lua': configText({ services: 'services',
        servers: [{ transport: 'tcp', host: '127.0.0.1', port: await freePort() }] }),
      'services/test.lua': service,
    });
    assert.equal((await roost(['check', '-C', dir, 'host.lua'])).code, 0);
    assert.equal((await roost(['check', 'host.lua'])).code, 1);
  });

  test('env and digit texts in the configuration', async (t) => {
    const port = await freePort();
    const host = await startHost(t, {
      service, server: { port, max_buffer_size: code('env("LIMIT")'), name: code('env("N", "n")') },
      env: { LIMIT: '100', X: 'set' },
    });
    const peer = await connect(t, host.port);
    assert.equal(await peer.call('where'), 'set');
    await peer.write('101#');
    assert.equal(await peer.closed(), 'fin');
  });

  test('broken: 1, one clear line, nothing is left listening', async (t) => {
    const port = await freePort();
    const cwd = temporaryDir(t, {
      'host.lua': configText({ services: 'services',
        servers: [{ transport: 'tcp', host: '127.0.0.1', port }] }),
      'services/bad.lua': 'local x = = 1\n',
    });
    const { code, stdout, stderr } = await roost(['run', 'host.lua'], { cwd });
    assert.equal(code, 1);
    assert.match(stderr, /bad\.lua:1/);
    assert.equal(stdout, '');
    assert.equal(listens(port), false);
  });
});
