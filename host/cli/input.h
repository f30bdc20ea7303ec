/*
 * cli/input.h - PATTERN and DATA, as call, emit and bench take them: JSON, or plain text.
 *
 * What is wrong is said on stderr; the exit code is returned. One thread.
 */
#ifndef ROOST_CLI_INPUT_H
#define ROOST_CLI_INPUT_H

#include "cli/cli.h"
#include "core/buffer.h"

/* Appends the JSON text of a pattern. */
int roost_input_pattern(roost_buffer *out, const roost_command *command, const char *text);

/* Appends the JSON text of data: {} where text is NULL, what stdin says where it is "-". */
int roost_input_data(roost_buffer *out, const roost_command *command, const char *text);

/* Says so on stderr, and returns the exit code. */
int roost_input_out_of_memory(const roost_command *command);

#endif
