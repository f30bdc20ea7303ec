/*
 * config/script.h - runs the configuration file: a Lua state that can compute and read, no more.
 *
 * Start reading at roost_script_open. The file sees env, file, tonumber, tostring, type, ipairs,
 * pairs, select, error, assert, string, table and math. A file that needs over 64 MiB, or runs for
 * more than 50 million instructions, is refused. The state belongs to who opened it, on one
 * thread, and is closed with roost_script_close.
 */
#ifndef ROOST_CONFIG_SCRIPT_H
#define ROOST_CONFIG_SCRIPT_H

#include "core/buffer.h"

struct lua_State;

typedef struct roost_script {
  struct lua_State *lua;
  const roost_alloc *alloc; /* borrowed */
  const char *working_dir;  /* borrowed; file(path) starts here; NULL: where the process is */
  size_t bytes;             /* held by the state */
  bool too_large;           /* it was refused memory because of its limit */
} roost_script;

/* ENOMEM. */
int roost_script_open(roost_script *script, const roost_alloc *alloc, const char *working_dir);
void roost_script_close(roost_script *script);

/* Version of Lua that the host was built with, as "5.4.4"; constant. */
const char *roost_script_lua_version(void);

/* These two run in protected mode: what is wrong is raised. */

/* Runs text as the file called name, and leaves what it returned on the stack. */
void roost_script_run(roost_script *script, roost_slice text, const char *name);

/* Pushes text's value where it is a Lua literal, otherwise text itself. */
void roost_script_push_literal(roost_script *script, const char *text);

/* Appends the contents of the file at path, which starts at working_dir where it is relative.
 * ENOMEM, ESYSTEM (roost_open_error says why, of errno). */
int roost_script_read_file(roost_buffer *out, const char *working_dir, const char *path);

#endif
