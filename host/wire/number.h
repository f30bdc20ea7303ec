/*
 * wire/number.h - JSON numbers: text to int64 or double and back.
 *
 * Start reading at roost_number_read. Both ways are exact: a double is the nearest to its text,
 * and prints as the shortest text that reads back as the same double, in JavaScript's form.
 * Neither depends on the process's locale. No I/O, no allocation; any thread.
 */
#ifndef ROOST_WIRE_NUMBER_H
#define ROOST_WIRE_NUMBER_H

#include "roost.h"

/* Bytes roost_number_print_double and roost_number_print_integer may write. */
#define ROOST_NUMBER_TEXT_MAX 32

typedef struct roost_number {
  bool is_integer; /* which of the two it is */
  union {
    int64_t integer;
    double number;
  };
} roost_number;

/* Reads the number at the start of the bytes, which begin with '-' or a digit. Returns the byte
 * after it, or NULL where it is not JSON's grammar. */
const char *roost_number_read(roost_number *out, const char *at, const char *end);

/* Prints as JavaScript does (-0 as 0); value is finite. Returns the bytes written. */
size_t roost_number_print_double(char *out, double value);
size_t roost_number_print_integer(char *out, int64_t value);

#endif
