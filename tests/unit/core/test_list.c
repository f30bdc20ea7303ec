#include "alloc_probe.h"
#include "core/list.h"

typedef struct item {
  int number;
  roost_list link;
} item;

static void assert_numbers(roost_list *list, const char *expected) {
  char text[64] = "";
  for (roost_list *link = list->next; link != list; link = link->next) {
    assert_ptr_equal(link->next->prev, link);
    const size_t len = strlen(text);
    text[len] = (char)('0' + ROOST_LIST_ENTRY(link, item, link)->number);
    text[len + 1] = '\0';
  }
  assert_string_equal(text, expected);
}

static void keeps_order(void **state) {
  (void)state;
  roost_list list;
  item items[4];
  roost_list_init(&list);
  assert_true(roost_list_empty(&list));
  for (int i = 0; i < 4; i++) {
    items[i].number = i;
    roost_list_append(&list, &items[i].link);
  }
  assert_numbers(&list, "0123");
  roost_list_remove(&items[0].link);
  roost_list_remove(&items[2].link);
  roost_list_remove(&items[2].link); /* in no list: nothing happens */
  assert_numbers(&list, "13");
  roost_list_append(&list, &items[2].link);
  assert_numbers(&list, "132");
  roost_list_prepend(&list, &items[0].link);
  assert_numbers(&list, "0132");
  roost_list_remove(&items[0].link);
  assert_false(roost_list_empty(&list));
}

static void moves_all(void **state) {
  (void)state;
  roost_list a;
  roost_list b;
  item items[4];
  roost_list_init(&a);
  roost_list_init(&b);
  roost_list_move(&a, &b);
  assert_true(roost_list_empty(&a));
  for (int i = 0; i < 4; i++) {
    items[i].number = i;
    roost_list_append(i < 2 ? &a : &b, &items[i].link);
  }
  roost_list_move(&a, &b);
  assert_numbers(&a, "0123");
  assert_true(roost_list_empty(&b));
  roost_list_move(&b, &a);
  assert_numbers(&b, "0123");
  assert_true(roost_list_empty(&a));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(keeps_order),
      cmocka_unit_test(moves_all),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
