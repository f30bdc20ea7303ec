#include "config/problems.h"

#include <stdarg.h>
#include <stdio.h>

void roost_problems_init(roost_problems *problems, const roost_alloc *alloc) {
  *problems = (roost_problems){.alloc = alloc};
}

void roost_problems_deinit(roost_problems *problems) {
  for (size_t i = 0; i < problems->count; i++)
    roost_alloc_put_text(problems->alloc, problems->items[i].text);
  roost_alloc_put(problems->alloc, problems->items, problems->cap * sizeof *problems->items);
  roost_problems_init(problems, problems->alloc);
}

static int make_room(roost_problems *problems) {
  if (problems->count < problems->cap)
    return 0;
  const size_t cap = problems->cap > 0 ? problems->cap * 2 : 8;
  roost_problem *items = roost_alloc_resize(problems->alloc, problems->items,
                                            problems->cap * sizeof *items, cap * sizeof *items);
  if (items == NULL)
    return ROOST_ENOMEM;
  problems->items = items;
  problems->cap = cap;
  return 0;
}

void roost_problems_add(roost_problems *problems, roost_severity severity, const char *format,
                        ...) {
  va_list args;
  va_start(args, format);
  const int len = vsnprintf(NULL, 0, format, args);
  va_end(args);
  char *text = NULL;
  if (len >= 0 && make_room(problems) == 0)
    text = roost_alloc_get(problems->alloc, (size_t)len + 1);
  /* Also one that could not be kept must stop what it is about. */
  problems->errors += severity == ROOST_PROBLEM_ERROR;
  if (text == NULL) {
    problems->status = ROOST_ENOMEM;
    return;
  }
  va_start(args, format);
  vsnprintf(text, (size_t)len + 1, format, args);
  va_end(args);
  for (char *at = text; *at != '\0'; at++)
    if (*at == '\n' || *at == '\r')
      *at = ' ';
  problems->items[problems->count++] = (roost_problem){severity, text};
}
