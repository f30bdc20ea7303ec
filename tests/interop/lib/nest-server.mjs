// The handlers of services/wire.lua on a real Nest server, so that the wire tests can be run against
// the original, and some more for Roost's clients. Argument: the job as JSON.
//   version    Nest's
//   options    the server's, under Nest's names
//   binding    the broker it is behind (lib/brokers/NAME.mjs), with `broker`, the facts of it; TCP
//              where there is none
//   patterns   for each of them a handler that answers with its position
//   wild       for each of them a handler that answers with { pattern, subject }; then those of
//              wire.lua are not there
// Prints a line once it listens.
import { setTimeout as sleep } from 'node:timers/promises';
import { loadNest } from './nest.mjs';
import { bindingOf } from './brokers/binding.mjs';

const job = JSON.parse(process.argv[2]);
const binding = await bindingOf(job.binding ?? 'tcp');
const nest = await loadNest(job.version);
const {
  EMPTY, NEVER, RpcException, concat, defer, from, ignoreElements, interval, map, of, take,
  throwError, timer,
} = nest;

class Handlers {}

let count = 0;

/**
 * What @MessagePattern and @EventPattern do on a method with (@Payload() data, @Ctx() ctx), and
 * more decorators of the method.
 */
function register(decorator, pattern, fn, ...more) {
  const name = `handler${count++}`;
  Handlers.prototype[name] = fn;
  nest.Payload()(Handlers.prototype, name, 0);
  nest.Ctx()(Handlers.prototype, name, 1);
  for (const decorate of [...more, decorator(pattern)]) {
    decorate(Handlers.prototype, name, Object.getOwnPropertyDescriptor(Handlers.prototype, name));
  }
}
const wanted = (pattern) => !job.wild && (binding.takes?.(pattern) ?? true);
const message = (pattern, fn, ...more) =>
  wanted(pattern) && register(nest.MessagePattern, pattern, fn, ...more);
const event = (pattern, fn) => wanted(pattern) && register(nest.EventPattern, pattern, fn);

const runs = {};
const note = (data, name) => {
  (runs[data.tag] ??= []).push(name);
};
message('runs', (data) => runs[data.tag] ?? []);

// Requests

message('echo', (data) => data);
message({ cmd: 'sum' }, (data) => data.reduce((a, b) => a + b, 0));
message('wait', async (data) => {
  await sleep(data.ms);
  if (data.tag) note(data, 'waited');
  return data.value;
});
message('as_text', (number) => String(number));
message('metadata', (data, ctx) => binding.headersOf(ctx));
message('subject', (data, ctx) => binding.subjectOf(ctx));

const values = {
  null: null, no: false, yes: true, zero: 0, empty: '', text: 'é€😀',
  nan: NaN, infinity: Infinity, minus_infinity: -Infinity, minus_zero: -0,
  whole_float: 3.0, fraction: 0.1, tiny: 5e-324, huge: 1e21, third: 1 / 3,
  list: [1, 2], empty_list: [], empty_object: {},
  bytes: Buffer.from([0, 97, 255]),
};
message('value', (name) => values[name]);

message('fail', async (how) => {
  if (how === 'rpc text') throw new RpcException('boom');
  if (how === 'rpc empty') throw new RpcException('');
  if (how === 'rpc number') throw new RpcException(5);
  if (how === 'rpc object') throw new RpcException({ code: 42, message: 'm', extra: [1] });
  if (how === 'rpc list') throw new RpcException([1, 2]);
  if (how === 'error') throw new Error('secret');
  if (how === 'text') throw 'secret';
  if (how === 'number') throw 7;
  if (how === 'object') throw { code: 1, message: 'secret' };
  if (how === 'nothing') throw undefined;
  if (how === 'http') throw new nest.BadRequestException('secret');
  if (how === 'returned') return new Error('secret');
  if (how === 'later') {
    await sleep(10);
    throw new RpcException('later');
  }
});

message('guarded', () => 'never', nest.UseGuards({ canActivate: () => false }));

/** A handler whose error goes to a filter that answers with this. */
function filtered(pattern, answer) {
  class Filter {
    catch() {
      return answer();
    }
  }
  nest.Catch()(Filter);
  message(pattern, () => {
    throw new Error('secret');
  }, nest.UseFilters(Filter));
}
filtered('filter_throws_a_text', () => throwError(() => 'text'));
filtered('filter_throws_an_object', () => throwError(() => ({ a: [1] })));
filtered('filter_throws_true', () => throwError(() => true));
filtered('filter_throws_an_Error', () => throwError(() => new Error('secret')));
filtered('filter_throws_an_empty_text', () => throwError(() => ''));
filtered('filter_gives_values', () => of(1, 2));
filtered('filter_gives_nothing', () => undefined);

// Streams

const nothingFor = (ms) => timer(ms).pipe(ignoreElements());
const streams = {
  of: () => of(1, 2, 3),
  from: () => from(['a', 'b']),
  empty: () => EMPTY,
  one: () => of('only'),
  nulls: () => of(null, null),
  ticks: () => interval(10).pipe(take(3)),
  'late end': () => concat(of(1), nothingFor(20)),
  'undefined item': () => of(undefined, 2),
  'undefined last': () => of(1, undefined),
  'error after items': () =>
    concat(of(1, 2), throwError(() => new RpcException('too much'))),
  'late error': () =>
    concat(of(1), nothingFor(20), throwError(() => new Error('secret'))),
  'late stream': async () => {
    await sleep(10);
    return of(1, 2);
  },
  never: () => concat(of(1), NEVER),
};
message('stream', (name) => streams[name]());
message('count', ({ upto, ms }) =>
  ms ? interval(ms).pipe(map((i) => i + 1), take(upto))
    : from(Array.from({ length: upto }, (_, i) => i + 1)));

// Events

event('one', (data) => {
  note(data, 'one');
  return 'from an event';
});
event('chain', (data) => {
  note(data, 'first');
  return 'first';
});
event('chain', (data) => note(data, 'second'));
event('chain', (data) => note(data, 'third'));
message('message', (data) => {
  note(data, 'message');
  return 'from a message';
});
message('message_then_event', (data) => {
  note(data, 'message');
  return 'from a message';
});
event('message_then_event', (data) => note(data, 'event'));
event('event_then_message', (data) => note(data, 'event'));
message('event_then_message', (data) => {
  note(data, 'message');
  return 'from a message';
});
message('twice', () => 'earlier');
message('twice', () => 'later');
event('failing', (data) => {
  note(data, 'failing');
  throw new RpcException('nobody hears this');
});
event('streaming', (data) => defer(() => {
  note(data, 'subscribed');
  return of(1);
}));
event({ kind: 'user', action: 'created' }, (data) => note(data, 'object'));
event(7, (data) => note(data, 'seven'));

event('headed', (data, ctx) => note(data, String(binding.headersOf(ctx).tenant)));

job.patterns?.forEach((pattern, position) => message(pattern, () => position));
let calls = 0;
job.wild?.forEach((pattern) => register(nest.MessagePattern, pattern, (data, ctx) => {
  calls++;
  return { pattern, subject: binding.subjectOf(ctx), calls };
}));

class App {}
nest.Controller()(Handlers);
nest.Module({ controllers: [Handlers] })(App);
const app = await nest.NestFactory.createMicroservice(App, {
  logger: false,
  ...binding.nest(nest, job.broker, job.options),
});
await app.listen();
console.log('listening');
