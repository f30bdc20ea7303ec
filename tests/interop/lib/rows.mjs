// Tables of "these bytes in, exactly those bytes out".
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { frame, last, request } from './frames.mjs';
import { connect } from './peer.mjs';

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
