// The rows of brokers/outbound.mjs within one host: the handlers are those of services/wire.lua.
import { before, describe } from 'node:test';
import { rowsBut } from '../brokers/inbound.mjs';
import { outboundRows } from '../brokers/outbound.mjs';
import { clientOf, startCaller } from '../lib/caller.mjs';
import { serviceFile } from '../lib/host.mjs';
import { suiteScope } from '../lib/wait.mjs';

const ofNest = 'a handler that only the Nest server has';
const cannot = Object.fromEntries(['error: http', 'an Error that is returned is an object',
  ...['throws_a_text', 'throws_an_object', 'throws_true', 'throws_an_Error', 'gives_nothing']
    .map((name) => `error: filter_${name}`),
  'error: guarded', 'an empty text as error is the end', 'a filter\'s values']
  .map((name) => [name, ofNest]));

describe('Lua client of a service of the same host', () => {
  const suite = suiteScope();
  const row = rowsBut(cannot);
  let caller;
  before(async () => {
    caller = await startCaller(suite, {
      clients: { default: clientOf({ transport: 'local' }) },
      services: [serviceFile('wire'), 'services'],
    });
  });
  outboundRows({ row, binding: { nobody: 'told' }, version: 12, caller: () => caller });
  row.checked();
});
