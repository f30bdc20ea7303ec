#include "alloc_probe.h"

#include "admin/pages.h"
#include "core/slice.h"

static void urls_name_pages(void **state) {
  (void)state;
  static const struct {
    const char *url;
    roost_page page;
    const char *service;
  } cases[] = {{"/live", ROOST_PAGE_LIVE, NULL},
               {"/ready", ROOST_PAGE_READY, NULL},
               {"/status", ROOST_PAGE_STATUS, NULL},
               {"/metrics", ROOST_PAGE_METRICS, NULL},
               {"/services/a", ROOST_PAGE_SERVICE, "a"},
               {"/services/a/b", ROOST_PAGE_SERVICE, "a/b"},
               {"/services/", ROOST_PAGE_NONE, NULL},
               {"/services", ROOST_PAGE_NONE, NULL},
               {"/reload", ROOST_PAGE_RELOAD, NULL},
               {"/reload/a", ROOST_PAGE_RELOAD, "a"},
               {"/reload/", ROOST_PAGE_NONE, NULL},
               {"/livel", ROOST_PAGE_NONE, NULL},
               {"/live/", ROOST_PAGE_NONE, NULL},
               {"/", ROOST_PAGE_NONE, NULL},
               {"", ROOST_PAGE_NONE, NULL}};
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    const roost_page_target target = roost_page_find(cases[i].url);
    assert_int_equal(target.page, cases[i].page);
    if (cases[i].service == NULL)
      assert_null(target.service);
    else
      assert_string_equal(target.service, cases[i].service);
  }
}

static void answer_init(roost_page_answer *answer) {
  *answer = (roost_page_answer){.code = 0};
  roost_buffer_init(&answer->body, roost_alloc_default());
}

/* The code with which it is refused, 0 where it is not. */
static unsigned refusal(const char *url, const char *method, bool local, const char *allow) {
  roost_page_answer answer;
  const roost_page_target target = roost_page_find(url);
  int status;
  answer_init(&answer);
  const bool refused = roost_page_refuse(&answer, &target, method, local, &status);
  assert_int_equal(status, 0);
  assert_true(refused == (answer.body.len > 0));
  if (allow == NULL)
    assert_null(answer.allow);
  else
    assert_string_equal(answer.allow, allow);
  roost_buffer_deinit(&answer.body);
  return answer.code;
}

static void methods_and_doors_are_checked(void **state) {
  (void)state;
  for (int local = 0; local < 2; local++) {
    assert_int_equal(refusal("/status", "GET", local, NULL), 0);
    assert_int_equal(refusal("/status", "HEAD", local, NULL), 0);
    assert_int_equal(refusal("/status", "POST", local, "GET, HEAD"), 405);
    assert_int_equal(refusal("/live", "DELETE", local, "GET, HEAD"), 405);
    assert_int_equal(refusal("/nothing", "GET", local, NULL), 404);
  }
  assert_int_equal(refusal("/reload", "POST", true, NULL), 0);
  assert_int_equal(refusal("/reload/a", "GET", true, "POST"), 405);
  assert_int_equal(refusal("/reload", "POST", false, NULL), 404);
  assert_int_equal(refusal("/reload", "GET", false, NULL), 404);
}

static unsigned show(roost_page page, const char *service, const roost_report *report,
                     uint64_t stuck_ms, char *body, size_t size) {
  roost_page_answer answer;
  const roost_page_target target = {page, service};
  const roost_status_facts facts = {.workers = 1, .stuck = stuck_ms >= 250};
  answer_init(&answer);
  assert_int_equal(roost_page_write(&answer, &target, report, &facts, stuck_ms), 0);
  snprintf(body, size, "%.*s", (int)answer.body.len, answer.body.ptr);
  roost_buffer_deinit(&answer.body);
  return answer.code;
}

static void health_is_told_by_the_code(void **state) {
  (void)state;
  char body[4096];
  roost_report report = {.state = ROOST_WORKER_RUNNING};
  assert_int_equal(show(ROOST_PAGE_LIVE, NULL, NULL, 4999, body, sizeof body), 200);
  assert_int_equal(show(ROOST_PAGE_LIVE, NULL, &report, 5000, body, sizeof body), 503);
  assert_string_equal(body, "a worker is stuck\n");
  assert_int_equal(show(ROOST_PAGE_READY, NULL, NULL, 0, body, sizeof body), 503);
  assert_string_equal(body, "starting\n");
  assert_int_equal(show(ROOST_PAGE_READY, NULL, &report, 9000, body, sizeof body), 200);
  report.state = ROOST_WORKER_STARTING;
  assert_int_equal(show(ROOST_PAGE_READY, NULL, &report, 0, body, sizeof body), 503);
  report.state = ROOST_WORKER_DRAINING;
  assert_int_equal(show(ROOST_PAGE_READY, NULL, &report, 0, body, sizeof body), 503);
  assert_string_equal(body, "draining\n");
}

static void pages_say_that_a_worker_is_stuck(void **state) {
  (void)state;
  char body[8192];
  const roost_report report = {.state = ROOST_WORKER_RUNNING};
  assert_int_equal(show(ROOST_PAGE_STATUS, NULL, &report, 300, body, sizeof body), 200);
  assert_non_null(strstr(body, "\"state\":\"running\",\"stuck\":true"));
  assert_int_equal(show(ROOST_PAGE_STATUS, NULL, NULL, 0, body, sizeof body), 200);
  assert_non_null(strstr(body, "\"state\":\"starting\",\"stuck\":false"));
  assert_int_equal(show(ROOST_PAGE_METRICS, NULL, &report, 300, body, sizeof body), 200);
  assert_non_null(strstr(body, "\nroost_worker_stuck{worker=\"0\"} 1\n"));
}

static void one_service_is_shown_or_not_there(void **state) {
  (void)state;
  char body[4096];
  roost_report_service service = {.name = "a", .state = "live"};
  const roost_report report = {
      .state = ROOST_WORKER_RUNNING, .services = &service, .service_count = 1};
  assert_int_equal(show(ROOST_PAGE_SERVICE, "a", &report, 0, body, sizeof body), 200);
  assert_memory_equal(body, "{\"name\":\"a\",\"state\":\"live\"", 26);
  assert_int_equal(show(ROOST_PAGE_SERVICE, "b", &report, 0, body, sizeof body), 404);
  assert_int_equal(show(ROOST_PAGE_SERVICE, "a", NULL, 0, body, sizeof body), 503);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(urls_name_pages),
      cmocka_unit_test(methods_and_doors_are_checked),
      cmocka_unit_test(health_is_told_by_the_code),
      cmocka_unit_test(pages_say_that_a_worker_is_stuck),
      cmocka_unit_test(one_service_is_shown_or_not_there),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
