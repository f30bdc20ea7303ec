#include "net_test.h"

#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/wait.h>

#define CONNS 16

/* A listener, and what it reported. */
typedef struct fixture {
  net_test test;
  roost_listener *listener;
  net_record conns[CONNS];
  size_t accepted;
  size_t refused; /* by a limit */
  size_t paused;  /* for want of descriptors */
  size_t lost;
  size_t back;
  size_t closed;
  char why[64];
  roost_address refused_address;
  bool close_on_accept;
  bool ignore_conns;
} fixture;

static void on_accept(void *ud, roost_conn *conn) {
  fixture *self = ud;
  if (self->ignore_conns) {
    self->accepted++;
    return;
  }
  assert_true(self->accepted < CONNS);
  net_record_init(&self->conns[self->accepted++], conn);
  if (self->close_on_accept)
    roost_listener_close(self->listener);
}

static void on_refused(void *ud, int status, const char *why, const roost_address *address) {
  fixture *self = ud;
  snprintf(self->why, sizeof self->why, "%s", why);
  if (address != NULL)
    self->refused_address = *address;
  if (status == ROOST_ESYSTEM)
    self->paused++;
  else
    self->refused++;
}

static void on_lost(void *ud, const char *why) {
  fixture *self = ud;
  self->lost++;
  snprintf(self->why, sizeof self->why, "%s", why);
}

static void on_listening(void *ud) {
  ((fixture *)ud)->back++;
}

static void on_closed(void *ud) {
  fixture *self = ud;
  self->closed++;
  self->listener = NULL;
}

static const roost_listener_ops listener_ops = {
    .on_accept = on_accept,
    .on_refused = on_refused,
    .on_lost = on_lost,
    .on_listening = on_listening,
    .on_closed = on_closed,
};

static const roost_listener_config plain = {.host = "127.0.0.1", .backlog = 128};

static void start(fixture *self, const roost_listener_config *config) {
  const char *why;
  *self = (fixture){.accepted = 0};
  net_test_init(&self->test);
  assert_int_equal(
      roost_listener_open(&self->listener, self->test.loop, config, &listener_ops, self, &why), 0);
}

static void finish(fixture *self) {
  net_test_deinit(&self->test);
  assert_int_equal(self->closed, 1);
  for (size_t i = 0; i < self->accepted && !self->ignore_conns; i++) {
    assert_int_equal(self->conns[i].closes, 1);
    net_record_deinit(&self->conns[i]);
  }
}

static uint16_t port_of(const fixture *self) {
  return roost_listener_address(self->listener)->port;
}

static bool is_over(int descriptor) {
  char byte;
  const ssize_t n = recv(descriptor, &byte, 1, MSG_DONTWAIT);
  return n == 0 || (n < 0 && errno == ECONNRESET);
}

static void nothing_is_accepted_before_start(void **state) {
  fixture self;
  (void)state;
  start(&self, &plain);
  assert_string_equal(roost_listener_address(self.listener)->text, "127.0.0.1");
  assert_true(port_of(&self) > 0);
  const int peer = net_connect(port_of(&self));
  net_test_turns(&self.test, 5);
  assert_int_equal(self.accepted, 0);
  assert_int_equal(roost_listener_start(self.listener), 0);
  assert_int_equal(roost_listener_start(self.listener), 0);
  NET_TEST_UNTIL(&self.test, self.accepted == 1);
  assert_int_equal(send(peer, "hello", 5, 0), 5);
  NET_TEST_UNTIL(&self.test, self.conns[0].bytes.len == 5);
  close(peer);
  finish(&self);
}

static int option_of(const net_record *record, int level, int option) {
  int value = 0;
  socklen_t size = sizeof value;
  assert_int_equal(getsockopt(roost_conn_descriptor(record->conn), level, option, &value, &size),
                   0);
  return value;
}

static void accepted_sockets_are_tuned_and_named(void **state) {
  fixture self;
  struct sockaddr_in address;
  socklen_t size = sizeof address;
  (void)state;
  start(&self, &plain);
  assert_int_equal(roost_listener_start(self.listener), 0);
  const int peer = net_connect(port_of(&self));
  NET_TEST_UNTIL(&self.test, self.accepted == 1);
  assert_int_not_equal(option_of(&self.conns[0], IPPROTO_TCP, TCP_NODELAY), 0);
  assert_int_not_equal(option_of(&self.conns[0], SOL_SOCKET, SO_KEEPALIVE), 0);
  assert_int_equal(option_of(&self.conns[0], IPPROTO_TCP, TCP_KEEPIDLE), 60);
  assert_int_not_equal(fcntl(roost_conn_descriptor(self.conns[0].conn), F_GETFL) & O_NONBLOCK, 0);
  assert_int_equal(getsockname(peer, (struct sockaddr *)&address, &size), 0);
  assert_string_equal(roost_conn_remote(self.conns[0].conn)->text, "127.0.0.1");
  assert_int_equal(roost_conn_remote(self.conns[0].conn)->port, ntohs(address.sin_port));
  assert_int_equal(roost_conn_local(self.conns[0].conn)->port, port_of(&self));
  close(peer);
  finish(&self);
}

static void localhost_binds_the_ipv4_loopback(void **state) {
  fixture self;
  (void)state;
  start(&self, &(roost_listener_config){.host = "localhost", .backlog = 8});
  assert_string_equal(roost_listener_address(self.listener)->text, "127.0.0.1");
  finish(&self);
}

static void ipv6_and_mapped_addresses(void **state) {
  fixture self;
  (void)state;
  const int probe = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (probe < 0)
    return; /* the machine has no IPv6 at all */
  close(probe);
  start(&self, &(roost_listener_config){.host = "::", .backlog = 8, .max_connections_per_ip = 1});
  assert_string_equal(roost_listener_address(self.listener)->text, "::");
  assert_int_equal(roost_listener_start(self.listener), 0);
  const int peer = net_connect(port_of(&self));
  NET_TEST_UNTIL(&self.test, self.accepted == 1);
  assert_string_equal(roost_conn_remote(self.conns[0].conn)->text, "127.0.0.1");
  close(peer);
  finish(&self);
}

static void what_cannot_be_bound_says_why(void **state) {
  fixture self;
  roost_listener *other;
  const char *why;
  (void)state;
  start(&self, &plain);
  roost_listener_config config = plain;
  config.port = port_of(&self);
  assert_int_equal(roost_listener_open(&other, self.test.loop, &config, &listener_ops, &self, &why),
                   ROOST_ESYSTEM);
  assert_string_equal(why, "EADDRINUSE");
  assert_null(other);
  config.host = "no such host";
  assert_int_equal(roost_listener_open(&other, self.test.loop, &config, &listener_ops, &self, &why),
                   ROOST_ESYSTEM);
  assert_string_equal(why, "ENOTFOUND");
  config.host = "192.0.2.1";
  assert_int_equal(roost_listener_open(&other, self.test.loop, &config, &listener_ops, &self, &why),
                   ROOST_ESYSTEM);
  assert_string_equal(why, "EADDRNOTAVAIL");
  finish(&self);
}

static void over_max_connections_peers_are_turned_away(void **state) {
  fixture self;
  int peers[4];
  roost_listener_config config = plain;
  (void)state;
  config.max_connections = 2;
  start(&self, &config);
  assert_int_equal(roost_listener_start(self.listener), 0);
  for (size_t i = 0; i < 3; i++)
    peers[i] = net_connect(port_of(&self));
  NET_TEST_UNTIL(&self.test, self.refused == 1);
  assert_int_equal(self.accepted, 2);
  assert_string_equal(self.why, "max_connections");
  assert_string_equal(self.refused_address.text, "127.0.0.1");
  NET_TEST_UNTIL(&self.test, is_over(peers[2]));
  close(peers[0]);
  NET_TEST_UNTIL(&self.test, self.conns[0].eofs == 1);
  roost_conn_close(self.conns[0].conn);
  NET_TEST_UNTIL(&self.test, self.conns[0].closes == 1);
  peers[3] = net_connect(port_of(&self));
  NET_TEST_UNTIL(&self.test, self.accepted == 3);
  for (size_t i = 1; i < 4; i++)
    close(peers[i]);
  finish(&self);
}

static int connect_from(const char *address, uint16_t port) {
  struct sockaddr_in from = {.sin_family = AF_INET};
  const struct sockaddr_in to = {
      .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  inet_pton(AF_INET, address, &from.sin_addr);
  const int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  assert_int_equal(bind(descriptor, (const struct sockaddr *)&from, sizeof from), 0);
  assert_int_equal(connect(descriptor, (const struct sockaddr *)&to, sizeof to), 0);
  return descriptor;
}

static void each_address_has_its_own_limit(void **state) {
  fixture self;
  int peers[5];
  roost_listener_config config = plain;
  (void)state;
  config.max_connections_per_ip = 1;
  start(&self, &config);
  assert_int_equal(roost_listener_start(self.listener), 0);
  peers[0] = connect_from("127.0.0.2", port_of(&self));
  peers[1] = connect_from("127.0.0.3", port_of(&self));
  NET_TEST_UNTIL(&self.test, self.accepted == 2);
  peers[2] = connect_from("127.0.0.2", port_of(&self));
  NET_TEST_UNTIL(&self.test, self.refused == 1);
  assert_string_equal(self.why, "max_connections_per_ip");
  assert_string_equal(self.refused_address.text, "127.0.0.2");
  roost_conn_close(self.conns[0].conn);
  NET_TEST_UNTIL(&self.test, self.conns[0].closes == 1);
  peers[3] = connect_from("127.0.0.2", port_of(&self));
  NET_TEST_UNTIL(&self.test, self.accepted == 3);
  peers[4] = connect_from("127.0.0.3", port_of(&self));
  NET_TEST_UNTIL(&self.test, self.refused == 2);
  for (size_t i = 0; i < 5; i++)
    close(peers[i]);
  finish(&self);
}

static void a_conn_without_an_owner_is_closed(void **state) {
  fixture self;
  (void)state;
  start(&self, &plain);
  self.ignore_conns = true;
  assert_int_equal(roost_listener_start(self.listener), 0);
  const int peer = net_connect(port_of(&self));
  NET_TEST_UNTIL(&self.test, is_over(peer));
  assert_int_equal(self.accepted, 1);
  close(peer);
  finish(&self);
}

static void closing_accepts_who_is_queued_first(void **state) {
  fixture self;
  int peers[5];
  (void)state;
  start(&self, &plain);
  const uint16_t port = port_of(&self);
  assert_int_equal(roost_listener_start(self.listener), 0);
  for (size_t i = 0; i < 5; i++)
    peers[i] = net_connect(port);
  roost_listener_close(self.listener);
  roost_listener_close(self.listener);
  assert_int_equal(self.accepted, 5);
  assert_int_equal(self.closed, 0);
  NET_TEST_UNTIL(&self.test, self.closed == 1);
  const struct sockaddr_in address = {
      .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  const int late = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  assert_int_equal(connect(late, (const struct sockaddr *)&address, sizeof address), -1);
  assert_int_equal(errno, ECONNREFUSED);
  close(late);
  assert_int_equal(send(peers[4], "x", 1, 0), 1); /* who was accepted outlives the listener */
  NET_TEST_UNTIL(&self.test, self.conns[4].bytes.len == 1);
  for (size_t i = 0; i < 5; i++)
    close(peers[i]);
  finish(&self);
}

/* As a service manager keeps the socket while one process takes the place of another. */
static void who_is_queued_at_an_inherited_socket_is_left_there(void **state) {
  fixture self;
  roost_listener_config config = plain;
  const char *why;
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t size = sizeof address;
  (void)state;
  const int managers = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  assert_int_equal(bind(managers, (const struct sockaddr *)&address, size), 0);
  assert_int_equal(listen(managers, 8), 0);
  assert_int_equal(getsockname(managers, (struct sockaddr *)&address, &size), 0);
  config.port = ntohs(address.sin_port);
  self = (fixture){.accepted = 0};
  net_test_init(&self.test);
  assert_int_equal(roost_loop_inherit(self.test.loop, dup(managers)), 0);
  assert_int_equal(
      roost_listener_open(&self.listener, self.test.loop, &config, &listener_ops, &self, &why), 0);
  assert_int_equal(roost_listener_start(self.listener), 0);
  const int taken = net_connect(config.port);
  NET_TEST_UNTIL(&self.test, self.accepted == 1);
  const int left = net_connect(config.port);
  roost_listener_close(self.listener);
  NET_TEST_UNTIL(&self.test, self.closed == 1);
  assert_int_equal(self.accepted, 1);
  const int next = accept4(managers, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
  assert_true(next >= 0);
  close(next);
  close(left);
  close(taken);
  close(managers);
  finish(&self);
}

static void closing_inside_on_accept(void **state) {
  fixture self;
  int peers[3];
  (void)state;
  start(&self, &plain);
  self.close_on_accept = true;
  for (size_t i = 0; i < 3; i++)
    peers[i] = net_connect(port_of(&self));
  assert_int_equal(roost_listener_start(self.listener), 0);
  NET_TEST_UNTIL(&self.test, self.closed == 1);
  assert_int_equal(self.accepted, 3);
  for (size_t i = 0; i < 3; i++)
    close(peers[i]);
  finish(&self);
}

/* shutdown on a listening socket is what a careless embedder does to it. */
static void lose_socket(fixture *self) {
  assert_int_equal(shutdown(roost_listener_descriptor(self->listener), SHUT_RDWR), 0);
}

static void a_lost_socket_listens_again_as_often_as_told(void **state) {
  fixture self;
  roost_listener_config config = plain;
  (void)state;
  config.retry_attempts = 2;
  config.retry_delay_ms = 500;
  start(&self, &config);
  const uint16_t port = port_of(&self);
  assert_int_equal(roost_listener_start(self.listener), 0);
  for (size_t round = 1; round <= 2; round++) {
    net_test_turns(&self.test, 2);
    lose_socket(&self);
    NET_TEST_UNTIL(&self.test, self.lost == round);
    assert_int_equal(roost_listener_descriptor(self.listener), -1);
    net_test_advance(&self.test, 499);
    assert_int_equal(self.back, round - 1);
    net_test_advance(&self.test, 1);
    assert_int_equal(self.back, round);
    assert_int_equal(port_of(&self), port);
    const int peer = net_connect(port);
    NET_TEST_UNTIL(&self.test, self.accepted == round);
    close(peer);
  }
  net_test_turns(&self.test, 2);
  lose_socket(&self);
  NET_TEST_UNTIL(&self.test, self.lost == 3);
  net_test_advance(&self.test, 100000);
  assert_int_equal(self.back, 2);
  roost_listener_close(self.listener);
  NET_TEST_UNTIL(&self.test, self.closed == 1);
  finish(&self);
}

static void a_port_taken_meanwhile_costs_an_attempt(void **state) {
  fixture self;
  roost_listener_config config = plain;
  (void)state;
  config.retry_attempts = 2;
  config.retry_delay_ms = 10;
  start(&self, &config);
  config.port = port_of(&self);
  assert_int_equal(roost_listener_start(self.listener), 0);
  net_test_turns(&self.test, 2);
  lose_socket(&self);
  NET_TEST_UNTIL(&self.test, self.lost == 1);
  fixture thief = {.accepted = 0};
  const char *why;
  assert_int_equal(
      roost_listener_open(&thief.listener, self.test.loop, &config, &listener_ops, &thief, &why),
      0);
  net_test_advance(&self.test, 10);
  assert_int_equal(self.lost, 2);
  assert_string_equal(self.why, "EADDRINUSE");
  roost_listener_close(thief.listener);
  NET_TEST_UNTIL(&self.test, thief.closed == 1);
  net_test_advance(&self.test, 10);
  assert_int_equal(self.back, 1);
  finish(&self);
}

/* Connects with the last descriptor there is, so that it can't be accepted. */
static int net_connect_last(fixture *self, int *hoard, size_t *hoarded, int any) {
  close(hoard[--*hoarded]);
  const int late = net_connect(port_of(self));
  while ((hoard[*hoarded] = dup(any)) >= 0)
    ++*hoarded;
  net_test_turns(&self->test, 3);
  return late;
}

/* In a process of its own, since it takes all descriptors there are. */
static int run_out_of_descriptors(void) {
  fixture self;
  int peers[4];
  int hoard[64];
  size_t hoarded = 0;
  const struct rlimit limit = {64, 64};
  start(&self, &plain);
  assert_int_equal(roost_listener_start(self.listener), 0);
  net_test_turns(&self.test, 2);
  for (size_t i = 0; i < 4; i++)
    peers[i] = net_connect(port_of(&self));
  assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
  while ((hoard[hoarded] = dup(peers[0])) >= 0)
    hoarded++;
  for (unsigned i = 0; i < 10; i++)
    net_test_advance(&self.test, 100);
  assert_int_equal(self.accepted, 0);
  assert_int_equal(self.paused, 1); /* said once */
  assert_string_equal(self.why, "EMFILE");
  net_test_turns(&self.test, 3);
  assert_int_equal(roost_loop_timeout(self.test.loop), -1); /* asleep, not spinning */
  for (size_t i = 0; i < 4; i++)
    close(hoard[--hoarded]);
  net_test_turns(&self.test, 3);
  assert_int_equal(self.accepted, 0);
  net_test_advance(&self.test, 100);
  NET_TEST_UNTIL(&self.test, self.accepted == 4); /* nobody was lost */
  const int late = net_connect_last(&self, hoard, &hoarded, peers[0]);
  assert_int_equal(self.paused, 2); /* the next shortage is said again */
  close(late);
  while (hoarded > 0)
    close(hoard[--hoarded]);
  for (size_t i = 0; i < 4; i++) {
    assert_int_equal(send(peers[i], "x", 1, MSG_NOSIGNAL), 1);
    close(peers[i]);
  }
  NET_TEST_UNTIL(&self.test, self.conns[3].bytes.len == 1);
  finish(&self);
  return 0;
}

static void without_descriptors_accepting_pauses_and_goes_on(void **state) {
  int status;
  (void)state;
  fflush(NULL);
  const pid_t child = fork();
  assert_true(child >= 0);
  if (child == 0) {
    /* An assertion that fails here does not return: whatever it does, it is not this exit. */
    run_out_of_descriptors();
    _exit(77);
  }
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_true(WIFEXITED(status));
  assert_int_equal(WEXITSTATUS(status), 77);
}

static void out_of_memory(void **state) {
  (void)state;
  for (size_t point = 0;; point++) {
    fixture self = {.accepted = 0};
    const char *why;
    roost_listener_config config = plain;
    config.max_connections_per_ip = 5;
    net_test_init(&self.test);
    self.test.probe.refuse_after = point;
    int status =
        roost_listener_open(&self.listener, self.test.loop, &config, &listener_ops, &self, &why);
    if (status == 0)
      status = roost_listener_start(self.listener);
    int peer = -1;
    if (status == 0) {
      peer = net_connect(port_of(&self));
      NET_TEST_UNTIL(&self.test, self.accepted + self.refused == 1);
    }
    const bool is_accepted = self.accepted == 1;
    assert_true(is_accepted || status == ROOST_ENOMEM || self.refused == 1);
    net_test_deinit(&self.test);
    if (peer >= 0)
      close(peer);
    if (is_accepted)
      return;
    assert_true(point < 20);
  }
}

/* Two listeners of one loop, as of two: the first accepts for the second, too. */
static void what_is_accepted_is_spread(void **state) {
  fixture self;
  roost_listener *other;
  size_t held[2] = {0, 0};
  int peers[5];
  (void)state;
  start(&self, &plain);
  assert_int_equal(roost_listener_open_shared(&other, self.test.loop, &listener_ops, &self), 0);
  assert_int_equal(roost_listener_start(other), 0);
  assert_int_equal(roost_listener_share(self.listener, &other, 1, held), 0);
  assert_int_equal(roost_listener_start(self.listener), 0);
  for (size_t i = 0; i < 4; i++) {
    peers[i] = net_connect(port_of(&self));
    NET_TEST_UNTIL(&self.test, self.accepted == i + 1);
  }
  assert_int_equal(held[0], 2);
  assert_int_equal(held[1], 2);
  roost_conn_close(self.conns[1].conn); /* the other's */
  roost_conn_close(self.conns[3].conn);
  NET_TEST_UNTIL(&self.test, held[1] == 0);
  assert_int_equal(held[0], 2);
  peers[4] = net_connect(port_of(&self));
  NET_TEST_UNTIL(&self.test, self.accepted == 5);
  assert_int_equal(held[1], 1);
  assert_int_equal(roost_listener_share(self.listener, NULL, 0, NULL), 0);
  close(net_connect(port_of(&self)));
  NET_TEST_UNTIL(&self.test, self.accepted == 6);
  assert_int_equal(held[0], 2); /* it counts for itself again */
  for (size_t i = 0; i < 6; i++)
    if (self.conns[i].closes == 0)
      roost_conn_close(self.conns[i].conn);
  NET_TEST_UNTIL(&self.test, self.conns[4].closes == 1 && self.conns[5].closes == 1);
  for (size_t i = 0; i < 5; i++)
    close(peers[i]);
  roost_listener *first = self.listener;
  roost_listener_close(first);
  roost_listener_close(other);
  NET_TEST_UNTIL(&self.test, self.closed == 2);
  self.closed = 1;
  finish(&self);
}

/* A limit counts them all, and one that is on its way when the loop is freed is closed with it. */
static void limits_are_of_all_that_share(void **state) {
  fixture self;
  roost_listener *other;
  size_t held[2] = {0, 0};
  roost_listener_config config = plain;
  int peers[3];
  config.max_connections = 2;
  config.max_connections_per_ip = 2;
  (void)state;
  start(&self, &config);
  assert_int_equal(roost_listener_open_shared(&other, self.test.loop, &listener_ops, &self), 0);
  assert_int_equal(roost_listener_share(self.listener, &other, 1, held), 0);
  assert_int_equal(roost_listener_start(self.listener), 0);
  for (size_t i = 0; i < 3; i++)
    peers[i] = net_connect(port_of(&self));
  NET_TEST_UNTIL(&self.test, self.accepted == 2 && self.refused == 1);
  assert_string_equal(self.why, "max_connections");
  for (size_t i = 0; i < 2; i++)
    roost_conn_close(self.conns[i].conn);
  NET_TEST_UNTIL(&self.test, held[0] == 0 && held[1] == 0);
  for (size_t i = 0; i < 3; i++)
    close(peers[i]);
  net_test_deinit(&self.test);
  assert_int_equal(self.closed, 2);
  for (size_t i = 0; i < 2; i++)
    net_record_deinit(&self.conns[i]);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(nothing_is_accepted_before_start),
      cmocka_unit_test(accepted_sockets_are_tuned_and_named),
      cmocka_unit_test(localhost_binds_the_ipv4_loopback),
      cmocka_unit_test(ipv6_and_mapped_addresses),
      cmocka_unit_test(what_cannot_be_bound_says_why),
      cmocka_unit_test(over_max_connections_peers_are_turned_away),
      cmocka_unit_test(each_address_has_its_own_limit),
      cmocka_unit_test(a_conn_without_an_owner_is_closed),
      cmocka_unit_test(closing_accepts_who_is_queued_first),
      cmocka_unit_test(who_is_queued_at_an_inherited_socket_is_left_there),
      cmocka_unit_test(closing_inside_on_accept),
      cmocka_unit_test(a_lost_socket_listens_again_as_often_as_told),
      cmocka_unit_test(a_port_taken_meanwhile_costs_an_attempt),
      cmocka_unit_test(without_descriptors_accepting_pauses_and_goes_on),
      cmocka_unit_test(what_is_accepted_is_spread),
      cmocka_unit_test(limits_are_of_all_that_share),
      cmocka_unit_test(out_of_memory),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
