// Where things are, how large the tests are, and which there are.
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { dirname, join } from 'node:path';

export const interopDir = dirname(dirname(fileURLToPath(import.meta.url)));
const repoDir = dirname(dirname(interopDir));

export const roostBin = process.env.ROOST_BIN ?? join(repoDir, 'build', 'roost');
export const npmDir = process.env.ROOST_NPM_DIR ?? join(repoDir, 'build', 'interop');
export const nodeBin = process.env.ROOST_NODE ?? process.execPath;

/** TARGET=nest runs the suites that support it against a real Nest 12 server. */
export const target = process.env.TARGET ?? 'roost';
export const onNest = target === 'nest';

/**
 * ROOST_SLOW=1 says that the host is slow (a sanitizer build): counts shrink, waits grow.
 * A wait is only ever a guard against hanging, so a generous one costs nothing.
 */
export const slow = process.env.ROOST_SLOW === '1';
export const patience = slow ? 4 : 1;
/** Sanitizers keep freed memory for a while on purpose. */
export const memorySlack = slow ? 512 * 2 ** 20 : 0;
export const scaled = (count, slowCount) => (slow ? slowCount : count);
/** Those that brokers are tested with; what tells them apart is not what sanitizers look at. */
export const nestVersions = slow ? [12] : [12, 11];

/**
 * ROOST_RELOADING=1 reloads every service of every host all the while, which no caller may notice.
 * What keeps something in its service's state, or waits for a timer of it, is a stateTest, which is
 * not there then: those end with their generation.
 */
export const reloading = process.env.ROOST_RELOADING === '1';

/**
 * ROOST_WORKERS=3 has every host whose test says nothing of workers run so many, which no caller may
 * notice. What keeps something in its service's state is not there then: each worker has one.
 */
export const workers = Number(process.env.ROOST_WORKERS ?? 1);
const absent = () => {};
export const stateTest = reloading || workers > 1 ? absent : test;
/** Of what each worker does, and the test counts. */
export const perWorkerTest = workers > 1 ? absent : test;
