// Requests that come in one piece: they are one request after the other all the same.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { packet } from '../lib/frames.mjs';
import { startHost } from '../lib/host.mjs';
import { connect } from '../lib/peer.mjs';
import { luaService } from '../lib/service.mjs';

const service = luaService(`
  local function work(ms)
    local ends = os.clock() + ms / 1000
    while os.clock() < ends do end
  end
  service:message("work", function(ms) work(ms) return ms end)
  service:message("sleep", function(ms) roost.sleep(ms) return ms end)
  service:message("raise", function(text) error(roost.rpc_error(text)) end)
`);
const frames = (requests) =>
  requests.map(([pattern, data], id) => packet({ pattern, data, id: String(id) })).join('');

/** The replies by their ids, each with its place in the order they came in. */
async function replies(peer, count) {
  const byId = [];
  for (let place = 0; place < count; place++) {
    const { id, response, err } = await peer.reply();
    assert.equal(byId[id], undefined, `two replies for ${id}`);
    byId[id] = { place, value: response ?? err };
  }
  return byId;
}

test('each has the processor time that one may take', async (t) => {
  const host = await startHost(t, { service, limits: { handler_cpu: 60 } });
  const peer = await connect(t, host.port);
  for (const round of [1, 2]) { // the second one finds patterns that are known
    await peer.write(frames(Array.from({ length: 12 }, () => ['work', 20 + round])));
    const got = await replies(peer, 12);
    assert.deepEqual(got.map(({ value }) => value), Array(12).fill(20 + round));
    assert.deepEqual(got.map(({ place }) => place), got.map((_, id) => id));
  }
});

test('one that is stopped, waits or fails leaves the others alone', async (t) => {
  const host = await startHost(t, { service, limits: { handler_cpu: 30 } });
  const peer = await connect(t, host.port);
  const requests = [['work', 1], ['sleep', 50], ['work', 2], ['raise', 'no'], ['work', 3], ['work', 5000],
    ['work', 4], ['nothing', 0], ['work', 5]];
  for (let round = 0; round < 3; round++) {
    await peer.write(frames(requests));
    const got = await replies(peer, requests.length);
    assert.deepEqual(got.map(({ value }) => value), [1, 50, 2, { status: 'error', message: 'no' }, 3,
      { status: 'error', message: 'Internal server error' }, 4,
      'There is no matching message handler defined in the remote service.', 5]);
    const order = got.map(({ place }, id) => [place, id]).filter(([, id]) => id !== 1)
      .sort(([a], [b]) => a - b).map(([, id]) => id);
    assert.deepEqual(order, [0, 2, 3, 4, 5, 6, 7, 8]);
  }
});
