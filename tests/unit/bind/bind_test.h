/*
 * bind_test.h - one service whose handler "run" is the script under test; see service_test.h.
 */
#ifndef ROOST_TESTS_BIND_TEST_H
#define ROOST_TESTS_BIND_TEST_H

#include "service/service_test.h"

/* Runs body as the handler of a request, moving time on by at most ms, and checks what it answered
 * (JSON text; NULL: it must have failed). */
static inline void bind_test_answer(service_test *self, uint64_t ms, const char *body,
                                    const char *expected) {
  char code[4096];
  char reply[4096];
  service_test_init(self);
  snprintf(code, sizeof code, "service:message('run', function(data, ctx) %s end)", body);
  service_test_load(self, "a", code);
  service_test_go(self);
  service_test_send(self, &self->peer, "\"run\"", "null", "1");
  service_test_advance(self, ms);
  snprintf(reply, sizeof reply, "last 1 %s\n", expected ? expected : "");
  if (expected == NULL)
    strcpy(reply, "error 1 {\"status\":\"error\",\"message\":\"Internal server error\"}\n");
  if (strcmp(self->out, reply) != 0)
    print_error("in: %s\n%s", body, self->lines);
  service_test_expect(self, reply);
}

static inline void bind_test_expect(const char *body, const char *expected) {
  static service_test self;
  bind_test_answer(&self, 100, body, expected);
  service_test_deinit(&self);
}

/* And that the script failed with this in the log. */
static inline void bind_test_expect_error(const char *body, const char *line) {
  static service_test self;
  bind_test_answer(&self, 100, body, NULL);
  service_test_expect_line(&self, line);
  service_test_deinit(&self);
}

#endif
