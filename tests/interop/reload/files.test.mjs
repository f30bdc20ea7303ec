// What happens to the files of services: old code goes on, the log says so once, a good file heals.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  appendFileSync, chmodSync, mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, unlinkSync,
  utimesSync, writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { temporaryDir } from '../lib/host.mjs';
import { connect } from '../lib/peer.mjs';
import { save, startWatching } from '../lib/reload.mjs';
import { luaService } from '../lib/service.mjs';
import { sleep, until } from '../lib/wait.mjs';

const answering = (value, more = '') =>
  luaService(`${more}\nservice:message("value", function() return ${JSON.stringify(value)} end)`);
const named = (name, value, more = '') => luaService(
  `${more}\nservice:message("${name}", function() return ${JSON.stringify(value)} end)`);

async function start(t, options) {
  const host = await startWatching(t, { files: { 'services/test.lua': answering(1) }, ...options });
  const peer = await connect(t, host.port);
  const path = join(host.dir, 'services', 'test.lua');
  return {
    host,
    peer,
    path,
    becomes: (value, pattern = 'value') =>
      until(async () => (await peer.call(pattern)) === value, `${pattern} being ${value}`),
    refusals: () => host.find(/^reload refused/),
  };
}

/** The old code goes on for a while, with one line in the log; then a good file heals it. */
async function refusedOnce({ host, peer, becomes, refusals, path }, why) {
  await until(() => refusals().length > 0, 'the refusal');
  for (let i = 0; i < 20; i++) {
    assert.equal(await peer.call('value'), 1);
    await sleep(5);
  }
  assert.equal(refusals().length, 1);
  assert.match(refusals()[0].err, why);
  assert.equal(refusals()[0].service, 'test');
  rmSync(path, { recursive: true, force: true });
  save(host, 'services/test.lua', answering(2));
  await becomes(2);
  assert.equal(refusals().length, 1);
}

describe('a file that is no good', () => {
  test('removed', async (t) => {
    const own = await start(t);
    unlinkSync(own.path);
    await refusedOnce(own, /test\.lua.*No such file/);
  });

  test('half written', async (t) => {
    const own = await start(t);
    const text = answering(2);
    writeFileSync(own.path, text.slice(0, text.length - 20));
    await refusedOnce(own, /test\.lua:\d+: /);
  });

  test('empty', async (t) => {
    const own = await start(t);
    writeFileSync(own.path, '');
    await refusedOnce(own, /must return what roost\.service\(\) made/);
  });

  test('of bytes that are no text', async (t) => {
    const own = await start(t);
    writeFileSync(own.path, Buffer.from([0x1b, 0x4c, 0x75, 0x61, 0, 0xff, 0xfe, 0]));
    await refusedOnce(own, /test\.lua/);
  });

  const refuseUnreadable = async (t) => {
    const own = await start(t);
    chmodSync(own.path, 0);
    await refusedOnce(own, /test\.lua.*Permission denied/);
  };
  if (process.getuid() !== 0) test('unreadable', refuseUnreadable); // root reads everything

  test('replaced by a folder', async (t) => {
    const own = await start(t);
    unlinkSync(own.path);
    mkdirSync(own.path);
    await refusedOnce(own, /test\.lua/);
  });

  test('replaced by a pipe, to which nobody writes', async (t) => {
    const own = await start(t);
    execFileSync('mkfifo', [`${own.path}.pipe`]);
    renameSync(`${own.path}.pipe`, own.path); // at once: a file that is gone would be refused, too
    await refusedOnce(own, /test\.lua: it is no regular file/);
  });

  test('replaced by a link to itself', async (t) => {
    const own = await start(t);
    unlinkSync(own.path);
    symlinkSync('test.lua', own.path);
    await refusedOnce(own, /test\.lua.*symbolic links/);
  });

  test('replaced by a link to nothing, then by one to a good file', async (t) => {
    const own = await start(t);
    unlinkSync(own.path);
    symlinkSync('/nowhere/at/all.lua', own.path);
    await until(() => own.refusals().length > 0, 'the refusal');
    save(own.host, 'elsewhere/good.lua', answering(5));
    symlinkSync(join(own.host.dir, 'elsewhere', 'good.lua'), `${own.path}.link`);
    renameSync(`${own.path}.link`, own.path);
    await own.becomes(5);
  });

  test('its whole folder removed, and made again', async (t) => {
    const own = await start(t);
    const folder = join(own.host.dir, 'services');
    rmSync(folder, { recursive: true });
    await until(() => own.refusals().length > 0, 'the refusal');
    assert.equal(await own.peer.call('value'), 1);
    save(own.host, 'services/test.lua', answering(2));
    await own.becomes(2);
  });
});

test('renamed: the new one wins', async (t) => {
  const { host, path, becomes } = await start(t);
  renameSync(path, join(host.dir, 'services', 'other.lua'));
  save(host, 'services/other.lua', answering(2)); // by name it would come before the old one
  await becomes(2);
  save(host, 'services/other.lua', answering(3));
  await becomes(3);
});

describe('ways of saving', () => {
  test('in place, in one write', async (t) => {
    const { path, becomes } = await start(t);
    writeFileSync(path, answering(2));
    await becomes(2);
  });

  test('in place, in many writes with pauses shorter than the debounce', async (t) => {
    const { host, path, becomes } = await start(t, { reload: { debounce: 500 } });
    const text = answering(2);
    writeFileSync(path, '');
    for (let at = 0; at < text.length; at += 100) {
      appendFileSync(path, text.slice(at, at + 100));
      await sleep(5);
    }
    await becomes(2);
    await host.settles({ reloaded: 1 });
  });

  test('by renaming over it', async (t) => {
    const { host, becomes } = await start(t);
    save(host, 'services/test.lua', answering(2));
    await becomes(2);
    await host.settles({ reloaded: 1 });
  });

  test('by renaming it to a backup and writing a new one', async (t) => {
    const { host, path, becomes } = await start(t, { reload: { debounce: 200 } });
    for (let value = 2; value < 5; value++) {
      renameSync(path, `${path}~`);
      writeFileSync(path, answering(value));
      await becomes(value);
    }
    assert.equal(host.counts.refused, 0);
  });

  test('the same size and the same time', async (t) => {
    const { host, path, becomes } = await start(t, { reload: { debounce: 50 } });
    const time = new Date(2020, 1, 1);
    utimesSync(path, time, time);
    await until(() => host.counts.reloaded > 0, 'the reload');
    writeFileSync(`${path}.new`, answering(7));
    utimesSync(`${path}.new`, time, time);
    renameSync(`${path}.new`, path);
    await becomes(7);
  });

  test('several files at once are one reload', async (t) => {
    const whole = (version) => ({
      'services/test/init.lua': answering(1, 'local a, b = require "a", require "b"')
        .replace('return 1 end', 'return a .. b end'),
      'services/test/a.lua': `return "a${version}"`,
      'services/test/b.lua': `return "b${version}"`,
    });
    const host = await startWatching(t, { files: whole(1), reload: { debounce: 100 } });
    const peer = await connect(t, host.port);
    assert.equal(await peer.call('value'), 'a1b1');
    for (const [name, text] of Object.entries(whole(2))) {
      save(host, name, text);
      await sleep(10);
    }
    await until(async () => (await peer.call('value')) === 'a2b2', 'both being new');
    await host.settles({ reloaded: 1 });
  });
});

describe('what belongs to a service', () => {
  test('a module reloads those that require it, and only those', async (t) => {
    const host = await startWatching(t, {
      files: {
        'services/one.lua': named('one', 1, 'require "shared"'),
        'services/two.lua': named('two', 1, 'require "shared"'),
        'services/three.lua': named('three', 1, 'require "other"'),
        'services/lib/shared.lua': 'return 1',
        'services/lib/other.lua': 'return 1',
      },
      reload: { debounce: 100 },
    });
    const reloaded = () => host.find(/^service reloaded$/).map(({ service }) => service).sort();
    save(host, 'services/lib/shared.lua', 'return 2');
    await until(() => reloaded().length >= 2, 'two reloads');
    save(host, 'services/lib/other.lua', 'return 2');
    await until(() => reloaded().length >= 3, 'three reloads');
    save(host, 'services/lib/unused.lua', 'return 2');
    await sleep(300);
    assert.deepEqual(reloaded(), ['one', 'three', 'two']);
  });

  test('a module that was missing, or broken, heals those that require it', async (t) => {
    const { host, becomes, refusals } = await start(t);
    save(host, 'services/test.lua', answering(2, 'require "later"'));
    await until(() => refusals().length === 1, 'the refusal');
    save(host, 'services/lib/later.lua', 'return = 1');
    await until(() => refusals().length === 2, 'another refusal');
    save(host, 'services/lib/later.lua', 'return 1');
    await becomes(2);
    assert.match(refusals()[0].err, /module 'later' not found/);
    assert.match(refusals()[1].err, /later\.lua:1: /);
  });

  test('services that come, in files and in folders', async (t) => {
    const { host, peer, becomes } = await start(t);
    save(host, 'services/more.lua', named('more', 'file'));
    const loaded = (name) => until(() => host.find(/^service loaded$/)
      .some(({ service }) => service === name), `${name} being loaded`);
    await loaded('more');
    assert.equal(await peer.call('more'), 'file');
    mkdirSync(join(host.dir, 'services', 'folder'));
    await sleep(100);
    save(host, 'services/folder/init.lua', named('folder', 'inside'));
    await loaded('folder');
    assert.equal(await peer.call('folder'), 'inside');
    save(host, 'services/folder/init.lua', named('folder', 'again'));
    await becomes('again', 'folder');
    save(host, 'services/bad.lua', 'local x = = 1');
    await host.logged(/^service cannot be loaded$/);
    assert.equal(await peer.call('value'), 1);
    save(host, 'services/bad.lua', named('bad', 'good'));
    await loaded('bad');
    assert.equal(await peer.call('bad'), 'good');
  });

  test('one that never was any good is gone with its file', async (t) => {
    const { host, becomes } = await start(t);
    save(host, 'services/bad.lua', 'local x = = 1');
    await host.logged(/^service cannot be loaded$/);
    await sleep(50);
    unlinkSync(join(host.dir, 'services', 'bad.lua'));
    await host.logged((entry) => entry.msg === 'service removed' && entry.service === 'bad');
    save(host, 'services/test.lua', answering(2));
    await becomes(2);
    assert.equal(host.find(/^service cannot be loaded$/).length, 1);
  });

  test('a file that becomes a folder', async (t) => {
    const { host, path, becomes } = await start(t);
    unlinkSync(path);
    save(host, 'services/test/init.lua', answering('folder'));
    await becomes('folder');
    save(host, 'services/test/init.lua', answering('again'));
    await becomes('again');
    rmSync(join(host.dir, 'services', 'test'), { recursive: true });
    save(host, 'services/test.lua', answering('file'));
    await becomes('file');
  });

  test('what is no service is of no interest', async (t) => {
    const { host, peer } = await start(t, { reload: { debounce: 10 } });
    for (const name of ['test.lua~', '.test.lua.swp', 'test_spec.lua', '_old.lua', 'notes.txt', '4913']) {
      writeFileSync(join(host.dir, 'services', name), 'local x = = 1');
    }
    await sleep(300);
    assert.equal(await peer.call('value'), 1);
    await host.settles({});
    assert.equal(host.find(/cannot be loaded/).length, 0, host.log);
    assert.ok(readFileSync(join(host.dir, 'services', 'test.lua'), 'utf8'));
  });
});

describe('links', () => {
  /** Has a link lead somewhere else, in one step, as deployments do. */
  const lead = (host, name, where) => {
    symlinkSync(where, join(host.dir, `${name}.next`));
    renameSync(join(host.dir, `${name}.next`), join(host.dir, name));
  };
  const counting = (value) => answering(value, `local count = 0
    service:message("count", function() count = count + 1 return count end)
    service:on_handoff(function() return count end)
    service:on_adopt(function(before) count = before end)`);

  test('the file behind a link is saved', async (t) => {
    const { host, becomes, path } = await start(t);
    save(host, 'elsewhere/test.lua', answering(2));
    rmSync(path);
    lead(host, 'services/test.lua', '../elsewhere/test.lua');
    await becomes(2);
    save(host, 'elsewhere/test.lua', answering(3));
    await becomes(3);
  });

  for (const services of ['current', 'current/services']) {
    test(`the services folder, ${services}, leads to another release`, async (t) => {
      const below = services.slice('current'.length);
      const files = {};
      for (const number of [1, 2]) {
        files[`releases/${number}${below}/test.lua`] = counting(number);
        files[`releases/${number}${below}/only${number}.lua`] = named('only', number);
      }
      const dir = temporaryDir(t, files);
      symlinkSync('releases/1', join(dir, 'current'));
      const host = await startWatching(t, { services: join(dir, services) });
      const peer = await connect(t, host.port);
      for (let i = 1; i <= 3; i++) assert.equal(await peer.call('count'), i);
      let over = false;
      const asking = (async () => {
        while (!over) assert.ok([1, 2].includes(await peer.call('value')));
      })();
      lead({ dir }, 'current', 'releases/2');
      await host.logged((entry) => entry.service === 'test' && entry.msg === 'service reloaded');
      await host.logged((entry) => entry.service === 'only2' && entry.msg === 'service loaded');
      over = true;
      await asking;
      assert.equal(await peer.call('value'), 2);
      assert.equal(await peer.call('count'), 4);
      assert.equal(await peer.call('only'), 2);
      assert.deepEqual(host.find(/^service removed$/).map(({ service }) => service), ['only1']);
      writeFileSync(join(dir, `releases/1${below}/test.lua`), 'local x = = 1');
      lead({ dir }, 'current', 'releases/1');
      await host.logged(/^reload refused/);
      assert.equal(await peer.call('count'), 5);
    });
  }

  test('a second file of the same name: the one that runs goes on', async (t) => {
    const { host, peer } = await start(t);
    save(host, 'services/test/init.lua', answering(2));
    await host.logged(/a service named "test" is there already/);
    await sleep(100);
    assert.equal(await peer.call('value'), 1);
    await host.settles({});
  });
});
