// Holds the codecs against JavaScript itself: JSON, TextDecoder, StringDecoder and localeCompare.
// Usage: node oracle.mjs DRIVER [SEED]
import { spawnSync } from 'node:child_process';
import { StringDecoder } from 'node:string_decoder';

import { makeRandom } from './random.mjs';

const [driver, seed = '20240607'] = process.argv.slice(2);
const random = makeRandom(seed);
const { below, pick, text, value } = random;
const REFUSED = 'error';

const hex = (input) => Buffer.from(input).toString('hex');
const groups = new Map();

/** One question: the driver's answer to input has to be expected (bytes or text, or REFUSED). */
function ask(group, operation, input, expected) {
  if (!groups.has(group)) groups.set(group, []);
  groups.get(group).push({ operation, input, expected });
}

function parse(json) {
  try {
    return { value: JSON.parse(json) };
  } catch {
    return null;
  }
}

const echoed = (json) => {
  const parsed = parse(json);
  return parsed ? JSON.stringify(parsed.value) : REFUSED;
};

// ------------------------------------------------------------------------- JSON
for (let i = 0; i < 5000; i++) {
  const json = JSON.stringify(value(4), null, pick(['', '', ' ', '\t']));
  ask('values echo as JSON.stringify writes them', 'echo', json, echoed(json));
}

const escapeAll = (json) => json.replace(/[^\\"{}[\]:, \d.eE+truefalsn-]/g, (c) =>
  below(2) ? `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}` : c);
for (let i = 0; i < 10000; i++) {
  const json = JSON.stringify(text(20)).replace(/(?<!\\)[\u0080-\uffff]/g, escapeAll);
  if (json.isWellFormed()) ask('escapes of strings', 'echo', json, echoed(json));
}

const surrogates = ['\\ud83d', '\\ude00', '\\uD83D', '\\uDE00', '\\udbff', '\\udfff', 'x', '\\ud7ff', '\\ue000', '😀'];
for (let i = 0; i < 5000; i++) {
  const json = `"${Array.from({ length: below(6) }, () => pick(surrogates)).join('')}"`;
  ask('lone surrogates and pairs', 'echo', json, echoed(json));
}

const junk = ['"', '\\', '{', '}', '[', ']', ',', ':', '0', '-', '.', 'e', '+', 't', 'null', ' ', '\n', '\u0000', '\x1f', 'é', '\ufeff', '\u00a0'];
for (let i = 0; i < 20000; i++) {
  let json = JSON.stringify(value(2));
  for (let edits = 1 + below(2); edits > 0; edits--) {
    const at = below(json.length + 1);
    json = json.slice(0, at) + (below(2) ? pick(junk) : '') + json.slice(at + below(2));
  }
  if (!json.isWellFormed()) continue;
  ask('damaged texts are refused as JSON.parse does', 'validate', json, parse(json) ? '' : REFUSED);
}

// ------------------------------------------------------------------------- numbers
const number = (source) => JSON.stringify(JSON.parse(source));
for (let i = 0; i < 20000; i++) {
  const double = random.double();
  ask('doubles print as JavaScript prints them', 'echo', double.toExponential(), number(String(double)));
  const precise = double.toExponential(below(25));
  ask('doubles of any precision', 'echo', precise, number(precise));
}
for (let i = 0; i < 5000; i++) {
  // Half way between two doubles, exactly, just below and just above.
  const low = BigInt(random.next() % (1n << 53n)) | (1n << 52n);
  const shift = BigInt(below(200));
  const middle = (2n * low + 1n) << shift;
  for (const source of [middle, middle - 1n, middle + 1n]) {
    const json = `${source}${pick(['.0', 'e0', '.', '.00001', '.000000000000000000000000000000']) }`.replace(/\.$/, '.5');
    ask('numbers half way between doubles', 'echo', json, number(json));
  }
}
for (let power = -1074; power < 1024; power++) {
  for (const factor of [1, 1 - 2 ** -53, 1 + 2 ** -52]) {
    const double = 2 ** power * factor;
    if (Number.isFinite(double)) ask('powers of two and their neighbours', 'echo', double.toExponential(), number(double.toExponential()));
  }
}
for (let exponent = -345; exponent < 312; exponent++) {
  for (const digits of ['1', '9', '22250738585072011', '17976931348623158', '49406564584124654', '24703282292062327', '2.2250738585072014', '0.000123'])
    ask('all exponents', 'echo', `${digits}e${exponent}`, number(`${digits}e${exponent}`));
}
for (let i = 0; i < 10000; i++) {
  const integer = BigInt.asIntN(64, random.next()) >> BigInt(below(64));
  ask('int64 echoes exactly', 'echo', `${integer}`, `${integer}`);
  const larger = BigInt.asIntN(70, random.next() * 61n);
  if (larger !== BigInt.asIntN(64, larger)) ask('larger integers are doubles', 'echo', `${larger}`, number(`${larger}`));
}

// ------------------------------------------------------------------------- UTF-8 and frames
const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
const bytes = [0x61, 0xc3, 0xa9, 0xe2, 0x82, 0xac, 0xf0, 0x9f, 0x98, 0x80, 0xed, 0xa0, 0xc0, 0xaf, 0xf4, 0x90, 0xff, 0xe0, 0xef, 0xbb, 0xbf];
const randomBytes = (longest) => Buffer.from(Array.from({ length: below(longest) }, () => (below(4) ? pick(bytes) : below(256))));
for (let i = 0; i < 10000; i++) {
  const broken = Buffer.concat([Buffer.from(text(20)), randomBytes(12), Buffer.from(text(3))]);
  ask('broken UTF-8 is repaired as TextDecoder does', 'repair', broken, decoder.decode(broken));
}
for (let i = 0; i < 10000; i++) {
  const body = `"${text(40).toWellFormed()}"`;
  ask("frames are as long as JavaScript's strings", 'frame', body, `${body.length}#${body}`);
}
for (let i = 0; i < 5000; i++) {
  const body = Buffer.concat([randomBytes(10), Buffer.from('"')]);
  const decoded = new StringDecoder().write(body);
  const header = `${pick(['', ' ', '+', '0'])}${decoded.length}${pick(['', ' ', '.9', 'x'])}#`;
  const frames = Buffer.concat([Buffer.from(header), body, Buffer.from(pick(['', '1#', '2#"']))]);
  ask('frames count and repair what is broken', 'unframe', frames, `${decoded}\0`);
}
const spaces = ['\t', '\n', '\v', '\f', '\r', ' ', '\u00a0', '\ufeff', '\u1680', '\u2000', '\u200a', '\u200b', '\u2028', '\u2029', '\u202f', '\u205f', '\u3000', '\u0085', '+', '-', '0', '7', 'x', '.'];
for (let i = 0; i < 5000; i++) {
  const header = Array.from({ length: below(5) }, () => pick(spaces)).join('') + pick(['2', '2', '12', '']) + pick(['', 'e1', ' 3', 'é']);
  const length = parseInt(header, 10);
  const body = '"'.repeat(Math.max(0, length || 0) % 100000);
  ask('length texts are read by parseInt', 'unframe', `${header}#${body}`,
    length > 0 && length < 100000 ? `${body}\0` : length >= 100000 ? null : REFUSED);
}

// ------------------------------------------------------------------------- patterns
function route(pattern, depth = 0) {
  if (typeof pattern === 'string') return depth ? `"${pattern.replace(/[\\"]/g, '\\$&')}"` : pattern;
  if (typeof pattern !== 'object' || pattern === null) return String(pattern);
  if (depth > 5) return '[MAX_DEPTH_REACHED]';
  const keys = Object.keys(pattern);
  if (keys.length > 20) return '[TOO_MANY_KEYS]';
  keys.sort((a, b) => a.localeCompare(b));
  return `{${keys.map((key) => `${route(key, 1)}:${route(pattern[key], depth + 1)}`).join(',')}}`;
}
const isPattern = (pattern) => ['string', 'number', 'object'].includes(typeof pattern) && pattern !== null;
function resolved(json) {
  const pattern = JSON.parse(json);
  const source = typeof pattern === 'string' ? pattern : JSON.stringify(pattern);
  const parsed = parse(source);
  const found = parsed ? parsed.value : source;
  return isPattern(found) ? route(found) : REFUSED;
}

const latin = [() => pick(['a', 'b', 'A', 'é', 'ae', 'æ', 's', 'ss', 'ß']), () => String.fromCharCode(below(256)), () => pick(['l·', 'L·', '½', 'ª', '²', '_', '-', '1', '10', '\u0001', '\u00ad'])];
for (let i = 0; i < 40000; i++) {
  const head = text(4, latin);
  const [a, b] = [head + text(4, latin), below(2) ? head + text(4, latin) : text(8, latin)];
  const order = a.localeCompare(b);
  const keys = `${JSON.stringify(a).slice(1, -1)}\0${JSON.stringify(b).slice(1, -1)}`;
  ask('keys sort as localeCompare sorts them', 'order', keys, order < 0 ? '<' : order > 0 ? '>' : '=');
}

function pattern(depth) {
  const kind = depth > 0 ? below(8) : 7;
  if (kind < 1) return Array.from({ length: below(below(10) ? 5 : 24) }, () => pattern(depth - 1));
  if (kind < 5) return Object.fromEntries(Array.from({ length: below(below(10) ? 5 : 30) }, () => [text(4, latin), pattern(depth - 1)]));
  return pick([() => text(5, latin), () => value(0), () => below(100), () => '1.0', () => random.double()])();
}
for (let i = 0; i < 6000; i++) {
  const made = pattern(below(9));
  const json = JSON.stringify(made);
  if (!json.isWellFormed()) continue;
  ask('patterns resolve as a server resolves them', 'resolve', json, resolved(json));
  const twice = JSON.stringify(below(3) ? json : text(4, [() => pick(['1', '.', '0', '"', '[', ']', 'e', ' ', 'a', '-'])]));
  ask('patterns that are text, too', 'resolve', twice, resolved(twice));
  const plain = route(made);
  const isLimited = plain.includes('[MAX_DEPTH_REACHED]') || plain.includes('[TOO_MANY_KEYS]');
  ask('patterns normalise as a client does', 'normalise', json, isPattern(made) && !isLimited ? plain : REFUSED);
  const isReachable = !parse(plain) || resolved(JSON.stringify(plain)) === plain;
  if (plain.isWellFormed()) ask('reachable texts are told from others', 'reachable', plain, isReachable ? '1' : '0');
}
for (const source of ['{"a":1e400}', '1e400', '-1e400', '[1e999,-1e999]', '-0', '"-0"', '-0.0', '1e21', '1e-7', '9007199254740993', '"9007199254740993"', '"\\"echo\\""', '"true"', 'null', '" x "', '"01"', '"1.0"', '{"b":1,"a":1,"b":{"1\\u0001":1,"1":2,"0":3}}', '{"":0}', '[]', '"[]"', '""'])
  for (const json of [source, JSON.stringify(source)]) ask('patterns one by one', 'resolve', json, resolved(json));

// ------------------------------------------------------------------------- the comparison
let passed = 0;
let failed = 0;
for (const [group, cases] of groups) {
  const lines = cases.map((c) => `${c.operation} ${hex(c.input)}\n`).join('');
  const run = spawnSync(driver, { input: lines, maxBuffer: 1 << 30, encoding: 'latin1' });
  const answers = (run.stdout ?? '').split('\n');
  const wrong = cases.filter((c, i) => {
    c.answer = answers[i];
    if (c.expected === null) return false;
    return c.expected === REFUSED ? !c.answer?.startsWith('error') : c.answer !== hex(c.expected);
  });
  if (run.status === 0 && wrong.length === 0) {
    passed++;
    console.log(`ok    ${group} (${cases.length})`);
    continue;
  }
  failed++;
  console.log(`FAIL  ${group}: ${wrong.length} of ${cases.length}, exit ${run.status} ${run.error ?? run.stderr}`);
  for (const c of wrong.slice(0, 10)) {
    const answer = c.answer?.startsWith('error') ? c.answer : Buffer.from(c.answer ?? '', 'hex').toString();
    console.log(`  ${c.operation} ${JSON.stringify(c.input.toString())}\n    gave   ${JSON.stringify(answer)}\n    wanted ${JSON.stringify(c.expected)}`);
  }
}
console.log(`seed ${seed}`);
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed > 0 ? 1 : 0;
