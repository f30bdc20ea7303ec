/*
 * core/open_file.h - opening what somebody named as a file to be read.
 */
#ifndef ROOST_CORE_OPEN_FILE_H
#define ROOST_CORE_OPEN_FILE_H

#include <stdio.h>

/* Opens a file to read it. NULL with errno, also where it is anything else: a folder (EISDIR), or
 * a pipe or device (ENODEV), on which whoever reads could wait, or go on, for ever. Any thread. */
FILE *roost_open_file(const char *path);

/* The same, as a descriptor; -1 with errno. */
int roost_open_descriptor(const char *path);

/* What is wrong, by its errno. Until the thread's next strerror. */
const char *roost_open_error(int error);

#endif
