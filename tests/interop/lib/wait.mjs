// Waiting with a bound, and undoing what a test set up.
import { after } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { patience } from './env.mjs';

export { sleep };

/** The promise's value, or an error naming `what` after `ms` (a guard against hanging). */
export async function within(promise, what, ms = 15_000) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: nothing for ${ms * patience} ms`)),
      ms * patience);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Asks `probe` again and again until it gives something truthy, and returns that. */
export async function until(probe, what, { ms = 15_000, every = 10 } = {}) {
  for (const end = Date.now() + ms * patience; ;) {
    const value = await probe();
    if (value) return value;
    if (Date.now() > end) throw new Error(`${what}: not within ${ms * patience} ms`);
    await sleep(every);
  }
}

const undone = new WeakMap();

/** Has `fn` called when `owner` (a test's `t`, a suiteScope) is over: last come, first served. */
export function undo(owner, fn) {
  if (!undone.has(owner)) {
    const stack = [];
    undone.set(owner, stack);
    owner.after(async () => {
      while (stack.length) await stack.pop()();
    });
  }
  undone.get(owner).push(fn);
}

/** An owner for undo that is over when the surrounding describe() is; call it there. */
export function suiteScope() {
  let close = () => {};
  after(() => close());
  return { after: (fn) => (close = fn) };
}
