/* error.c: see error.h. */
#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { TEXT_MAX = 8192 }; /* bytes: room for the names of all tensors of a checkpoint that do not fit */
static _Thread_local char text[TEXT_MAX];

int error_set(enum error_code code, const char *format, ...) {
    char line[sizeof text]; /* a second buffer, because the arguments may point into the present text */
    va_list list;
    va_start(list, format);
    vsnprintf(line, sizeof line, format, list);
    va_end(list);
    for (char *c = line; *c; c++) /* names from files may hold anything: one line, no control characters */
        if ((unsigned char)*c < 32 || *c == 127) *c = '?';
    memcpy(text, line, sizeof text);
    return code;
}

int error_context(int code, const char *format, ...) {
    char prefix[256], line[sizeof text];
    va_list list;
    va_start(list, format);
    vsnprintf(prefix, sizeof prefix, format, list);
    va_end(list);
    size_t n = strlen(prefix);
    if (!strncmp(text, prefix, n) && text[n] == ':') return code; /* a lower floor has said so already */
    snprintf(line, sizeof line, "%s: %.*s", prefix, TEXT_MAX - (int)sizeof prefix - 4, text);
    memcpy(text, line, sizeof text);
    return code;
}

const char *error_text(void) { return text; }
