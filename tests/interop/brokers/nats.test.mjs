// Over nats-server.
import { before } from 'node:test';
import { binding } from '../lib/brokers/nats.mjs';
import { nestVersions } from '../lib/env.mjs';
import { suiteScope } from '../lib/wait.mjs';
import { inboundSuite } from './inbound.mjs';
import { outboundSuite } from './outbound.mjs';

let broker;
const suite = suiteScope();
before(async () => (broker = await binding.start(suite)));
for (const version of nestVersions) {
  inboundSuite(version, binding, () => broker);
  outboundSuite(version, binding, () => broker);
}
