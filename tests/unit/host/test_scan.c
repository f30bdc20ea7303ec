#include "service/service_test.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>

#include "scan.h"

/* A dispatch with the services of a folder, and a look at that. */
typedef struct fixture {
  service_test test;
  roost_alloc_probe probe; /* the scan's own */
  roost_scan *scan;
} fixture;

/* Files are given a time that is long ago: one just written counts as changed. */
static void put(const fixture *self, const char *name, const char *text) {
  static time_t seconds = 1000000000;
  char path[160];
  service_test_write(&self->test, name, text);
  snprintf(path, sizeof path, "%s/%s.lua", self->test.folder, name);
  const struct timespec times[2] = {{seconds, 0}, {seconds, 0}};
  seconds++;
  assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static const char plain[] = "return require 'roost'.service()";

static void make_folder(const fixture *self, const char *name) {
  char path[160];
  snprintf(path, sizeof path, "%s/%s", self->test.folder, name);
  assert_int_equal(mkdir(path, 0700), 0);
}

static void init(fixture *self) {
  memset(self, 0, sizeof *self);
  service_test_init(&self->test);
  roost_alloc_probe_init(&self->probe);
  make_folder(self, "lib");
  put(self, "lib/shared", "return 1");
  put(self, "a", "require 'shared' return require 'roost'.service()");
  put(self, "b", plain);
  assert_non_null(service_test_load_file(&self->test, "a"));
  assert_non_null(service_test_load_file(&self->test, "b"));
}

static void deinit(fixture *self) {
  roost_scan_free(self->scan);
  assert_int_equal(self->probe.bytes, 0);
  service_test_deinit(&self->test);
}

static void look_at(fixture *self, const char *const *paths) {
  roost_scan_free(self->scan);
  assert_int_equal(roost_scan_new(&self->scan, &self->probe.alloc, self->test.dispatch, paths,
                                  self->test.folder),
                   0);
  self->scan->job.run(&self->scan->job, NULL);
}

static void look(fixture *self) {
  static const char *const paths[] = {".", NULL};
  look_at(self, paths);
}

/* The names of those that have changed, in order. */
static void expect_changed(const fixture *self, const char *names) {
  char changed[128] = "";
  for (size_t i = 0; i < self->scan->service_count; i++)
    if (self->scan->services[i].is_changed)
      strcat(changed, self->scan->services[i].name);
  assert_string_equal(changed, names);
}

static void expect_found(const fixture *self, const char *names) {
  char found[128] = "";
  for (size_t i = 0; i < self->scan->found.count; i++)
    strcat(found, self->scan->found.items[i].name);
  assert_string_equal(found, names);
}

static bool has_folder(const fixture *self, const char *ending) {
  const roost_buffer *folders = &self->scan->folders;
  for (const char *at = folders->ptr; at < folders->ptr + folders->len; at += strlen(at) + 1)
    if (strlen(at) >= strlen(ending) && strcmp(at + strlen(at) - strlen(ending), ending) == 0)
      return true;
  return false;
}

static void it_sees_which_have_changed(void **state) {
  (void)state;
  fixture self;
  init(&self);
  look(&self);
  expect_changed(&self, "");
  expect_found(&self, "ab");
  put(&self, "b", "-- changed\nreturn require 'roost'.service()");
  look(&self);
  expect_changed(&self, "b");
  put(&self, "lib/shared", "return 2");
  look(&self);
  expect_changed(&self, "ab");
  put(&self, "lib/other", "return 2");
  look(&self);
  expect_changed(&self, "ab");
  deinit(&self);
}

static void it_sees_services_that_come_and_go(void **state) {
  (void)state;
  fixture self;
  char path[160];
  init(&self);
  make_folder(&self, "deep");
  put(&self, "deep/init", plain);
  put(&self, "new", plain);
  snprintf(path, sizeof path, "%s/a.lua", self.test.folder);
  unlink(path);
  look(&self);
  expect_found(&self, "bdeepnew");
  expect_changed(&self, "a");
  assert_true(has_folder(&self, "/deep"));
  assert_true(has_folder(&self, "/lib"));
  deinit(&self);
}

static void it_says_what_is_wrong(void **state) {
  (void)state;
  static const char *const paths[] = {".", "nowhere", NULL};
  fixture self;
  init(&self);
  make_folder(&self, "empty");
  make_folder(&self, ".hidden");
  look_at(&self, paths);
  assert_int_equal(self.scan->problems.count, 2);
  assert_non_null(strstr(self.scan->problems.items[0].text, "empty"));
  assert_string_equal(self.scan->problems.items[1].text,
                      "services: nowhere: no such file or folder");
  assert_true(has_folder(&self, "/empty"));
  assert_false(has_folder(&self, "/.hidden"));
  deinit(&self);
}

static void a_host_without_services_has_nothing_to_see(void **state) {
  (void)state;
  static const char *const none[] = {NULL};
  fixture self;
  init(&self);
  look_at(&self, none);
  expect_found(&self, "");
  expect_changed(&self, "");
  roost_scan_free(NULL);
  deinit(&self);
}

static void memory_may_end_at_every_point(void **state) {
  (void)state;
  static const char *const paths[] = {".", "a.lua", NULL};
  int status = ROOST_ENOMEM;
  bool whole = false;
  for (size_t n = 0; !whole; n++) {
    fixture self;
    init(&self);
    put(&self, "b", "-- changed\nreturn require 'roost'.service()");
    self.probe.refuse_after = n;
    status =
        roost_scan_new(&self.scan, &self.probe.alloc, self.test.dispatch, paths, self.test.folder);
    assert_true((status == 0) == (self.scan != NULL));
    if (self.scan != NULL) {
      self.scan->job.run(&self.scan->job, NULL);
      expect_changed(&self, "b");
      whole = self.scan->found.count == 2 && self.scan->problems.status == 0 &&
              self.scan->folders.len > 0 && self.probe.refuse_after > 0;
    }
    assert_true(n < 200);
    deinit(&self);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(it_sees_which_have_changed),
      cmocka_unit_test(it_sees_services_that_come_and_go),
      cmocka_unit_test(it_says_what_is_wrong),
      cmocka_unit_test(a_host_without_services_has_nothing_to_see),
      cmocka_unit_test(memory_may_end_at_every_point),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
