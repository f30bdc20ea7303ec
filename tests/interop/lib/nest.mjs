// The NestJS packages of one version, from the directory they were installed into.
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { npmDir } from './env.mjs';
import { undo } from './wait.mjs';

/** Everything of @nestjs/microservices, common, core and rxjs, of Nest 11 or 12, in one object. */
export async function loadNest(version) {
  const require = createRequire(join(npmDir, `nest${version}`, 'package.json'));
  const load = async (name) => {
    const module = await import(pathToFileURL(require.resolve(name)));
    return { ...module.default, ...module }; // 11 is CommonJS, 12 is not
  };
  await load('reflect-metadata');
  const [common, core, microservices, rxjs] = await Promise.all(
    ['@nestjs/common', '@nestjs/core', '@nestjs/microservices', 'rxjs'].map(load));
  return { version, ...common, ...core, ...microservices, ...rxjs };
}

/** A Nest client for a port on this machine, closed when `t` is over. */
export function nestClient(t, nest, port, options = {}) {
  const client = nest.ClientProxyFactory.create({
    transport: nest.Transport.TCP,
    options: { host: '127.0.0.1', port, ...options },
  });
  undo(t, () => client.close());
  return client;
}
