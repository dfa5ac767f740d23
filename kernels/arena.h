/* arena.h: device memory that is planned by name before any is allocated.

   The same layout function takes every piece twice. The first pass only counts: pointers come back NULL, and the plan
   can be printed on any machine. arena_commit allocates what was counted. The second pass hands out the addresses, and
   fails where it asks for anything else than the first did. So plan and use cannot differ. Not thread-safe.

     arena_begin(a, "student activations")         arena: no memory          used (planning)
     x = arena_take(a, "x", 100)                   x = NULL                  128: pieces are rounded up to 64 bytes
     arena_fork(a, &f)                                                       128
       y = arena_take(a, "y", 1000)                y = NULL                  1152
     arena_alternative(a, &f)                                                128: back to the fork
       z = arena_take(a, "z", 640)                 z = NULL                  768
     arena_join(a, &f)                                                       1152: the larger alternative counts
     w = arena_take(a, "w", 64)                    w = NULL                  1216
     arena_commit(a)                               1216 bytes at `base`; the same calls again return addresses:

     base    +128                                    +768                    +1152 +1216
     | x     | y ............................................................| w |
     |       | z ....................................|                       |   |     (16 bytes a column)

   y and z share memory, because they are never alive together. A purpose is one arena ("student activations"): --plan
   prints a line for each, and a line for each name where details are asked for. */
#ifndef KERNELS_ARENA_H
#define KERNELS_ARENA_H

#include <stddef.h>
#include <stdio.h>

/* Bytes. Device memory and its pieces are rounded up to a multiple of it. */
enum { ARENA_ALIGNMENT = 64 };
static inline size_t arena_aligned(size_t bytes) {
    return (bytes + ARENA_ALIGNMENT - 1) / ARENA_ALIGNMENT * ARENA_ALIGNMENT;
}

struct arena_entry {
    char name[64];
    size_t bytes;
};
struct arena {
    int on_host;                 /* 1: it lies in host memory, which is touched when it is allocated */
    char purpose[48];            /* "student activations": what the plan and an out-of-memory line call it */
    char *base;                  /* NULL while planning */
    size_t used, size;           /* bytes: taken so far in this pass; allocated */
    struct arena_entry *entries; /* pieces that the first pass took, in order */
    int count, capacity;
    int next; /* the entry that the second pass takes next */
};

/* Begins the planning pass of an arena in device memory. */
void arena_begin(struct arena *arena, const char *purpose);
/* Begins the planning pass of an arena in host memory. It is pinned where the device can do that (device_pin), and a
   step may use it without waiting for the system to hand out pages. */
void arena_begin_host(struct arena *arena, const char *purpose);
/* Takes the next `bytes`, aligned to ARENA_ALIGNMENT. `name` is what the plan calls them. NULL while planning. In the
   second pass, a name or size other than the first pass had is a failure (device_fail) and gives NULL. */
void *arena_take(struct arena *arena, const char *name, size_t bytes);
/* Allocates what the planning pass counted and starts the second pass. ERR_DEVICE: there is not enough memory; the text
   names purpose, size and the largest entries. */
int arena_commit(struct arena *arena);
void arena_free(struct arena *arena);
/* Alternatives share memory, because they are never alive together: arena_fork, take the first, arena_alternative, take
   the second, and so on, arena_join. Forks nest. */
struct arena_fork {
    size_t start, high; /* bytes: beginning of the alternatives; end of the largest so far */
};
void arena_fork(const struct arena *arena, struct arena_fork *fork);
void arena_alternative(struct arena *arena, struct arena_fork *fork);
void arena_join(struct arena *arena, const struct arena_fork *fork);
/* Prints one line with purpose and MiB and, with `detail`, one line for each name. Alternatives count each, so the sum
   of the names may be larger than the arena. */
void arena_print(const struct arena *arena, FILE *out, int detail);
#define ARENA_TAKE(arena, name, type, n) ((type *)arena_take(arena, name, sizeof(type) * (size_t)(n)))

/* A stack of short-lived pieces in one block of device memory: the last piece pushed is the first popped. */
enum { SCRATCH_DEPTH = 64 };
struct scratch {
    char *base;
    size_t used, size, high;     /* bytes: in use, allocated, most ever in use */
    size_t start[SCRATCH_DEPTH]; /* beginning of each piece now in use */
    int depth;                   /* pieces now in use */
};
int scratch_open(struct scratch *s, size_t bytes);
void scratch_close(struct scratch *s);
void *scratch_push(struct scratch *s, size_t bytes); /* NULL with the error text set: it does not fit */
void scratch_pop(struct scratch *s, void *pointer);  /* any but the last piece pushed is a failure (device_fail) */

#endif
