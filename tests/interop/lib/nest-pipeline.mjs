// services/pipeline.lua on a real Nest 12 server: the same stages with the same names, so that the
// order in which they run can be compared. Argument: the port.
import { setTimeout as sleep } from 'node:timers/promises';
import { loadNest } from './nest.mjs';

const nest = await loadNest(12);
const { Catch, Payload, RpcException, concat, from, map, tap, throwError } = nest;

const runs = {};
const note = (data, name) => (runs[data.tag] ??= []).push(name);
const dataOf = (host) => host.switchToRpc().getData();

class Kind extends Error {}
const kinds = Object.fromEntries(['a', 'b', 'c', 'd', 'other'].map((name) =>
  [name, class extends Kind { name = name; }]));

/** Raises where the data says that this stage does. */
const act = (data, name) => {
  if (data.raise === name) throw data.rpc ? new RpcException(data.rpc) : new kinds[data.kind]();
};

const guard = (name) => ({
  async canActivate(host) {
    const data = dataOf(host);
    note(data, name);
    await sleep(1);
    act(data, name);
    return data.refuse !== name;
  },
});

const pipe = (name) => ({
  async transform(data) {
    note(data, name);
    await sleep(1);
    act(data, name);
    return { ...data, piped: [...data.piped ?? [], name] };
  },
});

const interceptor = (name) => ({
  async intercept(host, next) {
    const data = dataOf(host);
    note(data, `${name} before`);
    await sleep(1);
    act(data, `${name} before`);
    if (data.skip === name) return from(['skipped']);
    return next.handle().pipe(
      tap({
        next: () => note(data, `${name} after`),
        error: () => note(data, `${name} error`),
      }),
      map((value) => {
        act(data, `${name} after`);
        return data.map === name ? { mapped: value } : value;
      }),
    );
  },
});

/** Takes errors of one kind. */
const filter = (name, kind) => {
  class Filter {
    catch(err, host) {
      const data = dataOf(host);
      note(data, name);
      if (data.filter === 'raises') throw new RpcException('from the filter');
      return throwError(() => ({ status: 'error', message: `${name} took ${err.name}` }));
    }
  }
  Catch(kinds[kind])(Filter);
  return new Filter();
};

async function handler(data) {
  note(data, 'handler');
  await sleep(1);
  act(data, 'handler');
  const items = from([1, 2]);
  if (data.stream === 'fails') {
    return concat(items, throwError(() => new kinds[data.kind]()));
  }
  return data.stream ? items : data.piped;
}

class Piped {}
const define = (name, fn, ...decorators) => {
  Piped.prototype[name] = (data) => fn(data); // decorators mark the function itself
  Payload()(Piped.prototype, name, 0);
  const descriptor = Object.getOwnPropertyDescriptor(Piped.prototype, name);
  for (const decorator of decorators) decorator(Piped.prototype, name, descriptor);
};
const own = () => [
  nest.UseGuards(guard('handler guard 1'), guard('handler guard 2')),
  nest.UsePipes(pipe('handler pipe')),
  nest.UseInterceptors(interceptor('handler interceptor')),
  nest.UseFilters(filter('handler filter 1', 'a'), filter('handler filter 2', 'a'),
    filter('handler filter b', 'b')),
];
define('message', handler, ...own(), nest.MessagePattern('message'));
define('event', handler, ...own(), nest.EventPattern('event'));
define('runs', ({ of }) => runs[of] ?? [], nest.MessagePattern('runs'));
nest.Controller()(Piped);
nest.UseGuards(guard('service guard'))(Piped);
nest.UsePipes(pipe('service pipe 1'), pipe('service pipe 2'))(Piped);
nest.UseInterceptors(interceptor('service interceptor 1'), interceptor('service interceptor 2'))(Piped);
nest.UseFilters(filter('service filter 1', 'c'), filter('service filter 2', 'c'),
  filter('service filter d', 'd'))(Piped);

class App {}
nest.Module({ controllers: [Piped] })(App);
const app = await nest.NestFactory.createMicroservice(App, {
  logger: false,
  transport: nest.Transport.TCP,
  options: { host: '127.0.0.1', port: Number(process.argv[2]) },
});
await app.listen();
