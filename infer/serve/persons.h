/* persons.h: the pictures that clients may choose from: the PNG and JPEG files of one folder, each by its name
   without the ending. */
#ifndef INFER_SERVE_PERSONS_H
#define INFER_SERVE_PERSONS_H

#include <stddef.h>

/* The file of a person; 0: there is none, or the name has characters but letters, digits, - and _. */
int person_path(char *path, size_t size, const char *folder, const char *name);
const char *person_media_type(const char *path);
/* {"persons":[...]}, sorted; malloc'd; NULL: out of memory. */
char *persons_list(const char *folder);

#endif
