// RabbitMQ's own: acknowledgements, dead letters, prefetching, exchanges, what stands beside a message,
// and what the broker says when it refuses something.
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { binding, startRmq, withChannel } from '../lib/brokers/rmq.mjs';
import { clientOf, startCaller } from '../lib/caller.mjs';
import { roost } from '../lib/cli.mjs';
import { stateTest } from '../lib/env.mjs';
import { noHandlerText } from '../lib/frames.mjs';
import { startHost } from '../lib/host.mjs';
import { lua } from '../lib/lua.mjs';
import { loadNest } from '../lib/nest.mjs';
import { connect } from '../lib/peer.mjs';
import { save } from '../lib/reload.mjs';
import { mostAtOnce, noteKeeper } from '../lib/service.mjs';
import { sleep, suiteScope, undo, until, within } from '../lib/wait.mjs';

const suite = suiteScope();
let broker, nest;
before(async () => {
  broker = await startRmq(suite);
  nest = await loadNest(12);
  nest.Logger.overrideLogger(false);
});

let queues = 0;
/** Options of an entry with a queue of its own. */
const own = (more) => ({ queue: `queue ${++queues}`, ...more });
const entry = (options) => binding.roost(broker, options);

/** A host of that service behind the broker, which can be asked by TCP, too; once it consumes. */
async function serve(t, service, options, { servers = [entry(options)], ...config } = {}) {
  const host = await startHost(t, {
    service: `local roost = require "roost"
local service = roost.service()
${noteKeeper}
local function note(value) notes[#notes + 1] = value end
service:message("notes", { transport = "tcp" }, function() return all_notes() end)
${service}
return service
`,
    servers: [...servers, {}],
    ...config,
  });
  await until(() => host.find(/^connected$/).length >= servers.length, 'the consumer').catch((err) =>
    assert.fail(`${err.message}; the log is:\n${host.log}`));
  const notes = async (count) => {
    const peer = await connect(t, host.port);
    try {
      return await until(async () => {
        const list = await peer.call('notes', 1);
        return list.length >= count && list;
      }, `${count} notes`);
    } finally {
      peer.destroy();
    }
  };
  return { host, notes };
}

const onChannel = (fn) => withChannel(broker, fn);
const json = (value) => Buffer.from(JSON.stringify(value));
const put = (queue, body, options) => onChannel(async (channel) => {
  channel.sendToQueue(queue, Buffer.isBuffer(body) ? body : json(body), options);
  await channel.checkQueue(queue);
});
/** How many messages lie in a queue, for nobody. */
const waiting = (queue) => onChannel(async (channel) =>
  (await channel.checkQueue(queue)).messageCount);
/** The next message of a queue, with its body read. */
const take = (queue) => until(() => onChannel(async (channel) => {
  const message = await channel.get(queue, { noAck: true });
  return message && { ...message, text: message.content.toString() };
}), `a message in ${queue}`);

/** A request by hand; what came back as [body, properties]. */
const ask = (queue, body, options) => onChannel(async (channel) => {
  const answer = new Promise((resolve) => {
    channel.consume('amq.rabbitmq.reply-to', (message) =>
      resolve([JSON.parse(message.content), message.properties]), { noAck: true });
  });
  channel.sendToQueue(queue, Buffer.isBuffer(body) ? body : json(body),
    { replyTo: 'amq.rabbitmq.reply-to', correlationId: 'mine', ...options });
  return answer;
});

/** A Nest client with these options. */
function nestOf(t, options) {
  const client = nest.ClientProxyFactory.create(binding.nest(nest, broker, options));
  client.on('error', () => {});
  undo(t, () => client.close());
  return client;
}
const one = (client, pattern, data) =>
  within(nest.lastValueFrom(client.send(pattern, data), { defaultValue: 'nothing' }), 'a reply');

describe('acknowledgements', () => {
  const service = `
service:event("returns", function(data) note("returns " .. data) end)
service:event("fails", function(data) note("fails " .. data) error("no") end)
service:event("acks", function(_, ctx) note(ctx:ack()) note(ctx:ack()) note(ctx:nack()) end)
service:event("nacks", function(_, ctx) note(ctx:nack()) note(ctx:ack()) end)
service:event("again", function(_, ctx)
  local again = ctx:unwrap().redelivered
  note(again)
  if not again then ctx:nack(true) end
end)
service:event("acks early", function(_, ctx) ctx:ack() error("after that") end)
service:event("both", function() note("first") end)
service:event("both", function() error("second") end)
service:message("sum", function(list) return list[1] + list[2] end)
service:message("wrong", function() error(roost.rpc_error "wrong") end)
service:message("echo", function(data) return data end)
`;
  const queue = own().queue;
  const dead = `dead ${queue}`;
  const options = { queue, no_ack: false, dead_letter: dead };
  const event = (pattern) => put(queue, { pattern, data: pattern });
  const settled = async () => {
    await sleep(50); // for acknowledgements to have come
    return waiting(queue);
  };

  test('a handler that returns acknowledges, one that fails gives it to the dead letters', async (t) => {
    const { host, notes } = await serve(t, service, options);
    await event('returns');
    await event('fails');
    assert.deepEqual(await notes(2), ['returns returns', 'fails fails']);
    const letter = await take(dead);
    assert.equal(letter.text, '{"pattern":"fails","data":"fails"}');
    assert.equal(letter.properties.headers['x-first-death-queue'], queue);
    await event('both');
    assert.equal((await take(dead)).text, '{"pattern":"both","data":"both"}');
    await host.stop();
    assert.equal(await settled(), 0);
    assert.equal(await waiting(dead), 0);
  });

  test('ctx:ack and ctx:nack', async (t) => {
    const { host, notes } = await serve(t, service, options);
    await event('acks');
    assert.deepEqual(await notes(3), [true, false, false]);
    await event('nacks');
    assert.deepEqual((await notes(5)).slice(3), [true, false]);
    assert.equal((await take(dead)).text, '{"pattern":"nacks","data":"nacks"}');
    await event('again');
    assert.deepEqual((await notes(7)).slice(5), [false, true]);
    await event('acks early');
    await event('returns');
    await notes(8);
    await host.stop();
    assert.deepEqual([await settled(), await waiting(dead)], [0, 0]);
  });

  test('requests are acknowledged, too', async (t) => {
    const { host } = await serve(t, service, options);
    assert.deepEqual(await ask(queue, { pattern: 'sum', data: [1, 2], id: 'x' }),
      [{ response: 3, isDisposed: true }, (await ask(queue,
        { pattern: 'sum', data: [1, 2], id: 'x' }))[1]]);
    const [body] = await ask(queue, { pattern: 'wrong', data: 1, id: 'x' });
    assert.deepEqual(body, { err: { status: 'error', message: 'wrong' }, isDisposed: true });
    assert.equal(JSON.parse((await take(dead)).text).pattern, 'wrong');
    await host.stop();
    assert.equal(await settled(), 0);
  });

  test('nobody\'s pattern: an answer, and the dead letters', async (t) => {
    const { host } = await serve(t, service, options);
    const answer = await onChannel(async (channel) => {
      const text = new Promise((resolve) => {
        channel.consume('amq.rabbitmq.reply-to', (message) => resolve(message.content.toString()),
          { noAck: true });
      });
      channel.sendToQueue(queue, json({ pattern: 'nobody', data: 1, id: 'x' }),
        { replyTo: 'amq.rabbitmq.reply-to', correlationId: 'x' });
      return text;
    });
    assert.equal(answer, `{"id":"x","err":"${noHandlerText}","status":"error"}`);
    assert.equal(JSON.parse((await take(dead)).text).pattern, 'nobody');
    await event('nobody at all');
    assert.equal(JSON.parse((await take(dead)).text).pattern, 'nobody at all');
    await host.stop();
    assert.equal(await settled(), 0);
  });

  test('poison goes to the dead letters once, and the consumer goes on', async (t) => {
    const { host } = await serve(t, service, { ...options, max_buffer_size: 100_000 });
    const poison = { text: Buffer.from('not JSON'), bytes: Buffer.from([0xff, 0xfe]),
      nothing: Buffer.alloc(0), scalar: json(5), list: json([1]), shapeless: json({ a: 1 }),
      data: Buffer.from('{"pattern":"echo","data":{]}'), large: json({ pattern: 'echo',
        data: 'x'.repeat(10 * 2 ** 20) }) };
    for (const [name, body] of Object.entries(poison)) {
      const [answer] = await ask(queue, body, { headers: { name } });
      assert.equal(answer.err.status, 'error', name);
      assert.equal(typeof answer.err.message, 'string', name);
      const letter = await take(dead);
      assert.equal(letter.properties.headers.name, name);
      assert.ok(letter.content.equals(body), name);
    }
    assert.deepEqual((await ask(queue, { pattern: 'echo', data: 1, id: 'x' }))[0],
      { response: 1, isDisposed: true });
    await host.stop();
    assert.deepEqual([await settled(), await waiting(dead)], [0, 0]);
    assert.equal(host.find(/dropped$/).length, Object.keys(poison).length);
  });

  test('without acknowledgements there is nothing to settle', async (t) => {
    const { queue: other } = own();
    const { notes } = await serve(t, service, { queue: other });
    await put(other, { pattern: 'acks', data: 1 });
    assert.deepEqual(await notes(3), [false, false, false]);
  });

  test('a Nest client whose queueOptions agree', async (t) => {
    await serve(t, service, options);
    const client = nestOf(t, { queue, queueOptions: { deadLetterExchange: dead } });
    assert.equal(await one(client, 'sum', [3, 4]), 7);
  });
});

describe('prefetching', () => {
  const busy = `${mostAtOnce}
service:event("work", function()
  note(most_at_once(function() roost.sleep(20) end))
end)
`;
  test('prefetch_count = 1 is one at a time', async (t) => {
    const options = own({ no_ack: false, prefetch_count: 1 });
    const { notes } = await serve(t, busy, options);
    for (let i = 0; i < 5; i++) await put(options.queue, { pattern: 'work', data: i });
    assert.deepEqual(await notes(5), [1, 1, 1, 1, 1]);
  });

  test('max_in_flight bounds what no_ack = true brings', async (t) => {
    const options = own({ max_in_flight: 3 });
    const { notes } = await serve(t, busy, options);
    await onChannel(async (channel) => {
      for (let i = 0; i < 200; i++) channel.sendToQueue(options.queue, json({ pattern: 'work', data: i }));
      await channel.checkQueue(options.queue);
    });
    const list = await notes(200);
    assert.equal(Math.max(...list), 3);
  });
});

describe('exchanges', () => {
  const tell = (name) => `service:event("news", function(data) note("${name} " .. data) end)`;

  test('fanout: every server has the event', async (t) => {
    const fan = (name) => ({ ...own(), exchange: `fan ${name}`, exchange_type: 'fanout' });
    const servers = await Promise.all(['a', 'b'].map((name) => serve(t, tell(name), fan('out'))));
    const client = nestOf(t, { queue: '', exchange: 'fan out', exchangeType: 'fanout' });
    await within(nest.lastValueFrom(client.emit('news', 'nest'), { defaultValue: 0 }), 'emit');
    const caller = await startCaller(t, { clients: { default: clientOf(entry(fan('out'))) } });
    await caller.emit('news', 'roost');
    for (const [i, name] of ['a', 'b'].entries()) {
      assert.deepEqual(await servers[i].notes(2), [`${name} nest`, `${name} roost`]);
    }
  });

  test('direct: exchange and routing_key', async (t) => {
    const options = own({ exchange: 'straight', exchange_type: 'direct', routing_key: 'there' });
    const { notes } = await serve(t, tell('direct'), options);
    await onChannel(async (channel) => {
      channel.publish('straight', 'there', json({ pattern: 'news', data: 1 }));
      await channel.checkExchange('straight');
    });
    assert.deepEqual(await notes(1), ['direct 1']);
  });

  test('a queue that the broker names', async (t) => {
    const { notes } = await serve(t, tell('unnamed'),
      { queue: '', exchange: 'amq.fanout', exchange_type: 'fanout', no_assert: true,
        queue_options: { exclusive: true, durable: false, auto_delete: true } });
    await onChannel(async (channel) => {
      channel.publish('amq.fanout', '', json({ pattern: 'news', data: 2 }));
      await channel.checkExchange('amq.fanout');
    });
    assert.deepEqual(await notes(1), ['unnamed 2']);
  });

  test('topics: an event runs all that match, a request the first; unknown keys are told', async (t) => {
    const options = own({ wildcards: true, no_ack: false });
    const { notes } = await serve(t, `
service:message("q.*", function() return "star" end)
for _, pattern in ipairs { "a.*", "a.#", "#", "b.c" } do
  service:event(pattern, function(_, ctx) note(ctx.route .. " " .. ctx.subject) end)
end
service:message("q.one", function() return "exact" end)
service:message({ b = 1, a = 2 }, function() return "object" end)
`, options);
    const client = nestOf(t, { queue: options.queue, wildcards: true });
    await within(nest.lastValueFrom(client.emit('a.b', 1), { defaultValue: 0 }), 'emit');
    assert.deepEqual((await notes(3)).sort(), ['# a.b', 'a.# a.b', 'a.* a.b']);
    assert.equal(await one(client, 'q.one', 1), 'exact');
    assert.equal(await one(client, 'q.two', 1), 'star');
    const caller = await startCaller(t, { clients: { default: clientOf(entry(options)) } });
    assert.deepEqual((await caller.call({ a: 2, b: 1 }, 1)).values, ['object']);
  });

  test('topics: a request that no queue takes fails at once', async (t) => {
    const options = own({ wildcards: true });
    await serve(t, 'service:message("there", function() return 1 end)', options);
    const caller = await startCaller(t, { clients: { default: clientOf(entry(options)) } });
    assert.deepEqual((await caller.call('there', 1)).values, [1]);
    const { err } = await caller.call('elsewhere', 1);
    assert.deepEqual([err.name, err.message], ['RpcError', noHandlerText]);
    assert.deepEqual(await caller.emit('elsewhere', 1), { values: [], completed: true });
    assert.match((await caller.call('x'.repeat(256), 1)).err.message, /longer than RabbitMQ's keys/);
  });

  test('topics: what a reload adds is bound, what it takes away is not', async (t) => {
    const text = (pattern) => `local roost = require "roost"
local service = roost.service()
service:message("${pattern}", function() return "${pattern}" end)
return service
`;
    const options = own({ wildcards: true });
    const host = await startHost(t, {
      services: 'services', files: { 'services/it.lua': text('old') }, servers: [entry(options)],
      reload: { watch: true, debounce: 20 },
    });
    const caller = await startCaller(t, { clients: { default: clientOf(entry(options)) } });
    await until(async () => (await caller.call('old', 1, { timeout: 500 })).values, 'the old one');
    save(host, 'services/it.lua', text('new'));
    await until(async () => (await caller.call('new', 1, { timeout: 500 })).values, 'the new one');
    await until(async () => (await caller.call('old', 1, { timeout: 500 })).err?.name === 'RpcError',
      'the end of the old one');
  });
});

describe('what stands beside a message', () => {
  test('a Roost client\'s properties', async (t) => {
    const options = own({ headers: { from: 'options', both: 'options' } });
    const caller = await startCaller(t, {
      clients: { default: clientOf(entry(options)),
        lasting: clientOf(entry({ queue: options.queue, persistent: true })) },
    });
    await caller.emit('e', { a: 1 },
      { metadata: { own: [1, { b: null }], both: 'message' }, priority: 7, expiration: 60_000 });
    const { text, properties } = await take(options.queue);
    assert.equal(text, '{"pattern":"e","data":{"a":1}}');
    assert.deepEqual(properties.headers,
      { from: 'options', own: [1, { b: null }], both: 'message' });
    assert.deepEqual([properties.priority, properties.expiration, properties.deliveryMode],
      [7, '60000', 1]);
    assert.deepEqual([properties.replyTo, properties.correlationId, properties.contentType],
      [undefined, undefined, undefined]);
    await caller.drive({ client: 'lasting', method: 'emit', pattern: { b: 1 }, data: 'x' });
    const lasting = await take(options.queue);
    assert.equal(lasting.text, '{"pattern":{"b":1},"data":"x"}');
    assert.equal(lasting.properties.deliveryMode, 2);
    assert.deepEqual(lasting.properties.headers, {});
  });

  test('a Roost client\'s request', async (t) => {
    const options = own();
    const caller = await startCaller(t, { clients: { default: clientOf(entry(options)) } });
    const answer = caller.call({ cmd: 'x' }, [1]);
    const { text, properties } = await take(options.queue);
    const { id, ...packet } = JSON.parse(text);
    assert.deepEqual(packet, { pattern: { cmd: 'x' }, data: [1] });
    assert.equal(properties.correlationId, id);
    assert.match(properties.replyTo, /^amq\.rabbitmq\.reply-to\./);
    await onChannel(async (channel) => {
      channel.sendToQueue(properties.replyTo, json({ response: 1 }), { correlationId: id });
      channel.sendToQueue(properties.replyTo, json({ response: 5, isDisposed: true, id: 'ignored' }),
        { correlationId: id });
      channel.sendToQueue(properties.replyTo, json({ response: 6, isDisposed: true }),
        { correlationId: 'nobody\'s' });
      await channel.checkQueue(options.queue);
    });
    assert.deepEqual((await answer).values, [5]);
  });

  test('replies that are no envelope are values', async (t) => {
    const options = own();
    const caller = await startCaller(t, { clients: { default: clientOf(entry(options)) } });
    for (const [body, value] of [['plain text', 'plain text'], ['5', 5], ['{"a":1}', { a: 1 }],
      ['[1]', [1]]]) {
      const answer = caller.call('x', 1);
      const { properties } = await take(options.queue);
      await onChannel(async (channel) => {
        channel.sendToQueue(properties.replyTo, Buffer.from(body),
          { correlationId: properties.correlationId });
        await channel.checkQueue(options.queue); // else its end would overtake it
      });
      assert.deepEqual((await answer).values, [value]);
    }
  });

  test('an event that is to last is over when the broker has it', async (t) => {
    const options = own({ persistent: true,
      queue_options: { max_length: 2, overflow: 'reject-publish' } });
    const caller = await startCaller(t, { clients: { default: clientOf(entry(options)) } });
    for (let i = 1; i <= 2; i++) {
      assert.deepEqual(await caller.emit('x', i), { values: [], completed: true });
      await until(async () => await waiting(options.queue) === i, 'its being there');
    }
    const { err } = await caller.emit('x', 3);
    assert.deepEqual([err.name, err.detail],
      ['ConnectionError', 'the broker did not take the event']);
    assert.equal(await waiting(options.queue), 2);
  });

  test('options that RabbitMQ does not have are refused', async (t) => {
    const caller = await startCaller(t, { clients: { default: clientOf(entry(own())) } });
    for (const [options, message] of [[{ qos: 1 }, /rmq has no option qos/],
      [{ priority: 256 }, /priority must be a whole number from 0 to 255/],
      [{ expiration: -1 }, /expiration must be a number of milliseconds/]]) {
      const { err } = await caller.emit('x', 1, options);
      assert.deepEqual([err.name, err.code], ['InvalidMessageError', 'EINVAL']);
      assert.match(err.message, message);
    }
  });

  test('ctx of a message', async (t) => {
    const options = own();
    await serve(t, `service:message("facts", function(_, ctx)
  local facts = ctx:unwrap()
  facts.close = nil
  return { facts = facts, subject = ctx.subject, headers = ctx.headers, transport = ctx.transport }
end)`, options);
    const [{ response }] = await ask(options.queue, { pattern: 'facts', data: 1, id: 'x' },
      { headers: { a: 'é', n: 1 }, messageId: 'm1', priority: 3, persistent: true, timestamp: 1e9,
        contentType: 'application/json' });
    const { delivery_tag: tag, properties: { reply_to: replyTo, ...properties }, ...facts } =
      response.facts;
    assert.equal(tag, 1);
    assert.match(replyTo, /^amq\.rabbitmq\.reply-to\./);
    assert.deepEqual(properties, { correlation_id: 'mine', message_id: 'm1', priority: 3,
      delivery_mode: 2, timestamp: 1e9, content_type: 'application/json' });
    assert.deepEqual(facts,
      { transport: 'rmq', exchange: '', routing_key: options.queue, redelivered: false });
    assert.deepEqual([response.subject, response.transport, response.headers],
      ['facts', 'rmq', { a: 'é', n: 1 }]);
  });

  test('Nest\'s records', async (t) => {
    const options = own();
    await serve(t, `service:message("record", function(data, ctx)
  return { data = data, headers = ctx.headers, priority = ctx:unwrap().properties.priority }
end)`, options);
    const client = nestOf(t, options);
    const record = new nest.RmqRecordBuilder({ a: 1 })
      .setOptions({ headers: { 'x-version': '1.0.0' }, priority: 3 }).build();
    assert.deepEqual(await one(client, 'record', record),
      { data: { a: 1 }, headers: { 'x-version': '1.0.0' }, priority: 3 });
  });
});

describe('what the broker refuses', () => {
  const connecting = async (t, keys) => {
    const caller = await startCaller(t,
      { clients: { default: clientOf({ transport: 'rmq', queue: 'wire', ...keys }) } });
    return (await caller.call('echo', 1)).err;
  };
  const urlWith = (who, path = '') => `amqp://${who}@127.0.0.1:${broker.port}${path}`;

  test('a password', async (t) => {
    const err = await connecting(t, { urls: [urlWith('guest:wrong')] });
    assert.deepEqual([err.name, err.code], ['ConnectionError', 'EACCES']);
    assert.match(err.detail, /^ACCESS_REFUSED - Login was refused/);
    assert.doesNotMatch(JSON.stringify(err), /wrong/);
  });

  test('a virtual host', async (t) => {
    const err = await connecting(t, { urls: [urlWith('guest:guest', '/no%2Fhost')] });
    assert.equal(err.code, 'EACCES');
    assert.match(err.detail, /vhost no\/host not found/);
  });

  test('a queue that is there with other options', async (t) => {
    const options = own();
    await onChannel((channel) => channel.assertQueue(options.queue, { durable: false }));
    const err = await connecting(t, { urls: [broker.url], ...options });
    assert.equal(err.code, 'EINVAL');
    assert.match(err.detail, /^PRECONDITION_FAILED - inequivalent arg 'durable'/);
    const host = await startHost(t, { servers: [entry(options)] });
    await host.logged((line) => line.msg === 'disconnected' &&
      /inequivalent arg 'durable'/.test(line.err));
  });

  test('no broker there: other urls are tried', async (t) => {
    const options = own();
    await serve(t, 'service:message("echo", function(data) return data end)',
      { ...options, urls: ['amqp://127.0.0.1:1', broker.url] });
    const caller = await startCaller(t, {
      clients: { default: clientOf({ ...entry(options), urls: ['amqp://127.0.0.1:1', broker.url] }) },
    });
    assert.deepEqual((await caller.call('echo', 2)).values, [2]);
  });

  test('a queue that is deleted is made again', async (t) => {
    const options = own({ retry_delay: 10 });
    const { host } = await serve(t, 'service:message("echo", function(data) return data end)',
      options);
    await onChannel((channel) => channel.deleteQueue(options.queue));
    await host.logged((line) => line.msg === 'disconnected' && line.err === 'the queue is gone');
    await until(() => host.find(/^connected$/).length === 2, 'the new consumer');
    assert.equal((await ask(options.queue, { pattern: 'echo', data: 3, id: 'x' }))[0].response, 3);
  });
});

describe('commands', () => {
  test('call and emit, by a url that says the queue', async (t) => {
    const options = own();
    const { notes } = await serve(t, `service:message("echo", function(data) return data end)
service:event("told", function(data) note(data) end)`, options);
    const url = `${broker.url}/?queue=${encodeURIComponent(options.queue)}`;
    assert.equal((await roost(['call', '--url', url, 'echo', '{"a":1}'])).stdout, '{"a":1}\n');
    assert.equal((await roost(['emit', '--url', url, 'told', '5'])).code, 0);
    assert.deepEqual(await notes(1), [5]);
    const missing = await roost(['call', '--url', broker.url, 'echo']);
    assert.equal(missing.code, 2);
    assert.match(missing.stderr, /queue/);
    const refused = await roost(['call', '--url', 'amqp://guest:secret@127.0.0.1:1/?queue=q', 'echo']);
    assert.equal(refused.code, 3);
    assert.doesNotMatch(refused.stderr, /secret/);
  });
});

describe('heartbeats', () => {
  stateTest('keep an idle connection, and end one whose broker is silent', async (t) => {
    const options = own({ heartbeat: 1000, retry_delay: 100 });
    const { host } = await serve(t, 'service:message("echo", function(data) return data end)',
      options);
    const caller = await startCaller(t, { clients: { default: clientOf(entry(options)) } });
    assert.deepEqual((await caller.call('echo', 1)).values, [1]);
    await sleep(3500); // the broker would end a connection that it hears nothing of
    assert.equal(host.find(/^disconnected$/).length, 0);
    const pid = (await caller.drive({ method: 'unwrap' })).local.port;
    assert.deepEqual((await caller.call('echo', 2)).values, [2]);
    assert.equal((await caller.drive({ method: 'unwrap' })).local.port, pid);
    broker.freeze();
    try {
      const err = await until(async () => (await caller.call('echo', 3)).err, 'its being frozen');
      assert.deepEqual([err.code, err.detail], ['ECLOSED', 'the broker\'s heartbeat has stopped']);
      await host.logged((line) => line.msg === 'disconnected' &&
        line.err === 'the broker\'s heartbeat has stopped');
    } finally {
      broker.thaw();
    }
    await until(async () => (await caller.call('echo', 4, { timeout: 1000 })).values,
      'the broker again', { ms: 30_000 });
  });
});

describe('draining', () => {
  test('what a client has sent when it is closed arrives', async (t) => {
    const options = own();
    const caller = await startCaller(t, {
      clients: { default: clientOf(entry(options)) },
      more: `service:message("send and close", function()
  local client = roost.client(${lua(entry(options))})
  client:connect()
  for i = 1, 1000 do client:emit("x", i) end
  client:close()
end)`,
    });
    for (let i = 1; i <= 10; i++) {
      await caller.ask('send and close', 1);
      await until(async () => await waiting(options.queue) === 1000 * i, 'all of them');
    }
    await caller.host.stop();
  });

  test('what was delivered is answered and acknowledged, the rest is for others', async (t) => {
    const options = own({ no_ack: false, prefetch_count: 2 });
    const slow = `service:message("slow", function(data) roost.sleep(data) note(data) return data end)`;
    const { host } = await serve(t, slow, options, { reload: { drain_timeout: 10_000 } });
    const client = nestOf(t, { queue: options.queue });
    const asked = [300, 301, 302, 303].map((ms) => one(client, 'slow', ms));
    await until(async () => await waiting(options.queue) === 2, 'two being prefetched');
    const stopped = host.stop();
    assert.equal(await asked[0], 300);
    assert.equal(await asked[1], 301);
    await stopped;
    await until(async () => await waiting(options.queue) === 2, 'two left');
    await serve(t, slow, options);
    assert.deepEqual(await Promise.all(asked), [300, 301, 302, 303]);
  });

  test('a handler that a drain cuts off has its message come again', async (t) => {
    const options = own({ no_ack: false });
    const { host } = await serve(t, 'service:event("long", function() note(1) roost.sleep(60000) end)',
      options);
    await put(options.queue, { pattern: 'long', data: 1 });
    await until(async () => await waiting(options.queue) === 0, 'its being delivered');
    await host.stop();
    await until(async () => await waiting(options.queue) === 1, 'its being put back');
  });
});
