// SIGHUP: the configuration is read again, and services whose files have changed are reloaded.
import assert from 'node:assert/strict';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { stateTest, workers } from '../lib/env.mjs';
import { configText, startHost } from '../lib/host.mjs';
import { noHandler } from '../lib/frames.mjs';
import { connect } from '../lib/peer.mjs';
import { until } from '../lib/wait.mjs';

const service = (name, value, more = '') => `local roost = require "roost"
local service = roost.service()
service:message("${name}", function() return ${value} end)
${more}
return service
`;

/** A host with the service a; configure() writes other keys into its file and has it look. */
async function start(t, config = {}) {
  const { files = { 'services/a.lua': service('a', 1) }, ...given } = config;
  const keys = { services: ['services'], workers, ...given };
  const host = await startHost(t, { files, ...keys });
  const write = (name, text) => writeFileSync(join(host.dir, name), text);
  let reloads = 0;
  const configure = async (more = {}, server = {}) => {
    const servers = [{ transport: 'tcp', host: '127.0.0.1', ...config.server, ...server,
      port: server.port ?? host.port }];
    write('host.lua', configText({ ...host.config, ...more, servers }));
    host.signal('SIGHUP');
    reloads++;
    await until(() => host.find(/^configuration (not )?reloaded/).length === reloads, 'the reload');
  };
  const peer = await connect(t, host.port);
  return { host, peer, write, configure };
}

describe('SIGHUP', () => {
  stateTest('reloads services whose files have changed, and no others', async (t) => {
    const { host, peer, write } = await start(t, { services: ['services'] });
    write('services/b.lua', service('b', 1));
    host.signal('SIGHUP');
    await host.logged((entry) => entry.msg === 'service loaded' && entry.service === 'b');
    assert.equal(await peer.call('b'), 1);
    await new Promise((resolve) => setTimeout(resolve, 50)); // b's file is no longer fresh
    write('services/a.lua', service('a', 2));
    host.signal('SIGHUP');
    await host.logged((entry) => entry.msg === 'service reloaded' && entry.service === 'a');
    assert.equal(await peer.call('a'), 2);
    assert.equal(host.find((entry) => entry.service === 'b' && entry.gen === '3').length, 0);
  });

  test('takes allow and rate, for connections that are open, too', async (t) => {
    const { peer, configure } = await start(t);
    assert.equal(await peer.call('a'), 1);
    await configure({}, { allow: [{ peer: '*', patterns: ['other'] }] });
    assert.match(await peer.ask('a', 1), /Forbidden resource/);
    await configure({}, { allow: [{ peer: '127.0.0.1', patterns: ['a'] }] });
    assert.equal(await peer.call('a'), 1);
    await configure();
    assert.equal(await peer.call('a'), 1);
  });

  test('adds and removes services', async (t) => {
    const { host, peer, configure } = await start(t, {
      files: { 'services/a.lua': service('a', 1), 'more/m.lua': service('m', 1,
        'service:on_stop(function() roost.log:info("m stops") end)') },
    });
    assert.equal(await peer.ask('m', 1), noHandler('"ask"'));
    await configure({ services: ['services', 'more'], log: { level: 'debug' } });
    await until(async () => (await peer.ask('m', 1)) !== noHandler('"ask"'), 'm');
    assert.equal(await peer.call('m'), 1);
    await configure({ services: ['services'] });
    await host.logged(/^m stops/);
    await host.logged((entry) => entry.msg === 'service removed' && entry.service === 'm');
    assert.equal(await peer.ask('m', 1), noHandler('"ask"'));
    assert.equal(await peer.call('a'), 1);
  });

  stateTest('has services use clients that are new or others now', async (t) => {
    const target = await startHost(t, { service: service('where', '"first"') });
    const other = await startHost(t, { service: service('where', '"second"') });
    const client = ({ port }) => ({ transport: 'tcp', host: '127.0.0.1', port });
    const { host, peer, configure } = await start(t, {
      files: { 'services/a.lua': service('a', 'roost.client("X"):call("where", {})') },
      clients: { X: client(target), SAME: client(target) },
    });
    assert.equal(await peer.call('a'), 'first');
    await configure({ clients: { X: client(target), SAME: client(target) } });
    assert.equal(host.find(/^service reloaded/).length, 0, 'nothing has changed');
    await configure({ clients: { X: client(other), SAME: client(target) } });
    await host.logged((entry) => entry.msg === 'service reloaded' && entry.gen === '2');
    assert.equal(await peer.call('a'), 'second');
    await configure({ clients: { SAME: client(target) } });
    await host.logged((entry) => entry.msg === 'service reloaded' && entry.gen === '3');
    assert.match(await peer.ask('a', 1), /Internal server error/);
  });

  test('a bad file changes nothing, and the line names what is wrong', async (t) => {
    const { host, peer, write } = await start(t);
    write('host.lua', 'return { services = "services", sevices = 1 }');
    host.signal('SIGHUP');
    const { err } = await host.logged(/^configuration not reloaded, the old one stays/);
    assert.match(err, /^host\.lua: .*sevices/);
    assert.equal(await peer.call('a'), 1);
    rmSync(join(host.dir, 'host.lua'));
    host.signal('SIGHUP');
    await until(() => host.find(/^configuration not reloaded/).length === 2, 'the line');
    assert.equal(await peer.call('a'), 1);
  });

  test('what needs a restart is said', async (t) => {
    const { host, peer, configure } = await start(t);
    await configure({ wildcards: true }, { max_connections: 7 });
    const keys = host.find(/needs a restart/).map(({ key }) => key);
    assert.deepEqual(keys.sort(), ['servers[1]', 'wildcards']);
    assert.equal(await peer.call('a'), 1);
  });

  test('one that never ends does not keep a second SIGTERM from ending the host', async (t) => {
    const { host, peer, write } = await start(t);
    write('host.lua', 'return { services = ("a"):rep(60):find(("a-"):rep(40) .. "b") }');
    host.signal('SIGHUP');
    await until(() => host.ticks > 50, 'the file being run');
    assert.equal(await peer.call('a'), 1);
    host.signal('SIGTERM');
    await host.logged(/^stopped$/);
    host.expectedCode = 130;
    host.signal('SIGTERM');
    assert.deepEqual(await host.exited, { code: 130, signal: null });
  });
});
