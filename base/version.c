/* version.c: see version.h. Linked into programs by itself, not from libbase.a: it changes with every commit. */
#include "base/version.h"

#include "version_text.h" /* build/VARIANT/gen: VERSION, COMMIT, TYPE, LIBRARIES */

void version_print(const char *name, FILE *file) {
    fprintf(file, "%s %s, commit %s, backend %s, number type %s\n", name, VERSION, COMMIT, BACKEND_NAME, TYPE);
}

void version_print_libraries(FILE *file) { fputs(LIBRARIES, file); }
