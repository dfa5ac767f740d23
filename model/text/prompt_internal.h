/* prompt_internal.h: the table of HTML's names, for prompt.c. */
#ifndef MODEL_TEXT_PROMPT_INTERNAL_H
#define MODEL_TEXT_PROMPT_INTERNAL_H

#include <stddef.h>

/* The character of a name; 0: there is none. semicolon: one followed. */
unsigned prompt_entity(const char *name, size_t length, int semicolon);

#endif
