import { clientSuite } from '../client/suite.mjs';

clientSuite(11, { secure: true });
