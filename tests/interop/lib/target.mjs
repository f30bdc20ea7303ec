// The server that the wire tests talk to: Roost, or with TARGET=nest the original.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { interopDir, nodeBin, onNest } from './env.mjs';
import { serviceFile, startHost } from './host.mjs';
import { lua } from './lua.mjs';
import { freePort, listens } from './peer.mjs';
import { undo, until } from './wait.mjs';

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

/** Starts a Nest 12 server with them, whatever the target is. */
export async function startNestServer(t, { port, ...options } = {}, patterns = []) {
  port ??= await freePort();
  const child = spawn(nodeBin, [join(interopDir, 'lib', 'nest-server.mjs'), String(port),
    JSON.stringify(camel(options)), JSON.stringify(patterns)],
  { stdio: ['ignore', 'ignore', 'inherit'] });
  const exited = once(child, 'exit');
  undo(t, async () => {
    child.kill('SIGKILL');
    await exited;
  });
  await until(() => child.exitCode !== null || listens(port), 'Nest listening');
  if (child.exitCode !== null) throw new Error('the Nest server did not start');
  return { port, kill: async () => (child.kill('SIGKILL'), exited) };
}
