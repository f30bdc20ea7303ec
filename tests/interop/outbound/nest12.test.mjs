import { outboundSuite } from './suite.mjs';

outboundSuite(12);
