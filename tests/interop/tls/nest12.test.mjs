import { clientSuite } from '../client/suite.mjs';

clientSuite(12, { secure: true });
