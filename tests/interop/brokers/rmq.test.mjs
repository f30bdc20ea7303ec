// Nest clients of a Roost server, and a Roost client of Nest servers, over RabbitMQ.
import { before } from 'node:test';
import { binding, startRmq } from '../lib/brokers/rmq.mjs';
import { nestVersions } from '../lib/env.mjs';
import { suiteScope } from '../lib/wait.mjs';
import { inboundSuite } from './inbound.mjs';
import { outboundSuite } from './outbound.mjs';

const suite = suiteScope();
let broker;
before(async () => {
  broker = await startRmq(suite);
});
for (const version of nestVersions) {
  inboundSuite(version, binding, () => broker);
  outboundSuite(version, binding, () => broker);
}
