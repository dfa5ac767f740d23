/* fault_list.c: see fault_list.h. */
#include "checkpoints/fault_list.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

enum { FAULT_MAX = 250, KEPT_MAX = 4096, TEXT_MAX = 7600 };

void fault_add(struct fault_list *f, const char *format, ...) {
    char fault[FAULT_MAX];
    va_list list;
    f->count++;
    if (f->kept == f->capacity) {
        int capacity = f->capacity ? 2 * f->capacity : 64;
        char **more = capacity > KEPT_MAX ? NULL : realloc(f->list, (size_t)capacity * sizeof *more);
        if (!more) return; /* out of memory; the fault is counted all the same */
        f->list = more;
        f->capacity = capacity;
    }
    va_start(list, format);
    vsnprintf(fault, sizeof fault, format, list);
    va_end(list);
    if ((f->list[f->kept] = strdup(fault))) f->kept++;
}

void fault_free(struct fault_list *f) {
    for (int i = 0; i < f->kept; i++) free(f->list[i]);
    free(f->list);
    *f = (struct fault_list)FAULT_LIST;
}

/* Finds the first number between two dots, as in "blocks.7.", and returns where it begins and ends. */
static int find_number(const char *text, int *begin, int *end) {
    for (const char *dot = strchr(text, '.'); dot; dot = strchr(dot + 1, '.')) {
        size_t digits = strspn(dot + 1, "0123456789");
        if (!digits || digits > 6 || dot[1 + digits] != '.') continue;
        *begin = (int)(dot + 1 - text);
        *end = *begin + (int)digits;
        return 1;
    }
    return 0;
}

/* Returns the number in `text` when the rest of it is the same as in `like`, else -1. */
static int number_like(const char *text, const char *like, int begin, int end) {
    if (strncmp(text, like, (size_t)begin) || !isdigit((unsigned char)text[begin])) return -1;
    char *rest;
    long number = strtol(text + begin, &rest, 10);
    return number < 1000000 && !strcmp(rest, like + end) ? (int)number : -1;
}

/* Writes the numbers of all faults like f->list[first] as "0-3,7" and takes those faults out of the list (sets them to
   ""). */
static int numbers_text(struct fault_list *f, int first, int begin, int end, char *text, size_t size) {
    char like[FAULT_MAX];
    int from = -1, to = -1, together = 0;
    size_t used = 0;
    snprintf(like, sizeof like, "%s", f->list[first]);
    text[0] = 0;
    for (int i = first; i <= f->kept; i++) {
        int number = i < f->kept ? number_like(f->list[i], like, begin, end) : -1;
        if (i < f->kept && number < 0) continue;
        if (i < f->kept) f->list[i][0] = 0, together++;
        if (number >= 0 && number == to + 1 && from >= 0) {
            to = number;
            continue;
        }
        if (from >= 0 && used < size - 16)
            used +=
                (size_t)snprintf(text + used, size - used, to > from ? "%s%d-%d" : "%s%d", used ? "," : "", from, to);
        from = to = number;
    }
    return together;
}

int fault_report(struct fault_list *f, const char *what) {
    if (!f->count) return OK;
    char text[TEXT_MAX], line[2 * FAULT_MAX], numbers[FAULT_MAX];
    size_t used = 0;
    int said = 0, begin, end;
    for (int i = 0; i < f->kept; i++) {
        if (!f->list[i][0]) continue;
        int together = 1;
        if (find_number(f->list[i], &begin, &end)) {
            char like[FAULT_MAX];
            snprintf(like, sizeof like, "%s", f->list[i]);
            together = numbers_text(f, i, begin, end, numbers, sizeof numbers);
            snprintf(line, sizeof line, "%.*s%s%s", begin, like, numbers, like + end);
        } else
            snprintf(line, sizeof line, "%s", f->list[i]);
        if (used + strlen(line) + 40 > sizeof text) break;
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%s", said ? "; " : "", line);
        said += together;
    }
    if (said < f->count) snprintf(text + used, sizeof text - used, "; and %d more", f->count - said);
    int code = error_set(ERR_INPUT, "%d %s: %s", f->count, what, text);
    fault_free(f);
    return code;
}

void fault_shape(char *text, size_t size, int ndim, const long *shape) {
    size_t used = (size_t)snprintf(text, size, "[");
    for (int i = 0; i < ndim && used < size; i++)
        used += (size_t)snprintf(text + used, size - used, i ? ", %ld" : "%ld", shape[i]);
    if (used < size) snprintf(text + used, size - used, "]");
}
