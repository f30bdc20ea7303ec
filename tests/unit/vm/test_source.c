#include "vm_test.h"

#include <sys/stat.h>
#include <unistd.h>

#include "vm/source.h"

/* A services folder of the test's own: root/services, root/lua. */
typedef struct tree {
  char root[64];
  char services[96];
  char main_file[128];
} tree;

static void put(const tree *self, const char *name, const char *text) {
  char path[256];
  snprintf(path, sizeof path, "%s/%s", self->root, name);
  for (char *at = path + strlen(self->root) + 1; (at = strchr(at, '/')) != NULL; at++) {
    *at = '\0';
    mkdir(path, 0700);
    *at = '/';
  }
  FILE *file = fopen(path, "w");
  assert_non_null(file);
  fputs(text, file);
  fclose(file);
}

static void tree_init(tree *self) {
  strcpy(self->root, "/tmp/roost-source-XXXXXX");
  assert_non_null(mkdtemp(self->root));
  snprintf(self->services, sizeof self->services, "%s/services", self->root);
  snprintf(self->main_file, sizeof self->main_file, "%s/a/init.lua", self->services);
  put(self, "services/a/init.lua", "return ...");
  put(self, "services/a/part.lua", "return { 'part', ... }");
  put(self, "services/lib/shared.lua", "#!/usr/bin/lua\nreturn 'shared'");
  put(self, "services/b.lua", "return 'another service'");
  put(self, "services/lib/bad.lua", "\xEF\xBB\xBFlocal x =\n= 1");
  put(self, "services/lib/raises.lua", "\n\nerror('in a module')");
  put(self, "lua/common.lua", "return 'common'");
  char pipe[128];
  snprintf(pipe, sizeof pipe, "%s/pipe.lua", self->services);
  assert_int_equal(mkfifo(pipe, 0600), 0);
}

static void tree_deinit(const tree *self) {
  char command[128];
  snprintf(command, sizeof command, "rm -r '%s'", self->root);
  assert_int_equal(system(command), 0);
}

static const tree *current;

static int set_path(lua_State *lua) {
  const roost_source source = {current->services, current->main_file, "a"};
  roost_source_set_path(lua, &source, current->root);
  return 0;
}

static int load_main(lua_State *lua) {
  const roost_source source = {current->services, luaL_checkstring(lua, 1), "a"};
  roost_source_load(lua, &source, NULL);
  return 1;
}

static void init(vm_test *self, tree *files) {
  tree_init(files);
  current = files;
  vm_test_init(self);
  lua_register(self->vm->lua, "load_main", load_main);
  lua_pushstring(self->vm->lua, files->services);
  lua_setglobal(self->vm->lua, "services");
  lua_pushcfunction(self->vm->lua, set_path);
  lua_call(self->vm->lua, 0, 0);
}

static void deinit(vm_test *self, const tree *files) {
  vm_test_deinit(self);
  tree_deinit(files);
}

static void chunks_are_named_below_the_folder(void **state) {
  (void)state;
  vm_test self;
  tree files;
  init(&self, &files);
  vm_test_expect(&self,
                 "local f = load_main(services .. '/a/init.lua')"
                 "local i = debug.getinfo(f, 'S') return i.source, i.short_src, f(5)",
                 "@a/init.lua,a/init.lua,5");
  vm_test_expect(&self, "return pcall(require, 'raises')", "false,lib/raises.lua:3: in a module");
  deinit(&self, &files);
}

static void what_cannot_be_loaded_says_where(void **state) {
  (void)state;
  vm_test self;
  vm_job job;
  tree files;
  init(&self, &files);
  vm_test_expect(&self, "return pcall(load_main, services .. '/lib/bad.lua')",
                 "false,lib/bad.lua:2: unexpected symbol near '='");
  vm_test_expect(&self, "return pcall(require, 'bad')",
                 "false,lib/bad.lua:2: unexpected symbol near '='");
  vm_job_run(&job, &self, 0, "load_main(services .. '/none.lua')");
  assert_true(job.failed);
  assert_non_null(strstr(job.result, "/services/none.lua: No such file or directory"));
  vm_job_run(&job, &self, 0, "load_main(services)");
  assert_non_null(strstr(job.result, "/services: Is a directory"));
  vm_job_run(&job, &self, 0, "load_main(services .. '/pipe.lua')"); /* and nobody writes to it */
  assert_non_null(strstr(job.result, "/services/pipe.lua: it is no regular file"));
  deinit(&self, &files);
}

static void require_finds_modules_but_no_service(void **state) {
  (void)state;
  vm_test self;
  vm_job job;
  tree files;
  init(&self, &files);
  vm_test_expect(&self,
                 "local p = require 'part' return p[1], p[2], p[3] == services .. '/a/part.lua'",
                 "part,part,true");
  vm_test_expect(&self, "return require('part') == require('part')", "true");
  vm_test_expect(&self, "return (require 'shared'), (require 'common')", "shared,common");
  vm_job_run(&job, &self, 0, "require 'init'");
  assert_non_null(strstr(job.result, "that is the service itself"));
  vm_job_run(&job, &self, 0, "require 'b'");
  assert_non_null(strstr(job.result, "module 'b' not found"));
  vm_job_run(&job, &self, 0, "require 'missing.thing'");
  assert_non_null(strstr(job.result, "/services/a/missing/thing.lua'"));
  vm_test_expect(&self, "local cjson = require 'cjson' return cjson.null == null, cjson.encode{1}",
                 "true,[1]");
  deinit(&self, &files);
}

static void files_are_closed_when_memory_runs_out(void **state) {
  (void)state;
  tree files;
  vm_test self;
  init(&self, &files);
  bool done = false;
  for (size_t n = 0; !done; n++) {
    vm_job job;
    self.probe.refuse_after = n;
    int status =
        vm_job_try(&job, &self, "return type(load_main(services .. '/a/part.lua'))", &vm_job_ops);
    self.probe.refuse_after = ROOST_ALLOC_PROBE_NEVER;
    done = status == 0 && strcmp(job.result, "function") == 0;
    assert_true(n < 10000);
  }
  vm_test_expect(&self, "collectgarbage() return 1", "1");
  int fd = dup(0);
  assert_true(fd >= 0 && fd < 20); /* all that were opened are closed again */
  close(fd);
  deinit(&self, &files);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(chunks_are_named_below_the_folder),
      cmocka_unit_test(what_cannot_be_loaded_says_where),
      cmocka_unit_test(require_finds_modules_but_no_service),
      cmocka_unit_test(files_are_closed_when_memory_runs_out),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
