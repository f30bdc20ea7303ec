// Requests to a host's admin pages.
import { once } from 'node:events';
import http from 'node:http';
import { join } from 'node:path';

/** One request: { code, headers, text, json() }. */
export async function askAdmin(where, path, method = 'GET') {
  const request = http.request({ ...where, path, method, agent: false });
  request.end();
  const [response] = await once(request, 'response');
  let text = '';
  for await (const chunk of response.setEncoding('utf8')) text += chunk;
  return { code: response.statusCode, headers: response.headers, text, json: () => JSON.parse(text) };
}

/** Where a host's admin socket is, if its configuration does not say otherwise. */
export const adminSocket = (host) => join(host.dir, 'run/roost.sock');
