import { clientSuite } from './suite.mjs';

clientSuite(12);
