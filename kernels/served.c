/* served.c: see served.h. */
#include "kernels/served.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { ENTRIES = 256 };
static struct {
    pthread_mutex_t lock;
    int count;
    struct served entry[ENTRIES];
} table = {.lock = PTHREAD_MUTEX_INITIALIZER};

static _Thread_local char refusal[sizeof table.entry[0].reason];

void served_refuse(const char *format, ...) {
    va_list list;
    if (refusal[0]) return;
    va_start(list, format);
    vsnprintf(refusal, sizeof refusal, format, list);
    va_end(list);
}

static int same(const struct served *a, const struct served *b) {
    return a->sizes == b->sizes && !memcmp(a->size, b->size, sizeof a->size) && !strcmp(a->by, b->by) &&
           !strcmp(a->operation, b->operation) && !strcmp(a->reason, b->reason);
}

static struct served *find(const struct served *call) {
    for (int i = 0; i < table.count; i++)
        if (same(&table.entry[i], call)) return &table.entry[i];
    if (table.count == ENTRIES) return &table.entry[ENTRIES - 1];
    struct served *fresh = &table.entry[table.count++];
    *fresh = *call;
    if (table.count == ENTRIES) *fresh = (struct served){.operation = "others", .by = "several"};
    return fresh;
}

void served_by(const char *operation, const char *by, int sizes, const long *size) {
    struct served call = {.operation = operation, .by = by, .sizes = sizes < SERVED_SIZES ? sizes : SERVED_SIZES};
    memcpy(call.size, size, sizeof *size * (size_t)call.sizes);
    memcpy(call.reason, refusal, sizeof refusal);
    refusal[0] = 0;
    pthread_mutex_lock(&table.lock);
    find(&call)->calls++;
    pthread_mutex_unlock(&table.lock);
}

int served_entry(int i, struct served *entry) {
    pthread_mutex_lock(&table.lock);
    int there = i >= 0 && i < table.count;
    if (there) *entry = table.entry[i];
    pthread_mutex_unlock(&table.lock);
    return there;
}

void served_clear(void) {
    pthread_mutex_lock(&table.lock);
    table.count = 0;
    pthread_mutex_unlock(&table.lock);
}

static int of_one_sum(const struct served *a, const struct served *b) {
    return !strcmp(a->by, b->by) && !strcmp(a->operation, b->operation);
}

/* 1: an earlier entry belongs to the same sum, so that this one does not begin it. */
static int counted_before(int entry) {
    for (int i = 0; i < entry; i++)
        if (of_one_sum(&table.entry[i], &table.entry[entry])) return 1;
    return 0;
}

int served_sum(int i, struct served *sum) {
    int first = 0;
    pthread_mutex_lock(&table.lock);
    for (; first < table.count; first++)
        if (!counted_before(first) && !i--) break;
    int there = first < table.count;
    if (there)
        *sum = (struct served){.operation = table.entry[first].operation, .by = table.entry[first].by, .sizes = 1};
    for (int e = first; e < table.count; e++) {
        const struct served *entry = &table.entry[e];
        if (!of_one_sum(entry, sum)) continue;
        sum->size[0]++, sum->calls += entry->calls;
        if (!sum->reason[0]) memcpy(sum->reason, entry->reason, sizeof sum->reason);
    }
    pthread_mutex_unlock(&table.lock);
    return there;
}

void served_text(char *text, size_t size, const struct served *entry) {
    size_t used = (size_t)snprintf(text, size, "%s", entry->operation);
    for (int k = 0; k < entry->sizes && used < size; k++)
        used += (size_t)snprintf(text + used, size - used, "%s%ld", k ? " x " : " ", entry->size[k]);
    if (used < size)
        snprintf(text + used, size - used, ": %s, %ld calls%s%s", entry->by, entry->calls, entry->reason[0] ? "; " : "",
                 entry->reason);
}
