/*
 * bind/bind.h - the Lua API: one file per table that scripts can see.
 *
 * Start reading at roost_bind (state.c): how a state is opened and a service loaded; then call.c:
 * how a handler is called. The Lua half of the API lies in lua/roost/ and is given one table of C
 * functions, "core", to which each file here adds its own. Everything runs on the thread that has
 * the generation's vm; the open functions raise.
 */
#ifndef ROOST_BIND_BIND_H
#define ROOST_BIND_BIND_H

#include "service/dispatch.h"

struct lua_State;

/* The binding that a dispatch is given. */
extern const roost_binding roost_bind;

/* Each adds its functions to the core table on top of the stack. */
void roost_bind_open_client(struct lua_State *lua);
void roost_bind_open_call(struct lua_State *lua);
void roost_bind_open_ctx(struct lua_State *lua);
void roost_bind_open_json(struct lua_State *lua);
void roost_bind_open_log(struct lua_State *lua);
void roost_bind_open_raise(struct lua_State *lua);
void roost_bind_open_server(struct lua_State *lua);
void roost_bind_open_service(struct lua_State *lua);
void roost_bind_open_store(struct lua_State *lua);
void roost_bind_open_system(struct lua_State *lua);
void roost_bind_open_task(struct lua_State *lua);

/* The generation whose code is running: the state's own, or a test's inline service in it. */
roost_generation *roost_bind_generation(struct lua_State *lua);

/* The call the running task works for; NULL: none. */
roost_call *roost_bind_current_call(struct lua_State *lua);

/* Pushes the data of a call; false, and nothing is pushed, where it cannot be read. */
bool roost_bind_push_data(struct lua_State *lua, const roost_call *call);

/* Appends the value at index as the call's caller takes it, and says so. As
 * roost_value_write_json. */
int roost_bind_write_value(struct lua_State *lua, roost_call *call, int index, roost_buffer *out);

/* Pushes the ctx of a call, made at its first use. data: stack index of its data, 0: decode it. */
void roost_bind_push_ctx(struct lua_State *lua, roost_call *call, int data);

/* Pushes { subject, fingerprint, sans, verified } of a peer's certificate. */
void roost_bind_push_certificate(struct lua_State *lua, const roost_tls_info *tls);

/* The call of the ctx at index; NULL: it is over. Raises where it is no ctx. */
roost_call *roost_bind_check_ctx(struct lua_State *lua, int index);

/* Pushes what closes the values that were made for the request (ctx:get), as one more function for
 * the call's task, and returns how many arguments it takes; -1: there are none. */
int roost_bind_push_closing(struct lua_State *lua, roost_call *call);

/* Pushes a log object; ctx: stack index of the ctx it speaks for, 0: the service's own. */
void roost_bind_push_log(struct lua_State *lua, int ctx);

/* Pushes a buffer that the collector frees should an error pass by. */
roost_buffer *roost_bind_push_buffer(struct lua_State *lua);

/* In a sandbox, or in a state that is being closed: the buffer on top is freed as soon as the C
 * function that runs ends, however it ends. The collector does not know what a buffer holds, and
 * near the limit of its memory it frees none: a service could gather them; and lua_close frees none
 * that was made by a finalizer. The function must not pop or move it. */
void roost_bind_guard_buffer(struct lua_State *lua);

/* Logs what a task raised: the error value at index, its traceback in vm->trace. */
void roost_bind_log_error(struct lua_State *lua, const char *message, int index);

/* The running task ends when its service stops while it waits next; the k of that wait takes
 * task->dormant back. */
void roost_bind_make_dormant(struct lua_State *lua);

/* Pushes the core table. */
void roost_bind_push_core(struct lua_State *lua);

/* Pushes a module of the Lua half that exists, as a function of core. */
void roost_bind_push_module(struct lua_State *lua, const char *name);

/* Lets go of the handlers and hooks of a generation whose state lives on. */
void roost_bind_unload(roost_generation *generation);

/* What every kind of state begins with: the libraries, the core table, the Lua half's modules. */
void roost_bind_open(struct lua_State *lua, const roost_generation *generation);

/* Runs function protected in a new state, with its errors and what its main chunk may take in time
 * as roost_binding.load says. */
int roost_bind_load(roost_generation *generation, int (*function)(struct lua_State *lua),
                    roost_buffer *error);

/* The parts of roost_binding that every binding has; those of a call lie in call.c. */
int roost_bind_begin_hook(struct lua_State *lua, roost_generation *generation, roost_hook hook);
void roost_bind_finish_hook(struct lua_State *lua, roost_generation *generation, roost_hook hook,
                            int count);
int roost_bind_begin_call(struct lua_State *lua, roost_call *call);
int roost_bind_finish_call(struct lua_State *lua, roost_call *call, int count);
int roost_bind_fail_call(struct lua_State *lua, roost_call *call);
void roost_bind_forced_call(roost_call *call);
void roost_bind_end_call(roost_call *call);

/* Appends the error on top of the stack and, in brackets, its traceback. */
void roost_bind_describe(struct lua_State *lua, roost_generation *generation, roost_buffer *out);

#endif
