#include "alloc_probe.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/open_file.h"

static void refuses(const char *path, int expected) {
  errno = 0;
  assert_null(roost_open_file(path));
  assert_int_equal(errno, expected);
}

static void only_a_file_is_opened(void **state) {
  (void)state;
  char folder[] = "/tmp/roost-open-file-XXXXXX";
  char path[64];
  char text[8] = "";
  assert_non_null(mkdtemp(folder));
  snprintf(path, sizeof path, "%s/a", folder);
  refuses(path, ENOENT);
  refuses(folder, EISDIR);
  refuses("/dev/zero", ENODEV);
  assert_int_equal(mkfifo(path, 0600), 0);
  refuses(path, ENODEV); /* and does not wait for who writes */
  unlink(path);
  FILE *written = fopen(path, "w");
  assert_non_null(written);
  fputs("hello", written);
  fclose(written);
  FILE *file = roost_open_file(path);
  assert_non_null(file);
  assert_string_equal(fgets(text, sizeof text, file), "hello");
  fclose(file);
  unlink(path);
  assert_int_equal(rmdir(folder), 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(only_a_file_is_opened)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
