#include "net_test.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "net/watch.h"

typedef struct fixture {
  net_test net;
  char folder[64];
  roost_watch *watch;
  unsigned told;
} fixture;

static void on_change(void *ud) {
  fixture *self = ud;
  self->told++;
}

static void init(fixture *self) {
  memset(self, 0, sizeof *self);
  net_test_init(&self->net);
  strcpy(self->folder, "/tmp/roost-watch-XXXXXX");
  assert_non_null(mkdtemp(self->folder));
  assert_int_equal(roost_watch_open(&self->watch, self->net.loop, on_change, self), 0);
}

static void deinit(fixture *self) {
  char command[96];
  roost_watch_close(self->watch);
  net_test_deinit(&self->net);
  snprintf(command, sizeof command, "rm -rf '%s'", self->folder);
  assert_int_equal(system(command), 0);
}

static const char *path_of(const fixture *self, const char *name) {
  static char path[160];
  snprintf(path, sizeof path, "%s/%s", self->folder, name);
  return path;
}

static void put(const fixture *self, const char *name, const char *text) {
  FILE *file = fopen(path_of(self, name), "w");
  assert_non_null(file);
  fputs(text, file);
  fclose(file);
}

static int watch(const fixture *self, const char *name) {
  const char *const folders[] = {name != NULL ? path_of(self, name) : self->folder};
  return roost_watch_set(self->watch, folders, 1);
}

/* Everything that has happened so far is told: the kernel queues it at once. */
static unsigned told(fixture *self) {
  self->told = 0;
  net_test_turns(&self->net, 3);
  return self->told;
}

static void what_happens_to_files_is_told(void **state) {
  (void)state;
  fixture self;
  char other[160];
  init(&self);
  assert_int_equal(watch(&self, NULL), 1);
  assert_int_equal(watch(&self, NULL), 0);
  assert_int_equal(told(&self), 0);
  put(&self, "a.lua", "1");
  assert_true(told(&self) > 0);
  put(&self, "a.lua", "2");
  assert_true(told(&self) > 0);
  snprintf(other, sizeof other, "%s", path_of(&self, "b.lua"));
  assert_int_equal(rename(path_of(&self, "a.lua"), other), 0);
  assert_true(told(&self) > 0);
  assert_int_equal(chmod(other, 0600), 0);
  assert_true(told(&self) > 0);
  assert_int_equal(unlink(other), 0);
  assert_true(told(&self) > 0);
  assert_int_equal(mkdir(path_of(&self, "folder"), 0700), 0);
  assert_true(told(&self) > 0);
  put(&self, "folder/deeper.lua", "1");
  assert_int_equal(told(&self), 0);
  deinit(&self);
}

static void what_editors_make_beside_is_of_no_interest(void **state) {
  (void)state;
  fixture self;
  init(&self);
  watch(&self, NULL);
  put(&self, ".a.lua.swp", "1");
  put(&self, "a.lua~", "1");
  put(&self, "notes.txt", "1");
  put(&self, ".hidden", "1");
  assert_int_equal(told(&self), 0);
  deinit(&self);
}

static void a_folder_that_is_not_there_is_passed_over(void **state) {
  (void)state;
  fixture self;
  init(&self);
  assert_int_equal(watch(&self, "later"), 0);
  put(&self, "file", "1");
  assert_int_equal(watch(&self, "file"), 0);
  assert_int_equal(mkdir(path_of(&self, "later"), 0700), 0);
  assert_int_equal(watch(&self, "later"), 1);
  put(&self, "later/a.lua", "1");
  assert_true(told(&self) > 0);
  deinit(&self);
}

/* File systems like to give the number of one that has gone to the next. */
static void one_made_anew_is_watched_anew(void **state) {
  (void)state;
  fixture self;
  init(&self);
  for (int i = 0; i < 5; i++) {
    assert_int_equal(mkdir(path_of(&self, "inner"), 0700), 0);
    assert_int_equal(watch(&self, "inner"), 1);
    told(&self);
    put(&self, "inner/a.lua", "1");
    assert_true(told(&self) > 0);
    unlink(path_of(&self, "inner/a.lua"));
    assert_int_equal(rmdir(path_of(&self, "inner")), 0);
    assert_true(told(&self) > 0);
  }
  deinit(&self);
}

static void folders_not_wanted_any_more_are_let_go(void **state) {
  (void)state;
  fixture self;
  init(&self);
  assert_int_equal(mkdir(path_of(&self, "one"), 0700), 0);
  assert_int_equal(mkdir(path_of(&self, "two"), 0700), 0);
  watch(&self, "one");
  assert_int_equal(watch(&self, "two"), 1);
  put(&self, "one/a.lua", "1");
  assert_int_equal(told(&self), 0);
  put(&self, "two/a.lua", "1");
  assert_true(told(&self) > 0);
  assert_int_equal(roost_watch_set(self.watch, NULL, 0), 0);
  put(&self, "two/b.lua", "1");
  assert_int_equal(told(&self), 0);
  deinit(&self);
}

static void one_folder_may_have_several_names(void **state) {
  (void)state;
  fixture self;
  char link[160];
  init(&self);
  assert_int_equal(mkdir(path_of(&self, "one"), 0700), 0);
  snprintf(link, sizeof link, "%s", path_of(&self, "link"));
  assert_int_equal(symlink("one", link), 0);
  const char *const both[] = {path_of(&self, "one"), link, link};
  assert_int_equal(roost_watch_set(self.watch, both, 3), 1);
  put(&self, "one/a.lua", "1");
  assert_true(told(&self) > 0);
  assert_int_equal(roost_watch_set(self.watch, both + 1, 1), 0);
  put(&self, "one/b.lua", "1");
  assert_true(told(&self) > 0);
  deinit(&self);
}

typedef struct closer {
  roost_watch *watch;
  unsigned told;
} closer;

static void close_it(void *ud) {
  closer *self = ud;
  self->told++;
  roost_watch_close(self->watch);
  self->watch = NULL;
}

static void it_may_be_closed_while_it_tells(void **state) {
  (void)state;
  fixture self;
  closer own = {NULL, 0};
  init(&self);
  const char *const folders[] = {self.folder};
  assert_int_equal(roost_watch_open(&own.watch, self.net.loop, close_it, &own), 0);
  assert_int_equal(roost_watch_set(own.watch, folders, 1), 1);
  put(&self, "a.lua", "1");
  put(&self, "b.lua", "1");
  told(&self);
  assert_int_equal(own.told, 1);
  roost_watch_close(NULL);
  deinit(&self);
}

static void memory_may_end_at_every_point(void **state) {
  (void)state;
  int result = ROOST_ENOMEM;
  for (size_t n = 0; result != 1; n++) {
    fixture self;
    init(&self);
    self.net.probe.refuse_after = n;
    result = watch(&self, NULL);
    assert_true(result == 1 || result == ROOST_ENOMEM);
    assert_true(n < 10);
    deinit(&self);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(what_happens_to_files_is_told),
      cmocka_unit_test(what_editors_make_beside_is_of_no_interest),
      cmocka_unit_test(a_folder_that_is_not_there_is_passed_over),
      cmocka_unit_test(one_made_anew_is_watched_anew),
      cmocka_unit_test(folders_not_wanted_any_more_are_let_go),
      cmocka_unit_test(one_folder_may_have_several_names),
      cmocka_unit_test(it_may_be_closed_while_it_tells),
      cmocka_unit_test(memory_may_end_at_every_point),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
