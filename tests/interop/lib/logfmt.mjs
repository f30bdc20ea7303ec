// The host's log lines: key=value, values with blanks in quotes.

/** One line as an object of texts; null where it is not logfmt. */
export function parseLogfmt(line) {
  const fields = {};
  const member = /\s*([A-Za-z_][\w.-]*)=("(?:[^"\\]|\\.)*"|[^\s"]*)/y;
  while (member.lastIndex < line.length) {
    const match = member.exec(line);
    if (!match) return null;
    const [, key, raw] = match;
    fields[key] = raw.startsWith('"') ? unquote(raw) : raw;
  }
  return fields;
}

const short = { n: '\n', t: '\t', r: '\r' };
const unquote = (text) =>
  text.slice(1, -1).replace(/\\(.)/gs, (_, char) => short[char] ?? char);
