// The rows of inbound.mjs and outbound.mjs over redis-server, and what is Redis' own.
import { before } from 'node:test';
import { binding } from '../lib/brokers/redis.mjs';
import { nestVersions } from '../lib/env.mjs';
import { suiteScope } from '../lib/wait.mjs';
import { inboundSuite } from './inbound.mjs';
import { outboundSuite } from './outbound.mjs';

const file = suiteScope();
let broker;
before(async () => (broker = await binding.start(file)));
for (const version of nestVersions) {
  inboundSuite(version, binding, () => broker);
  outboundSuite(version, binding, () => broker);
}
