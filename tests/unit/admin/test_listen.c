/*
 * The sockets: who may connect, what is replaced, and what is left alone.
 */
#include "alloc_probe.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "admin/listen.h"

typedef struct fixture {
  char folder[64];
  char path[256]; /* of the socket, below folder */
  const char *why;
  int fd;
} fixture;

static int set_up(void **state) {
  fixture *self = calloc(1, sizeof *self);
  strcpy(self->folder, "/tmp/roost-listen-XXXXXX");
  strcpy(self->path, "run/deep/a.sock");
  self->fd = -1;
  *state = self;
  return mkdtemp(self->folder) == NULL;
}

static int tear_down(void **state) {
  fixture *self = *state;
  char command[96];
  snprintf(command, sizeof command, "rm -r '%s'", self->folder);
  const int failed = system(command);
  free(self);
  return failed;
}

static int try_listen(fixture *self) {
  return roost_admin_listen_socket(&self->fd, self->folder, self->path, &self->why);
}

static bool is_there(const fixture *self, struct stat *info) {
  char full[400];
  snprintf(full, sizeof full, "%s/%s", self->folder, self->path);
  return lstat(full, info) == 0;
}

static void only_its_owner_may_connect(void **state) {
  fixture *self = *state;
  struct stat info;
  int client;
  assert_int_equal(try_listen(self), 0);
  assert_true(is_there(self, &info));
  assert_true(S_ISSOCK(info.st_mode));
  assert_int_equal(info.st_mode & 0777, 0600);
  assert_true(fcntl(self->fd, F_GETFD) & FD_CLOEXEC);
  assert_int_equal(roost_admin_connect_socket(&client, self->folder, self->path, &self->why), 0);
  close(client);
  roost_admin_unlink_socket(self->folder, self->path); /* somebody answers still */
  assert_true(is_there(self, &info));
  close(self->fd);
  roost_admin_unlink_socket(self->folder, self->path);
  assert_false(is_there(self, &info));
}

static void one_that_answers_is_left_alone(void **state) {
  fixture *self = *state;
  assert_int_equal(try_listen(self), 0);
  const int first = self->fd;
  assert_int_equal(try_listen(self), ROOST_ESTATE);
  assert_string_equal(self->why, "another host answers there");
  assert_int_equal(self->fd, -1);
  close(first);
}

static void one_that_nobody_answers_at_is_replaced(void **state) {
  fixture *self = *state;
  int client;
  assert_int_equal(try_listen(self), 0);
  close(self->fd); /* as if killed */
  assert_int_equal(roost_admin_connect_socket(&client, self->folder, self->path, &self->why),
                   ROOST_ECONNECT);
  assert_int_equal(try_listen(self), 0);
  close(self->fd);
}

static void a_file_in_its_place_is_left_alone(void **state) {
  fixture *self = *state;
  char full[400];
  strcpy(self->path, "file");
  snprintf(full, sizeof full, "%s/%s", self->folder, self->path);
  close(open(full, O_CREAT | O_WRONLY, 0600));
  assert_int_equal(try_listen(self), ROOST_ESYSTEM);
  assert_non_null(strstr(self->why, "no socket"));
  assert_int_equal(access(full, F_OK), 0);
  strcpy(self->path, "file/a.sock");
  assert_int_equal(try_listen(self), ROOST_ESYSTEM);
}

static void a_path_may_be_long(void **state) {
  fixture *self = *state;
  struct stat info;
  int client;
  snprintf(self->path, sizeof self->path, "%0100d/%050d/a.sock", 1, 2);
  assert_int_equal(try_listen(self), 0);
  assert_true(is_there(self, &info));
  assert_int_equal(roost_admin_connect_socket(&client, self->folder, self->path, &self->why), 0);
  close(client);
  close(self->fd);
  roost_admin_unlink_socket(self->folder, self->path);
  assert_false(is_there(self, &info));
  snprintf(self->path, sizeof self->path, "%0150d", 1);
  assert_int_equal(try_listen(self), ROOST_EINVAL);
}

static void a_port_that_is_taken_is_said_to_be(void **state) {
  static const char *const hosts[] = {"127.0.0.1", "localhost", "::1"};
  fixture *self = *state;
  for (size_t i = 0; i < 3; i++) {
    uint16_t port = 0;
    int other;
    const int status = roost_admin_listen_http(&self->fd, hosts[i], &port, &self->why);
    if (i == 2 && status == ROOST_ESYSTEM)
      continue; /* a machine without IPv6 */
    assert_int_equal(status, 0);
    assert_int_not_equal(port, 0);
    assert_int_equal(roost_admin_listen_http(&other, hosts[i], &port, &self->why), ROOST_ESTATE);
    assert_string_equal(self->why, "Address already in use");
    close(self->fd);
  }
  uint16_t port = 0;
  assert_int_equal(roost_admin_listen_http(&self->fd, "nowhere", &port, &self->why), ROOST_EINVAL);
}

/* Without anything being made. */
static void a_name_that_no_socket_can_have_is_told(void **state) {
  fixture *self = *state;
  struct stat info;
  assert_int_equal(roost_admin_check_socket(self->folder, self->path, &self->why), 0);
  assert_int_equal(roost_admin_check_socket("/", "tmp", &self->why), ROOST_EINVAL);
  assert_string_equal(self->why, "there is a file of that name that is no socket");
  memset(self->path, 'x', 150);
  self->path[150] = '\0';
  assert_int_equal(roost_admin_check_socket(self->folder, self->path, &self->why), ROOST_EINVAL);
  assert_string_equal(self->why, "the name is too long for a socket");
  assert_false(is_there(self, &info));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(only_its_owner_may_connect),
      TEST(one_that_answers_is_left_alone),
      TEST(one_that_nobody_answers_at_is_replaced),
      TEST(a_file_in_its_place_is_left_alone),
      TEST(a_path_may_be_long),
      TEST(a_name_that_no_socket_can_have_is_told),
      TEST(a_port_that_is_taken_is_said_to_be),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
