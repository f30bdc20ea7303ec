// The servers that are compared, all with {cmd:'sum'} and "echo".
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { benchBin, here, npmDir, roostBin, start, waitForLine } from './lib.mjs';

const CPU = 0;

/**
 * In the order of the tables. A command takes the port, 0 for any, and the files for TLS, if it can
 * (`tls`).
 */
export const servers = {
  nest: {
    title: 'NestJS',
    tls: true,
    command: (port, { key, cert } = {}) => [process.execPath, join(here, 'nest_server.mjs'),
      String(port), ...(key ? [key, cert] : [])],
  },
  luv: {
    title: 'luv + lua-cjson',
    command: (port) => ['lua5.4', join(here, 'luv_server.lua'), String(port)],
  },
  tarantool: {
    title: 'Tarantool',
    command: (port) => ['tarantool', join(here, 'tarantool_server.lua'), String(port)],
    stderr: 'ignore', // it says that it has started
  },
  roost: {
    title: 'Roost',
    tls: true,
    command: (port, { key, cert } = {}) => [roostBin, 'run', join(here, 'host.lua'), '--set',
      `services=${join(here, 'service.lua')}`, '--set', `servers.1.port=${port}`,
      ...(key ? ['--set', `servers.1.tls.key=${key}`, '--set', `servers.1.tls.cert=${cert}`] : [])],
    logs: true,
  },
  c: {
    title: 'C only',
    tls: true,
    command: (port, { key, cert } = {}) => [join(benchBin, 'roost_bench_c_server'), String(port),
      ...(key ? [key, cert] : [])],
  },
};

export function spawnServer(command, options, cpus = CPU) {
  if (command[0].startsWith('/') && !existsSync(command[0]))
    throw new Error(`there is no ${command[0]}: build it first`);
  return start(cpus, command, { env: { ...process.env, ROOST_NPM_DIR: npmDir }, ...options });
}

/**
 * Starts one on a port of its own, with TLS where its files are given: { child, port }. The host
 * logs its address, others print it.
 */
export async function launch({ command, logs, stderr = 'inherit', cpus }, files) {
  const child = spawnServer(command(0, files),
    { stdio: ['ignore', 'pipe', logs ? 'pipe' : stderr] }, cpus);
  const port = logs ? await waitForLine(child, child.stderr, /address=127\.0\.0\.1:(\d+)/)
    : await waitForLine(child, child.stdout, /^(\d+)$/);
  return { child, port: Number(port) };
}
