// Prints host/wire/pattern_order.h: how String.prototype.localeCompare orders the characters of
// ASCII and Latin-1 in the root collation. Run it with a node whose default locale is English.
//
// A character is a list of elements, each with three weights that count in turn: which letter,
// which accent, which case or form. Weights only ever meet weights of the same letter, so accents
// are numbered per letter and forms per accented letter. "l" and "·" are one letter together.
const byLetter = new Intl.Collator('en', { sensitivity: 'base' }).compare;
const byAccent = new Intl.Collator('en', { sensitivity: 'accent' }).compare;
const byAll = new Intl.Collator('en').compare;

const latin1 = Array.from({ length: 256 }, (_, code) => String.fromCharCode(code));
const isIgnored = (c) => byAll(`x${c}y`, 'xy') === 0;
// Characters that stand for several letters; the slash is U+2044.
const spelled = { 'æ': 'ae', 'Æ': 'AE', 'ß': 'ss', '½': '1⁄2', '¼': '1⁄4', '¾': '3⁄4' };
for (const [c, text] of Object.entries(spelled)) {
  if (byLetter(c, text) !== 0) throw new Error(`${c} is not spelled ${text} here`);
}

const single = latin1.filter((c) => !isIgnored(c) && !(c in spelled));
const letters = [];
for (const c of [...single, '⁄'].sort(byAll)) {
  if (letters.length === 0 || byLetter(letters.at(-1)[0], c) !== 0) letters.push([c]);
  else letters.at(-1).push(c);
}

// The place of an item among the different ones of a sorted list.
const rank = (list, item, compare) => new Set(
  list.filter((other) => compare(other, item) < 0)
    .map((other) => list.findIndex((first) => compare(first, other) === 0)),
).size;

const letterOf = (c) => letters.findIndex((group) => byLetter(group[0], c) === 0);
// What else can stand where the letter stands, each followed by the rest of its spelling.
function rivals(letter, rest) {
  const found = letters[letter].map((c) => c + rest);
  for (const [c, text] of Object.entries(spelled)) {
    if (letterOf(text[0]) === letter && byLetter(text.slice(1), rest) === 0) found.push(c);
  }
  if (byLetter(letters[letter][0], 'l') === 0) found.push(`l·${rest}`);
  return found;
}

function element(c, whole, rest) {
  const letter = letterOf(c);
  const others = rivals(letter, rest);
  const sameAccent = others.filter((other) => byAccent(other, whole) === 0);
  return [letter + 1, rank(others, whole, byAccent), rank(sameAccent, whole, byAll)];
}

const extras = [[0, 0, 0, 0]];
function row(c) {
  if (isIgnored(c)) return [0, 0, 0, 0];
  if (!(c in spelled)) return [...element(c, c, ''), 0];
  const [first, ...others] = spelled[c];
  const start = extras.length;
  const isFraction = others.includes('⁄');
  const form = (plain) => (isFraction || c === 'Æ' ? 1 : plain);
  for (const other of others) extras.push([letterOf(other) + 1, 0, form(0), 0]);
  extras.push([0, 0, 0, 0]);
  const [letter, accent, own] = element(first, c, others.join(''));
  return [letter, isFraction ? 0 : accent, form(own), start];
}

const rows = latin1.map(row);
const print = (list) => {
  const lines = [];
  for (let i = 0; i < list.length; i += 8)
    lines.push('    ' + list.slice(i, i + 8).map((r) => `{${r.join(', ')}},`).join(' '));
  return lines.join('\n');
};
const middleDot = rank(rivals(letterOf('l'), ''), 'l·', byAccent);

console.log(`/*
 * wire/pattern_order.h - ICU's root collation of ASCII and Latin-1, for pattern_order.c alone.
 * Made by tests/support/make_pattern_order.mjs (ICU ${process.versions.icu}); don't edit.
 */
#ifndef ROOST_WIRE_PATTERN_ORDER_H
#define ROOST_WIRE_PATTERN_ORDER_H

#include <stdint.h>

/* One letter of a spelling. */
typedef struct roost_order_element {
  uint8_t letter; /* weight of the letter; 0: the character doesn't count at all */
  uint8_t accent; /* weight among the letter's accents */
  uint8_t form;   /* weight among the cases and forms of the accented letter */
  uint8_t more;   /* where in roost_order_extras the spelling goes on, up to a letter 0; or 0 */
} roost_order_element;

/* The accent of l and L when a middle dot (U+00B7) follows: the two are one letter. */
#define ROOST_ORDER_MIDDLE_DOT ${middleDot}

/* clang-format off */
static const roost_order_element roost_order_extras[] = {
${print(extras)}
};

static const roost_order_element roost_order_latin1[256] = {
${print(rows)}
};
/* clang-format on */

#endif`);
