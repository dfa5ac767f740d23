/* version.h: what these programs are: the version (file VERSION), the commit, backend and number type they were built
   of, and the libraries they were built with (scripts/version.sh). */
#ifndef BASE_VERSION_H
#define BASE_VERSION_H

#include <stdio.h>

/* "NAME VERSION, commit COMMIT, backend BACKEND, number type TYPE" */
void version_print(const char *name, FILE *file);
const char *version_number(void); /* "0.1.0" */
const char *version_commit(void); /* "0123456789ab", "... with changes", "unknown" */
const char *version_backend(void);
const char *version_type(void);
/* The libraries, one a line. */
void version_print_libraries(FILE *file);

#endif
