// Tables of "these bytes in, exactly those bytes out".
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { frame, last, request } from './frames.mjs';
import { connect } from './peer.mjs';

/** Compares texts that are too long to be shown. */
export function sameText(actual, expected) {
  if (actual === expected) return;
  const at = Array.from({ length: expected.length }).findIndex((_, i) => actual[i] !== expected[i]);
  assert.fail(`${actual.length} characters instead of ${expected.length}, different from ${at}: ` +
    `${JSON.stringify(actual.slice(at, at + 50))} instead of ` +
    JSON.stringify(expected.slice(at, at + 50)));
}

/**
 * One test per row, each on a connection of its own. A row:
 *   name
 *   send     bytes or text; a list is sent in pieces
 *   replies  JSON texts of the frames that come back, in order, compared byte for byte
 *   ends     true where the server ends the connection (with a FIN) after the replies;
 *            else it must still answer a request afterwards
 */
export function checkRows(port, rows) {
  for (const { name, send, replies = [], ends = false } of rows) {
    test(name, async (t) => {
      const peer = await connect(t, port());
      await peer.writeParts([send].flat(), 20);
      if (ends) {
        assert.equal(await peer.closed(), 'fin');
        assert.equal(peer.received, replies.map(frame).join(''));
        return;
      }
      for (const _ of replies) await peer.frame();
      await peer.write(request('echo', '"still here"', 'probe'));
      await peer.frame();
      const expected = [...replies, last('"still here"', '"probe"')];
      assert.equal(peer.received, expected.map(frame).join(''));
    });
  }
}
