#include "host_test.h"

#include <semaphore.h>
#include <time.h>

#include "core/slice.h"
#include "watching.h"

#define GUARD_S 20

typedef struct fixture {
  host_test files; /* its folder is watched */
  roost_clock clock;
  roost_log *log;
  roost_control *control;
  roost_watching *watching;
  sem_t told;
} fixture;

static void on_quiet(void *ud) {
  fixture *self = ud;
  sem_post(&self->told);
}

static void init(fixture *self, uint64_t quiet_ms) {
  memset(self, 0, sizeof *self);
  sem_init(&self->told, 0, 0);
  host_test_prepare(&self->files);
  assert_int_equal(
      roost_log_new(&self->log, roost_alloc_default(), &self->clock, host_test_log, &self->files),
      0);
  assert_int_equal(roost_control_start(&self->control, roost_alloc_default(), self->log), 0);
  assert_int_equal(roost_watching_start(&self->watching, roost_alloc_default(), self->control,
                                        self->log, quiet_ms, on_quiet, self),
                   0);
}

static void deinit(fixture *self) {
  roost_watching_stop(self->watching);
  roost_control_stop(self->control);
  roost_log_free(self->log);
  sem_destroy(&self->told);
  host_test_deinit(&self->files);
}

static void watch(fixture *self, const char *folder) {
  roost_buffer folders;
  roost_buffer_init(&folders, roost_alloc_default());
  if (folder != NULL)
    assert_int_equal(roost_buffer_append(&folders, folder, strlen(folder) + 1), 0);
  assert_int_equal(roost_watching_set(self->watching, &folders), 0);
  assert_int_equal(folders.len, 0);
  roost_buffer_deinit(&folders);
}

static void expect_told(fixture *self) {
  struct timespec until;
  clock_gettime(CLOCK_REALTIME, &until);
  until.tv_sec += GUARD_S;
  assert_int_equal(sem_timedwait(&self->told, &until), 0);
}

static void nothing(void *ud) {
  (void)ud;
}

/* Everything that the control thread has been told of so far is done. */
static void settle(fixture *self) {
  roost_control_call(self->control, nothing, NULL);
}

static void changes_are_told_once_it_is_quiet(void **state) {
  (void)state;
  fixture self;
  init(&self, 1);
  watch(&self, self.files.folder);
  expect_told(&self); /* of what changed before it was watched */
  for (int i = 0; i < 3; i++) {
    host_test_put(&self.files, "b.lua", "1");
    expect_told(&self);
  }
  deinit(&self);
}

static void many_changes_are_told_together(void **state) {
  (void)state;
  fixture self;
  int times = 1;
  init(&self, 200);
  watch(&self, self.files.folder);
  for (int i = 0; i < 100; i++) {
    host_test_put(&self.files, "b.lua", "1");
    settle(&self);
  }
  expect_told(&self);
  while (sem_trywait(&self.told) == 0)
    times++;
  assert_true(times < 20);
  deinit(&self);
}

static void the_same_folders_again_are_no_news(void **state) {
  (void)state;
  fixture self;
  init(&self, 1);
  watch(&self, self.files.folder);
  expect_told(&self);
  for (int i = 0; i < 10; i++)
    watch(&self, self.files.folder);
  watch(&self, NULL);
  settle(&self);
  assert_int_equal(sem_trywait(&self.told), -1);
  deinit(&self);
}

static void it_may_stop_at_any_time(void **state) {
  (void)state;
  for (int when = 0; when < 4; when++) {
    fixture self;
    init(&self, when == 3 ? 0 : 50);
    if (when > 0)
      watch(&self, self.files.folder);
    if (when > 1)
      settle(&self);
    host_test_put(&self.files, "b.lua", "1");
    deinit(&self);
  }
  roost_watching_stop(NULL);
}

typedef struct failing {
  pthread_mutex_t mutex; /* the control thread allocates, too */
  long left;             /* allocations that still succeed; < 0: all */
} failing;

static void *failing_resize(void *ud, void *ptr, size_t old_size, size_t new_size) {
  failing *self = ud;
  (void)old_size;
  pthread_mutex_lock(&self->mutex);
  const bool refused = new_size > old_size && self->left == 0;
  if (new_size > old_size && self->left > 0)
    self->left--;
  pthread_mutex_unlock(&self->mutex);
  if (new_size == 0) {
    free(ptr);
    return NULL;
  }
  return refused ? NULL : realloc(ptr, new_size);
}

/* Where folders cannot be watched it says so, and looks now and then. */
static void memory_may_end_at_every_point(void **state) {
  (void)state;
  for (long n = 0; n < 8; n++) {
    fixture self;
    failing memory = {PTHREAD_MUTEX_INITIALIZER, -1};
    const roost_alloc alloc = {failing_resize, &memory};
    init(&self, 1);
    roost_watching_stop(self.watching);
    memory.left = n;
    const int status =
        roost_watching_start(&self.watching, &alloc, self.control, self.log, 1, on_quiet, &self);
    assert_true(n == 0 ? status == ROOST_ENOMEM : status == 0);
    roost_buffer folders;
    roost_buffer_init(&folders, &alloc);
    const int kept =
        roost_buffer_append(&folders, self.files.folder, strlen(self.files.folder) + 1);
    if (status == 0 && kept == 0 && roost_watching_set(self.watching, &folders) == 0)
      expect_told(&self);
    settle(&self);
    roost_buffer_deinit(&folders);
    deinit(&self);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(changes_are_told_once_it_is_quiet),
      cmocka_unit_test(many_changes_are_told_together),
      cmocka_unit_test(the_same_folders_again_are_no_news),
      cmocka_unit_test(it_may_stop_at_any_time),
      cmocka_unit_test(memory_may_end_at_every_point),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
