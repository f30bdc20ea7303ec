// Random numbers from a seed, and the JSON values, texts and keys made of them.
export function makeRandom(seed) {
  let state = BigInt(seed) | 1n;
  function next() {
    state ^= (state << 13n) & 0xffffffffffffffffn;
    state ^= state >> 7n;
    state ^= (state << 17n) & 0xffffffffffffffffn;
    return state;
  }
  const below = (limit) => Number(next() % BigInt(limit));
  const pick = (list) => list[below(list.length)];

  // Any finite double, most of them of everyday size.
  function double() {
    const view = new DataView(new ArrayBuffer(8));
    let bits = next();
    if (below(3) > 0) {
      const exponent = BigInt(1023 - 60 + below(120));
      bits = (bits & 0x800fffffffffffffn) | (exponent << 52n);
    }
    if (below(4) === 0) bits &= ~((1n << BigInt(below(53))) - 1n);
    view.setBigUint64(0, bits);
    const value = view.getFloat64(0);
    return Number.isFinite(value) ? value : 0.5;
  }

  const letters = [
    () => String.fromCharCode(97 + below(26)), () => String.fromCharCode(below(128)),
    () => String.fromCharCode(below(256)), () => String.fromCharCode(0x100 + below(0xd700)),
    () => String.fromCodePoint(0x10000 + below(0x100000)), () => pick(['"', '\\', '/', '\n', '\u2028', '\x7f']),
  ];
  function text(longest, kinds = letters) {
    let result = '';
    const make = below(2) ? [kinds[0]] : kinds;
    for (let length = below(longest + 1); length > 0; length--) result += pick(make)();
    return result;
  }

  const scalars = [
    () => below(1000), () => -below(2 ** 31), () => Number(next() % (1n << 53n)), double,
    () => text(30), () => text(5), () => true, () => false, () => null, () => [], () => ({}),
  ];
  function value(depth) {
    const kind = depth > 0 ? below(6) : 2;
    if (kind === 0) return Array.from({ length: below(6) }, () => value(depth - 1));
    if (kind !== 1) return pick(scalars)();
    // No key is an index: JavaScript would move it to the front.
    return Object.fromEntries(
      Array.from({ length: below(6) }, () => [`k${text(6)}`, value(depth - 1)]),
    );
  }

  return { next, below, pick, double, text, value };
}
