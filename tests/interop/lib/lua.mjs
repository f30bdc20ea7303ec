// JavaScript values as Lua source text, for configurations and generated services.

class LuaCode {
  constructor(text) {
    this.text = text;
  }
}

/** Lua source to be pasted as it is. */
export const code = (text) => new LuaCode(text);

const keywords = new Set(['and', 'break', 'do', 'else', 'elseif', 'end', 'false', 'for', 'function',
  'goto', 'if', 'in', 'local', 'nil', 'not', 'or', 'repeat', 'return', 'then', 'true', 'until',
  'while']);
const isName = (key) => /^[A-Za-z_][A-Za-z0-9_]*$/.test(key) && !keywords.has(key);

/** The text in quotes, every byte outside printable ASCII as an escape. */
function luaText(text) {
  const body = Buffer.from(text).reduce((out, byte) => {
    const char = String.fromCharCode(byte);
    const plain = byte >= 0x20 && byte < 0x7f && char !== '"' && char !== '\\';
    return out + (plain ? char : `\\${String(byte).padStart(3, '0')}`);
  }, '');
  return `"${body}"`;
}

/** A Lua expression for the value: undefined members vanish, null is roost.null. */
export function lua(value) {
  if (value instanceof LuaCode) return value.text;
  if (value === undefined) return 'nil';
  if (value === null) return 'roost.null';
  if (typeof value === 'string') return luaText(value);
  if (typeof value !== 'object') return String(value);
  if (Array.isArray(value)) return `{ ${value.map(lua).join(', ')} }`;
  const members = Object.entries(value).filter(([, member]) => member !== undefined);
  return `{ ${members.map(([key, member]) =>
    `${isName(key) ? key : `[${luaText(key)}]`} = ${lua(member)}`).join(', ')} }`;
}
