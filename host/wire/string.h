/*
 * wire/string.h - one character of a JSON string at a time; for json.h's strings and for patterns.
 * The text is checked JSON, or WTF-8 (wire/utf8.h). No I/O; any thread.
 */
#ifndef ROOST_WIRE_STRING_H
#define ROOST_WIRE_STRING_H

#include "roost.h"

/* Reads the escape at *at, a backslash; two that make a surrogate pair are one character. */
uint32_t roost_string_escape(const char **at, const char *end);

/* Reads the character at *at, which isn't an escape. */
uint32_t roost_string_character(const char **at, const char *end);

#endif
