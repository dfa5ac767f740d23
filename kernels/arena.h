/* arena.h: device memory planned by name before anything is allocated.
   An arena is filled twice by the same layout function: first without memory (pointers come back NULL, sizes are
   counted), then, after arena_commit, for real. So the plan and the use cannot differ. Not thread-safe. */
#ifndef KERNELS_ARENA_H
#define KERNELS_ARENA_H

#include <stddef.h>
#include <stdio.h>

/* What sizes of device memory and of its pieces are rounded up to. */
enum { ARENA_ALIGNMENT = 64 };
static inline size_t arena_aligned(size_t bytes) {
    return (bytes + ARENA_ALIGNMENT - 1) / ARENA_ALIGNMENT * ARENA_ALIGNMENT;
}

struct arena_entry {
    char name[64];
    size_t bytes;
};
struct arena {
    int on_host;      /* in host memory, touched when it is allocated */
    char purpose[48]; /* "student activations": what the plan and an out-of-memory line call it */
    char *base;       /* NULL while planning */
    size_t used, size;
    struct arena_entry *entries;
    int count, capacity;
    int next; /* entry that the second pass takes next */
};

void arena_begin(struct arena *arena, const char *purpose);
/* The same in host memory, pinned where the device does that (device_pin), which a step may use without waiting for the
   system to hand out its pages. */
void arena_begin_host(struct arena *arena, const char *purpose);
/* Next `bytes`, aligned to 64; NULL while planning, and (device_fail) when the second pass asks for something else than
   the first. The name is for the plan. */
void *arena_take(struct arena *arena, const char *name, size_t bytes);
/* Allocates what the planning pass counted and rewinds. ERR_DEVICE names purpose, size and the largest entries. */
int arena_commit(struct arena *arena);
void arena_free(struct arena *arena);
/* Alternatives: what is never alive together shares its memory. arena_fork; take the first; arena_alternative; take the
   second; ...; arena_join. */
struct arena_fork {
    size_t start, high;
};
void arena_fork(const struct arena *arena, struct arena_fork *fork);
void arena_alternative(struct arena *arena, struct arena_fork *fork);
void arena_join(struct arena *arena, const struct arena_fork *fork);
/* One line: purpose and MiB; with detail, one line a name (alternatives count each, so their sum may be larger). */
void arena_print(const struct arena *arena, FILE *out, int detail);
#define ARENA_TAKE(arena, name, type, n) ((type *)arena_take(arena, name, sizeof(type) * (size_t)(n)))

/* Last-in-first-out scratch over one device block. */
enum { SCRATCH_DEPTH = 64 };
struct scratch {
    char *base;
    size_t used, size, high;
    size_t start[SCRATCH_DEPTH]; /* of the pieces now out */
    int depth;
};
int scratch_open(struct scratch *s, size_t bytes);
void scratch_close(struct scratch *s);
void *scratch_push(struct scratch *s, size_t bytes); /* NULL, with the error text set, when it does not fit */
void scratch_pop(struct scratch *s, void *pointer);  /* the last piece pushed; another is a failure (device_fail) */

#endif
