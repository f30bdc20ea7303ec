// Roost and Nest behind mosquitto.
import { before } from 'node:test';
import { startMosquitto, binding } from '../lib/brokers/mqtt.mjs';
import { nestVersions } from '../lib/env.mjs';
import { suiteScope } from '../lib/wait.mjs';
import { inboundSuite } from './inbound.mjs';
import { outboundSuite } from './outbound.mjs';

const file = suiteScope();
let broker;
before(async () => (broker = await startMosquitto(file)));
for (const version of nestVersions) {
  inboundSuite(version, binding, () => broker);
  outboundSuite(version, binding, () => broker);
}
