// A Roost host behind mosquitto whose service stands in the test, and what it has noted.
import { startHost } from '../host.mjs';
import { connect } from '../peer.mjs';
import { luaService } from '../service.mjs';
import { until } from '../wait.mjs';

/**
 * A service around `body` (see lib/service.mjs) behind the broker, and over TCP to be asked by.
 *   entry    more keys of the broker's server
 *   everything else is of startHost
 * `host.notes(count)` waits until so many texts were noted, and gives all.
 */
export async function startBehindMqtt(t, broker, body, { entry = {}, ...options } = {}) {
  const host = await startHost(t, {
    service: luaService(body),
    servers: [{}, { name: 'broker', transport: 'mqtt', url: broker.url, retry_delay: 50, ...entry }],
    ...options,
  });
  const watcher = await connect(t, host.port);
  host.notes = (count = 0) => until(async () => {
    const list = await watcher.call('notes');
    return list.length >= count && list;
  }, `${count} notes`).catch(async (err) => {
    throw new Error(`${err.message}: ${await watcher.call('notes')}; the log is:\n${host.log}`);
  });
  host.ask = (pattern, data) => watcher.call(pattern, data);
  /** Waits until it says for the `times`th time that it is connected. */
  host.connected = (times = 1) => until(() => host.find(/^connected$/).length >= times,
    `connection ${times}`).catch((err) => {
    throw new Error(`${err.message}; the log is:\n${host.log}`);
  });
  if (broker.running) await host.connected();
  return host;
}
