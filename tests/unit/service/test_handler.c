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

static roost_handler *add(roost_list *owners, const roost_alloc *alloc, const char *pattern,
                          bool event) {
  roost_handler *handler;
  const char *why;
  char transport[] = "tcp";
  const roost_handler from = {.event = event, .timeout_ms = 5, .transport = transport};
  assert_int_equal(roost_handler_new(&handler, alloc, &from, roost_slice_text(pattern), &why), 0);
  roost_list_append(owners, &handler->link);
  return handler;
}

/* A copy knows which of several alike it is of, and that is found by it later. */
static void a_copy_finds_what_it_is_of(void **state) {
  (void)state;
  roost_alloc_probe probe;
  roost_list owners;
  roost_alloc_probe_init(&probe);
  roost_list_init(&owners);
  const roost_handler *all[] = {
      add(&owners, &probe.alloc, "\"a\"", true), add(&owners, &probe.alloc, "\"a\"", false),
      add(&owners, &probe.alloc, "\"a\"", true), add(&owners, &probe.alloc, "\"b.*\"", true)};
  for (size_t i = 0; i < 4; i++) {
    roost_handler *copy = NULL;
    const size_t before = probe.bytes;
    for (size_t n = 0; copy == NULL; n++) {
      probe.refuse_after = n;
      const int status = roost_handler_copy(&copy, &probe.alloc, all[i], &owners);
      assert_int_equal(status, copy != NULL ? 0 : ROOST_ENOMEM);
      if (copy == NULL)
        assert_int_equal(probe.bytes, before);
    }
    assert_true(copy->forwards);
    assert_int_equal(copy->timeout_ms, 0);
    assert_int_equal(copy->wildcard, i == 3);
    assert_string_equal(copy->transport, "tcp");
    assert_ptr_equal(
        roost_handler_find(&owners, roost_buffer_slice(&copy->route), copy->event, copy->ordinal),
        all[i]);
    roost_handler_free(&probe.alloc, copy);
  }
  assert_null(roost_handler_find(&owners, ROOST_SLICE("a"), true, 2));
  assert_null(roost_handler_find(&owners, ROOST_SLICE("c"), true, 0));
  while (!roost_list_empty(&owners))
    roost_handler_free(&probe.alloc, ROOST_LIST_ENTRY(owners.next, roost_handler, link));
  assert_int_equal(probe.bytes, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(is_a_copy_with_a_route),
      cmocka_unit_test(what_is_no_pattern_is_refused),
      cmocka_unit_test(out_of_memory),
      cmocka_unit_test(a_copy_finds_what_it_is_of),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
