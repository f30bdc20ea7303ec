#include "alloc_probe.h"

#include "core/buffer.h"
#include "core/slice.h"
#include "wire/message.h"

static void an_error_is_json_whatever_it_says(void **state) {
  roost_alloc_probe probe;
  roost_buffer out;
  (void)state;
  roost_alloc_probe_init(&probe);
  roost_buffer_init(&out, &probe.alloc);
  assert_int_equal(roost_message_write_error(&out, ROOST_SLICE("no \"such\" \\topic\n")), 0);
  assert_true(roost_slice_equal(
      roost_buffer_slice(&out),
      ROOST_SLICE("{\"status\":\"error\",\"message\":\"no \\\"such\\\" \\\\topic\\n\"}")));
  assert_int_equal(roost_message_write_error(&out, ROOST_SLICE("\xff")), ROOST_EINVAL);
  roost_buffer_deinit(&out);
  assert_int_equal(probe.bytes, 0);
}

static void memory_may_be_short(void **state) {
  (void)state;
  for (size_t after = 0;; after++) {
    roost_alloc_probe probe;
    roost_buffer out;
    roost_alloc_probe_init(&probe);
    probe.refuse_after = after;
    roost_buffer_init(&out, &probe.alloc);
    const int status = roost_message_write_error(&out, ROOST_SLICE(ROOST_INTERNAL_ERROR));
    roost_buffer_deinit(&out);
    assert_int_equal(probe.bytes, 0);
    if (status == 0)
      break;
    assert_int_equal(status, ROOST_ENOMEM);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(an_error_is_json_whatever_it_says),
      cmocka_unit_test(memory_may_be_short),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
