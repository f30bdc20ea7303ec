#include "service_test.h"

/* What a C handler is told to do, and what its calls returned. */
typedef struct script {
  roost_call *held[8];
  size_t count;
  const char *now; /* a letter per step while the handler runs: p push, r reply, n reply without a
                      value, f fail, b fail with a text that is not UTF-8 */
  char did[256];
  char data[64];
} script;

static void do_steps(script *self, roost_call *call, const char *steps) {
  for (; *steps != '\0'; steps++) {
    int status = *steps == 'p'   ? roost_call_push(call, ROOST_SLICE("1"))
                 : *steps == 'r' ? roost_call_reply(call, ROOST_SLICE("\"r\""))
                 : *steps == 'n' ? roost_call_reply(call, (roost_slice){NULL, 0})
                 : *steps == 'b' ? roost_call_fail(call, "\xe9")
                                 : roost_call_fail(call, "said \"no\"");
    strcat(self->did, status == 0 ? "ok" : roost_status_name(status));
    strcat(self->did, " ");
  }
}

static void handler(void *ud, roost_call *call) {
  script *self = ud;
  roost_slice pattern = roost_call_pattern(call);
  roost_slice data = roost_call_data(call);
  snprintf(self->data, sizeof self->data, "%.*s %.*s %d", (int)pattern.len,
           pattern.ptr ? pattern.ptr : "", (int)data.len, data.ptr, roost_call_is_event(call));
  if (self->now != NULL)
    do_steps(self, call, self->now);
  else
    self->held[self->count++] = call;
}

static void init(service_test *self, script *steps) {
  const char *why;
  memset(steps, 0, sizeof *steps);
  service_test_prepare(self);
  self->server_config.max_streams = 1;
  assert_int_equal(service_test_dispatch(self), 0);
  assert_int_equal(
      roost_dispatch_add_handler(self->dispatch, ROOST_SLICE("\"c\""), handler, steps, &why), 0);
}

/* Later, to the oldest call that is held. */
static void later(service_test *self, script *steps, const char *what, const char *did) {
  steps->did[0] = '\0';
  do_steps(steps, steps->held[0], what);
  if (strpbrk(what, "rnf") != NULL)
    memmove(steps->held, steps->held + 1, --steps->count * sizeof steps->held[0]);
  service_test_turn(self);
  assert_string_equal(steps->did, did);
}

static void answers_at_once(void **state) {
  (void)state;
  service_test self;
  script steps;
  init(&self, &steps);
  steps.now = "r";
  service_test_send(&self, &self.peer, "\"c\"", "{\"a\":1}", "1");
  assert_string_equal(steps.data, "\"c\" {\"a\":1} 0");
  steps.now = "n";
  service_test_send(&self, &self.peer, "\"c\"", NULL, "2");
  assert_string_equal(steps.data, "\"c\" null 0");
  steps.now = "ppr";
  service_test_send(&self, &self.peer, "\"c\"", NULL, "3");
  steps.now = "ppn";
  service_test_send(&self, &self.peer, "\"c\"", NULL, "4");
  steps.now = "f";
  service_test_send(&self, &self.peer, "\"c\"", NULL, "5");
  service_test_expect(&self, "last 1 \"r\"\nend 2 \nitem 3 1\nitem 3 1\nlast 3 \"r\"\n"
                             "item 4 1\nlast 4 1\n"
                             "error 5 {\"status\":\"error\",\"message\":\"said \\\"no\\\"\"}\n");
  steps.now = "b";
  service_test_send(&self, &self.peer, "\"c\"", NULL, "6");
  service_test_expect(&self,
                      "error 6 {\"status\":\"error\",\"message\":\"Internal server error\"}\n");
  assert_string_equal(steps.did, "ok ok ok ok ok ok ok ok ok ok ");
  assert_int_equal(self.dispatch->stats.in_flight, 0);
  service_test_deinit(&self);
}

static void answers_later(void **state) {
  (void)state;
  service_test self;
  script steps;
  init(&self, &steps);
  service_test_send(&self, &self.peer, "\"c\"", "[1]", "\"id\"");
  assert_int_equal(self.peer.origin.in_flight, 1);
  later(&self, &steps, "p", "ok ");
  service_test_expect(&self, "item \"id\" 1\n");
  assert_int_equal(self.peer.origin.streams, 1);
  self.peer.crowded = true;
  later(&self, &steps, "p", "ROOST_EFULL ");
  self.peer.crowded = false;
  later(&self, &steps, "r", "ok ");
  service_test_expect(&self, "item \"id\" 1\nlast \"id\" \"r\"\n");
  assert_int_equal(self.dispatch->stats.in_flight, 0);
  service_test_deinit(&self);
}

static void an_event_ends_with_its_handler(void **state) {
  (void)state;
  service_test self;
  script steps;
  init(&self, &steps);
  service_test_send(&self, &self.peer, "\"c\"", NULL, NULL);
  assert_string_equal(steps.data, "\"c\" null 1");
  assert_int_equal(self.dispatch->stats.in_flight, 0);
  steps.now = "pr";
  service_test_send(&self, &self.peer, "\"c\"", NULL, NULL);
  assert_string_equal(steps.did, "ROOST_EGONE ok ");
  service_test_expect(&self, "");
  service_test_deinit(&self);
}

static void it_lives_past_its_deadline_until_it_is_answered(void **state) {
  (void)state;
  service_test self;
  script steps;
  init(&self, &steps);
  self.dispatch->config.request_timeout_ms = 10;
  service_test_send(&self, &self.peer, "\"c\"", NULL, "1");
  service_test_send(&self, &self.peer, "\"c\"", NULL, "2");
  service_test_advance(&self, 10);
  service_test_expect(&self,
                      "error 1 {\"status\":\"error\",\"message\":\"Timeout has occurred\"}\n"
                      "error 2 {\"status\":\"error\",\"message\":\"Timeout has occurred\"}\n");
  later(&self, &steps, "pr", "ROOST_ETIMEDOUT ROOST_ETIMEDOUT ");
  service_test_gone(&self, &self.peer, false);
  later(&self, &steps, "pf", "ROOST_EGONE ROOST_EGONE ");
  service_test_expect(&self, "");
  assert_int_equal(self.dispatch->stats.in_flight, 0);
  service_test_deinit(&self);
}

static void it_lives_on_when_the_caller_left(void **state) {
  (void)state;
  service_test self;
  script steps;
  init(&self, &steps);
  service_test_send(&self, &self.peer, "\"c\"", NULL, "1");
  service_test_send(&self, &self.peer, "\"c\"", NULL, "2");
  service_test_send(&self, &self.peer, "\"c\"", NULL, "3");
  do_steps(&steps, steps.held[1], "p"); /* a stream */
  service_test_turn(&self);
  service_test_expect(&self, "item 2 1\n");
  service_test_gone(&self, &self.peer, true);
  later(&self, &steps, "pr", "ROOST_EGONE ok "); /* no new items, but the reply that is owed */
  service_test_expect(&self, "last 1 \"r\"\n");
  later(&self, &steps, "pr", "ROOST_EGONE ROOST_EGONE ");
  service_test_gone(&self, &self.peer, false);
  later(&self, &steps, "n", "ROOST_EGONE ");
  service_test_expect(&self, "");
  service_test_deinit(&self);
}

static void one_stream_too_many_ends_only_when_it_is_answered(void **state) {
  (void)state;
  service_test self;
  script steps;
  init(&self, &steps);
  service_test_send(&self, &self.peer, "\"c\"", NULL, "1");
  later(&self, &steps, "p", "ok ");
  steps.now = "p";
  steps.did[0] = '\0';
  service_test_send(&self, &self.peer, "\"c\"", NULL, "2");
  assert_string_equal(steps.did, "ROOST_ETIMEDOUT ");
  service_test_expect(&self, "item 1 1\n"
                             "error 2 {\"status\":\"error\",\"message\":\"Too many streams\"}\n");
  assert_int_equal(self.dispatch->stats.in_flight, 2); /* its handler may still look at it */
  service_test_deinit(&self);
}

static void out_of_memory_for_an_id_nothing_is_owed(void **state) {
  (void)state;
  service_test self;
  script steps;
  init(&self, &steps);
  service_test_send(&self, &self.peer, "\"c\"", NULL, "0");
  later(&self, &steps, "r", "ok ");
  service_test_forget(&self);
  char id[6000]; /* more than a pooled call's buffer holds */
  memset(id, '1', sizeof id - 1);
  id[sizeof id - 1] = '\0';
  self.probe.refuse_after = 0;
  assert_int_equal(service_test_try(&self, &self.peer, "\"c\"", NULL, id), 0);
  self.probe.refuse_after = ROOST_ALLOC_PROBE_NEVER;
  later(&self, &steps, "r", "ROOST_ETIMEDOUT ");
  service_test_expect(&self, "");
  service_test_deinit(&self);
}

static void what_is_never_answered_is_freed_with_the_dispatch(void **state) {
  (void)state;
  service_test self;
  script steps;
  init(&self, &steps);
  service_test_send(&self, &self.peer, "\"c\"", NULL, "1");
  service_test_send(&self, &self.peer, "\"c\"", NULL, "2");
  do_steps(&steps, steps.held[1], "p");
  service_test_gone(&self, &self.peer, false);
  service_test_deinit(&self);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(answers_at_once),
      cmocka_unit_test(answers_later),
      cmocka_unit_test(an_event_ends_with_its_handler),
      cmocka_unit_test(it_lives_past_its_deadline_until_it_is_answered),
      cmocka_unit_test(it_lives_on_when_the_caller_left),
      cmocka_unit_test(one_stream_too_many_ends_only_when_it_is_answered),
      cmocka_unit_test(out_of_memory_for_an_id_nothing_is_owed),
      cmocka_unit_test(what_is_never_answered_is_freed_with_the_dispatch),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
