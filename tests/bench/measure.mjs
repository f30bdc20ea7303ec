// One server under one load: what `roost bench` says, and what the server used.
import { residentMb, roostBin, run, runTime } from './lib.mjs';

const GENERATOR_CPU = 1;
const SAMPLE_MS = 20;

/** Runs `roost bench` for so long: its figures. */
export async function bench(port, load, seconds, cert) {
  const { code, stdout, stderr } = await run(GENERATOR_CPU, [roostBin, 'bench', '--json',
    '--url', `${load.tls ? 'tls' : 'tcp'}://127.0.0.1:${port}`, '-c', String(load.connections),
    ...(load.tls ? ['--tls-ca', cert] : []), '-d', String(seconds), '--timeout', '20000',
    ...(load.rate ? ['--rate', String(load.rate)] : ['-p', String(load.inFlight)]),
    load.pattern, '-'], load.data);
  if (code !== 0) throw new Error(stderr.trim() || `roost bench ended with ${code}`);
  return JSON.parse(stdout);
}

/** What a process had used at a moment, from samples { at, ns } in their order. */
export function usedAt(samples, at) {
  const after = samples.findIndex((sample) => sample.at >= at);
  if (after <= 0) return samples.at(after).ns;
  const [a, b] = [samples[after - 1], samples[after]];
  return a.ns + (b.ns - a.ns) * (at - a.at) / (b.at - a.at);
}

/**
 * Puts a load on a server for so long. What it used while the connections were made is left out:
 * the clock starts when the first request is sent, and stops when the last one is answered.
 */
export async function measure({ child, port }, load, seconds, cert) {
  const samples = [];
  const take = () => samples.push({ at: performance.now(), ns: runTime(child.pid) });
  take();
  const sampling = setInterval(take, SAMPLE_MS);
  let result;
  try {
    result = await bench(port, load, seconds, cert);
  } finally {
    clearInterval(sampling);
    take();
  }
  const last = samples.at(-1);
  const used = last.ns - usedAt(samples, last.at - 1000 * result.seconds);
  return {
    us: used / 1000 / result.requests,
    per_second: result.per_second,
    p50: result.latency_us.p50,
    p99: result.latency_us.p99,
    p999: result.latency_us.p99_9,
    rss_mb: residentMb(child.pid),
    server_cpu: used / 1e9 / result.seconds,
    generator_cpu: result.generator_cpu,
  };
}
