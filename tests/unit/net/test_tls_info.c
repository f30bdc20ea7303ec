#include "alloc_probe.h"
#include "net/tls.h"

static const char *const sans[] = {"DNS:a.test", "URI:x"};

static void a_played_peer_has_what_was_said(void **state) {
  static const struct {
    const char *subject;
    const char *common_name;
  } rows[] = {{"CN=billing", "billing"},
              {"CN=billing,O=Acme", "billing"},
              {"O=Acme,CN=billing", "billing"},
              {"O=Acme", ""},
              {"CN=a,CN=b", ""},
              {"OCN=a", ""},
              {"", ""}};
  (void)state;
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    roost_alloc_probe probe;
    const roost_tls_info *info;
    const roost_tls_claim claim = {rows[i].subject, "0a", sans, 2, true};
    roost_alloc_probe_init(&probe);
    assert_int_equal(roost_tls_info_claim(&info, &probe.alloc, &claim), 0);
    assert_string_equal(info->subject, rows[i].subject);
    assert_string_equal(info->common_name, rows[i].common_name);
    assert_string_equal(info->fingerprint, "0a");
    assert_string_equal(info->sans[0], "DNS:a.test");
    assert_string_equal(info->sans[1], "URI:x");
    assert_null(info->sans[2]);
    assert_true(info->verified);
    roost_tls_info_release(roost_tls_info_hold(info));
    roost_tls_info_release(info);
    assert_int_equal(probe.bytes, 0);
  }
}

static void it_is_refused_whole(void **state) {
  roost_alloc_probe probe;
  const roost_tls_info *info;
  const roost_tls_claim claim = {"CN=a", "", sans, 2, false};
  const roost_tls_claim many = {"CN=a", "", sans, 1000, false};
  (void)state;
  roost_alloc_probe_init(&probe);
  assert_int_equal(roost_tls_info_claim(&info, &probe.alloc, &many), ROOST_EINVAL);
  assert_null(info);
  assert_int_equal(probe.bytes, 0);
  int status = ROOST_ENOMEM;
  for (size_t n = 0; status != 0; n++) {
    probe.refuse_after = n;
    status = roost_tls_info_claim(&info, &probe.alloc, &claim);
    assert_int_equal(status, info != NULL ? 0 : ROOST_ENOMEM);
    if (status != 0)
      assert_int_equal(probe.bytes, 0);
  }
  roost_tls_info_release(info);
  assert_int_equal(probe.bytes, 0);
}

static void a_copy_is_its_own(void **state) {
  roost_alloc_probe probe;
  const roost_tls_info *info;
  const roost_tls_info *copy;
  const roost_tls_claim claim = {"O=x,CN=a", "0a", sans, 2, true};
  (void)state;
  roost_alloc_probe_init(&probe);
  assert_int_equal(roost_tls_info_claim(&info, &probe.alloc, &claim), 0);
  const size_t before = probe.bytes;
  int status = ROOST_ENOMEM;
  for (size_t n = 0; status != 0; n++) {
    probe.refuse_after = n;
    status = roost_tls_info_copy(&copy, &probe.alloc, info);
    assert_int_equal(status, copy != NULL ? 0 : ROOST_ENOMEM);
    if (status != 0)
      assert_int_equal(probe.bytes, before);
  }
  roost_tls_info_release(info);
  assert_string_equal(copy->subject, "O=x,CN=a");
  assert_string_equal(copy->common_name, "a");
  assert_string_equal(copy->fingerprint, "0a");
  assert_string_equal(copy->version, "TLSv1.3");
  for (size_t i = 0; i < 2; i++)
    assert_string_equal(copy->sans[i], sans[i]);
  assert_null(copy->sans[2]);
  assert_true(copy->verified);
  roost_tls_info_release(copy);
  assert_int_equal(probe.bytes, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_played_peer_has_what_was_said),
      cmocka_unit_test(it_is_refused_whole),
      cmocka_unit_test(a_copy_is_its_own),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
