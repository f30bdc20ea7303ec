// Hosts with one service whose Lua text stands in the test.
import { test } from 'node:test';
import { reloading, stateTest, workers } from './env.mjs';
import { startHost } from './host.mjs';
import { connect } from './peer.mjs';
import { until } from './wait.mjs';

/** One that is reloaded, or has several workers, keeps its notes where every state finds them. */
const keptNotes = `local notes = setmetatable({}, {
  __newindex = function(_, _, text)
    roost.store:set(("note %06d"):format(roost.store:incr("notes made", 1)), text)
  end,
  __len = function() return #roost.store:keys("note ") end })
local function all_notes()
  local keys = roost.store:keys("note ")
  table.sort(keys)
  for i, key in ipairs(keys) do keys[i] = roost.store:get(key) end
  return roost.array(keys)
end`.replaceAll('\n', ' ');

/** Lua: notes, to be appended to, and all_notes(); in one line. */
export const noteKeeper = reloading || workers > 1 ? keptNotes
  : 'local notes = roost.array {} local function all_notes() return notes end';

/** Lua: most_at_once(run) calls it, and gives how many such calls there were at once by then. */
export const mostAtOnce = `local function most_at_once(run)
  local running = roost.store:incr("running", 1)
  roost.store:set("most", math.max(running, roost.store:get("most") or 0))
  run()
  roost.store:incr("running", -1)
  return roost.store:get("most")
end
`;

/**
 * A service around `body`: `roost`, `service`, and `note(text)`, which keeps a text for the
 * request "notes". The body starts in a line of its own.
 */
export const luaService = (body) => `local roost = require "roost"
local service = roost.service()
${noteKeeper}
local function note(text) notes[#notes + 1] = tostring(text) end
service:message("notes", function() return all_notes() end)
${body}
return service
`;

/** The test of a handler with this body: timers end with their generation. */
export const bodyTest = (name, body, fn) =>
  (/roost\.(every|after)|interval/.test(body) ? stateTest : test)(name, fn);

/** The line of the service's file in which `mark` stands. */
export const lineOf = (body, mark) =>
  luaService(body).split('\n').findIndex((line) => line.includes(mark)) + 1;

/** A host with that service, called "test", and a peer connected to it. */
export async function serve(t, body, options = {}) {
  const host = await startHost(t, { service: luaService(body), ...options });
  const peer = await connect(t, host.port);
  const watcher = await connect(t, host.port);
  await watcher.call('notes'); // now the host knows of both connections
  /** Waits until `count` texts were noted and gives all there are. */
  const notes = (count) => until(async () => {
    const list = await watcher.call('notes');
    return list.length >= count && list;
  }, `${count} notes`);
  return { host, peer, notes };
}
