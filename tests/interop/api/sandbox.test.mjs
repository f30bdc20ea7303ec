// service_options.NAME.sandbox and memory: what they change in a host, and what they do not.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { perWorkerTest } from '../lib/env.mjs';
import { roost } from '../lib/cli.mjs';
import { masked } from '../lib/frames.mjs';
import { configText, startHost, temporaryDir } from '../lib/host.mjs';
import { connect, freePort } from '../lib/peer.mjs';
import { luaService } from '../lib/service.mjs';
import { until } from '../lib/wait.mjs';

/** Two services, the first of them in a sandbox, and a peer connected to them. */
async function two(t, guest, own, options = {}) {
  const host = await startHost(t, {
    services: 'services',
    service_options: { guest: { sandbox: true, ...options } },
    files: { 'services/guest.lua': luaService(guest), 'services/own.lua': luaService(own) },
  });
  return { host, peer: await connect(t, host.port) };
}

describe('a sandboxed service', () => {
  test('has no io where another one of the same host has it', async (t) => {
    const body = (name) => `service:message("${name}", function()
      return { type(io), type(os.execute), type(debug), type(package.cpath) }
    end)`;
    const { peer } = await two(t, body('guest'), body('own'));
    assert.deepEqual(await peer.call('guest', 1), ['nil', 'nil', 'nil', 'nil']);
    assert.deepEqual(await peer.call('own', 1), ['table', 'function', 'table', 'string']);
  });

  test('does not see the environment', async (t) => {
    const body = (name) => `service:message("${name}", function()
      return { os.getenv and os.getenv "SECRET" or "none", roost.env("SECRET", "none") }
    end)`;
    const host = await startHost(t, {
      services: 'services',
      service_options: { guest: { sandbox: true } },
      files: { 'services/guest.lua': luaService(body('guest')),
        'services/own.lua': luaService(body('own')) },
      env: { SECRET: 'hidden' },
    });
    const peer = await connect(t, host.port);
    assert.deepEqual(await peer.call('guest', 1), ['none', 'none']);
    assert.deepEqual(await peer.call('own', 1), ['hidden', 'hidden']);
  });

  perWorkerTest('leaves nothing that runs when its state is closed', async (t) => {
    const body = (name) => `
      local ok, kept = pcall(setmetatable, {}, { __gc = function() print("finalized ${name}") end })
      service:message("${name}", function() return ok, kept end)`;
    const { host, peer } = await two(t, body('guest'), body('own'));
    assert.equal(await peer.call('guest', 1), false);
    assert.equal(await peer.call('own', 1), true);
    await host.stop();
    assert.equal(host.find(/finalized own/).length, 1, host.log);
    assert.equal(host.find(/finalized guest/).length, 0, host.log);
  });

  test('shares store and clients with the others', async (t) => {
    const { peer } = await two(t, `service:message("guest", function()
        roost.store:set("k", 5)
        return roost.client { transport = "local" }:call("own", "from the sandbox")
      end)`, 'service:message("own", function(data) return { data, roost.store:get "k" } end)');
    assert.deepEqual(await peer.call('guest', 1), ['from the sandbox', 5]);
  });

  test('has cjson, made of what is on the wire', async (t) => {
    const { peer } = await two(t, `local cjson = require "cjson"
      service:message("guest", function(text)
        local value = cjson.decode(text)
        return { cjson.encode(value), cjson.null == roost.null, math.type(value[1]) }
      end)`, '');
    assert.deepEqual(await peer.call('guest', '[1700000000123456,[],null]'),
      ['[1700000000123456,[],null]', true, 'integer']);
  });

  test('has the memory that it was given, and others go on', async (t) => {
    const { host, peer } = await two(t, `service:message("guest", function()
        local all = {}
        for i = 1, 1e6 do all[i] = { i } end
        return #all
      end)
      service:message("alive", function() return true end)`,
    'service:message("own", function() return "here" end)', { memory: 4e6 });
    assert.equal(await peer.ask('guest', 1, 'a'), masked('"a"'));
    assert.equal(await peer.call('alive', 1), true);
    assert.equal(await peer.call('own', 1), 'here');
    assert.match((await host.logged(({ level }) => level === 'error')).err, /memory/);
  });

  test('is one as well when its file comes later, and when it changes', async (t) => {
    const guest = (version) => luaService(`service:message("guest", function()
      return { ${version}, type(io) }
    end)`);
    const host = await startHost(t, {
      services: 'services',
      service_options: { guest: { sandbox: true } },
      reload: { watch: true, debounce: 1 },
      files: { 'services/own.lua': luaService('service:message("own", function() end)') },
    });
    const peer = await connect(t, host.port);
    for (const version of [1, 2]) {
      writeFileSync(join(host.dir, 'services', 'guest.lua'), guest(version));
      await until(async () => {
        const reply = JSON.parse(await peer.ask('guest', 1));
        assert.equal(reply.response?.[1] ?? 'nil', 'nil');
        return reply.response?.[0] === version;
      }, `version ${version}`);
    }
  });

  test('becomes one at SIGHUP', async (t) => {
    const config = (port, options) => configText({ services: 'services', service_options: options,
      servers: [{ transport: 'tcp', host: '127.0.0.1', port }] });
    const host = await startHost(t, { service: luaService(
      'service:message("test", function() return type(io) end)') });
    const peer = await connect(t, host.port);
    assert.equal(await peer.call('test', 1), 'table');
    writeFileSync(join(host.dir, 'host.lua'), config(host.port, { test: { sandbox: true } }));
    host.signal('SIGHUP');
    await until(async () => await peer.call('test', 1) === 'nil', 'the sandbox');
  });

  test('can be made one for a single run', async (t) => {
    const host = await startHost(t, { service: luaService(
      'service:message("test", function() return type(io) end)'),
    args: ['--set', 'service_options.test.sandbox=true'] });
    assert.equal(await (await connect(t, host.port)).call('test', 1), 'nil');
  });
});

describe('roost check', () => {
  test('says which line wants more than a sandbox has', async (t) => {
    const cwd = temporaryDir(t, {
      'host.lua': configText({ services: 'services', service_options: { guest: { sandbox: true } },
        servers: [{ transport: 'tcp', host: '127.0.0.1', port: await freePort() }] }),
      'services/guest.lua': `local roost = require "roost"
        local service = roost.service()
        local file = io.open "x"
        return service`,
    });
    const { code, stdout, stderr } = await roost(['check', 'host.lua'], { cwd });
    assert.equal(code, 1);
    assert.match(`${stdout}${stderr}`, /guest\.lua:3: attempt to index a nil value \(global 'io'\)/);
  });
});
