/* version.h: what these programs were built from: the version (file VERSION), the commit, backend and number type, and
   the libraries (scripts/version.sh). */
#ifndef BASE_VERSION_H
#define BASE_VERSION_H

#include <stdio.h>

/* Prints "NAME VERSION, commit COMMIT, backend BACKEND, number type TYPE". */
void version_print(const char *name, FILE *file);
const char *version_number(void); /* "0.1.0" */
const char *version_commit(void); /* "0123456789ab", "... with changes", "unknown" */
const char *version_backend(void);
const char *version_type(void);
/* Prints the libraries, one a line. */
void version_print_libraries(FILE *file);

#endif
