// What the servers are measured under. A load is a request, so many connections and so many requests
// in flight on each ("10 x 16"), or a fixed rate. Loads of one request are a group: its servers are
// started once a round.

const item = { id: 17, name: 'spanner', tags: ['tool', 'steel'], price: 12.5, stock: true };
const nested = { order: 4711, user: { id: 7, name: 'Ada', roles: ['x'] },
  items: [item, { ...item, id: 18, name: 'nut' }] };

const text = (bytes) => JSON.stringify('x'.repeat(bytes));
const echo = (title, data) => ({ title, pattern: 'echo', data });
export const sum = { title: 'sum', pattern: '{"cmd":"sum"}', data: '[1,2,3]' };
const requests = [
  sum,
  echo(`object, ${JSON.stringify(nested).length} B`, JSON.stringify(nested)),
  echo('text, 64 B', text(64)),
  echo('text, 1 KiB', text(1024)),
  echo('text, 64 KiB', text(65536)),
  echo('text, 1 MiB', text(2 ** 20)),
];

const connections = [1, 10, 100, 1000];
const inFlight = [1, 16];

/**
 * No load has more than so many bytes of requests in flight: it would measure how memory is copied
 * through caches that are too small, and last longer than a measurement.
 */
const MOST_BYTES = 20 * 2 ** 20;

/** Those of the README. */
const best = ['sum, 1 x 1', 'sum, 10 x 1', 'sum, 10 x 16', 'sum, 100 x 16', 'sum, 1000 x 16',
  `${requests[1].title}, 10 x 16`, 'text, 64 B, 10 x 16', 'text, 1 KiB, 10 x 16',
  'text, 64 KiB, 10 x 1', 'text, 1 MiB, 10 x 1', 'sum over TLS, 10 x 16'];

const closed = (request, count, each) => ({ ...request, request: request.title,
  title: `${request.title}, ${count} x ${each}`, connections: count, inFlight: each });
const every = (request) => connections.flatMap((count) => inFlight.map((each) =>
  closed(request, count, each)))
  .filter((load) => load.data.length * load.connections * load.inFlight < MOST_BYTES);

const overTls = { ...sum, title: 'sum over TLS', tls: true };
const paced = (rate) => ({ ...sum, request: sum.title, title: `sum, ${rate}/s over 50`,
  connections: 50, rate });

const groups = [
  ...requests.map(every),
  [closed(overTls, 10, 1), closed(overTls, 10, 16)],
  [paced(5000), paced(20000)],
];

/** The groups with the loads whose title matches `only`; `quick`: the README's and fixed rates. */
export function groupsOf({ quick, only }) {
  const isWanted = ({ title, rate }) =>
    new RegExp(only, 'i').test(title) && (!quick || rate || best.includes(title));
  return groups.map((group) => group.filter(isWanted)).filter((group) => group.length > 0);
}

export const isBest = (title) => best.includes(title);
