#include "vm_test.h"

#include <unistd.h>

static void what_would_hurt_the_host_is_not_there(void **state) {
  (void)state;
  vm_test self;
  vm_test_init(&self);
  vm_test_expect(&self,
                 "return os.exit, debug.sethook, debug.setmetatable, debug.getregistry, "
                 "debug.debug, io.stdin",
                 "nil,nil,nil,nil,nil,nil");
  vm_test_expect(&self,
                 "return type(os.time), type(debug.traceback), type(io.open), type(require), "
                 "type(string.format), type(utf8.char), type(load)",
                 "function,function,function,function,function,function,function");
  vm_test_expect(&self, "return package.loaded.coroutine == coroutine", "true");
  vm_test_deinit(&self);
}

static void standard_input_cannot_be_read(void **state) {
  (void)state;
  vm_test self;
  vm_test_init(&self);
  vm_test_expect(&self, "return (pcall(io.read)), (pcall(io.lines)), io.type(io.input())",
                 "false,false,closed file");
  vm_test_expect(&self, "return (pcall(dofile)), (pcall(loadfile)), (pcall(dofile, nil))",
                 "false,false,false");
  vm_test_deinit(&self);
}

static void files_can_still_be_loaded(void **state) {
  (void)state;
  vm_test self;
  char path[] = "/tmp/roost-test-XXXXXX";
  int fd = mkstemp(path);
  assert_true(fd >= 0);
  static const char code[] = "sleep(1) return 'from the file', ...";
  assert_int_equal(write(fd, code, sizeof code - 1), sizeof code - 1);
  close(fd);
  vm_test_init(&self);
  lua_pushstring(self.vm->lua, path);
  lua_setglobal(self.vm->lua, "path");
  vm_test_expect(&self, "return dofile(path)", "from the file");
  vm_test_expect(&self, "return loadfile(path)(1)", "from the file,1");
  vm_test_expect(&self, "return loadfile(path, 'b')",
                 "nil,attempt to load a text chunk (mode is 'b')");
  vm_test_expect(&self, "return (loadfile(path .. '.missing'))", "nil");
  vm_test_deinit(&self);
  remove(path);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(what_would_hurt_the_host_is_not_there),
      cmocka_unit_test(standard_input_cannot_be_read),
      cmocka_unit_test(files_can_still_be_loaded),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
