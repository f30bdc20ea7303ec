// The server that the wire tests talk to: Roost, or with TARGET=nest the original.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { interopDir, nodeBin, onNest } from './env.mjs';
import { serviceFile, startHost } from './host.mjs';
import { lua } from './lua.mjs';
import { freePort } from './peer.mjs';
import { undo, within } from './wait.mjs';

/** What is expected where the two differ on purpose. */
export const differs = ({ roost, nest }) => (onNest ? nest : roost);

const camel = (keys) => Object.fromEntries(Object.entries(keys).map(([key, value]) =>
  [key.replace(/_(.)/g, (_, letter) => letter.toUpperCase()), value]));

/** A service whose handlers answer with the position of their pattern. */
const positions = (patterns) => `
local roost = require "roost"
local service = roost.service()
${patterns.map((pattern, at) =>
    `service:message(${lua(pattern)}, function() return ${at} end)`).join('\n')}
return service
`;

/** One whose handlers answer with their pattern, the subject, and how many calls there were. */
const wildcards = (patterns) => `
local roost = require "roost"
local service = roost.service()
${patterns.map((pattern) => `service:message(${lua(pattern)}, function(_, ctx)
  return { pattern = ctx.route, subject = ctx.subject, calls = roost.store:incr("calls", 1) }
end)`).join('\n')}
return service
`;

/**
 * Starts it with the handlers of services/wire.lua, the listener's options under Roost's names,
 * and a handler for each of `patterns` that answers with the pattern's position.
 */
export async function startTarget(t, options = {}, patterns) {
  if (onNest) return startNestServer(t, options, patterns);
  return startHost(t, {
    services: [serviceFile('wire'), ...(patterns ? ['services'] : [])],
    ...(patterns && { service: positions(patterns) }),
    server: options,
  });
}

/**
 * Starts it behind a broker, with the handlers of services/wire.lua, or with `wild` instead of them a
 * handler for each of these patterns that answers with { pattern, subject, calls }. It may take a
 * moment until the broker knows of them.
 */
export async function startBehind(t, binding, broker, { options, wild } = {}) {
  if (onNest) return startNest(t, { binding: binding.name, broker: facts(broker), options, wild });
  return startHost(t, {
    services: wild ? ['services'] : [serviceFile('wire')],
    ...(wild && { service: wildcards(wild) }),
    servers: [binding.roost(broker, options)],
  });
}

/** A Nest server with the handlers of services/wire.lua behind a broker, whatever the target is. */
export const startNestBehind = (t, binding, broker, { options, wild, version = 12 } = {}) =>
  startNest(t, {
    binding: binding.name, broker: facts(broker), options: options && camel(options), wild, version,
  });

/** What another process is told of a broker. */
const facts = ({ port, dir, url, servers, brokers, tls }) => ({ port, dir, url, servers, brokers, tls });

/** Starts a Nest server with them, whatever the target is. */
export async function startNestServer(t, { port, ...options } = {}, patterns = [], version = 12) {
  port ??= await freePort();
  const server = await startNest(t,
    { broker: { port }, options: camel(options), patterns, version });
  return { port, ...server };
}

async function startNest(t, job) {
  const child = spawn(nodeBin, [join(interopDir, 'lib', 'nest-server.mjs'),
    JSON.stringify({ version: 12, ...job })], { stdio: ['ignore', 'pipe', 'inherit'] });
  const exited = once(child, 'exit');
  const kill = async () => {
    child.kill('SIGKILL');
    await exited;
  };
  undo(t, kill);
  const listening = once(child.stdout, 'data').then(() => true);
  if (!await within(Promise.race([listening, exited.then(() => false)]), 'Nest listening', 60_000)) {
    throw new Error('the Nest server did not start');
  }
  child.stdout.resume();
  return { kill, stop: kill };
}
