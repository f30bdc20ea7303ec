/*
 * wire/utf8.h - scanning UTF-8 text: is it valid, how long is it in UTF-16, repair it.
 *
 * Maximal subpart: the longest prefix of a broken sequence that could have begun a valid one;
 * each becomes one U+FFFD, as the Unicode standard recommends and node does.
 * WTF-8: UTF-8 in which a lone surrogate (U+D800..DFFF) stands as its three-byte form; it is how
 * Lua strings hold what JSON writes as an escape. No I/O, no allocation but in the buffer given;
 * any thread.
 */
#ifndef ROOST_WIRE_UTF8_H
#define ROOST_WIRE_UTF8_H

#include "core/buffer.h"

/* Bytes of text before the first one that breaks UTF-8; text.len when all of it is valid. */
size_t roost_utf8_valid_prefix(roost_slice text);

/* UTF-16 code units of valid UTF-8 (JavaScript's length). */
size_t roost_utf8_utf16_length(roost_slice text);

/* Appends text with every maximal subpart that is broken replaced by U+FFFD. ENOMEM. */
int roost_utf8_repair(roost_buffer *out, roost_slice text);

#endif
