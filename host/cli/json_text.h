/*
 * cli/json_text.h - JSON on the command line: what arguments mean, and how replies are printed.
 *
 * No I/O; any thread.
 */
#ifndef ROOST_CLI_JSON_TEXT_H
#define ROOST_CLI_JSON_TEXT_H

#include "core/buffer.h"

/* Appends text where it is JSON, otherwise text as a JSON string. EINVAL where it is not UTF-8,
 * ENOMEM. */
int roost_json_text_argument(roost_buffer *out, roost_slice text);

/* Appends valid JSON text without the white space between its tokens. ENOMEM. */
int roost_json_text_compact(roost_buffer *out, roost_slice json);

/* Appends what a person wants to see of an error reply: a text as it is; of an object its message,
 * and all of it on a second line where it says more than status and message; else the JSON.
 * ENOMEM. */
int roost_json_text_error(roost_buffer *out, roost_slice json);

/* A number that is the same for texts of the same value: however members are ordered, characters
 * escaped and tokens spaced. scratch is for the function's use. EPROTO where it is not JSON,
 * ENOMEM. */
int roost_json_text_hash(uint64_t *hash, roost_slice json, roost_buffer *scratch);

#endif
