#include "alloc_probe.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/files.h"

typedef struct fixture {
  roost_alloc_probe probe;
  roost_files files;
  char folder[64];
  char path[96]; /* of a file in it */
} fixture;

/* Writes the file; when: its time of change, in seconds since 1970. */
static void put(const fixture *self, const char *text, time_t when) {
  FILE *file = fopen(self->path, "w");
  assert_non_null(file);
  fputs(text, file);
  fclose(file);
  const struct timespec times[2] = {{when, 0}, {when, 5}};
  assert_int_equal(utimensat(AT_FDCWD, self->path, times, 0), 0);
}

static int note(fixture *self, const char *path) {
  struct stat info;
  return roost_files_add(&self->files, path, stat(path, &info) == 0 ? &info : NULL);
}

static void init(fixture *self) {
  memset(self, 0, sizeof *self);
  roost_alloc_probe_init(&self->probe);
  roost_files_init(&self->files, &self->probe.alloc);
  strcpy(self->folder, "/tmp/roost-files-XXXXXX");
  assert_non_null(mkdtemp(self->folder));
  snprintf(self->path, sizeof self->path, "%s/a", self->folder);
  put(self, "one", 1000);
}

static void deinit(fixture *self) {
  unlink(self->path);
  rmdir(self->path);
  assert_int_equal(rmdir(self->folder), 0);
  roost_files_deinit(&self->files);
  assert_int_equal(self->probe.bytes, 0);
}

static void one_that_stays_as_it_was_is_not_changed(void **state) {
  (void)state;
  fixture self;
  init(&self);
  assert_null(roost_files_changed(&self.files));
  assert_int_equal(note(&self, self.path), 0);
  assert_null(roost_files_changed(&self.files));
  deinit(&self);
}

static void every_way_of_changing_it_is_seen(void **state) {
  (void)state;
  for (int way = 0; way < 6; way++) {
    fixture self;
    init(&self);
    assert_int_equal(note(&self, self.path), 0);
    if (way == 0) {
      put(&self, "two", 1001); /* of another time */
    } else if (way == 1) {
      put(&self, "longer", 1000);
    } else if (way == 2) { /* of the same size and time */
      char other[112];
      snprintf(other, sizeof other, "%s.new", self.path);
      assert_int_equal(rename(self.path, other), 0);
      put(&self, "two", 1000);
      unlink(other);
    } else if (way == 3) {
      assert_int_equal(chmod(self.path, 0), 0);
    } else {
      unlink(self.path);
    }
    if (way == 5)
      assert_int_equal(mkdir(self.path, 0700), 0);
    assert_string_equal(roost_files_changed(&self.files), self.path);
    deinit(&self);
  }
}

static void one_that_was_missing_is_changed_when_it_comes(void **state) {
  (void)state;
  fixture self;
  init(&self);
  unlink(self.path);
  assert_int_equal(note(&self, self.path), 0);
  assert_null(roost_files_changed(&self.files));
  put(&self, "one", 1000);
  assert_string_equal(roost_files_changed(&self.files), self.path);
  deinit(&self);
}

/* It may have been written again since, within one tick of the file system's clock. */
static void one_written_just_before_counts_as_changed(void **state) {
  (void)state;
  fixture self;
  init(&self);
  put(&self, "one", time(NULL) + 1000); /* a clock that is ahead changes nothing */
  assert_int_equal(note(&self, self.path), 0);
  assert_string_equal(roost_files_changed(&self.files), self.path);
  deinit(&self);
}

static void the_first_note_stays(void **state) {
  (void)state;
  fixture self;
  init(&self);
  assert_int_equal(note(&self, self.path), 0);
  put(&self, "other", 2000);
  assert_int_equal(note(&self, self.path), 0);
  assert_int_equal(self.files.count, 1);
  assert_string_equal(roost_files_changed(&self.files), self.path);
  deinit(&self);
}

static void a_copy_sees_the_same(void **state) {
  (void)state;
  fixture self;
  roost_files copy;
  init(&self);
  char path[160];
  for (int i = 0; i < 20; i++) {
    snprintf(path, sizeof path, "%s/none-%d", self.folder, i);
    assert_int_equal(note(&self, path), 0);
  }
  assert_int_equal(note(&self, self.path), 0);
  roost_files_init(&copy, &self.probe.alloc);
  assert_int_equal(roost_files_copy(&copy, &self.files), 0);
  assert_int_equal(copy.count, 21);
  assert_null(roost_files_changed(&copy));
  put(&self, "other", 2000);
  assert_string_equal(roost_files_changed(&copy), self.path);
  roost_files_deinit(&copy);
  deinit(&self);
}

static void memory_may_end_at_every_point(void **state) {
  (void)state;
  int status = ROOST_ENOMEM;
  for (size_t n = 0; status != 0; n++) {
    fixture self;
    roost_files copy;
    init(&self);
    roost_files_init(&copy, &self.probe.alloc);
    self.probe.refuse_after = n;
    status = note(&self, self.path);
    if (status == 0)
      status = roost_files_copy(&copy, &self.files);
    assert_true(status == 0 || status == ROOST_ENOMEM);
    assert_true(n < 20);
    roost_files_deinit(&copy);
    deinit(&self);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(one_that_stays_as_it_was_is_not_changed),
      cmocka_unit_test(every_way_of_changing_it_is_seen),
      cmocka_unit_test(one_that_was_missing_is_changed_when_it_comes),
      cmocka_unit_test(one_written_just_before_counts_as_changed),
      cmocka_unit_test(the_first_note_stays),
      cmocka_unit_test(a_copy_sees_the_same),
      cmocka_unit_test(memory_may_end_at_every_point),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
