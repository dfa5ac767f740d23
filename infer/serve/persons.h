/* persons.h: lists the pictures that clients may choose from: the PNG and JPEG files of one folder, each by its file
   name without the ending. */
#ifndef INFER_SERVE_PERSONS_H
#define INFER_SERVE_PERSONS_H

#include <stddef.h>

/* Finds a person's file. 0: there is none, or the name has other characters than letters, digits, - and _. */
int person_path(char *path, size_t size, const char *folder, const char *name);
const char *person_media_type(const char *path);
/* Makes the text {"persons":[...]}, sorted; malloc'd. NULL: out of memory. */
char *persons_list(const char *folder);

#endif
