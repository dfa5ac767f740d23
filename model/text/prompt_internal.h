/* prompt_internal.h: the table of HTML's names, for prompt.c. */
#ifndef MODEL_TEXT_PROMPT_INTERNAL_H
#define MODEL_TEXT_PROMPT_INTERNAL_H

#include <stddef.h>

/* Returns the character that a name stands for; 0: none. semicolon 1: the name is followed by one. */
unsigned prompt_entity(const char *name, size_t length, int semicolon);

#endif
