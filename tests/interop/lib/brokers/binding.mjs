// What the suites must know of a transport, by its name. A file of this folder for each broker has
// `binding`, an object with
//   name          Roost's name of the transport, and the file's
//   start(t, options)             starts a broker (startBroker of process.mjs); TCP has none
//   nest(nest, broker, options)   transport and options of a Nest client or server; `broker` may be
//                 no more than its port, dir, url, servers, brokers and tls
//   roost(broker, options)        a server or client entry of Roost's
//   client(options)               what a client entry of Roost's has for these of a server's; none
//                 where it is missing
//   mute          whether Nest's client has no events
//   nobody        what a request without a handler ends in: 'told' (Nest's text), 'empty' (NATS), or
//                 'silent' (nothing)
//   holds         whether Nest's client needs a request held open on a pattern while many are made
//   serial        whether a Nest server takes nothing more while some handler runs
//   fragile       whether Nest's client or server may take its process along where the broker dies
//   withHeaders(nest, client, method, pattern, data, headers)
//                 sends or emits with headers: { sent: Observable, done() }
//   headersOf(ctx), subjectOf(ctx)   of a Nest context: a plain object, a text
//   takes(pattern)                whether a pattern can be a name there; true where it is missing
//   becomes(value)                what `echo` makes of a value; itself where it is missing
//   wild          { options, patterns }: the options wildcards need, and for each wildcard pattern a
//                 name that it matches, the first within one level, the last over several; missing
//                 where there are no wildcards
//   poison(t, broker)             publishes to `echo` what is not JSON
//   prepare(client, patterns)     what a Nest client must be told before it connects
//   prepareLua(patterns)          the same for Roost's: Lua text, with the client in `client`
//   cannot(side, version)         rows that can't be, by name, and why. side: 'inbound', 'outbound',
//                 'outbound wildcards'

/** TCP, which needs no broker. */
const tcp = {
  name: 'tcp',
  nest: (nest, { port }, more = {}) =>
    ({ transport: nest.Transport.TCP, options: { host: '127.0.0.1', port, ...more } }),
  roost: ({ port }, more = {}) => ({ transport: 'tcp', host: '127.0.0.1', port, ...more }),
  nobody: 'told',
  withHeaders(nest, client, method, pattern, data, headers) {
    client.setOnDispatchHook((packet) => (packet.metadata = headers));
    return { sent: client[method](pattern, data), done: () => client.setOnDispatchHook(undefined) };
  },
  headersOf: (ctx) => ctx.getMetadata?.() ?? {},
  subjectOf: (ctx) => ctx.getPattern(),
  cannot: (side, version) => (version >= 12 ? {} : {
    'headers of a request': 'Nest 11 has no metadata',
    'headers of an event': 'Nest 11 has no metadata',
  }),
};

/** The binding of that name. */
export async function bindingOf(name) {
  return name === 'tcp' ? tcp : (await import(`./${name}.mjs`)).binding;
}

export { tcp };
