#include "alloc_probe.h"

#include "core/slice.h"
#include "service/table.h"

#define HANDLERS_MAX 16

typedef struct fixture {
  roost_alloc_probe probe;
  roost_table *table;
  roost_handler *handlers[HANDLERS_MAX];
  size_t count;
} fixture;

static void init(fixture *self) {
  memset(self, 0, sizeof *self);
  roost_alloc_probe_init(&self->probe);
  assert_int_equal(roost_table_new(&self->table, &self->probe.alloc), 0);
}

static void deinit(fixture *self) {
  roost_table_free(self->table);
  for (size_t i = 0; i < self->count; i++)
    roost_handler_free(&self->probe.alloc, self->handlers[i]);
  assert_int_equal(self->probe.bytes, 0);
}

static roost_handler *make(fixture *self, const char *pattern, bool event) {
  const char *why;
  const roost_handler from = {.event = event};
  roost_handler **handler = &self->handlers[self->count++];
  assert_int_equal(
      roost_handler_new(handler, &self->probe.alloc, &from, roost_slice_text(pattern), &why), 0);
  return *handler;
}

static roost_handler *add(fixture *self, const char *pattern, bool event, bool wildcards,
                          const roost_handler *expect_replaced) {
  const roost_handler *replaced;
  roost_handler *handler = make(self, pattern, event);
  assert_int_equal(roost_table_add(self->table, handler, wildcards, &replaced), 0);
  assert_ptr_equal(replaced, expect_replaced);
  return handler;
}

static const roost_entry *find(fixture *self, const char *pattern, roost_match *match) {
  assert_int_equal(roost_table_find(self->table, roost_slice_text(pattern), match), 0);
  return match->entry;
}

static void expect(fixture *self, const char *pattern, const roost_handler *message) {
  roost_match match;
  for (int i = 0; i < 2; i++) { /* the second time perhaps out of the cache */
    const roost_entry *entry = find(self, pattern, &match);
    assert_ptr_equal(entry ? entry->message : NULL, message);
  }
}

static void finds_what_is_exactly_the_same_route(void **state) {
  (void)state;
  fixture self;
  init(&self);
  const roost_handler *object = add(&self, "{\"cmd\":\"sum\",\"v\":1}", false, false, NULL);
  const roost_handler *text = add(&self, "\"sum\"", false, false, NULL);
  const roost_handler *number = add(&self, "5", false, false, NULL);
  expect(&self, "{\"cmd\":\"sum\",\"v\":1}", object);
  expect(&self, "{ \"v\":1, \"cmd\" : \"sum\" }", object);
  expect(&self, "\"{\\\"v\\\":1,\\\"cmd\\\":\\\"sum\\\"}\"", object);
  expect(&self, "\"sum\"", text);
  expect(&self, "\"\\u0073um\"", text);
  expect(&self, "5", number);
  expect(&self, "\"5\"", number);
  expect(&self, "\"other\"", NULL);
  expect(&self, "true", NULL);
  expect(&self, "null", NULL);
  roost_match match;
  assert_int_equal(roost_table_find(self.table, (roost_slice){NULL, 0}, &match), 0);
  assert_null(match.entry);
  deinit(&self);
}

static void the_later_message_handler_wins(void **state) {
  (void)state;
  fixture self;
  init(&self);
  const roost_handler *first = add(&self, "\"a\"", false, false, NULL);
  expect(&self, "\"a\"", first);
  const roost_handler *second = add(&self, "\"a\"", false, false, first);
  expect(&self, "\"a\"", second);
  deinit(&self);
}

static void event_handlers_stand_in_order(void **state) {
  (void)state;
  fixture self;
  const roost_handler *events[5];
  roost_match match;
  init(&self);
  for (size_t i = 0; i < 5; i++)
    events[i] = add(&self, "\"e\"", true, false, NULL);
  const roost_handler *message = add(&self, "\"e\"", false, false, NULL);
  const roost_entry *entry = find(&self, "\"e\"", &match);
  assert_int_equal(entry->event_count, 5);
  for (size_t i = 0; i < 5; i++)
    assert_ptr_equal(entry->events[i], events[i]);
  assert_ptr_equal(entry->message, message);
  deinit(&self);
}

static void wildcards_come_after_the_exact_one_in_order(void **state) {
  (void)state;
  fixture self;
  roost_match match;
  init(&self);
  const roost_handler *rest = add(&self, "\"a.>\"", false, true, NULL);
  const roost_handler *one = add(&self, "\"a.*\"", false, true, NULL);
  const roost_handler *exact = add(&self, "\"a.b\"", false, true, NULL);
  for (int i = 0; i < 2; i++) {
    assert_ptr_equal(find(&self, "\"a.b\"", &match)->message, exact);
    roost_table_next(self.table, &match);
    assert_ptr_equal(match.entry->message, rest);
    roost_table_next(self.table, &match);
    assert_ptr_equal(match.entry->message, one);
    roost_table_next(self.table, &match);
    assert_null(match.entry);
  }
  assert_ptr_equal(find(&self, "\"a.x.y\"", &match)->message, rest);
  roost_table_next(self.table, &match);
  assert_null(match.entry);
  assert_ptr_equal(find(&self, "\"a.*\"", &match)->message, one); /* exact, and not given twice */
  roost_table_next(self.table, &match);
  assert_ptr_equal(match.entry->message, rest);
  roost_table_next(self.table, &match);
  assert_null(match.entry);
  assert_null(find(&self, "\"b\"", &match));
  deinit(&self);
}

static void without_wildcards_they_are_plain_text(void **state) {
  (void)state;
  fixture self;
  init(&self);
  const roost_handler *handler = add(&self, "\"a.*\"", false, false, NULL);
  expect(&self, "\"a.b\"", NULL);
  expect(&self, "\"a.*\"", handler);
  deinit(&self);
}

static void the_cache_never_mixes_patterns_up(void **state) {
  (void)state;
  fixture self;
  char pattern[256];
  init(&self);
  const roost_handler *known = add(&self, "\"p7\"", false, false, NULL);
  for (int round = 0; round < 2; round++)
    for (int i = 0; i < 2000; i++) { /* far more than it has slots */
      snprintf(pattern, sizeof pattern, "%*s\"p%d\"", i % 150, "", i % 1000);
      expect(&self, pattern, i % 1000 == 7 ? known : NULL);
    }
  deinit(&self);
}

static void what_is_not_json_is_said(void **state) {
  (void)state;
  fixture self;
  roost_match match;
  init(&self);
  assert_int_equal(roost_table_find(self.table, ROOST_SLICE("{\"a\""), &match), ROOST_EPROTO);
  deinit(&self);
}

static void out_of_memory(void **state) {
  (void)state;
  fixture self;
  init(&self);
  roost_handler *handlers[4];
  for (size_t i = 0; i < 4; i++)
    handlers[i] = make(&self, i < 3 ? "\"a.*\"" : "\"b\"", i < 3);
  for (size_t i = 0; i < 4; i++) {
    const roost_handler *replaced;
    int status = ROOST_ENOMEM;
    for (size_t n = 0; status != 0; n++) {
      self.probe.refuse_after = n;
      status = roost_table_add(self.table, handlers[i], true, &replaced);
      assert_true(status == 0 || status == ROOST_ENOMEM);
    }
  }
  roost_match match;
  self.probe.refuse_after = 0;
  assert_int_equal(roost_table_find(self.table, ROOST_SLICE("\"b\""), &match), ROOST_ENOMEM);
  self.probe.refuse_after = ROOST_ALLOC_PROBE_NEVER;
  expect(&self, "\"b\"", handlers[3]);
  assert_int_equal(find(&self, "\"a.x\"", &match)->event_count, 3);
  deinit(&self);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(finds_what_is_exactly_the_same_route),
      cmocka_unit_test(the_later_message_handler_wins),
      cmocka_unit_test(event_handlers_stand_in_order),
      cmocka_unit_test(wildcards_come_after_the_exact_one_in_order),
      cmocka_unit_test(without_wildcards_they_are_plain_text),
      cmocka_unit_test(the_cache_never_mixes_patterns_up),
      cmocka_unit_test(what_is_not_json_is_said),
      cmocka_unit_test(out_of_memory),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
