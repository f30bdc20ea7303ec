// Prints host/wire/pow10.c: the powers of ten as 128-bit significands, cut off, not rounded.
const FIRST = -342;
const LAST = 324;

function significand(power) {
  let value;
  if (power >= 0) {
    value = 10n ** BigInt(power);
    const bits = BigInt(value.toString(2).length);
    value = bits > 128n ? value >> (bits - 128n) : value << (128n - bits);
  } else {
    const divisor = 10n ** BigInt(-power);
    const bits = BigInt(divisor.toString(2).length);
    value = (1n << (127n + bits)) / divisor;
    if (value >> 128n) value >>= 1n;
  }
  if (value >> 127n !== 1n) throw new Error(`10^${power} is not normalised`);
  return value;
}

const hex = (value) => `0x${value.toString(16).padStart(16, '0')}u`;
const rows = [];
for (let power = FIRST; power <= LAST; power++) {
  const value = significand(power);
  rows.push(`{${hex(value >> 64n)}, ${hex(value & 0xffffffffffffffffn)}},`);
}
const lines = [];
for (let i = 0; i < rows.length; i += 2) lines.push('    ' + rows.slice(i, i + 2).join(' '));

console.log(`/* Made by tests/support/make_pow10_table.mjs; don't edit. */
#include "wire/pow10.h"

/* clang-format off */
const roost_pow10 roost_pow10_table[ROOST_POW10_LAST - ROOST_POW10_FIRST + 1] = {
${lines.join('\n')}
};
/* clang-format on */`);
