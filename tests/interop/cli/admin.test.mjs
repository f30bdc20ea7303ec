// The admin pages, roost status and roost reload, against a running host.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createConnection, createServer } from 'node:net';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { adminSocket, askAdmin as ask } from '../lib/admin.mjs';
import { roost } from '../lib/cli.mjs';
import { reloading, stateTest } from '../lib/env.mjs';
import { startHost, temporaryDir } from '../lib/host.mjs';
import { connect, freePort } from '../lib/peer.mjs';
import { luaService } from '../lib/service.mjs';
import { makeAuthority } from '../lib/tls.mjs';
import { until, within } from '../lib/wait.mjs';

const body = `
service:message("echo", function(data) return data end)
service:message("bad", function() error("boom") end)
service:message("slow", { timeout = 50 }, function() roost.sleep(10000) end)
service:message("block", function(file)
  os.execute("touch " .. file .. "; while [ -e " .. file .. " ]; do sleep 0.02; done")
end)
service:event("seen", function() end)
`;

/** A host with `body` and one worker, of which it tells, a peer, and `get` over the socket. */
async function start(t, options = {}) {
  const host = await startHost(t, { workers: 1, service: luaService(body), ...options });
  const socketPath = adminSocket(host);
  const get = (path, method) => ask({ socketPath }, path, method);
  return { host, socketPath, get, peer: () => connect(t, host.port) };
}

describe('admin pages', () => {
  stateTest('what was done is in the status', async (t) => {
    const { host, socketPath, get, peer } = await start(t);
    const caller = await peer();
    assert.equal(await caller.call('echo', 1), 1);
    assert.equal(await caller.call('echo', 2), 2);
    await assert.rejects(caller.call('bad'));
    await assert.rejects(caller.call('slow'));
    const { code, headers, json } = await get('/status');
    const status = json();
    assert.equal(code, 200);
    assert.equal(headers['content-type'], 'application/json');
    assert.equal(status.pid, host.pid);
    assert.equal(status.state, 'running');
    assert.equal(status.config, 'host.lua');
    assert.equal(status.workers, 1);
    assert.ok(status.memory_bytes > 1e6);
    const { services: { test: service }, servers: { 1: server } } = status;
    assert.equal(service.state, 'live');
    assert.equal(service.generation, 1);
    assert.equal(service.draining, 0);
    assert.equal(service.instances, 1);
    assert.deepEqual(service.patterns, ['notes', 'echo', 'bad', 'slow', 'block', 'seen']);
    assert.equal(service.requests, 4);
    assert.equal(service.errors, 1);
    assert.equal(service.timeouts, 1);
    assert.ok(service.p99_ms >= 45, `p99 is ${service.p99_ms}`); // a sixteenth below 50
    assert.ok(service.per_second > 0);
    assert.match(service.last_error, /boom/);
    assert.equal(service.refused, null);
    assert.equal(server.address, `127.0.0.1:${host.port}`);
    assert.equal(server.tls, false);
    assert.equal(server.connections, 1);
    assert.deepEqual((await get('/services/test')).json().patterns, service.patterns);
    assert.equal(statSync(socketPath).mode & 0o777, 0o600);
    await host.stop();
    assert.equal(existsSync(socketPath), false);
  });

  test('metrics are counted by pattern, kind and outcome', async (t) => {
    const { get, peer } = await start(t);
    const caller = await peer();
    await caller.call('echo', 1);
    await assert.rejects(caller.call('bad'));
    await assert.rejects(caller.call('nobody'));
    caller.send({ pattern: 'seen', data: null });
    const wanted = [
      'roost_requests_total{service="test",pattern="echo",kind="message",outcome="ok"} 1',
      'roost_requests_total{service="test",pattern="bad",kind="message",outcome="error"} 1',
      'roost_requests_total{service="test",pattern="seen",kind="event",outcome="ok"} 1',
      'roost_requests_total{service="",pattern="none",kind="message",outcome="unhandled"} 1',
      'roost_request_seconds_count{service="test"} 3',
      'roost_connections{server="1"} 1',
    ];
    await until(async () => {
      const lines = (await get('/metrics')).text.split('\n');
      return wanted.every((line) => lines.includes(line));
    }, 'the metrics');
    assert.match((await get('/metrics')).headers['content-type'], /^text\/plain; version=0\.0\.4/);
  });

  test('a listener with TLS says until when', async (t) => {
    const authority = await makeAuthority(t);
    const { key, cert } = await authority.issue('server');
    const { get } = await start(t, { server: { tls: { key, cert } } });
    const { servers: { 1: server } } = (await get('/status')).json();
    assert.equal(server.tls, true);
    const days = (Date.parse(server.cert_expires) - Date.now()) / 86_400_000;
    assert.ok(days > 28 && days < 31, server.cert_expires);
    const seconds = Date.parse(server.cert_expires) / 1000;
    assert.ok((await get('/metrics')).text
      .includes(`roost_tls_expiry_timestamp_seconds{server="1"} ${seconds}\n`));
  });

  test('a broker that was never reached has the place and the TLS of the configuration', async (t) => {
    const { get } = await start(t, { servers: [{},
      { transport: 'nats', servers: 'nats://127.0.0.1:1', name: 'plain' },
      { transport: 'kafka', client: { brokers: ['127.0.0.1:1'], ssl: true }, name: 'safe' }] });
    await until(async () => (await get('/ready')).code === 200, 'the start');
    const { servers } = (await get('/status')).json();
    assert.equal(servers.plain.address, '127.0.0.1:1');
    assert.equal(servers.safe.address, '127.0.0.1:1');
    assert.deepEqual([servers.plain.tls, servers.safe.tls], [false, true]);
  });

  test('while a worker is stuck they answer, and say so', async (t) => {
    const { host, get, peer } = await start(t);
    const file = join(host.dir, 'blocked');
    const caller = await peer();
    assert.equal(await caller.call('echo', 1), 1);
    assert.equal((await get('/status')).json().stuck, false);
    const blocked = caller.call('block', file);
    await until(() => existsSync(file), 'the handler');
    const status = await until(async () => {
      const answer = (await get('/status')).json();
      return answer.stuck && answer;
    }, 'being stuck');
    assert.equal(status.services.test.requests, 1); // as it was
    assert.match((await get('/metrics')).text, /^roost_worker_stuck\{worker="0"\} 1$/m);
    const { code, text } = await until(async () => {
      const answer = await get('/live');
      return answer.code !== 200 && answer;
    }, 'being dead');
    assert.equal(code, 503);
    assert.equal(text, 'a worker is stuck\n');
    assert.match((await roost(['status'], { cwd: host.dir })).stdout, /^A worker is stuck/m);
    const refused = await roost(['reload'], { cwd: host.dir });
    assert.deepEqual([refused.code, refused.stderr],
      [1, 'roost reload: /reload: a worker is stuck: nothing was begun\n']);
    rmSync(file);
    await blocked;
    await until(async () => (await get('/live')).code === 200, 'being alive');
    assert.equal((await get('/status')).json().stuck, false);
  });

  test('a host that drains is not ready', async (t) => {
    const service = luaService('service:on_stop(function() roost.sleep(1000) end)');
    const { host, get } = await start(t, { service, reload: { drain_timeout: 5000 } });
    assert.deepEqual([(await get('/ready')).code, (await get('/ready')).text], [200, 'ready\n']);
    host.signal('SIGTERM');
    await host.logged(/draining/);
    const { code, text } = await get('/ready');
    assert.deepEqual([code, text], [503, 'draining\n']);
    assert.equal((await get('/live')).code, 200);
    await host.exited;
  });

  test('over HTTP the same, but for reload', async (t) => {
    const port = await freePort();
    const { get } = await start(t, { admin: { http: `127.0.0.1:${port}` } });
    const where = { host: '127.0.0.1', port };
    assert.equal((await ask(where, '/status')).json().state, 'running');
    assert.equal((await ask(where, '/reload', 'POST')).code, 404);
    assert.equal((await ask(where, '/nothing')).code, 404);
    const { code, headers } = await ask(where, '/live', 'POST');
    assert.deepEqual([code, headers.allow], [405, 'GET, HEAD']);
    assert.equal((await get('/reload')).headers.allow, 'POST');
  });

  test('many ask at once', async (t) => {
    const { get, peer } = await start(t);
    const caller = await peer();
    const answers = await Promise.all(Array.from({ length: 200 }, (_, i) =>
      (i % 4 ? get('/status') : caller.call('echo', i))));
    assert.ok(answers.every((answer, i) => (i % 4 ? answer.code === 200 : answer === i)));
  });

  test('who connects and says nothing is in nobody\'s way', async (t) => {
    const { socketPath, get } = await start(t);
    const silent = Array.from({ length: 20 }, () => createConnection(socketPath));
    t.after(() => silent.forEach((socket) => socket.destroy()));
    await Promise.all(silent.map((socket) => once(socket, 'connect')));
    assert.equal((await get('/status')).code, 200);
  });

  test('more of them than there is room for are disconnected soon', async (t) => {
    const port = await freePort();
    await start(t, { admin: { http: `127.0.0.1:${port}` } });
    const silent = Array.from({ length: 200 }, () => createConnection(port, '127.0.0.1'));
    t.after(() => silent.forEach((socket) => socket.destroy()));
    silent.forEach((socket) => socket.on('error', () => {}));
    await Promise.all(silent.map((socket) => once(socket, 'connect')));
    const answer = ask({ host: '127.0.0.1', port }, '/live');
    assert.equal((await within(answer, 'an answer', 8000)).code, 200);
  });

  test('a client that nobody has used yet is there, and late replies are counted', async (t) => {
    const slow = await startHost(t, { service: luaService(
      'service:message("slow", function() roost.sleep(150) return 1 end)') });
    const client = ({ port }) => ({ transport: 'tcp', host: '127.0.0.1', port });
    const { get, peer } = await start(t, {
      clients: { USED: client(slow), UNUSED: client(slow) },
      service: luaService(`service:message("ask", function()
        local ok = pcall(function() roost.client("USED"):call("slow", {}, { timeout = 20 }) end)
        return ok
      end)`),
    });
    const { clients: before } = (await get('/status')).json();
    assert.deepEqual(before.UNUSED, { transport: 'tcp', address: `127.0.0.1:${slow.port}`,
      status: 'disconnected', pending: 0, requests: 0, errors: 0, timeouts: 0, reconnects: 0, late: 0 });
    assert.match((await get('/metrics')).text, /^roost_client_up\{client="UNUSED"\} 0$/m);
    assert.equal(await (await peer()).call('ask'), false);
    await until(async () => (await get('/status')).json().clients.USED.late === 1, 'the late reply');
    assert.match((await get('/metrics')).text, /^roost_client_late_replies_total\{client="USED"\} 1$/m);
  });
});

describe('admin sockets that cannot be had', () => {
  const holdPort = async (t) => {
    const holder = createServer().listen(0, '127.0.0.1');
    await once(holder, 'listening');
    t.after(() => holder.close());
    return holder.address().port;
  };

  test('a port that was asked for: an error that names the key', async (t) => {
    const port = await holdPort(t);
    await assert.rejects(start(t, { admin: { http: `127.0.0.1:${port}` }, server: { port: 0 } }),
      new RegExp(`host\\.lua: admin\\.http: cannot listen on 127\\.0\\.0\\.1:${port}`));
  });

  test('a socket that a host answers at: an error, and the other one goes on', async (t) => {
    const { host, get, socketPath } = await start(t);
    const other = { server: { port: 0 }, admin: { http: false, socket: socketPath } };
    await assert.rejects(start(t, other), /admin\.socket: .*another host answers there/);
    assert.equal((await get('/status')).json().pid, host.pid);
  });

  test('what a killed host left is replaced', async (t) => {
    const first = await start(t);
    await first.host.kill();
    assert.ok(existsSync(first.socketPath));
    const { host } = await start(t, { admin: { http: false, socket: first.socketPath } });
    assert.equal((await ask({ socketPath: first.socketPath }, '/status')).json().pid, host.pid);
  });

  test('a file that is no socket stays', async (t) => {
    await assert.rejects(start(t, {
      server: { port: 0 }, files: { 'run/x': 'mine' }, admin: { http: false, socket: 'run/x' },
    }), /admin\.socket: .*no socket/);
  });

  test('false is neither', async (t) => {
    const { host, socketPath } = await start(t, { admin: { http: false, socket: false } });
    assert.equal(existsSync(socketPath), false);
    assert.equal(host.find(/admin/).length, 0);
  });
});

describe('roost status and roost reload', () => {
  test('status is a table, or JSON', async (t) => {
    const { host, socketPath, peer } = await start(t);
    await (await peer()).call('echo', 1);
    const table = await roost(['status'], { cwd: host.dir });
    assert.equal(table.code, 0, table.stderr);
    assert.match(table.stdout, new RegExp(`^roost \\S+  pid ${host.pid}  running  up 0:00:`));
    assert.match(table.stdout, /^service +state +gen +in flight +requests /m);
    assert.match(table.stdout, /^test +live +\d+ +0 +1 /m);
    assert.match(table.stdout, new RegExp(`^1 +tcp +127\\.0\\.0\\.1:${host.port} `, 'm'));
    const json = await roost(['status', '--json', '--socket', socketPath]);
    assert.equal(json.code, 0);
    assert.equal(JSON.parse(json.stdout).services.test.requests, 1);
  });

  test('reload prints what became of each service', async (t) => {
    const { host, get } = await start(t, {
      services: ['services', 'other.lua'],
      files: { 'other.lua': luaService('') },
    });
    const run = (...names) => roost(['reload', ...names], { cwd: host.dir });
    // From which generation is not said: a file that was written just now may count as changed.
    const all = await run();
    assert.deepEqual([all.code, all.stderr], [0, '']);
    assert.match(all.stdout, /^test gen \d+ -> \d+\nother gen \d+ -> \d+\n$/);
    const one = await run('other');
    assert.equal(one.code, 0);
    const [, generation] = /^other gen \d+ -> (\d+)\n$/.exec(one.stdout);
    writeFileSync(join(host.dir, 'other.lua'), 'local function f() error("no way") end\nf()\n');
    const { code, stdout } = await run('other', 'test');
    assert.equal(code, 1);
    assert.match(stdout, /^other refused: other\.lua:1: no way/m);
    assert.match(stdout, /^test gen \d+ -> \d+$/m);
    const unknown = await run('nobody');
    assert.equal(unknown.code, 1);
    assert.match(unknown.stdout, /^nobody refused: there is no such service$/m);
    const { services: { other } } = (await get('/status')).json();
    assert.ok(other.generation === Number(generation) ||
      (reloading && other.generation > generation), `${other.generation} after ${generation}`);
    assert.match(other.refused, /no way/);
    assert.match((await get('/metrics')).text,
      /^roost_reloads_total\{service="other",outcome="ok"\} [1-9]/m);
  });

  test('reload of a name reloads no other; what is gone goes on', async (t) => {
    const { host } = await start(t, { files: {
      'services/test.lua': luaService(body), 'services/other.lua': luaService(''),
      'services/third.lua': luaService(''),
    }, service: undefined, services: 'services' });
    const run = (...names) => roost(['reload', ...names], { cwd: host.dir });
    writeFileSync(join(host.dir, 'services/other.lua'), 'error("no way")\n');
    rmSync(join(host.dir, 'services/third.lua'));
    const one = await run('test');
    assert.deepEqual([one.code, one.stderr], [0, '']);
    assert.match(one.stdout, /^test gen \d+ -> \d+\n$/);
    if (!reloading) assert.equal(host.find(/^reload refused/).length, 0, host.log);
    const gone = await run('third');
    assert.equal(gone.code, 1);
    assert.match(gone.stdout, /^third refused: .*third\.lua: No such file/);
    const all = await run();
    assert.equal(all.code, 1);
    assert.match(all.stdout, /^third refused: .*third\.lua: No such file/m);
    assert.match(all.stdout, /^other refused: other\.lua:1: no way/m);
    const nothing = await run('');
    assert.deepEqual([nothing.code, nothing.stdout], [2, '']);
    assert.match(nothing.stderr, /a service has a name/);
  });

  test('nobody there: 3', async () => {
    for (const command of ['status', 'reload']) {
      const { code, stdout, stderr } = await roost([command, '--socket', '/tmp/no-such.sock']);
      assert.equal(code, 3);
      assert.equal(stdout, '');
      assert.match(stderr, /no host answers at \/tmp\/no-such\.sock/);
    }
  });

  test('what answers, but is no host: 1', async (t) => {
    const other = createServer((socket) => socket.end('220 hello\r\n'))
      .listen(join(temporaryDir(t), 'other.sock'));
    await once(other, 'listening');
    t.after(() => other.close());
    const { code, stderr } = await roost(['status', '--socket', other.address()]);
    assert.equal(code, 1);
    assert.match(stderr, /is no Roost host/);
  });

  test('check takes the ports of the host that runs for its own', async (t) => {
    const port = await freePort();
    const { host } = await start(t, { admin: { http: `127.0.0.1:${port}` } });
    const { code, stdout } = await roost(['check', 'host.lua'], { cwd: host.dir });
    assert.equal(code, 0, stdout);
    assert.equal(stdout, 'ok\n');
    const other = await roost(['check', '--set', 'admin.socket=other.sock', 'host.lua'],
      { cwd: host.dir });
    assert.equal(other.code, 1);
    assert.match(other.stdout, new RegExp(`servers\\[1\\]\\.port: .*${host.port}`));
    assert.match(other.stdout, new RegExp(`admin\\.http: cannot listen on 127\\.0\\.0\\.1:${port}`));
  });

  test('check finds what services would conflict in while the host runs', async (t) => {
    const { host } = await start(t);
    writeFileSync(join(host.dir, 'services', 'second.lua'), luaService(
      'service:message("echo", function() end)'));
    const { code, stdout } = await roost(['check', 'host.lua'], { cwd: host.dir });
    assert.equal(code, 1, stdout);
    assert.match(stdout, /server 1: pattern echo has two message handlers/);
  });
});
