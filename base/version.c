/* version.c: see version.h. Linked into programs by itself, not from libbase.a: it changes with every commit. */
#include "base/version.h"

#include "version_text.h" /* build/VARIANT/gen: VERSION, COMMIT, TYPE, LIBRARIES */

void version_print(const char *name, FILE *file) {
    fprintf(file, "%s %s, commit %s, backend %s, number type %s\n", name, VERSION, COMMIT, BACKEND_NAME, TYPE);
}

const char *version_number(void) { return VERSION; }
const char *version_commit(void) { return COMMIT; }
const char *version_backend(void) { return BACKEND_NAME; }
const char *version_type(void) { return TYPE; }

void version_print_libraries(FILE *file) { fputs(LIBRARIES, file); }
