/* hdf5_error.c: see hdf5_error.h. */
#include "base/hdf5_error.h"
#include "base/error.h"

#include <hdf5.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void hdf5_quiet(void) {
    H5dont_atexit(); /* only the first call in the process counts */
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
}

struct reason {
    char text[200];
    int system; /* 1: it is the operating system's message */
};

/* Keeps the innermost entry of the stack, which comes first: the system's message when
   there is one, else the library's. */
static herr_t find_reason(unsigned n, const H5E_error2_t *entry, void *user) {
    struct reason *reason = user;
    if (reason->system || !entry->desc) return 0;
    const char *quoted = strstr(entry->desc, "error message = '");
    if (quoted) {
        quoted += 17;
        snprintf(reason->text, sizeof reason->text, "%.*s", (int)strcspn(quoted, "'"), quoted);
        reason->system = 1;
    } else if (n == 0)
        snprintf(reason->text, sizeof reason->text, "%s", entry->desc);
    return 0;
}

int hdf5_fail(const char *path, const char *format, ...) {
    struct reason reason = {.text = "", .system = 0};
    char message[300];
    va_list list;
    va_start(list, format);
    vsnprintf(message, sizeof message, format, list);
    va_end(list);
    H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, find_reason, &reason);
    return error_set(ERR_INPUT, "%s: %s%s%s", path, message, reason.text[0] ? ": " : "", reason.text);
}
