// roost check: what it finds, how it says so, and that it starts nothing.
import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { roost } from '../lib/cli.mjs';
import { configText, startHost, temporaryDir } from '../lib/host.mjs';
import { code, lua } from '../lib/lua.mjs';
import { freePort, listens } from '../lib/peer.mjs';

/** The text of a service; `notes` of luaService would be a pattern that several have. */
const serviceText = (body) => `local roost = require "roost"
local service = roost.service()
${body}
return service
`;
const good = serviceText('service:message("good", function() end)');

const on = (pattern) => serviceText(`service:message(${pattern}, function() end)`);

/** Runs `roost check` on a configuration, given as text or as a table, and service files. */
async function check(t, config, services = { good }) {
  const port = await freePort();
  const server = { transport: 'tcp', host: '127.0.0.1', port, ...config.server };
  const { server: _, ...others } = config;
  const cwd = temporaryDir(t, {
    'host.lua': typeof config === 'string' ? config
      : configText({ services: 'services', servers: [server], ...others }),
    ...Object.fromEntries(Object.entries(services).map(([name, text]) =>
      [`services/${name}.lua`, text])),
  });
  const { code, stdout, stderr } = await roost(['check', 'host.lua'], { cwd });
  return { code, lines: `${stdout}${stderr}`.split('\n').filter(Boolean), port, cwd };
}

/** Exactly one line says what is wrong; it matches all of `clues`. */
const finds = (name, config, clues, services) => test(name, async (t) => {
  const { code, lines } = await check(t, config, services);
  const telling = lines.filter((line) => clues.every((clue) => clue.test(line)));
  assert.equal(telling.length, 1, lines.join('\n'));
  assert.doesNotMatch(lines.join('\n'), /stack traceback|\[C\]:/);
  assert.equal(code, 1);
});

describe('roost check', () => {
  test('nothing wrong: 0, and nothing was started', async (t) => {
    const { code, lines, port, cwd } = await check(t, {}, {
      good: serviceText(`service:on_start(function() io.open("started", "w"):close() end)`),
    });
    assert.equal(code, 0, lines.join('\n'));
    assert.equal(listens(port), false);
    assert.equal(existsSync(join(cwd, 'started')), false);
  });

  finds('an unknown key', { sevices: 'x' }, [/host\.lua/, /sevices/]);
  finds('an unknown key of a listener', { server: { prot: 1 } }, [/host\.lua/, /servers.*prot/]);
  finds('an unknown key of the limits', { limits: { memory: 1 } }, [/host\.lua/, /limits\.memory/]);
  finds('credentials that are not there', { servers: [{ transport: 'nats', creds: 'user.creds' }] },
    [/host\.lua: servers\[1\]\.creds: it cannot be opened: No such file/]);
  finds('credentials that are none', { clients: { N: { transport: 'nats', creds: 'host.lua' } } },
    [/host\.lua: clients\.N\.creds: there is no seed/]);
  finds('a file of Kafka\'s ssl', { servers: [{ transport: 'kafka', client: { ssl: { ca: 'gone' } } }] },
    [/host\.lua: servers\[1\]\.client\.ssl\.ca: gone: No such file/]);
  finds('the same of its tls', { clients: { K: { transport: 'kafka', tls: { ca: 'gone' } } } },
    [/host\.lua: clients\.K\.tls\.ca: gone: No such file/]);
  finds('an unknown transport', { server: { transport: 'carrier pigeon' } },
    [/host\.lua/, /transport/]);
  finds('a text for a number', { server: { port: 'http' } }, [/host\.lua/, /port/]);
  finds('a table for a number', { server: { port: {} } }, [/host\.lua/, /port/]);
  finds('a number out of range', { server: { port: 70000 } }, [/host\.lua/, /port/]);
  finds('a negative size', { server: { max_buffer_size: -1 } }, [/host\.lua/, /max_buffer_size/]);
  finds('a fraction', { server: { max_connections: 1.5 } }, [/host\.lua/, /max_connections/]);
  finds('a number for a switch', { server: { wildcards: 1 } }, [/host\.lua/, /wildcards/]);
  finds('a number for the services', { services: 5 }, [/host\.lua/, /services/]);
  finds('a word that is none of the choices', { log: { level: 'loud' } },
    [/host\.lua/, /log\.level/]);
  finds('workers that are no number', { workers: 'many' }, [/host\.lua/, /workers/]);
  finds('listeners that are no list', { servers: 5 }, [/host\.lua/, /servers/]);

  test('a configuration that is not there', async (t) => {
    const { code, stderr, stdout } = await roost(['check', 'gone.lua'], { cwd: temporaryDir(t) });
    assert.equal(code, 1);
    assert.match(stderr + stdout, /gone\.lua/);
  });
  finds('a syntax error in the configuration', 'return {\n  services = = 1 }\n', [/host\.lua:2/]);
  finds('a configuration that returns nothing', 'local x = 1\n', [/host\.lua/, /table/]);
  finds('a configuration that raises', '\n\nerror("no way")\n', [/host\.lua:3/, /no way/]);
  finds('a configuration that raises a text alone', 'error("no way", 0)\n', [/host\.lua: no way/]);
  finds('a configuration of bytecode', '\x1bLua', [/host\.lua: .*binary chunk/]);
  finds('memory that no service can start with', { limits: { service_memory: 20000 } },
    [/service good: .*the limit is 20000 bytes \(limits\.service_memory\)/]);
  finds('memory that no state can be made with', { service_options: { good: { memory: 10 } } },
    [/service good: .*the limit is 10 bytes \(service_options\.good\.memory\)/]);
  finds('the same of one service', { service_options: { good: { memory: 20000 } } },
    [/service good: .*the limit is 20000 bytes \(service_options\.good\.memory\)/]);
  finds('a name that is too long for a socket', { admin: { http: false, socket: `/tmp/${'x'.repeat(150)}` } },
    [/host\.lua: admin\.socket: .*too long/]);
  finds('a file where the socket is to be', { admin: { http: false, socket: 'host.lua' } },
    [/host\.lua: admin\.socket: host\.lua: there is a file of that name that is no socket/]);
  finds('a variable that is not set', 'return { services = env("ROOST_INTEROP_NOT_SET") }\n',
    [/host\.lua:1/, /ROOST_INTEROP_NOT_SET/]);
  finds('a file that is not there', 'return {\n services = file("gone.txt") }\n',
    [/host\.lua:2/, /gone\.txt/]);
  finds('functions a configuration does not have', 'return { services = os.getenv("HOME") }\n',
    [/host\.lua:1/, /os/]);
  finds('a service file that is not there', { services: ['services/gone.lua'] }, [/gone\.lua/]);

  test('a port in use', async (t) => {
    const holder = createServer().listen(0, '127.0.0.1');
    await once(holder, 'listening');
    t.after(() => holder.close());
    const { port } = holder.address();
    const { code, lines } = await check(t, { server: { port } });
    assert.equal(code, 1);
    const clue = (line) => line.includes(port) && /in use|EADDRINUSE/.test(line);
    assert.equal(lines.filter(clue).length, 1,
      lines.join('\n'));
  });

  finds('a service with a syntax error', {}, [/\bbad\.lua:2/],
    { bad: 'local x = 1\nlocal y = = 2\n' });
  finds('a service that never ends to load', { reload: { start_timeout: 300 } },
    [/bad\.lua/, /start_timeout/], { bad: 'while true do pcall(error) end' });
  finds('a service that returns nothing', {}, [/\bbad\.lua/, /return/],
    { bad: 'local x = 1\n' });
  finds('a service that returns something else', {}, [/\bbad\.lua/, /return/],
    { bad: 'return 5\n' });
  finds('a service that raises at load', {}, [/\bbad\.lua:3/, /not this way/],
    { bad: 'local a = 1\nlocal b = 2\nerror("not this way")\n' });
  finds('a service that requires what is not there', {}, [/\bbad\.lua:1/, /no_such_module/],
    { bad: 'require "no_such_module"\n' });
  finds('a service that waits at load', {}, [/\bbad\.lua:2/],
    { bad: 'local roost = require "roost"\nroost.sleep(1)\nreturn roost.service()\n' });
  finds('a pattern that is too deep', {}, [/\bbad\.lua/],
    { bad: serviceText(`service:message(${lua({ a: { b: { c: { d: { e: { f: { g: 1 } } } } } } })
    }, function() end)`) });
  finds('a pattern with too many keys', {}, [/\bbad\.lua/], { bad: serviceText(
    'local p = {}\nfor i = 1, 21 do p["k" .. i] = i end\nservice:message(p, function() end)') });
  finds('a handler that is no function', {}, [/\bbad\.lua:3/],
    { bad: serviceText('service:message("x", 5)') });

  finds('two services on one pattern', {}, [/"?shared"?/, /\ba\b/, /\bb\b/],
    { a: on('"shared"'), b: on('"shared"') });
  finds('two services on one object pattern', {}, [/cmd/, /\ba\b/, /\bb\b/],
    { a: on('{ cmd = "x", n = 1 }'), b: on('{ n = 1, cmd = "x" }') });
  finds('two handlers of one service on one pattern', {}, [/shared/, /\bonly\b/],
    { only: serviceText('for _ = 1, 2 do service:message("shared", function() end) end') });
  finds('two services of one name', { services: ['services', 'more'] }, [/\bgood\b/],
    { good, '../more/good': good });

  test('a message and an event, or two events, on one pattern are no problem', async (t) => {
    const event = serviceText('service:event("shared", function() end)');
    const { code, lines } = await check(t, {}, { a: on('"shared"'), b: event, c: event });
    assert.equal(code, 0, lines.join('\n'));
  });

  finds('a listener that is not loopback and has no TLS', { server: { host: '0.0.0.0' } },
    [/host\.lua/, /allow_insecure/]);
  finds('the same with IPv6', { server: { host: '::' } }, [/host\.lua/, /allow_insecure/]);
  test('unless it says that this is meant', async (t) => {
    const { code, lines } = await check(t, { server: { host: '0.0.0.0', allow_insecure: true } });
    assert.equal(code, 0, lines.join('\n'));
  });

  finds('a rule about nobody', { server: { allow: [{ peer: '*' }, { peer: 'billing' }] } },
    [/host\.lua/, /servers\[1\]\.allow\[2\]\.peer: expected CN=, DNS:, sha256:/]);
  finds('a rule about no pattern', { server: { allow: [{ peer: '*', patterns: ['a', true] }] } },
    [/host\.lua/, /servers\[1\]\.allow\[1\]\.patterns\[2\]/]);
  finds('a burst without a rate', { server: { rate: { burst: 5 } } },
    [/host\.lua/, /servers\[1\]\.rate: per_second is missing/]);
  finds('a framing that is none', { server: { framing: 'lines' } },
    [/host\.lua/, /servers\[1\]\.framing/]);
  finds('a serializer that is not there', { server: { serializer: 'gone' } },
    [/host\.lua/, /servers\[1\]\.serializer: module 'gone' not found/]);
  finds('a deserializer that is none', { server: { deserializer: 'string' } },
    [/host\.lua/, /servers\[1\]\.deserializer: module 'string' has neither deserialize nor decode/]);
  finds("a client's serializer that is not there", { clients: { A: { serializer: 'gone' } } },
    [/host\.lua/, /clients\.A\.serializer: module 'gone' not found/]);
  test('rules, a rate, framings and serializers that are right', async (t) => {
    const { code, lines } = await check(t, { server: {
      allow: [{ peer: '10.0.0.0/8', patterns: ['a.*', 5, { cmd: 'x' }] }],
      rate: { per_second: 5, burst: 5 }, framing: 'ndjson', serializer: 'cjson', deserializer: 'cjson',
    } });
    assert.equal(code, 0, lines.join('\n'));
  });

  test('several problems, a line each', async (t) => {
    const services = { one: 'error("first")\n', two: 'local = 1\n', good };
    const { code, lines } = await check(t, {}, services);
    assert.equal(code, 1);
    for (const clue of [/one\.lua:1/, /two\.lua:1/]) {
      assert.equal(lines.filter((line) => clue.test(line)).length, 1, lines.join('\n'));
    }
  });
});

describe('entries of brokers', () => {
  const broker = (keys) => ({ server: { transport: 'nats', host: undefined, port: undefined, ...keys } });
  finds('an unknown key', broker({ serverz: 'nats://a' }), [/host\.lua/, /serverz/, /"servers"/]);
  finds('two services on one pattern', broker({ servers: 'nats://127.0.0.1:1' }),
    [/shared/, /\ba\b/, /\bb\b/], { a: on('"shared"'), b: on('"shared"') });
  finds('what is no address', broker({ servers: 'a:b:c' }), [/host\.lua/, /servers/, /nats:\/\//]);
  finds('a transport that is none', { server: { transport: 'smoke' } },
    [/host\.lua/, /transport/, /"tcp" or "nats"/]);
});

describe('keys that say nothing', () => {
  /** Ignoring it is harmless: one warning in check and in run, and the host starts. */
  const warns = (name, config, clue, service = good) => test(name, async (t) => {
    const { code, lines } = await check(t, config, { good: service });
    assert.equal(code, 0, lines.join('\n'));
    assert.equal(lines.filter((line) => clue.test(line)).length, 1, lines.join('\n'));
    const { server, ...others } = config;
    const host = await startHost(t, { service, server, ...others });
    const isWarning = ({ level }) => level === 'warn';
    await host.logged(isWarning);
    const warnings = host.find(isWarning);
    assert.equal(warnings.length, 1, host.log);
    assert.match(JSON.stringify(warnings[0]), clue);
  });
  warns('options of no service', { service_options: { gone: { memory: 1e6 } } },
    /service_options: there is no service named .*gone/);
});
