/* arena.c: see arena.h. Planning touches no device memory, so that a plan of any size can be printed anywhere. */
#include "kernels/arena.h"
#include "kernels/device.h"
#include "kernels/kernels.h"
#include "base/error.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { LARGEST_SHOWN = 4 };
#define MEBIBYTE 1048576.0

void arena_begin(struct arena *arena, const char *purpose) {
    *arena = (struct arena){0};
    snprintf(arena->purpose, sizeof arena->purpose, "%s", purpose);
}

void arena_begin_host(struct arena *arena, const char *purpose) {
    arena_begin(arena, purpose);
    arena->on_host = 1;
}

static void *host_alloc(size_t bytes) {
    void *memory = aligned_alloc(ARENA_ALIGNMENT, bytes ? bytes : ARENA_ALIGNMENT);
    if (!memory) return NULL;
    memset(memory, 0, bytes);
    device_pin(memory, bytes);
    return memory;
}

/* Notes a piece in the planning pass. */
static void plan_entry(struct arena *arena, const char *name, size_t bytes) {
    if (arena->count == arena->capacity) {
        int capacity = arena->capacity ? 2 * arena->capacity : 64;
        struct arena_entry *entries = realloc(arena->entries, (size_t)capacity * sizeof *entries);
        if (!entries) {
            device_fail("%s: no memory for the plan", arena->purpose);
            return;
        }
        arena->entries = entries;
        arena->capacity = capacity;
    }
    struct arena_entry *entry = &arena->entries[arena->count++];
    snprintf(entry->name, sizeof entry->name, "%s", name);
    entry->bytes = bytes;
    arena->used += arena_aligned(bytes);
}

void *arena_take(struct arena *arena, const char *name, size_t bytes) {
    if (!arena->base) {
        plan_entry(arena, name, bytes);
        return NULL;
    }
    struct arena_entry *entry = arena->next < arena->count ? &arena->entries[arena->next] : NULL;
    if (!entry || entry->bytes != bytes || strncmp(entry->name, name, sizeof entry->name - 1)) {
        device_fail("%s: %s (%zu bytes) is not what was planned", arena->purpose, name, bytes);
        return NULL;
    }
    void *pointer = arena->base + arena->used;
    arena->used += arena_aligned(bytes);
    arena->next++;
    return pointer;
}

void arena_fork(const struct arena *arena, struct arena_fork *fork) { fork->start = fork->high = arena->used; }

void arena_alternative(struct arena *arena, struct arena_fork *fork) {
    if (arena->used > fork->high) fork->high = arena->used;
    arena->used = fork->start;
}

void arena_join(struct arena *arena, const struct arena_fork *fork) {
    if (fork->high > arena->used) arena->used = fork->high;
}

/* Writes the largest entries as "name 12.3 MiB, ..." for the out-of-memory line. */
static void largest_entries(const struct arena *arena, char *text, size_t size) {
    size_t written = 0, limit = SIZE_MAX;
    int previous = -1; /* the entry shown last: equal sizes are told apart by their index */
    text[0] = 0;
    for (int shown = 0; shown < LARGEST_SHOWN && shown < arena->count && written < size; shown++) {
        int best = -1;
        for (int i = 0; i < arena->count; i++) {
            size_t bytes = arena->entries[i].bytes;
            int open = bytes < limit || (bytes == limit && i > previous);
            if (open && (best < 0 || bytes > arena->entries[best].bytes)) best = i;
        }
        limit = arena->entries[best].bytes;
        previous = best;
        written += (size_t)snprintf(text + written, size - written, "%s%s %.1f MiB", shown ? ", " : "",
                                    arena->entries[best].name, (double)limit / MEBIBYTE);
    }
}

int arena_commit(struct arena *arena) {
    arena->base = arena->on_host ? host_alloc(arena->used) : device_alloc(arena->used);
    if (!arena->base) {
        char largest[400];
        largest_entries(arena, largest, sizeof largest);
        return error_set(ERR_DEVICE, "%s: no memory for %.1f MiB (largest: %s)", arena->purpose,
                         (double)arena->used / MEBIBYTE, largest);
    }
    arena->size = arena->used;
    arena->used = 0;
    arena->next = 0;
    return OK;
}

void arena_free(struct arena *arena) {
    if (arena->base) packed_close(arena->base, (long)arena->size);
    if (arena->on_host) {
        device_unpin(arena->base);
        free(arena->base);
    } else
        device_free(arena->base);
    free(arena->entries);
    *arena = (struct arena){0};
}

void arena_print(const struct arena *arena, FILE *out, int detail) {
    fprintf(out, "%-32s %10.1f MiB\n", arena->purpose, (double)(arena->base ? arena->size : arena->used) / MEBIBYTE);
    for (int i = 0; detail && i < arena->count; i++) {
        int first = i, count = 0;
        size_t bytes = 0;
        for (int j = 0; j < arena->count; j++) {
            if (strcmp(arena->entries[j].name, arena->entries[i].name)) continue;
            if (j < first) first = j;
            bytes += arena->entries[j].bytes;
            count++;
        }
        if (first == i)
            fprintf(out, "  %-40s %10.3f MiB%s%.0d\n", arena->entries[i].name, (double)bytes / MEBIBYTE,
                    count > 1 ? " in " : "", count > 1 ? count : 0);
    }
}

int scratch_open(struct scratch *s, size_t bytes) {
    *s = (struct scratch){.size = arena_aligned(bytes)};
    s->base = device_alloc(s->size);
    return s->base ? OK : error_set(ERR_DEVICE, "scratch: no memory for %.1f MiB", (double)bytes / MEBIBYTE);
}

void scratch_close(struct scratch *s) {
    device_free(s->base);
    *s = (struct scratch){0};
}

void *scratch_push(struct scratch *s, size_t bytes) {
    if (s->depth == SCRATCH_DEPTH || bytes > s->size - s->used || arena_aligned(bytes) > s->size - s->used) {
        error_set(ERR_DEVICE, "scratch: %zu bytes do not fit: %zu of %zu used by %d pieces", bytes, s->used, s->size,
                  s->depth);
        return NULL;
    }
    void *pointer = s->base + s->used;
    s->start[s->depth++] = s->used;
    s->used += arena_aligned(bytes);
    if (s->used > s->high) s->high = s->used;
    return pointer;
}

void scratch_pop(struct scratch *s, void *pointer) {
    if (!s->depth || (char *)pointer != s->base + s->start[s->depth - 1]) {
        device_fail("scratch: popped out of order");
        return;
    }
    s->used = s->start[--s->depth];
}
