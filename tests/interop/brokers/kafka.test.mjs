// Roost and Nest behind a real Kafka.
import { before } from 'node:test';
import { binding } from '../lib/brokers/kafka.mjs';
import { nestVersions } from '../lib/env.mjs';
import { suiteScope } from '../lib/wait.mjs';
import { inboundSuite } from './inbound.mjs';
import { outboundSuite } from './outbound.mjs';

process.env.KAFKAJS_NO_PARTITIONER_WARNING = '1';

const file = suiteScope();
let broker;
before(async () => (broker = await binding.start(file)));
for (const version of nestVersions) {
  inboundSuite(version, binding, () => broker);
  outboundSuite(version, binding, () => broker);
}
