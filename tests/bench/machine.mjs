// Where figures come from: the machine, what is installed on it, and how quiet it is.
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import os from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { npmDir, repo, roostBin } from './lib.mjs';

/** The first line that a program prints; '' where there is none. */
function says(file, ...args) {
  try {
    const options = { cwd: repo, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] };
    return execFileSync(file, args, options).split('\n')[0].trim();
  } catch {
    return '';
  }
}

function distribution() {
  try {
    return /^PRETTY_NAME="?([^"\n]*)/m.exec(readFileSync('/etc/os-release', 'utf8'))[1];
  } catch {
    return os.type();
  }
}

function nestVersion() {
  const file = join(npmDir, 'nest12', 'node_modules', '@nestjs', 'microservices', 'package.json');
  return JSON.parse(readFileSync(file, 'utf8')).version;
}

const packageVersion = (name) => says('dpkg-query', '-W', '-f', '${Version}', name);

export function describeMachine() {
  const cpus = os.cpus();
  return {
    cpu: `${cpus.length} x ${cpus[0].model.trim()}`,
    memory_gib: Math.round(os.totalmem() / 2 ** 30),
    virtual: /^flags.*\bhypervisor\b/m.test(readFileSync('/proc/cpuinfo', 'latin1')),
    kernel: os.release(),
    system: distribution(),
    commit: says('git', 'rev-parse', '--short', 'HEAD') +
      (says('git', 'status', '--porcelain', '--untracked-files=no', 'host', 'lua') ? ' and changes' : ''),
    versions: { roost: says(roostBin, 'version'), nest: nestVersion(), node: process.version.slice(1),
      luv: packageVersion('lua-luv'), cjson: packageVersion('lua-cjson'),
      tarantool: packageVersion('tarantool'), openssl: says('openssl', 'version') },
  };
}

/** Which share of all CPUs' time others use now, looked at for two seconds: 0 to 1. */
export async function busyShare() {
  const read = () => {
    const [user, nice, system, idle, wait, irq, soft, steal] =
      readFileSync('/proc/stat', 'latin1').split('\n')[0].trim().split(/\s+/).slice(1).map(Number);
    const busy = user + nice + system + irq + soft + steal;
    return { busy, all: busy + idle + wait };
  };
  const before = read();
  await sleep(2000);
  const after = read();
  return (after.busy - before.busy) / (after.all - before.all);
}
