#include "vm/jumps.h"

#include <ctype.h>
#include <string.h>

/* What a chunk of bytecode begins with. */
#define BYTECODE '\x1b'

static bool is_word(char c) {
  return isalnum((unsigned char)c) || c == '_';
}

static void begin_word(roost_jumps *jumps) {
  jumps->state = ROOST_JUMPS_WORD;
  jumps->letters = 0;
}

static void add_letter(roost_jumps *jumps, char c) {
  if (jumps->letters < sizeof jumps->word)
    jumps->word[jumps->letters++] = c;
}

static void end_word(roost_jumps *jumps) {
  if ((jumps->letters == 4 && memcmp(jumps->word, "goto", 4) == 0) ||
      (jumps->letters == 5 && memcmp(jumps->word, "break", 5) == 0))
    jumps->count++;
}

static void open_bracket(roost_jumps *jumps, bool in_comment) {
  jumps->state = ROOST_JUMPS_OPENING;
  jumps->in_comment = in_comment;
  jumps->equals = 0;
}

/* A character where a token may begin. */
static void scan_code(roost_jumps *jumps, char c) {
  jumps->state = ROOST_JUMPS_CODE;
  if (is_word(c)) {
    begin_word(jumps);
    add_letter(jumps, c);
  } else if (c == '-') {
    jumps->state = ROOST_JUMPS_DASH;
  } else if (c == '[') {
    open_bracket(jumps, false);
  } else if (c == '"' || c == '\'') {
    jumps->state = ROOST_JUMPS_STRING;
    jumps->quote = c;
  }
}

static void scan_word(roost_jumps *jumps, char c) {
  if (is_word(c)) {
    add_letter(jumps, c);
    return;
  }
  end_word(jumps);
  scan_code(jumps, c);
}

static void scan_line(roost_jumps *jumps, char c) {
  jumps->state = c == '\n' || c == '\r' ? ROOST_JUMPS_CODE : ROOST_JUMPS_LINE;
}

static void scan_opening(roost_jumps *jumps, char c) {
  if (c == '=') {
    jumps->equals++;
  } else if (c == '[') {
    jumps->state = ROOST_JUMPS_LONG;
    jumps->level = jumps->equals;
  } else if (jumps->in_comment) {
    scan_line(jumps, c);
  } else {
    scan_code(jumps, c);
  }
}

static void scan_closing(roost_jumps *jumps, char c) {
  if (c == '=') {
    jumps->equals++;
  } else if (c != ']') {
    jumps->state = ROOST_JUMPS_LONG;
  } else if (jumps->equals == jumps->level) {
    jumps->state = ROOST_JUMPS_CODE;
  } else {
    jumps->equals = 0; /* this ] may begin the right one */
  }
}

static void scan_string(roost_jumps *jumps, char c) {
  if (c == '\\')
    jumps->state = ROOST_JUMPS_ESCAPE;
  else if (c == jumps->quote)
    jumps->state = ROOST_JUMPS_CODE;
}

static void scan_char(roost_jumps *jumps, char c) {
  switch (jumps->state) {
  case ROOST_JUMPS_CODE:
    scan_code(jumps, c);
    break;
  case ROOST_JUMPS_WORD:
    scan_word(jumps, c);
    break;
  case ROOST_JUMPS_DASH:
    if (c == '-')
      jumps->state = ROOST_JUMPS_COMMENT;
    else
      scan_code(jumps, c);
    break;
  case ROOST_JUMPS_COMMENT:
    if (c == '[')
      open_bracket(jumps, true);
    else
      scan_line(jumps, c);
    break;
  case ROOST_JUMPS_LINE:
    scan_line(jumps, c);
    break;
  case ROOST_JUMPS_OPENING:
    scan_opening(jumps, c);
    break;
  case ROOST_JUMPS_LONG:
    if (c == ']') {
      jumps->state = ROOST_JUMPS_CLOSING;
      jumps->equals = 0;
    }
    break;
  case ROOST_JUMPS_CLOSING:
    scan_closing(jumps, c);
    break;
  case ROOST_JUMPS_STRING:
    scan_string(jumps, c);
    break;
  case ROOST_JUMPS_ESCAPE:
    jumps->state = ROOST_JUMPS_STRING;
    break;
  case ROOST_JUMPS_BYTECODE:
    break;
  }
}

void roost_jumps_scan(roost_jumps *jumps, roost_slice piece) {
  if (!jumps->started && piece.len > 0) {
    jumps->started = true;
    if (*piece.ptr == BYTECODE)
      jumps->state = ROOST_JUMPS_BYTECODE;
  }
  for (size_t i = 0; i < piece.len; i++)
    scan_char(jumps, piece.ptr[i]);
}
