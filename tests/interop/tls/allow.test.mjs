// allow, where callers are known by their certificates.
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { startHost } from '../lib/host.mjs';
import { loadNest, nestClient } from '../lib/nest.mjs';
import { luaService } from '../lib/service.mjs';
import { fingerprintOf, makeAuthority } from '../lib/tls.mjs';
import { suiteScope, within } from '../lib/wait.mjs';

const names = ['public', 'orders', 'shop', 'pinned'];
const body = names.map((name) =>
  `service:message("${name}", function() return "${name}" end)`).join('\n');

describe('allow by certificate', () => {
  const suite = suiteScope();
  let nest, host, authority;
  const certificates = {};

  before(async () => {
    nest = await loadNest(12);
    nest.Logger.overrideLogger(false);
    authority = await makeAuthority(suite);
    const { key, cert } = await authority.issue('server');
    const issue = async (name, options) => {
      certificates[name] = await authority.issue(name, options);
    };
    await issue('billing', { sans: 'DNS:billing.test' });
    await issue('Billing', { sans: 'DNS:x.billing.test', as: 'Billing2' });
    await issue('any', { sans: 'DNS:front.shop.test,DNS:other.test' });
    await issue('deep', { sans: 'DNS:a.b.shop.test' });
    await issue('pinned', { sans: 'DNS:pinned.test' });
    const pin = (await fingerprintOf(certificates.pinned.cert)).toUpperCase().match(/../g).join(':');
    host = await startHost(suite, {
      service: luaService(body),
      server: {
        tls: { key, cert, ca: authority.ca, verify: 'optional' },
        allow: [
          { peer: '*', patterns: ['public'] },
          { peer: 'CN=billing', patterns: ['orders'] },
          { peer: 'DNS:*.shop.test', patterns: ['shop'] },
          { peer: `sha256:${pin}`, patterns: ['pinned'] },
        ],
      },
    });
  });

  /** Which patterns a caller with that certificate, or without one, may send. */
  async function permitted(t, own) {
    const client = nestClient(t, nest, host.port,
      { tlsOptions: { ...authority.trust, ...own, servername: 'localhost' } });
    const ask = (name) => within(nest.lastValueFrom(client.send(name, 1)), name).then(
      (value) => value === name, (err) => {
        assert.deepEqual(err, { status: 'error', message: 'Forbidden resource' });
        return false;
      });
    const answers = await Promise.all(names.map(ask));
    return names.filter((_, i) => answers[i]);
  }

  for (const [name, more] of Object.entries({
    billing: ['orders'], Billing: [], any: ['shop'], deep: [], pinned: ['pinned'],
  })) {
    test(`certificate ${name}: public ${more}`, async (t) => {
      assert.deepEqual(await permitted(t, certificates[name].own), ['public', ...more]);
    });
  }

  test('without a certificate: public', async (t) => {
    assert.deepEqual(await permitted(t, {}), ['public']);
  });
});
