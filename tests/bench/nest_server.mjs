// A real NestJS 12 TCP server with the two handlers that the benchmarks call, on the port given, or
// on any; with TLS where a key and a certificate are named: [PORT [KEY CERT]]. Prints its port.
// Its packages are those of the interop tests (ROOST_NPM_DIR/nest12).
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const npmDir = process.env.ROOST_NPM_DIR ?? join(here, '..', '..', 'build', 'interop');
const require = createRequire(join(npmDir, 'nest12', 'package.json'));
const load = async (name) => import(pathToFileURL(require.resolve(name)));

await load('reflect-metadata');
const [{ Controller, Module }, { NestFactory }, { MessagePattern, Transport }] =
  await Promise.all(['@nestjs/common', '@nestjs/core', '@nestjs/microservices'].map(load));

class Handlers {
  sum(data) {
    let total = 0;
    for (const n of data) total += n;
    return total;
  }

  echo(data) {
    return data;
  }
}

function handle(name, pattern) {
  const descriptor = Object.getOwnPropertyDescriptor(Handlers.prototype, name);
  MessagePattern(pattern)(Handlers.prototype, name, descriptor);
  Object.defineProperty(Handlers.prototype, name, descriptor);
}

handle('sum', { cmd: 'sum' });
handle('echo', 'echo');
Controller()(Handlers);

class App {}
Module({ controllers: [Handlers] })(App);

const [port = '0', key, cert] = process.argv.slice(2);
const app = await NestFactory.createMicroservice(App, {
  transport: Transport.TCP,
  options: { host: '127.0.0.1', port: Number(port),
    ...(key && { tlsOptions: { key: readFileSync(key), cert: readFileSync(cert) } }) },
  logger: false,
});
await app.listen();
console.log(app.unwrap().address().port);
