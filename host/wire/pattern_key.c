#include "wire/pattern_key.h"

#include "core/slice.h"
#include "wire/pattern_order.h"
#include "wire/string.h"

#define MIDDLE_DOT 0xB7

/* What next_code returns at the end. */
#define NO_CODE UINT32_MAX

/* Walks over a key's characters, and over the elements they are sorted by. */
typedef struct walk {
  const char *at;
  const char *end;
  uint32_t peeked; /* the character after the current one, or NO_CODE; see has_peeked */
  bool has_peeked;
  bool escaped;
  uint8_t more; /* where in roost_order_extras the current spelling goes on, or 0 */
} walk;

/* One place of the order; letters beyond Latin-1 come after all others. */
typedef struct element {
  uint32_t letter; /* 0 at the end */
  uint8_t accent;
  uint8_t form;
} element;

static walk walk_start(const roost_pattern_key *key) {
  const char *at = key->text.len > 0 ? key->text.ptr : "";
  return (walk){.at = at, .end = at + key->text.len, .escaped = key->escaped};
}

static uint32_t next_code(walk *w) {
  if (w->has_peeked) {
    w->has_peeked = false;
    return w->peeked;
  }
  if (w->at == w->end)
    return NO_CODE;
  if (*w->at == '\\' && w->escaped)
    return roost_string_escape(&w->at, w->end);
  return roost_string_character(&w->at, w->end);
}

static uint32_t peek_code(walk *w) {
  if (!w->has_peeked) {
    w->peeked = next_code(w);
    w->has_peeked = true;
  }
  return w->peeked;
}

static element next_element(walk *w) {
  if (w->more > 0) {
    const roost_order_element *extra = &roost_order_extras[w->more++];
    if (extra->letter > 0)
      return (element){extra->letter, extra->accent, extra->form};
    w->more = 0;
  }
  for (;;) {
    uint32_t code = next_code(w);
    if (code == NO_CODE)
      return (element){0, 0, 0};
    if (code > 0xFF)
      return (element){code, 0, 0};
    const roost_order_element *entry = &roost_order_latin1[code];
    if (entry->letter == 0)
      continue;
    element found = {entry->letter, entry->accent, entry->form};
    w->more = entry->more;
    if ((code | 0x20) == 'l' && peek_code(w) == MIDDLE_DOT) {
      next_code(w);
      found.accent = ROOST_ORDER_MIDDLE_DOT;
    }
    return found;
  }
}

int roost_pattern_key_compare(const roost_pattern_key *a, const roost_pattern_key *b) {
  walk walk_a = walk_start(a);
  walk walk_b = walk_start(b);
  int by_accent = 0;
  int by_form = 0;
  for (;;) {
    element of_a = next_element(&walk_a);
    element of_b = next_element(&walk_b);
    if (of_a.letter != of_b.letter)
      return of_a.letter < of_b.letter ? -1 : 1;
    if (of_a.letter == 0)
      return by_accent != 0 ? by_accent : by_form;
    if (by_accent == 0)
      by_accent = of_a.accent - of_b.accent;
    if (by_form == 0)
      by_form = of_a.form - of_b.form;
  }
}

bool roost_pattern_key_equal(const roost_pattern_key *a, const roost_pattern_key *b) {
  if (!a->escaped && !b->escaped)
    return roost_slice_equal(a->text, b->text);
  walk walk_a = walk_start(a);
  walk walk_b = walk_start(b);
  for (;;) {
    uint32_t code = next_code(&walk_a);
    if (code != next_code(&walk_b))
      return false;
    if (code == NO_CODE)
      return true;
  }
}

bool roost_pattern_key_is_index(const roost_pattern_key *key) {
  walk w = walk_start(key);
  uint32_t first = next_code(&w);
  uint64_t value = 0;
  unsigned digits = 0;
  for (uint32_t code = first; code != NO_CODE; code = next_code(&w)) {
    if (code < '0' || code > '9' || ++digits > 10)
      return false;
    value = value * 10 + (code - '0');
  }
  return digits > 0 && (first != '0' || digits == 1) && value < UINT32_MAX;
}
