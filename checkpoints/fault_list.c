/* fault_list.c: see fault_list.h. */
#include "checkpoints/fault_list.h"

#include <stdarg.h>
#include <stdio.h>

enum { ROOM_FOR_END = 24, FAULT_MAX = 250 };

void fault_add(struct fault_list *f, const char *format, ...) {
    char fault[FAULT_MAX];
    va_list list;
    va_start(list, format);
    vsnprintf(fault, sizeof fault, format, list);
    va_end(list);
    size_t left = sizeof f->text - f->length;
    int n = snprintf(NULL, 0, "%s%s", f->count ? "; " : "", fault);
    if ((size_t)n + ROOM_FOR_END < left && f->length < sizeof f->text - ROOM_FOR_END) {
        f->length += (size_t)snprintf(f->text + f->length, left, "%s%s", f->count ? "; " : "", fault);
    } else
        snprintf(f->text + f->length, left, "; and more");
    f->count++;
}

void fault_shape(char *text, size_t size, int ndim, const long *shape) {
    size_t used = (size_t)snprintf(text, size, "[");
    for (int i = 0; i < ndim && used < size; i++)
        used += (size_t)snprintf(text + used, size - used, i ? ", %ld" : "%ld", shape[i]);
    if (used < size) snprintf(text + used, size - used, "]");
}
