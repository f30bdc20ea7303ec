// roost check and the certificates of a configuration; what run says of them at start.
import assert from 'node:assert/strict';
import { chmodSync, copyFileSync } from 'node:fs';
import { before, describe, test } from 'node:test';
import { roost } from '../lib/cli.mjs';
import { configText, startHost, temporaryDir } from '../lib/host.mjs';
import { code } from '../lib/lua.mjs';
import { freePort } from '../lib/peer.mjs';
import { luaService } from '../lib/service.mjs';
import { makeAuthority } from '../lib/tls.mjs';
import { suiteScope } from '../lib/wait.mjs';

describe('certificates of a configuration', () => {
  const suite = suiteScope();
  let authority, server, other, expired;
  before(async () => {
    authority = await makeAuthority(suite);
    [server, other, expired] = [await authority.issue('server'), await authority.issue('other'),
      await authority.issue('expired', { days: -1 })];
    copyFileSync(server.key, authority.path('open.key'));
    chmodSync(authority.path('open.key'), 0o644);
  });
  const files = ({ key, cert }) => ({ key, cert });

  async function check(t, tls, more = {}) {
    const listener = { host: '127.0.0.1', port: await freePort(), tls, ...more };
    const cwd = temporaryDir(t, { 'host.lua': configText({ services: [], servers: [listener] }) });
    const { code: status, stdout, stderr } = await roost(['check', 'host.lua'], { cwd });
    return { status, lines: `${stdout}${stderr}`.split('\n').filter(Boolean) };
  }
  const finds = (name, tls, clue) => test(name, async (t) => {
    const { status, lines } = await check(t, tls());
    assert.equal(lines.filter((line) => clue.test(line)).length, 1, lines.join('\n'));
    assert.equal(status, 1);
  });

  test('nothing wrong, also on every address', async (t) => {
    for (const host of ['127.0.0.1', '0.0.0.0']) {
      const { status, lines } = await check(t, { ...files(server), ca: authority.ca,
        verify: 'required' }, { host });
      assert.equal(status, 0, lines.join('\n'));
    }
  });
  finds('it has expired', () => files(expired),
    /host\.lua: servers\[1\]\.tls\.cert: .*expired\.pem: the certificate has expired on /);
  finds('a file that is not there', () => ({ ...files(server), cert: 'absent.pem' }),
    /servers\[1\]\.tls\.cert: absent\.pem: No such file or directory/);
  finds('a key that others may read', () => ({ ...files(server), key: authority.path('open.key') }),
    /servers\[1\]\.tls\.key: .*open\.key: others than its owner may read .*0644/);
  finds("somebody else's key", () => ({ ...files(server), key: other.key }),
    /servers\[1\]\.tls\.key: .*does not belong to the certificate in .*server\.pem/);
  finds('one of several by name', () => ({ ...files(server), sni: { 'a.test': files(expired) } }),
    /servers\[1\]\.tls\.sni\["a\.test"\]\.cert: .*has expired/);
  finds('no key at all', () => ({ cert: server.cert }), /servers\[1\]\.tls\.key: is needed/);
  finds('clients that nobody could verify', () => ({ ...files(server), verify: 'required' }),
    /servers\[1\]\.tls\.ca: is needed/);

  test('run warns of an expired one, and starts', async (t) => {
    const host = await startHost(t, { service: luaService(''), server: { tls: files(expired) } });
    const line = await host.logged(({ level }) => level === 'warn');
    assert.match(line.msg, /servers\[1\]\.tls\.cert: .*has expired on/);
  });
  test('run does not start with a wrong one', async (t) => {
    const tls = { ...files(server), key: other.key };
    await assert.rejects(startHost(t, { service: luaService(''), server: { tls } }),
      /servers\[1\]\.tls\.key: .*does not belong/);
  });
  test('PEM text by file(), relative to -C', async (t) => {
    const tls = { key: code('file("key.pem")'), cert: 'cert.pem' };
    const cwd = temporaryDir(t, {
      'host.lua': configText({ services: [], servers: [{ port: await freePort(), tls }] }),
    });
    copyFileSync(server.key, `${cwd}/key.pem`);
    copyFileSync(server.cert, `${cwd}/cert.pem`);
    const { code: status, stderr } = await roost(['check', '-C', cwd, 'host.lua']);
    assert.equal(status, 0, stderr);
  });
});
