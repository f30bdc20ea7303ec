/*
 * load_settings.h - what tests of the configuration share: load a text as a file, and ask.
 *
 * Owned by the test: load_begin makes a folder for it, load_end takes all of it away.
 */
#ifndef ROOST_TESTS_LOAD_SETTINGS_H
#define ROOST_TESTS_LOAD_SETTINGS_H

#include <sys/stat.h>
#include <unistd.h>

#include "alloc_probe.h"
#include "config/settings.h"

#define MAX_OVERRIDES 8

typedef struct load_case {
  roost_alloc_probe probe;
  char dir[64]; /* a folder of the test's own; the working directory of the load */
  roost_override overrides[MAX_OVERRIDES];
  size_t override_count;
  roost_problems problems;
  roost_settings *settings; /* NULL where the load failed */
  int status;
} load_case;

static inline void load_write(const load_case *load, const char *name, const char *text) {
  char path[256];
  snprintf(path, sizeof path, "%s/%s", load->dir, name);
  FILE *file = fopen(path, "wb");
  assert_non_null(file);
  assert_int_equal(fwrite(text, 1, strlen(text), file), strlen(text));
  fclose(file);
}

static inline void load_clear(load_case *load) {
  roost_settings_free(load->settings);
  load->settings = NULL;
  roost_problems_deinit(&load->problems);
  assert_int_equal(load->probe.bytes, 0);
}

/* Loads the file name of the test's folder; NULL: the configuration compiled in. */
static inline void load_file(load_case *load, const char *name) {
  load_clear(load);
  const roost_settings_source source = {.path = name,
                                        .working_dir = load->dir,
                                        .overrides = load->overrides,
                                        .override_count = load->override_count};
  load->status = roost_settings_load(&load->settings, &load->probe.alloc, &source, &load->problems);
  assert_true((load->status == 0) == (load->settings != NULL));
  if (load->status != ROOST_ENOMEM)
    assert_true((load->status == 0) == (load->problems.errors == 0));
}

/* Loads text as the file host.lua. */
static inline void load_text(load_case *load, const char *text) {
  load_write(load, "host.lua", text);
  load_file(load, "host.lua");
}

static inline void load_set(load_case *load, const char *key, const char *value) {
  assert_true(load->override_count < MAX_OVERRIDES);
  load->overrides[load->override_count++] = (roost_override){key, value, false};
}

static inline bool load_has_problem(const load_case *load, const char *text) {
  for (size_t i = 0; i < load->problems.count; i++)
    if (strcmp(load->problems.items[i].text, text) == 0)
      return true;
  return false;
}

/* Exactly this problem and no other. */
#define assert_one_problem(load, severity_, text_)                                                 \
  do {                                                                                             \
    if ((load)->problems.count > 0)                                                                \
      assert_string_equal((load)->problems.items[0].text, text_);                                  \
    assert_int_equal((load)->problems.count, 1);                                                   \
    assert_int_equal((load)->problems.items[0].severity, severity_);                               \
  } while (0)

#define assert_error(load, text)   assert_one_problem(load, ROOST_PROBLEM_ERROR, text)
#define assert_warning(load, text) assert_one_problem(load, ROOST_PROBLEM_WARNING, text)

static inline int load_begin(void **state) {
  load_case *load = calloc(1, sizeof *load);
  roost_alloc_probe_init(&load->probe);
  roost_problems_init(&load->problems, &load->probe.alloc);
  strcpy(load->dir, "/tmp/roost-test-XXXXXX");
  assert_non_null(mkdtemp(load->dir));
  *state = load;
  return 0;
}

static inline int load_end(void **state) {
  static const char *const names[] = {"host.lua", "secret", "services/a.lua", "a.lua"};
  load_case *load = *state;
  char path[256];
  load_clear(load);
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
    snprintf(path, sizeof path, "%s/%s", load->dir, names[i]);
    unlink(path);
  }
  snprintf(path, sizeof path, "%s/services", load->dir);
  rmdir(path);
  const int left = rmdir(load->dir);
  free(load);
  return left;
}

#define LOAD_TEST(name) cmocka_unit_test_setup_teardown(name, load_begin, load_end)

#endif
