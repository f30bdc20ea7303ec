// Random numbers that are the same in every run.

/** A generator (mulberry32) with a few shapes of its output. */
export function random(seed) {
  let state = seed;
  const next = () => {
    state = (state + 0x6d2b79f5) | 0;
    let x = Math.imul(state ^ (state >>> 15), 1 | state);
    x = (x + Math.imul(x ^ (x >>> 7), 61 | x)) ^ x;
    return (x ^ (x >>> 14)) >>> 0;
  };
  const integer = (min, max) => min + Math.floor((next() / 2 ** 32) * (max - min + 1));
  const bits = new DataView(new ArrayBuffer(8));
  return {
    integer,
    pick: (list) => list[integer(0, list.length - 1)],
    /** Any finite double, all bit patterns being equally likely. */
    double() {
      for (;;) {
        bits.setUint32(0, next());
        bits.setUint32(4, next());
        const value = bits.getFloat64(0);
        if (Number.isFinite(value)) return value;
      }
    },
  };
}
