// What the servers are measured under.

const item = { id: 17, name: 'spanner', tags: ['tool', 'steel'], price: 12.5, stock: true };
const nested = { order: 4711, user: { id: 7, name: 'Ada', roles: ['x'] },
  items: [item, { ...item, id: 18, name: 'nut' }] };

const text = (bytes) => JSON.stringify('x'.repeat(bytes));
const requests = {
  sum: { title: "{cmd:'sum'}", pattern: '{"cmd":"sum"}', data: '[1,2,3]' },
  object: { title: `object, ${JSON.stringify(nested).length} B`, pattern: 'echo',
    data: JSON.stringify(nested) },
  '64 B': { title: 'text, 64 B', pattern: 'echo', data: text(64) },
  '1 KiB': { title: 'text, 1 KiB', pattern: 'echo', data: text(1024) },
  '64 KiB': { title: 'text, 64 KiB', pattern: 'echo', data: text(65536) },
  '1 MiB': { title: 'text, 1 MiB', pattern: 'echo', data: text(2 ** 20) },
};

const closed = (request, connections, inFlight) => ({ ...requests[request],
  title: `${requests[request].title}, ${connections} x ${inFlight}`, connections, inFlight });
const paced = (rate, connections) => ({ ...requests.sum,
  title: `{cmd:'sum'}, ${rate}/s over ${connections}`, connections, rate });

/** The ones that say most; `connections x requests in flight on each`. */
const some = [
  closed('sum', 1, 1), closed('sum', 10, 1), closed('sum', 10, 16), closed('sum', 100, 1),
  closed('sum', 100, 16),
  closed('object', 10, 1), closed('object', 10, 16),
  closed('64 B', 10, 16), closed('1 KiB', 10, 16), closed('64 KiB', 10, 1),
  closed('64 KiB', 10, 16), closed('1 MiB', 10, 1),
];
const rates = [paced(5000, 50), paced(20000, 50)];

/** What is in flight altogether stays below this many bytes: the memory of a small machine. */
const MOST_BYTES = 256 * 2 ** 20;
const every = Object.keys(requests).flatMap((request) => [1, 10, 100].flatMap((connections) =>
  [1, 16].map((inFlight) => closed(request, connections, inFlight))))
  .filter(({ data, connections, inFlight }) => data.length * connections * inFlight < MOST_BYTES);

export const loads = ({ all, only }) => [...(all ? every : some), ...rates]
  .filter(({ title }) => new RegExp(only, 'i').test(title));
