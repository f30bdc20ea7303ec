#include "alloc_probe.h"

#include "core/slice.h"
#include "service/handler.h"

static void is_a_copy_with_a_route(void **state) {
  (void)state;
  roost_alloc_probe probe;
  roost_handler *handler;
  const char *why;
  char transport[] = "tcp";
  roost_alloc_probe_init(&probe);
  const roost_handler from = {.event = true, .timeout_ms = 7, .transport = transport};
  assert_int_equal(
      roost_handler_new(&handler, &probe.alloc, &from, ROOST_SLICE("{\"b\":1,\"a\":\"x\"}"), &why),
      0);
  transport[0] = 'x';
  assert_true(
      roost_slice_equal(roost_buffer_slice(&handler->route), ROOST_SLICE("{\"a\":\"x\",\"b\":1}")));
  assert_string_equal(handler->transport, "tcp");
  assert_true(handler->event && !handler->wildcard);
  assert_int_equal(handler->timeout_ms, 7);
  roost_handler_free(&probe.alloc, handler);
  assert_int_equal(roost_handler_new(&handler, &probe.alloc, &(roost_handler){.ud = NULL},
                                     ROOST_SLICE("\"a.*\""), &why),
                   0);
  assert_true(handler->wildcard);
  roost_handler_free(&probe.alloc, handler);
  assert_int_equal(probe.bytes, 0);
}

static void what_is_no_pattern_is_refused(void **state) {
  (void)state;
  static const char deep[] = "[[[[[[[[1]]]]]]]]";
  static const char *const wrong[] = {"true", "null", deep};
  roost_alloc_probe probe;
  roost_alloc_probe_init(&probe);
  for (size_t i = 0; i < 3; i++) {
    roost_handler *handler;
    const char *why = NULL;
    assert_int_equal(roost_handler_new(&handler, &probe.alloc, &(roost_handler){.ud = NULL},
                                       roost_slice_text(wrong[i]), &why),
                     ROOST_EINVAL);
    assert_null(handler);
    assert_non_null(why);
  }
  assert_int_equal(probe.bytes, 0);
}

static void out_of_memory(void **state) {
  (void)state;
  roost_alloc_probe probe;
  roost_handler *handler = NULL;
  const char *why;
  char transport[] = "tcp";
  const roost_handler from = {.transport = transport};
  roost_alloc_probe_init(&probe);
  for (size_t n = 0; handler == NULL; n++) {
    probe.refuse_after = n;
    int status = roost_handler_new(&handler, &probe.alloc, &from, ROOST_SLICE("{\"a\":[1]}"), &why);
    assert_true(status == ROOST_ENOMEM || handler != NULL);
    if (handler == NULL)
      assert_int_equal(probe.bytes, 0);
  }
  roost_handler_free(&probe.alloc, handler);
  assert_int_equal(probe.bytes, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(is_a_copy_with_a_route),
      cmocka_unit_test(what_is_no_pattern_is_refused),
      cmocka_unit_test(out_of_memory),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
