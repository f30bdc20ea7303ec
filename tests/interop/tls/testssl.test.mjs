// testssl.sh (Debian's package of that name) against a listener. It takes minutes, so it is run where
// ROOST_TESTSSL=1 says so.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { startHost, temporaryDir } from '../lib/host.mjs';
import { luaService } from '../lib/service.mjs';
import { makeAuthority } from '../lib/tls.mjs';

/** What a private authority cannot have. */
const excused = ['cert_revocation', 'OCSP_stapling', 'DNS_CAArecord'];
const harmless = ['OK', 'INFO', 'LOW', 'DEBUG', 'WARN'];

const check = async (t) => {
  const authority = await makeAuthority(t);
  const { key, cert } = await authority.issue('localhost', { days: 200 });
  const host = await startHost(t, {
    service: luaService(''), server: { tls: { key, cert }, handshake_timeout: 60000 },
  });
  const file = join(temporaryDir(t), 'findings.json');
  await new Promise((resolve) => execFile('testssl', ['--add-ca', authority.ca, '--quiet',
    '--warnings', 'off', '--jsonfile', file, `localhost:${host.port}`], resolve));
  const findings = JSON.parse(readFileSync(file, 'utf8'));
  assert.ok(findings.length > 50, `${findings.length} findings`);
  assert.deepEqual(findings.filter(({ id, severity }) => !harmless.includes(severity)
    && !excused.includes(id)), []);
};

if (process.env.ROOST_TESTSSL === '1') test('testssl finds nothing above LOW', check);
