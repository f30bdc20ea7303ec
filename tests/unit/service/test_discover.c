#include "alloc_probe.h"

#include <sys/stat.h>
#include <unistd.h>

#include "service/discover.h"

typedef struct fixture {
  roost_alloc_probe probe;
  roost_found_list list;
  char folder[64];
  char said[2048]; /* "E: text\n" or "W: text\n" each, the folder as @ */
} fixture;

static void put(const fixture *self, const char *name) {
  char path[256];
  snprintf(path, sizeof path, "%s/%s", self->folder, name);
  for (char *at = path + strlen(self->folder) + 1; (at = strchr(at, '/')) != NULL; at++) {
    *at = '\0';
    mkdir(path, 0700);
    *at = '/';
  }
  if (path[strlen(path) - 1] == '/')
    return;
  FILE *file = fopen(path, "w");
  assert_non_null(file);
  fclose(file);
}

static void init(fixture *self) {
  memset(self, 0, sizeof *self);
  roost_alloc_probe_init(&self->probe);
  roost_found_init(&self->list, &self->probe.alloc);
  strcpy(self->folder, "/tmp/roost-discover-XXXXXX");
  assert_non_null(mkdtemp(self->folder));
}

static void deinit(fixture *self) {
  char command[96];
  roost_found_deinit(&self->list);
  assert_int_equal(self->probe.bytes, 0);
  snprintf(command, sizeof command, "rm -r '%s'", self->folder);
  assert_int_equal(system(command), 0);
}

static void report(void *ud, bool error, const char *text) {
  fixture *self = ud;
  strcat(self->said, error ? "E: " : "W: ");
  size_t len = strlen(self->said);
  for (const char *at = text; *at != '\0';) {
    bool folder = strncmp(at, self->folder, strlen(self->folder)) == 0;
    self->said[len++] = folder ? '@' : *at;
    at += folder ? strlen(self->folder) : 1;
  }
  self->said[len] = '\0';
  strcat(self->said, "\n");
}

static int add(fixture *self, const char *path) {
  return roost_found_add(&self->list, self->folder, path, report, self);
}

/* "name:main file below the folder:root below the folder " each */
static void expect(const fixture *self, const char *expected) {
  char all[1024] = "";
  for (size_t i = 0; i < self->list.count; i++) {
    const roost_found *found = &self->list.items[i];
    size_t len = strlen(all);
    snprintf(all + len, sizeof all - len, "%s:%s:%s ", found->name,
             found->path + strlen(self->folder) + 1, found->root + strlen(self->folder));
  }
  assert_string_equal(all, expected);
}

static void a_folder_gives_its_services_by_name(void **state) {
  (void)state;
  fixture self;
  init(&self);
  static const char *const files[] = {
      "s/b.lua",         "s/a.lua",       "s/c/init.lua",   "s/c/part.lua", "s/lib/x.lua",
      "s/_off.lua",      "s/.hidden.lua", "s/b_spec.lua",   "s/notes.txt",  "s/.git/x.lua",
      "s/_old/init.lua", "s/.lua",        "s/d_spec/a.lua", "s/empty/"};
  for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
    put(&self, files[i]);
  assert_int_equal(add(&self, "s"), 0);
  expect(&self, "a:s/a.lua:/s b:s/b.lua:/s c:s/c/init.lua:/s ");
  assert_string_equal(self.said, "W: @/s/d_spec: skipped, it has no init.lua\n"
                                 "W: @/s/empty: skipped, it has no init.lua\n");
  deinit(&self);
}

static void single_services_are_named_by_their_path(void **state) {
  (void)state;
  fixture self;
  char absolute[128];
  init(&self);
  put(&self, "s/a.lua");
  put(&self, "s/c/init.lua");
  put(&self, "other/_private.lua");
  assert_int_equal(add(&self, "s/../s/c"), 0);
  snprintf(absolute, sizeof absolute, "%s/s/a.lua", self.folder);
  assert_int_equal(add(&self, absolute), 0);
  assert_int_equal(add(&self, "other/_private.lua"), 0);
  expect(&self, "c:s/c/init.lua:/s a:s/a.lua:/s _private:other/_private.lua:/other ");
  assert_string_equal(self.said, "");
  deinit(&self);
}

static void two_of_one_name_are_an_error(void **state) {
  (void)state;
  fixture self;
  init(&self);
  put(&self, "s/a.lua");
  put(&self, "s/a/init.lua");
  put(&self, "t/a.lua");
  assert_int_equal(add(&self, "s"), 0);
  assert_int_equal(add(&self, "t"), 0);
  expect(&self, "a:s/a/init.lua:/s ");
  assert_string_equal(self.said,
                      "E: @/s/a.lua: a service named \"a\" is there already: @/s/a/init.lua\n"
                      "E: @/t/a.lua: a service named \"a\" is there already: @/s/a/init.lua\n");
  deinit(&self);
}

static void what_is_no_service_is_said(void **state) {
  (void)state;
  fixture self;
  init(&self);
  put(&self, "s/notes.txt");
  put(&self, "s/a_spec.lua");
  assert_int_equal(add(&self, "none"), ROOST_ENOENT);
  assert_string_equal(self.said, "");
  assert_int_equal(add(&self, "s/notes.txt"), 0);
  assert_int_equal(add(&self, "s/a_spec.lua"), 0);
  assert_string_equal(
      self.said,
      "E: @/s/notes.txt: not a service: its name does not end in .lua, or ends in _spec.lua\n"
      "E: @/s/a_spec.lua: not a service: its name does not end in .lua, or ends in _spec.lua\n");
  assert_int_equal(self.list.count, 0);
  deinit(&self);
}

static void out_of_memory(void **state) {
  (void)state;
  fixture self;
  init(&self);
  put(&self, "s/a.lua");
  put(&self, "s/b/init.lua");
  put(&self, "s/c/");
  put(&self, "s/b.lua");
  int status = ROOST_ENOMEM;
  for (size_t n = 0; status != 0; n++) {
    self.probe.refuse_after = n;
    status = add(&self, "s");
    assert_true(status == 0 || status == ROOST_ENOMEM);
    if (status != 0) {
      roost_found_deinit(&self.list);
      assert_int_equal(self.probe.bytes, 0);
    }
  }
  assert_int_equal(self.list.count, 2);
  deinit(&self);
}

static void a_list_can_be_copied(void **state) {
  (void)state;
  fixture self;
  roost_found_list copy;
  init(&self);
  put(&self, "a.lua");
  put(&self, "b/init.lua");
  assert_int_equal(roost_found_add(&self.list, "/", self.folder, report, &self), 0);
  assert_int_equal(self.list.count, 2);
  const size_t before = self.probe.bytes;
  int status = ROOST_ENOMEM;
  for (size_t n = 0; status != 0; n++) {
    roost_found_init(&copy, &self.probe.alloc);
    self.probe.refuse_after = n;
    status = roost_found_copy(&copy, &self.list);
    assert_true(status == 0 || status == ROOST_ENOMEM);
    if (status == 0)
      break;
    roost_found_deinit(&copy);
    assert_int_equal(self.probe.bytes, before);
  }
  self.probe.refuse_after = ROOST_ALLOC_PROBE_NEVER;
  assert_int_equal(copy.count, 2);
  assert_string_equal(copy.items[1].name, "b");
  assert_string_equal(copy.items[1].path, self.list.items[1].path);
  assert_ptr_not_equal(copy.items[1].path, self.list.items[1].path);
  roost_found_deinit(&copy);
  deinit(&self);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_folder_gives_its_services_by_name),
      cmocka_unit_test(single_services_are_named_by_their_path),
      cmocka_unit_test(two_of_one_name_are_an_error),
      cmocka_unit_test(what_is_no_service_is_said),
      cmocka_unit_test(out_of_memory),
      cmocka_unit_test(a_list_can_be_copied),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
