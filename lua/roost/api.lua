---@meta roost
-- The scripting API for editors: lua-language-server completes and checks from it. It is not loaded
-- by anything; tests/lua/api_spec.lua compares it with what there really is, both ways.

-- The module ------------------------------------------------------------------------------------

---What `require "roost"` gives.
---@class roost
---@field stream roost.streams Makes streams.
---@field pipes roost.pipes Pipes that are there already.
---@field log roost.log The log of this service, or of this program; `ctx.log` adds the request.
---@field store roost.store Values that all services of a host share.
---@field json roost.json JSON as it is on the wire.
---@field null lightuserdata JSON's `null`, everywhere; it equals `cjson.null`.
---@field version string Roost's version, as "1.2.3".
local roost = {}

---Makes the service that this file returns; may be called once in a service.
---@param options? roost.service_options
---@return roost.service
function roost.service(options) end

---A client of another service. Nothing is sent or connected before its first use.
---@param target string|table The name of a client in the configuration (unknown: an error), or a table as one there.
---@return roost.client
function roost.client(target) end

---One of this host's servers; refused in a sandbox.
---@param target string|integer The name of a server in the configuration (unknown: an error), or its position there.
---@return roost.server
function roost.server(target) end

---Waits; other requests go on meanwhile. Raises a CancelledError where this task is ended.
---@param ms number
function roost.sleep(ms) end

---Monotonic milliseconds, with a fraction: for durations.
---@return number
function roost.now() end

---Milliseconds since 1970.
---@return integer
function roost.time() end

---Calls fn once, ms from now; without the context of the request. It ends with the service.
---@param ms number
---@param fn fun()
---@return roost.task
function roost.after(ms, fn) end

---Calls fn every ms, never while it still runs; what it raises is logged. It ends with the service.
---@param ms number
---@param fn fun()
---@return roost.task
function roost.every(ms, fn) end

---Runs fn as a task beside this one, with its context; what it raises is logged.
---@param fn fun()
---@return roost.task
function roost.spawn(fn) end

---Runs all functions at once and waits for all results, which stand under the same keys. The first error is raised and cancels the rest.
---@generic K
---@param fns table<K, fun(): any>
---@return table<K, any>
function roost.all(fns) end

---Runs all functions at once and gives the result (or raises the error) of the first; the rest is cancelled.
---@param fns table<any, fun(): any>
---@return any
function roost.race(fns) end

---Marks a table as a list and returns it: an empty one is written as `[]`, where any other is `{}`.
---@generic T: table
---@param list T
---@return T
function roost.array(list) end

---Binary data, sent as Node's Buffer is.
---@param bytes string
---@return table
function roost.bytes(bytes) end

---The context of the request that this code runs for; nil in timers.
---@return roost.ctx?
function roost.context() end

---An environment variable; without it default, or nil. In a sandbox there are no variables.
---@param name string
---@param default? string
---@return string?
function roost.env(name, default) end

---Cryptographically secure bytes.
---@param count integer
---@return string
function roost.random(count) end

---An error that reaches the caller, as Nest's RpcException: a table goes as it is, anything else as `{ status = "error", message = payload }`. Raise it, or `return nil, roost.rpc_error(...)`.
---@param payload any
---@return roost.RpcError
function roost.rpc_error(payload) end

-- Services --------------------------------------------------------------------------------------

---@alias roost.pattern string|number|table Nested tables too, their keys in any order; in `service:message` and `service:event` a list means alternatives.
---@alias roost.handler fun(data: any, ctx: roost.ctx): any, any A value is one reply, nil Nest's `undefined`, a stream is sent item by item; `nil, err` raises err.
---@alias roost.guard fun(ctx: roost.ctx): boolean? False or nil answers "Forbidden resource"; it may raise.
---@alias roost.pipe fun(data: any, ctx: roost.ctx): any What it returns is the data from there on.
---@alias roost.interceptor fun(ctx: roost.ctx, next: fun(): any): any `next()` gives the handler's value or stream; what it returns is the reply.
---@alias roost.filter fun(err: table, ctx: roost.ctx): any The first result that is not nil is the error payload; raising replaces the error, a stream the reply.

---Stages for every handler of a service.
---@class roost.service_options
---@field name? string The service's name; without it that of its file.
---@field instances? 1 Makes it a singleton: one state for the whole host.
---@field guards? roost.guard|roost.guard[] They run before everything else, before those of the handler.
---@field pipes? roost.pipe|roost.pipe[] They run before those of the handler.
---@field interceptors? roost.interceptor|roost.interceptor[] They stand around those of the handler.
---@field filters? roost.filter|roost.filter[] They run after those of the handler, last listed first.

---What else a handler may be told when it is registered.
---@class roost.handler_options
---@field payload? string Pass only this member of the data.
---@field timeout? number Milliseconds for the next reply; 0: none. Default: `limits.request_timeout`.
---@field guards? roost.guard|roost.guard[] After those of the service.
---@field pipes? roost.pipe|roost.pipe[] After those of the service; they get what `payload` picked.
---@field interceptors? roost.interceptor|roost.interceptor[] Inside those of the service.
---@field filters? roost.filter|roost.filter[] Before those of the service, last listed first.
---@field transport? string Only for messages that come by this one.
---@field queue? string The queue group, with NATS.
---@field qos? 0|1|2 The quality of service, with MQTT.
---@field once? fun(data: any, ctx: roost.ctx): string|number Of events: the handler runs once for each key this gives, however often the event comes; one that failed may come again. The keys are in `roost.store`.
---@field once_ttl? number Milliseconds for which keys are kept. Default: a day.

---What `roost.service()` makes; its methods return it.
---@class roost.service
---@field name string The service's name.
local Service = {}

---Answers requests. Two handlers on one pattern: the later wins, with a warning.
---@overload fun(self: roost.service, pattern: roost.pattern, handler: roost.handler): roost.service
---@param pattern roost.pattern
---@param options roost.handler_options
---@param handler roost.handler
---@return roost.service
function Service:message(pattern, options, handler) end

---Is told of events; several handlers may share a pattern, each is a call of its own.
---@overload fun(self: roost.service, pattern: roost.pattern, handler: roost.handler): roost.service
---@param pattern roost.pattern
---@param options roost.handler_options
---@param handler roost.handler
---@return roost.service
function Service:event(pattern, options, handler) end

---Says how what `ctx:get(name)` gives is made: once per request, at its first use; it is closed with the request if it has `close`.
---@param name string
---@param make fun(ctx: roost.ctx): any
---@return roost.service
function Service:provide(name, make) end

---Runs before the first message is taken; may wait.
---@param fn fun()
---@return roost.service
function Service:on_start(fn) end

---Runs when no more messages will be taken; may wait.
---@param fn fun()
---@return roost.service
function Service:on_stop(fn) end

---What fn returns is copied for the generation that takes this one's place: plain data, at once (it
---may not wait). What it raises refuses the reload. It only reads: this generation may go on.
---@param fn fun(): any
---@return roost.service
function Service:on_handoff(fn) end

---fn takes what the generation before has handed over, after on_start and before the first message.
---It may not wait; what it raises refuses the reload. Not called at the first start.
---@param fn fun(value: any)
---@return roost.service
function Service:on_adopt(fn) end

-- The context -----------------------------------------------------------------------------------

---What is known of a message. When the request is over, what was not read from it before is nil.
---@class roost.ctx
---@field pattern any The pattern as it came.
---@field route string The registered pattern, normalised.
---@field subject string The concrete name as text, on every transport.
---@field topic string The same as `subject`.
---@field channel string The same as `subject`.
---@field data any The data as it came, before `payload` and pipes.
---@field id any The request's id; nil for events.
---@field kind "message"|"event" What it is.
---@field transport string By which it came, as "tcp".
---@field server string The name of the listener it came to.
---@field metadata table<string, any> Nest's metadata or headers, keys as sent; never nil.
---@field headers table<string, any> The same table as `metadata`.
---@field peer roost.address Who sent it.
---@field deadline? integer When the time for the next reply is over, in the loop's milliseconds; nil: never.
---@field state table A table for the request's own values.
---@field log roost.log Log lines with the request's facts.
local Ctx = {}

---Sends one reply before the handler returns; waits while the caller is slow to read. False where nobody listens any more, or no reply is wanted.
---@param value any
---@return boolean
function Ctx:emit(value) end

---Whether the caller has left.
---@return boolean
function Ctx:cancelled() end

---What `service:provide` makes, once per request.
---@param name string
---@return any
function Ctx:get(name) end

---The transport's facts and operations for this message; nil when the caller has left.
---@return roost.ctx_info?
function Ctx:unwrap() end

---Settles the message, where that is done by hand; else false.
---@return boolean
function Ctx:ack() end

---Refuses the message, where that is done by hand; else false.
---@param requeue? boolean
---@return boolean
function Ctx:nack(requeue) end

---Where somebody is reached.
---@class roost.address
---@field address string An IP address.
---@field port integer The port.

---What `ctx:unwrap()` gives.
---@class roost.ctx_info
---@field transport string As "tcp".
---@field local roost.address This end.
---@field remote roost.address The caller's end.
---@field close fun() Drops the caller's connection.

-- Tasks, the log, the store, JSON ---------------------------------------------------------------

---A timer or a task.
---@class roost.task
local Task = {}

---Ends it: a CancelledError is raised out of its wait; `<close>` variables run.
function Task:cancel() end

---Whether it has not ended yet.
---@return boolean
function Task:alive() end

---Whether it is the task that calls this.
---@return boolean
function Task:running() end

---Writes lines of structured log; fields stand after the message.
---@class roost.log
local Log = {}

---For those who look for a mistake.
---@param message any
---@param fields? table<string, any>
function Log:debug(message, fields) end

---For what happens.
---@param message any
---@param fields? table<string, any>
function Log:info(message, fields) end

---For what should be looked at.
---@param message any
---@param fields? table<string, any>
function Log:warn(message, fields) end

---For what went wrong.
---@param message any
---@param fields? table<string, any>
function Log:error(message, fields) end

---Host-wide, atomic, never waits; values are copied plain data. Over `limits.store_memory` writes raise a LimitError.
---@class roost.store
local Store = {}

---@class roost.store_options
---@field ttl? number Milliseconds to live; without it for ever.

---The value, or nil.
---@param key string
---@return any
function Store:get(key) end

---Replaces value and time to live; nil deletes.
---@param key string
---@param value any
---@param options? roost.store_options
function Store:set(key, value, options) end

---Sets it only where there is none; false where there is: a lock.
---@param key string
---@param value any
---@param options? roost.store_options
---@return boolean
function Store:add(key, value, options) end

---Adds to a number and gives the sum; what is missing is made, and only then `ttl` counts.
---@param key string
---@param by? number 1 if left out.
---@param options? roost.store_options
---@return number
function Store:incr(key, by, options) end

---Whether there was one.
---@param key string
---@return boolean
function Store:delete(key) end

---The keys that begin with prefix, sorted; it looks at all of them.
---@param prefix? string
---@return string[]
function Store:keys(prefix) end

---JSON as it is on the wire: int64 exact, `[]`, `{}` and `null` apart.
---@class roost.json
local Json = {}

---JSON text; what can't be written is an error with its path.
---@param value any
---@return string
function Json.encode(value) end

---The value of a JSON text; `null` is `roost.null`.
---@param text string
---@return any
function Json.decode(text) end

-- Pipes -----------------------------------------------------------------------------------------

---@alias roost.schema string|table|fun(value: any): boolean?, string? "string" "number" "integer" "boolean" "table" "any", with "?" at the end also missing or null; `{ s }` a list; `{ key = s }` an object; a function that returns whether it fits, and a message.

---Pipes that are there already.
---@class roost.pipes
local Pipes = {}

---A pipe that lets through what fits; members that schema does not name are dropped. The first failure answers `{ status = "error", message =, path = }`.
---@param schema roost.schema
---@return roost.pipe
function Pipes.validate(schema) end

-- Streams ---------------------------------------------------------------------------------------

---Makes streams.
---@class roost.streams
local Streams = {}

---A stream of these values.
---@param ... any
---@return roost.stream
function Streams.of(...) end

---A stream of a list's items, or of an iterator's values, as `for` takes one.
---@param source table|function
---@param state? any
---@param control? any
---@param closing? any
---@return roost.stream
function Streams.from(source, state, control, closing) end

---0, 1, 2, … every ms; a beat that comes while the last one is being taken is left out.
---@param ms number
---@return roost.stream
function Streams.interval(ms) end

---A stream made by a function, which runs as a task for each subscriber and may return a teardown.
---@param produce fun(observer: roost.observer): fun()?
---@return roost.stream
function Streams.create(produce) end

---A hot stream that is fed from outside: subscribers get what comes later.
---@return roost.subject
function Streams.subject() end

---Whether value is a stream.
---@param value any
---@return boolean
function Streams.is(value) end

---A sequence of values, as RxJS's Observable: cold, each subscription starts anew. Functions given to its methods may wait.
---@class roost.stream
local Stream = {}

---For a generic `for`; leaving the loop unsubscribes. Items that are nil come as `roost.null`.
---@return fun(): any
function Stream:each() end

---Waits for the first value; nil where there is none.
---@return any
function Stream:first() end

---Waits for the end and gives the last value; nil where there is none.
---@return any
function Stream:last() end

---Waits for the end and gives all values.
---@return any[]
function Stream:collect() end

---Takes values as they come. An error that nobody takes is logged.
---@param consumer? roost.consumer
---@return roost.subscription
function Stream:subscribe(consumer) end

---Each value, changed by fn.
---@param fn fun(value: any): any
---@return roost.stream
function Stream:map(fn) end

---The values for which fn is true.
---@param fn fun(value: any): boolean?
---@return roost.stream
function Stream:filter(fn) end

---All values; fn sees each.
---@param fn fun(value: any)
---@return roost.stream
function Stream:tap(fn) end

---The first n values.
---@param n integer
---@return roost.stream
function Stream:take(n) end

---One value at the end: seed, or without one the first value, combined with each value in turn.
---@param fn fun(result: any, value: any): any
---@param seed? any
---@return roost.stream
function Stream:reduce(fn, seed) end

---Fails with a TimeoutError where the next value takes longer than ms.
---@param ms number
---@return roost.stream
function Stream:timeout(ms) end

---After an error subscribes anew, at most n times (nil: always), delay_ms later each.
---@param n? integer
---@param delay_ms? number
---@param when? fun(err: any): boolean? For which errors; without it for all but RpcErrors.
---@return roost.stream
function Stream:retry(n, delay_ms, when) end

---After an error goes on with what fn gives: a stream, a last value, or nil for nothing more.
---@param fn fun(err: any): any
---@return roost.stream
function Stream:catch(fn) end

---The values of both, as they come.
---@param other roost.stream
---@return roost.stream
function Stream:merge(other) end

---The values of this one, then those of the other.
---@param other roost.stream
---@return roost.stream
function Stream:concat(other) end

---What `roost.stream.subject()` makes; `subject:first()` is how one task waits for another.
---@class roost.subject: roost.stream
local Subject = {}

---Hands a value to those who are subscribed now; never waits. False where nobody took it.
---@param value any
---@return boolean
function Subject:next(value) end

---Ends it with an error.
---@param err any
function Subject:error(err) end

---Ends it.
function Subject:complete() end

---Where a stream that is made by a function delivers to.
---@class roost.observer
local Observer = {}

---Delivers a value; waits while the consumer does. False where nobody wants more.
---@param value any
---@return boolean
function Observer:next(value) end

---Ends the stream with an error.
---@param err any
function Observer:error(err) end

---Ends the stream.
function Observer:complete() end

---What `subscribe` takes.
---@class roost.consumer
---@field next? fun(value: any) Gets each value.
---@field error? fun(err: any) Gets the error that ends it.
---@field complete? fun() Is told of the end.

---What `subscribe` gives.
---@class roost.subscription
local Subscription = {}

---Ends the subscription, and what feeds it.
function Subscription:unsubscribe() end

-- Clients ---------------------------------------------------------------------------------------

---Options of `call`, `send` and `emit`; what a transport does not know it leaves out.
---@class roost.call_options
---@field timeout? number Milliseconds for the next reply; 0: none. Without it the call ends with `ctx.deadline`.
---@field metadata? table<string, any> Nest's metadata, headers or user properties.
---@field qos? 0|1|2 With MQTT.
---@field retain? boolean With MQTT.
---@field priority? integer With RabbitMQ.
---@field expiration? number Milliseconds, with RabbitMQ.
---@field key? string With Kafka.
---@field partition? integer With Kafka.

---A client of another service, as Nest's ClientProxy. The first use connects, later ones reuse; when the connection dies, what is pending fails with "Connection closed".
---@class roost.client
---@field status roost.client_status The state of the connection.
local Client = {}

---Sends a request and gives the last value of the reply; nil where it is empty. Raises the peer's error as an RpcError.
---@param pattern roost.pattern
---@param data any
---@param options? roost.call_options
---@return any
function Client:call(pattern, data, options) end

---A cold stream of the replies: each subscription is a request of its own.
---@param pattern roost.pattern
---@param data any
---@param options? roost.call_options
---@return roost.stream
function Client:send(pattern, data, options) end

---Sends an event, at once. The stream completes once the transport has it.
---@param pattern roost.pattern
---@param data any
---@param options? roost.call_options
---@return roost.stream
function Client:emit(pattern, data, options) end

---Returns once it is connected; raises a ConnectionError where that can't be.
function Client:connect() end

---Kafka: says that requests with this pattern will be made, so that its reply topic is read. Without it they fail. In a main chunk it is noted for the first connection; later it waits until replies can come.
---@param pattern roost.pattern
function Client:subscribe_to_response_of(pattern) end

---Fails what is pending; the next use connects again.
function Client:close() end

---Nest's events of any transport. Told are those up to `unblocked`; the others may be listened to.
---@alias roost.connection_event "connect"|"ready"|"reconnecting"|"reconnect"|"error"|"end"|"close"|"disconnect"|"offline"|"blocked"|"unblocked"|"drain"|"lookup"|"timeout"|"update"|"warning"|"packetsend"|"packetreceive"

---Has fn called for what happens to the connection; `reconnecting` is a server's alone.
---@param event roost.connection_event
---@param fn fun(err: roost.Error?)
---@return roost.listening
function Client:on(event, fn) end

---The driver's facts; raises before it is connected.
---@return roost.client_info
function Client:unwrap() end

---The state of a client's connection, or of a server.
---@class roost.client_status
local Status = {}

---Gives fn the last state, where there was one, then each change.
---@param fn fun(state: "connected"|"disconnected")
---@return roost.subscription
function Status:subscribe(fn) end

---What `client:on` and `server:on` give.
---@class roost.listening
---@field unsubscribe fun() Ends it.

---What `client:unwrap()` gives.
---@class roost.client_info
---@field transport string As "tcp".
---@field connected boolean Whether it is.
---@field local? roost.address This end.
---@field remote? roost.address The other end.
---@field fd? integer The descriptor.
---@field close fun() Closes the client.

---One of this host's servers.
---@class roost.server
---@field status roost.client_status Whether it listens.
local Server = {}

---Has fn called for what happens to the server: a connection with its address, an error with what it is.
---@param event "listening"|"connection"|roost.connection_event
---@param fn fun(what: roost.address|roost.Error?)
---@return roost.listening
function Server:on(event, fn) end

---The driver's facts.
---@return roost.server_info
function Server:unwrap() end

---What `server:unwrap()` gives.
---@class roost.server_info
---@field transport string As "tcp".
---@field connected boolean Whether it listens.
---@field local? roost.address What it is bound to.
---@field fd? integer The socket that listens.
---@field close fun() Ends it: no more connections, and those there are end when nothing is owed to them.

-- Errors ----------------------------------------------------------------------------------------

---What Roost raises: nothing returns `nil, err`.
---@class roost.Error
---@field name string Which kind it is.
---@field message string What is wrong.
---@field code? any A short name for it.

---A peer answered with an error; or what `roost.rpc_error` makes. `code` is the payload's.
---@class roost.RpcError: roost.Error
---@field response any Exactly what was sent.

---It took too long: code ETIMEDOUT, "Timeout has occurred".
---@class roost.TimeoutError: roost.Error

---No connection, or none any more: code ECLOSED, ETLS, or the system's, as ECONNREFUSED.
---@class roost.ConnectionError: roost.Error
---@field detail? string What is known besides.

---Pattern or data was nil or null: code EINVAL.
---@class roost.InvalidMessageError: roost.Error

---Data did not fit: code EVALIDATE.
---@class roost.ValidationError: roost.Error
---@field path string Where, as "items[2].sku".
---@field response table What the caller gets unless a filter takes it.

---A cap was hit: code EMEMORY, ECPU or EFULL.
---@class roost.LimitError: roost.Error

---This task is being ended: code ECANCELED. Raised out of the wait, and out of each later one.
---@class roost.CancelledError: roost.Error

-- Testing ---------------------------------------------------------------------------------------

---What `require "roost.testing"` gives, in roost test and roost exec.
---@class roost.testing
---@field silent table For `host:stub`: a peer that never answers.
---@field down table For `host:stub`: nobody listens there.
---@field private open_hosts table<roost.testing.host, true> For roost test, which closes what a test leaves open.
local testing = {}

---A host on the test's own loop, with callers in memory. It is closed when the test is over.
---@param options roost.testing.host_options
---@return roost.testing.host
function testing.host(options) end

---Subscribes to a stream and keeps what comes.
---@param stream roost.stream
---@return roost.testing.record
function testing.record(stream) end

---Calls fn, which must raise, and gives what it raised; a text becomes `{ name = "Error", message =, cause = }`.
---@param fn function
---@param ... any
---@return table
function testing.raises(fn, ...) end

---@class roost.testing.host_options
---@field services? string|table Files, folders, and `name = function(service) … end` for inline services.
---@field config? table A configuration as config/host.lua returns it, without services.
---@field workers? 1 A host in a test has one, on the loop of the test.
---@field clock? "fake"|"real" Fake without it: it moves when the test says so, or waits and only timers are left.

---Options of a test's calls: a client's, who calls, and at which server.
---@class roost.testing.call_options: roost.call_options
---@field peer? roost.testing.caller Who calls.
---@field server? string The name of the server; without it the first.

---@class roost.testing.caller
---@field address? string An IP address.
---@field port? integer A port.
---@field tls? roost.testing.certificate What is known of it by TLS; without it, it calls without TLS.

---@class roost.testing.certificate
---@field subject? string As "CN=billing,O=Acme".
---@field sans? string[] As "DNS:billing.test".
---@field fingerprint? string SHA-256, 64 hexadecimal digits.
---@field verified? boolean Whether somebody trusted vouches for it; it is so unless it says false.

---@class roost.testing.peer_options
---@field server? string The name of the server; without it the first.
---@field address? string An IP address.
---@field port? integer A port.
---@field tls? roost.testing.certificate What is known of it by TLS; without it, it has none.

---What `testing.host` makes. Works as a `<close>` variable.
---@class roost.testing.host
local Host = {}

---Calls as a client does: the last value of the reply, nil where it is empty; raises.
---@param pattern roost.pattern
---@param data any
---@param options? roost.testing.call_options
---@return any
function Host:call(pattern, data, options) end

---A cold stream of the replies.
---@param pattern roost.pattern
---@param data any
---@param options? roost.testing.call_options
---@return roost.stream
function Host:send(pattern, data, options) end

---An event; `host:settle()` waits until its handlers have run as far as they can.
---@param pattern roost.pattern
---@param data any
---@param options? roost.testing.call_options
---@return roost.stream
function Host:emit(pattern, data, options) end

---Lets ms pass: what is due meanwhile runs in order.
---@param ms number
function Host:advance(ms) end

---Runs what there is to run; no time passes.
function Host:settle() end

---Puts functions of the test behind a client's name: `[pattern] = handler`, or a list of `{ pattern, handler }`; or `testing.silent`, `testing.down`.
---@param name string
---@param handlers table
function Host:stub(name, handlers) end

---Has a service's next generation take over: from its file, or from `source`, which is Lua text in the place of the file, or for an inline service a function. Waits for it, and raises what refused it.
---@param name string
---@param source? string|fun(service: roost.service)
function Host:reload(name, source) end

---What was sent to the client of that name so far.
---@param name string
---@return roost.testing.sent[]
function Host:sent(name) end

---What was logged so far, a table of fields for each line.
---@param level? "debug"|"info"|"warn"|"error" Only such lines.
---@return table[]
function Host:logs(level) end

---As roost status --json shows it.
---@return table
function Host:status() end

---A raw peer on a connection in memory.
---@param options? roost.testing.peer_options
---@return roost.testing.peer
function Host:connect(options) end

---Stops its services and waits until it is gone.
function Host:close() end

---What was sent to a stub.
---@class roost.testing.sent
---@field kind "message"|"event" What it was.
---@field pattern any Its pattern.
---@field data any Its data.
---@field metadata? table Its metadata.

---A raw Nest TCP peer. Works as a `<close>` variable.
---@class roost.testing.peer
local Peer = {}

---Sends bytes as they are; false where the connection has ended.
---@param bytes string
---@return boolean
function Peer:write(bytes) end

---What has come and was not read yet, waiting for it; nil at the end.
---@return string?
function Peer:read() end

---Sends a packet as a frame.
---@param packet table
---@return boolean
function Peer:send(packet) end

---Waits for the next frame's packet; nil at the end.
---@return table?
function Peer:receive() end

---Ends the connection.
function Peer:close() end

---What `testing.record` gives; it fills as the stream goes on.
---@class roost.testing.record
---@field values any[] The values so far.
---@field n integer How many there are.
---@field error? any What ended it.
---@field completed boolean Whether it has ended well.
---@field unsubscribe fun() Ends the subscription.

return roost
