// A service manager that holds the listening sockets: roost run takes those that it was handed over.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { test } from 'node:test';
import { roostBin } from '../lib/env.mjs';
import { configText, serviceFile, temporaryDir } from '../lib/host.mjs';
import { connect } from '../lib/peer.mjs';
import { undo, within } from '../lib/wait.mjs';

/** roost run with the socket as its descriptor 3, said to be its own or somebody else's. */
async function start(t, own) {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  const dir = temporaryDir(t, {
    'host.lua': configText({
      services: [serviceFile('wire')], servers: [{ host: '127.0.0.1', port }],
    }),
  });
  const command = `LISTEN_PID=${own ? '$$' : '1'} LISTEN_FDS=1 exec "$0" run host.lua`;
  const child = spawn('/bin/sh', ['-c', command, roostBin], {
    cwd: dir, stdio: ['ignore', 'ignore', own ? 'inherit' : 'ignore', server._handle.fd],
  });
  undo(t, () => child.kill('SIGKILL'));
  if (own) server.close(); // the child has it, and accepts alone
  else undo(t, () => server.close());
  return { port, ended: once(child, 'exit'), child };
}

test('a listener takes the socket that is bound to its address', async (t) => {
  const { port, ended, child } = await start(t, true);
  const peer = await connect(t, port);
  assert.equal(await peer.call('echo', 5), 5);
  child.kill('SIGTERM');
  assert.deepEqual(await within(ended, 'the end'), [0, null]);
});

test('one that is handed to another process is left alone', async (t) => {
  const { ended } = await start(t, false);
  assert.deepEqual(await within(ended, 'the end'), [1, null]); /* the port is taken */
});
