// The roost command, run to its end.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { roostBin } from './env.mjs';
import { within } from './wait.mjs';

/** Runs `roost args…` and gives { code, stdout, stderr }; `input` is what it reads on stdin. */
export async function roost(args, { input = '', cwd = tmpdir(), env = {} } = {}) {
  const child = spawn(roostBin, args, { cwd, env: { ...process.env, ...env } });
  const closed = once(child, 'close');
  const result = { stdout: '', stderr: '' };
  for (const name of Object.keys(result)) {
    child[name].setEncoding('utf8').on('data', (text) => (result[name] += text));
  }
  child.stdin.on('error', () => {}); // it need not read all, or anything
  child.stdin.end(input);
  try {
    const [code, signal] = await within(closed, `roost ${args.join(' ')}`);
    return { code: code ?? signal, ...result };
  } finally {
    child.kill('SIGKILL');
  }
}
