/*
 * vm/source.h - where a service's code comes from: files, with names a person can read.
 *
 * Chunk name: what stands in error messages; the file's path below the services folder. The vm's
 * thread, protected mode.
 * Mode: as Lua's load has it: "t" refuses compiled chunks, NULL takes both.
 */
#ifndef ROOST_VM_SOURCE_H
#define ROOST_VM_SOURCE_H

#include "core/buffer.h"

struct lua_State;

typedef struct roost_source {
  const char *root; /* the services folder, absolute, without / at its end */
  const char *path; /* of the main file, absolute */
  const char *name; /* of the service */
} roost_source;

/* The main file's chunk name, without the @; borrowed from source. */
const char *roost_source_chunk_name(const roost_source *source);

/* The part of path below root, or path itself; borrowed from path. */
const char *roost_source_below(const char *path, const char *root);

/* Pushes the compiled main file, as a function. Raises a text that names file and line. What is no
 * regular file is refused: a pipe would have the thread wait. */
void roost_source_load(struct lua_State *lua, const roost_source *source, const char *mode);

/* The same of a program that somebody waits for: it may come from a pipe. */
void roost_source_load_script(struct lua_State *lua, const roost_source *source);

/* The same of a text that stands in for the main file's. */
void roost_source_load_text(struct lua_State *lua, const roost_source *source, roost_slice text,
                            const char *mode);

/* Pushes the compiled file, named chunk_name (with its leading @ or =). Raises, as above. */
void roost_source_load_file(struct lua_State *lua, const char *path, const char *chunk_name,
                            const char *mode);

/* Sets package.path and the searchers so that require finds services/NAME/?.lua,
 * services/lib/?.lua, lua/?.lua below lua_dir (NULL: none), then Lua's own path; a service's main
 * file is never found. Raises. */
void roost_source_set_path(struct lua_State *lua, const roost_source *source,
                           const char *working_dir);

#endif
