/*
 * What decoding a JSON text into Lua values and encoding them again costs the host: reads the text
 * from stdin, does both over and over for so many milliseconds in a state as services have it, and
 * prints one line of JSON, nanoseconds of processor time per value, then the text as it was
 * written. json.mjs compares it with Node's.
 *
 *   json_bench MILLISECONDS < TEXT
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <lauxlib.h>
#include <lua.h>

#include "vm/value.h"
#include "vm/vm.h"

#define WARMUP_SHARE 4 /* a quarter of the time */

typedef struct bench {
  roost_slice text;
  roost_buffer out;
  uint64_t budget_ns; /* of each measurement */
  double decode_ns;   /* results, per value */
  double encode_ns;
  double both_ns;
} bench;

static void fail(const char *what) {
  fprintf(stderr, "json_bench: %s\n", what);
  exit(1);
}

static uint64_t cpu_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void decode(lua_State *lua, const bench *b) {
  const char *why;
  size_t at;
  if (roost_value_push_json(lua, b->text, &why, &at) != 0)
    luaL_error(lua, "%s", why);
}

static void encode(lua_State *lua, bench *b) {
  roost_buffer_clear(&b->out);
  if (roost_value_write_json(lua, -1, &b->out) != 0)
    luaL_error(lua, "cannot be written");
}

static void both(lua_State *lua, bench *b) {
  decode(lua, b);
  encode(lua, b);
  lua_pop(lua, 1);
}

static void only_decode(lua_State *lua, bench *b) {
  decode(lua, b);
  lua_pop(lua, 1);
}

/* Nanoseconds per step, from as many as fit into the budget. */
static double time_per_step(lua_State *lua, bench *b, uint64_t budget_ns,
                            void (*step)(lua_State *lua, bench *b)) {
  const uint64_t start = cpu_ns();
  uint64_t steps = 0;
  uint64_t batch = 1; /* between two looks at the clock */
  uint64_t spent;
  while ((spent = cpu_ns() - start) < budget_ns) {
    for (uint64_t i = 0; i < batch; i++)
      step(lua, b);
    steps += batch;
    if (cpu_ns() - start - spent < budget_ns / 64)
      batch *= 2;
  }
  return (double)spent / (double)steps;
}

static int measure(lua_State *lua) {
  bench *b = lua_touserdata(lua, 1);
  luaL_checkstack(lua, 16, NULL);
  time_per_step(lua, b, b->budget_ns / WARMUP_SHARE, both);
  b->both_ns = time_per_step(lua, b, b->budget_ns, both);
  b->decode_ns = time_per_step(lua, b, b->budget_ns, only_decode);
  decode(lua, b);
  b->encode_ns = time_per_step(lua, b, b->budget_ns, encode);
  return 0;
}

static void read_all(roost_buffer *text) {
  ssize_t n = 1;
  while (n > 0) {
    if (roost_buffer_reserve(text, 65536) != 0)
      fail("out of memory");
    n = read(STDIN_FILENO, text->ptr + text->len, text->cap - text->len);
    if (n > 0)
      text->len += (size_t)n;
  }
}

int main(int argc, char **argv) {
  bench b = {.budget_ns = 1000000u * (argc > 1 ? strtoull(argv[1], NULL, 10) : 200)};
  const roost_alloc *alloc = roost_alloc_default();
  roost_runner runner;
  roost_wheel wheel;
  roost_vm *vm;
  roost_buffer text;
  roost_buffer_init(&text, alloc);
  roost_buffer_init(&b.out, alloc);
  read_all(&text);
  b.text = roost_buffer_slice(&text);
  roost_runner_init(&runner);
  roost_wheel_init(&wheel, 0);
  const roost_vm_config config = {
      .alloc = alloc, .runner = &runner, .wheel = &wheel, .memory_limit = (size_t)64 << 20};
  if (roost_vm_open(&vm, &config) != 0)
    fail("out of memory");
  lua_pushcfunction(vm->lua, measure);
  lua_pushlightuserdata(vm->lua, &b);
  if (lua_pcall(vm->lua, 1, 0, 0) != LUA_OK)
    fail(lua_tostring(vm->lua, -1));
  printf("{\"decode_ns\":%.1f,\"encode_ns\":%.1f,\"both_ns\":%.1f}\n", b.decode_ns, b.encode_ns,
         b.both_ns);
  fwrite(b.out.ptr, 1, b.out.len, stdout);
  roost_vm_close(vm);
  roost_buffer_deinit(&b.out);
  roost_buffer_deinit(&text);
  return 0;
}
