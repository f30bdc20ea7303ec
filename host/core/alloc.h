/*
 * core/alloc.h - every byte of the library comes through one roost_alloc (roost.h).
 *
 * A struct that owns memory keeps the pointer to the roost_alloc it was made with; the host owns
 * that roost_alloc and outlives them all. Any thread.
 */
#ifndef ROOST_CORE_ALLOC_H
#define ROOST_CORE_ALLOC_H

#include "roost.h"

/* The C library's realloc and free. */
const roost_alloc *roost_alloc_default(void);

/* Refuses everything. */
const roost_alloc *roost_alloc_none(void);

/* size bytes set to zero, or NULL. Give them back with roost_alloc_put and the same size. */
void *roost_alloc_get(const roost_alloc *alloc, size_t size);

/* As realloc: new bytes are not set; NULL (and ptr untouched) when refused. */
void *roost_alloc_resize(const roost_alloc *alloc, void *ptr, size_t old_size, size_t new_size);

/* Frees; ptr may be NULL. */
void roost_alloc_put(const roost_alloc *alloc, void *ptr, size_t size);

/* A NUL-terminated copy of text, or NULL; freed with roost_alloc_put_text. */
char *roost_alloc_text(const roost_alloc *alloc, roost_slice text);
void roost_alloc_put_text(const roost_alloc *alloc, char *text);

#endif
